"""What is known of a model's inputs before a row is read, because the query filters on them."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Fact:
    """What holds of a column's value in every row. `Fact()` says nothing.

    The value is meant as the column's own type has it: where a cast rounds it, as from DOUBLE to
    FLOAT, bounds hold once they are cast alike. Where no row can be, facts may contradict
    themselves: no value is left, and no NULL either.

    >>> Fact(low=60, not_null=True, may_be_nan=False)  # WHERE age >= 60, of an INT
    Fact(values=None, low=60, high=None, not_null=True, may_be_nan=False)
    """

    values: tuple[str | int | bool, ...] | None = None
    """All there can be beside NULL, of a STRING, a BOOLEAN or an integer type. None: any; empty, of
    a column of whatever type: NULL alone."""
    low: int | float | None = None
    """No number is lower: an int for integer types, else a float. None: no bound.

    Spark takes -0.0 and 0.0 for equal, and where a bound is zero both can be: a zero is -0.0
    here, and 0.0 as `high`.
    """
    high: int | float | None = None
    """No number is higher."""
    not_null: bool = False
    """The value is not NULL."""
    may_be_nan: bool = True
    """Of a DOUBLE or FLOAT: NaN can be, which bounds say nothing about."""


def intersect(one: Fact, other: Fact) -> Fact:
    """What holds where both hold.

    >>> intersect(Fact(values=("basic", "pro")), Fact(values=("pro",), not_null=True)).values
    ('pro',)
    """
    low = max((b for b in (one.low, other.low) if b is not None), default=None)
    high = min((b for b in (one.high, other.high) if b is not None), default=None)
    values = one.values if other.values is None else other.values
    if one.values is not None and other.values is not None:
        both = frozenset(other.values)
        values = tuple(v for v in one.values if v in both)
    if values is not None:
        values = tuple(v for v in values if _within(v, low, high))
    return Fact(
        values,
        low,
        high,
        one.not_null or other.not_null,
        one.may_be_nan and other.may_be_nan,
    )


def unite(one: Fact, other: Fact) -> Fact:
    """What holds where at least one of them holds.

    >>> unite(Fact(values=(), may_be_nan=False), Fact(low=5, not_null=True)).low
    5
    """
    not_null = one.not_null and other.not_null
    if one.values == ():
        return replace(other, not_null=not_null)
    if other.values == ():
        return replace(one, not_null=not_null)
    values = None
    if one.values is not None and other.values is not None:
        values = tuple(dict.fromkeys((*one.values, *other.values)))
    return Fact(
        values,
        None if one.low is None or other.low is None else min(one.low, other.low),
        None if one.high is None or other.high is None else max(one.high, other.high),
        not_null,
        one.may_be_nan or other.may_be_nan,
    )


def _within(value: str | int | bool, low: int | float | None, high: int | float | None) -> bool:
    if isinstance(value, str):
        return True
    return (low is None or value >= low) and (high is None or value <= high)
