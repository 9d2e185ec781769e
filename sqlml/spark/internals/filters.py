"""What the filters in a plan say of its columns, for every row that comes out of it.

A condition lets a row pass where it is true: `age >= 60` is not true of NULL, so that what passes
is not NULL. Only what is certain is said; of a condition that is not understood, nothing.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

from sqlml.compile.facts import Fact, intersect, unite
from sqlml.spark.internals.jvm import bridge, text_of
from sqlml.types import INTEGERS, sql_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyspark.sql import SparkSession

    from sqlml.spark.internals.jvm import Plan

# By place in the plan's output.
Facts = dict[int, Fact]
_Found = TypeVar("_Found", Fact, Facts)

_NOT_NULL = Fact(not_null=True)
_NULL = Fact(values=(), may_be_nan=False)
_NOT_NAN = Fact(may_be_nan=False)

_MIRRORED = {
    "EqualTo": "EqualTo",
    "LessThan": "GreaterThan",
    "LessThanOrEqual": "GreaterThanOrEqual",
    "GreaterThan": "LessThan",
    "GreaterThanOrEqual": "LessThanOrEqual",
}
# With NaN above all other numbers, as Spark orders them, one of the two is true.
_OPPOSITE = {
    "LessThan": "GreaterThanOrEqual",
    "LessThanOrEqual": "GreaterThan",
    "GreaterThan": "LessThanOrEqual",
    "GreaterThanOrEqual": "LessThan",
}

# Below this, an integer stays itself in the type, and others do not become it.
_EXACT_BELOW = {"FLOAT": 2**24, "DOUBLE": 2**53}
_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}


def facts(plan: Plan, spark: SparkSession) -> Facts:
    """What the filters in an analysed plan say of its output columns, by their places.

    They are found on the way down through what hands columns and rows on: filters, projections of
    plain columns, aliases and views, sorts, limits, grouping columns and joins. Columns that no
    filter is about are left out, and so are those under an outer join's side that may be NULL, or
    under a UNION. Comparisons with constants are read, IN, BETWEEN, IS NULL, boolean columns, and
    what AND, OR and NOT make of them.

    >>> plan = spark.sql("SELECT * FROM customers WHERE age >= 60")  # doctest: +SKIP
    >>> facts(plan._jdf.queryExecution().analyzed(), spark)          # doctest: +SKIP
    {1: Fact(values=None, low=60, high=None, not_null=True, may_be_nan=False)}
    """
    conditions = json.loads(text_of(bridge(spark).conditions(plan)))
    return _all_of([_where_true(condition) for condition in conditions])


@dataclass(frozen=True, slots=True)
class _Column:
    places: tuple[int, ...]
    type: str
    cast: tuple[str, ...] = ()
    """The types that it is cast to, one after the other, before it is compared."""

    def with_fact(self, fact: Fact) -> Facts:
        return dict.fromkeys(self.places, fact)


@dataclass(frozen=True, slots=True)
class _Constant:
    value: Any
    """A str, bool, int, float, Decimal, or None for NULL."""


def _where_true(condition: list[Any]) -> Facts:
    """What holds where a condition, as `Bridge.conditions` writes it, is true."""
    match condition:
        case ["And", *parts]:
            return _all_of([_where_true(part) for part in parts])
        case ["Or", *parts]:
            return _any_of([_where_true(part) for part in parts])
        case ["Not", part]:
            return _where_false(part)
        case ["IsNull", operand]:
            return _said_of([operand], _NULL)
        case ["IsNotNull", operand]:
            return _said_of([operand], _NOT_NULL)
        case ["EqualNullSafe", operand, ["Literal", _, None]]:
            return _said_of([operand], _NULL)
        case ["EqualNullSafe", ["Literal", _, None], operand]:
            return _said_of([operand], _NULL)
        case ["EqualNullSafe", left, right]:
            if _constant(left) is None and _constant(right) is None:
                return {}  # two columns, both of which may be NULL
            return _compared("EqualTo", left, right)
        case ["In", operand, *items]:
            return _in(operand, items)
        case [operator, left, right] if operator in _MIRRORED:
            return _compared(operator, left, right)
    return _truth(condition, True)


def _where_false(condition: list[Any]) -> Facts:
    """What holds where a condition is false, which is more than not true: it is not NULL."""
    match condition:
        case ["And", *parts]:
            return _any_of([_where_false(part) for part in parts])
        case ["Or", *parts]:
            return _all_of([_where_false(part) for part in parts])
        case ["Not", part]:
            return _where_true(part)
        case ["IsNull", operand]:
            return _said_of([operand], _NOT_NULL)
        case ["IsNotNull", operand]:
            return _said_of([operand], _NULL)
        case ["IsNaN", ["Column", *_] as operand]:
            return _said_of([operand], _NOT_NAN)
        case ["EqualTo", left, right]:
            return _said_of([left, right], _NOT_NULL)
        case ["In", operand, *_]:
            return _said_of([operand], _NOT_NULL)
        case [operator, left, right] if operator in _OPPOSITE:
            return _compared(_OPPOSITE[operator], left, right)
    return _truth(condition, False)


def _truth(condition: list[Any], value: bool) -> Facts:
    column = _column(condition)
    if column is None or column.type != "BOOLEAN" or column.cast:
        return {}
    return column.with_fact(Fact((value,), not_null=True, may_be_nan=False))


def _in(operand: list[Any], items: list[Any]) -> Facts:
    column = _column(operand)
    if column is None:
        return {}
    constants = [_constant(item) for item in items]
    facts = [
        Fact() if constant is None else _fact("EqualTo", column, constant.value)
        for constant in constants
        if constant is None or constant.value is not None  # which nothing is equal to
    ]
    one_of_them = _halved(unite, facts) if facts else Fact()
    return column.with_fact(intersect(_NOT_NULL, one_of_them))


def _compared(operator: str, left: list[Any], right: list[Any]) -> Facts:
    """What holds where a comparison is true; neither side is NULL then."""
    found = _said_of([left, right], _NOT_NULL)
    column, constant = _column(left), _constant(right)
    if column is None:
        column, constant, operator = _column(right), _constant(left), _MIRRORED[operator]
    if column is None or constant is None or constant.value is None:
        return found
    return _all_of([found, column.with_fact(_fact(operator, column, constant.value))])


def _fact(operator: str, column: _Column, value: Any) -> Fact:
    """What holds of a column that compares so with a value, both in the last type of its casts."""
    if isinstance(value, str | bool):
        same = operator == "EqualTo" and not column.cast
        return Fact((value,), may_be_nan=False) if same else Fact()
    limit = _exact_below(column)
    if limit is None:
        return Fact()
    if isinstance(value, float) and math.isnan(value):
        return _NOT_NAN if operator == "LessThan" else Fact()
    if column.type in INTEGERS:
        return _whole(operator, value) if abs(value) < limit else Fact()
    low, high = _around(value)
    if isinstance(value, float) and operator == "GreaterThan":
        low = math.nextafter(low, math.inf)
    if isinstance(value, float) and operator == "LessThan":
        high = math.nextafter(high, -math.inf)
    return _between(operator, low, high)


def _whole(operator: str, value: Any) -> Fact:
    """What holds of an integer that compares so with a number."""
    exact = Fraction(value)
    low, high = math.ceil(exact), math.floor(exact)
    match operator:
        case "GreaterThan":
            low = high + 1
        case "LessThan":
            high = low - 1
        case "EqualTo":
            return Fact(() if low > high else (low,), low, high, may_be_nan=False)
    return _between(operator, low, high)


def _around(value: Any) -> tuple[float, float]:
    """The floats that are next to a float or Decimal, or that it is."""
    near = float(value)
    low = near if near <= value else math.nextafter(near, -math.inf)
    high = near if near >= value else math.nextafter(near, math.inf)
    return low or -0.0, high or 0.0


def _between(operator: str, low: int | float, high: int | float) -> Fact:
    match operator:
        case "EqualTo":
            return Fact(low=low, high=high, may_be_nan=False)
        case "LessThan" | "LessThanOrEqual":
            return Fact(high=high, may_be_nan=False)
    return Fact(low=low, may_be_nan=isinstance(low, float))  # NaN is above all


def _exact_below(column: _Column) -> float | None:
    """Up to where a cast column compares as the column itself does; None: nowhere."""
    limit, of = math.inf, column.type
    if not _is_number(of):
        return None
    for to in column.cast:
        if of in INTEGERS and to in _EXACT_BELOW:
            limit = _EXACT_BELOW[to]
        elif not _is_number(to) or not _keeps(of, to):
            return None
        of = to
    return limit


def _is_number(kind: str) -> bool:
    return kind in (*INTEGERS, *_EXACT_BELOW) or kind.startswith("DECIMAL")


def _keeps(of: str, to: str) -> bool:
    """Whether each value of a type of number is one of the other type's too."""
    if (of, to) == ("FLOAT", "DOUBLE"):
        return True
    if {of, to} & set(_EXACT_BELOW):
        return False
    whole, fraction = _digits(of)
    whole_to, fraction_to = _digits(to)
    return whole_to >= whole and fraction_to >= fraction


