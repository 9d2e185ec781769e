"""What a model takes and gives: named, typed inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

MISSING_STRING = "\ufdd0sqlml:missing"
"""A missing value in a graph's string tensor, which has no NULL. U+FDD0 is a Unicode
noncharacter, so that no text that people exchange equals it."""

Category = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Input:
    """One input column of a model."""

    name: str
    """The author's own column name: any text."""
    type: str
    """The Spark SQL type that a column must have or widen to (a key of `types.SCALARS`)."""
    wire: str
    """The Spark SQL type of the graph's tensor: what Spark casts the column to before it
    leaves the JVM. A BIGINT that may be missing travels as a DOUBLE with NaN."""
    takes_missing: bool = False
    """A NULL (or NaN) reaches the model as its missing value; else such a row scores NULL."""
    takes_infinite: bool = True
    """±infinity is scored; else such a row scores NULL."""
    largest: float | None = None
    """Finite numbers of a larger magnitude are not taken: such a row scores NULL."""
    categories: tuple[Category, ...] | None = None
    """The only values that the original scores, else it raises and such a row scores NULL.
    None: every value is scored."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output column of a model."""

    name: str
    type: str
    """A Spark SQL type: DOUBLE, STRING, MAP<STRING, DOUBLE>, ARRAY<DOUBLE> …"""


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs, in the author's order, and the outputs of the table form."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
