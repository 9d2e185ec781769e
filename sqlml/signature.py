"""What a model takes and gives: named, typed inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MISSING_STRING = "\ufdd0sqlml:missing"
"""A missing value in a graph's string tensor, which has no NULL. U+FDD0 is a Unicode
noncharacter, so that no text that people exchange equals it."""

APART = "\x1f"
"""Stands between words whose characters are told apart: ASCII's separator of units, which is white
space, so that no word has it."""

Category = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Input:
    """One input column of a model."""

    name: str
    """The author's own column name: any text."""
    type: str
    """The Spark SQL type that a column must have or widen to: a key of `types.SCALARS`, or an
    ARRAY of numbers."""
    wire: str
    """The Spark SQL type of the graph's tensor: what Spark casts the column to before it
    leaves the JVM. A BIGINT that may be missing travels as a DOUBLE with NaN."""
    takes_missing: bool = False
    """A NULL (or NaN) reaches the model as its missing value; else such a row scores NULL."""
    takes_infinite: bool = True
    """±infinity is scored; else such a row scores NULL."""
    largest: float | None = None
    """Finite numbers above it are not taken: such a row scores NULL."""
    categories: tuple[Category, ...] | None = None
    """The only values that the original scores, else it raises and such a row scores NULL.
    None: every value is scored."""
    below: int | None = None
    """Only whole numbers from zero to below this are scored, as of an index; None: all are."""
    width: int | None = None
    """The elements of an ARRAY, which stand in one tensor; NULL, or an array of another length,
    scores NULL. None for a type that is no array."""
    smallest: float | None = None
    """Finite numbers below it are not taken."""
    prepared: tuple[str, ...] = ()
    """What is done to a text before the graph gets it: keys of `score.texts.PREPARATIONS`."""
    terms: int = 0
    """The columns of counts that the graph makes of a text, where it takes texts apart."""

    @property
    def has_limits(self) -> bool:
        """Some finite numbers are not taken."""
        return self.largest is not None or self.smallest is not None

    @property
    def takes_everything(self) -> bool:
        """No value, and not its lack, rules a row out."""
        return (
            self.takes_missing
            and self.takes_infinite
            and not self.has_limits
            and self.categories is None
            and self.below is None
        )


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

    @property
    def predicted(self) -> Output | None:
        """The one output that `predict` returns; None where it returns a STRUCT of all."""
        named = [o for o in self.outputs if o.name == "prediction"] or list(self.outputs)
        return named[0] if len(named) == 1 else None

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Signature:
        """The signature of `dataclasses.asdict`, back from JSON, which has no tuples."""
        tuples = ("categories", "prepared")  # JSON has lists
        given: list[dict[str, Any]] = [
            {k: tuple(v) if k in tuples and v is not None else v for k, v in i.items()}
            for i in facts["inputs"]
        ]
        inputs = tuple(Input(**i) for i in given)
        return cls(inputs, tuple(Output(**o) for o in facts["outputs"]))


def struct_type(outputs: Sequence[Output]) -> str:
    """The Spark SQL type of several outputs together.

    >>> struct_type([Output("a", "DOUBLE"), Output("b", "BIGINT")])
    'STRUCT<`a`: DOUBLE, `b`: BIGINT>'
    """
    return "STRUCT<" + ", ".join(f"`{o.name}`: {o.type}" for o in outputs) + ">"