def _digits(kind: str) -> tuple[int, int]:
    """Before and behind the point."""
    if kind in INTEGERS:
        return _DIGITS[kind], 0
    precision, scale = (int(n) for n in kind.removeprefix("DECIMAL(").removesuffix(")").split(","))
    return precision - scale, scale


def _said_of(operands: list[Any], fact: Fact) -> Facts:
    """The fact of each operand that is a column, cast or not: NULL stays NULL."""
    columns = [column for column in map(_column, operands) if column is not None]
    return _all_of([column.with_fact(fact) for column in columns])


def _column(tree: list[Any]) -> _Column | None:
    match tree:
        case ["Column", places, kind]:
            return _Column(tuple(places), _type(kind))
        case ["Cast", kind, child]:
            column = _column(child)
            if column is None or _type(kind) == (column.type, *column.cast)[-1]:
                return column
            return _Column(column.places, column.type, (*column.cast, _type(kind)))
    return None


def _constant(tree: list[Any]) -> _Constant | None:
    match tree:
        case ["Literal", _, None]:
            return _Constant(None)
        case ["Literal", kind, text]:
            read = _READ.get(_type(kind).partition("(")[0])
            return None if read is None else _Constant(read(text))
    return None


_READ: dict[str, Any] = {
    **dict.fromkeys(INTEGERS, int),
    **dict.fromkeys(_EXACT_BELOW, float),
    "DECIMAL": Decimal,
    "STRING": str,
    "BOOLEAN": lambda text: text == "true",
}


def _type(catalog_string: str) -> str:
    kind = sql_type(catalog_string)
    # A collated or padded text is equal to others than itself.
    return "TEXT" if kind == "STRING" and catalog_string != "string" else kind


def _all_of(found: list[Facts]) -> Facts:
    return reduce(_both, found, {})


def _both(one: Facts, other: Facts) -> Facts:
    return {
        place: intersect(one.get(place, Fact()), other.get(place, Fact())) for place in one | other
    }


def _any_of(found: list[Facts]) -> Facts:
    return _halved(_either, found)


def _either(one: Facts, other: Facts) -> Facts:
    return {place: unite(one[place], other[place]) for place in one.keys() & other.keys()}


def _halved(join: Callable[[_Found, _Found], _Found], found: Sequence[_Found]) -> _Found:
    """Like `reduce`, without one long result for each of the thousands that an IN may have."""
    if len(found) == 1:
        return found[0]
    half = len(found) // 2
    return join(_halved(join, found[:half]), _halved(join, found[half:]))
