"""Categories as numbers: a code for each value, and for each set of codes a column of 0 and 1.

A split by category asks whether a code is in a set. Each different set is a column of its own,
0 where a row goes left and 1 where it goes right, which a tree compares with one half as it
compares numbers. So every backend knows it, and what a missing value does stands in it too.
The columns of one feature are a table, of which a value picks a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import numpy_helper

from sqlml.convert.graph import DOUBLE, INT64
from sqlml.convert.links import ELEMENT
from sqlml.errors import NotConvertibleError
from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlml.convert.ensemble import Width
    from sqlml.convert.graph import Graph
    from sqlml.sample import Column
    from sqlml.signature import Category

    Array = np.ndarray[Any, Any]

HALF = 0.5
"""The threshold of a column of 0 and 1."""

MOST_CELLS = 4_000_000
"""Of the table of a feature: 32 MB of doubles."""

# Beyond, a BIGINT that is no category may become one when it is rounded to a double.
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Categories:
    """A feature whose values are categories."""

    tensor: str
    """[N, 1]: strings or doubles."""
    codes: Mapping[Category, int]
    """By value, what the model calls it."""
    text: bool
    """Whether the values are strings."""


@dataclass(frozen=True, slots=True)
class Split:
    """The rows of one feature that go to one side by their category."""

    feature: int
    members: frozenset[int]
    """Codes."""
    members_right: bool
    missing_right: bool
    """Where a row goes that has no value."""
    unknown_right: bool
    """Where a row goes whose value has no code."""


class SplitColumns:
    """The columns for the different splits, behind the features."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._places: dict[Split, int] = {}

    def place(self, split: Split) -> int:
        """The number of the split's column."""
        return self._places.setdefault(split, self._first + len(self._places))

    def members(self, feature: int) -> list[int]:
        """The codes of a feature that some split names, in order."""
        found: set[int] = set()
        for split in self._places:
            if split.feature == feature:
                found |= split.members
        return sorted(found)

    def tensor(self, g: Graph, categories: Callable[[int], Categories], dtype: Width) -> str | None:
        """[N, splits]; None where there are none."""
        of_feature: dict[int, list[Split]] = {}
        for split in self._places:
            of_feature.setdefault(split.feature, []).append(split)
        if not of_feature:
            return None
        made = g.concat([_table(g, categories(f), s, dtype) for f, s in of_feature.items()])
        order = [split for splits in of_feature.values() for split in splits]
        stands = {split: i for i, split in enumerate(order)}
        return g.columns(made, [stands[split] for split in self._places], len(stands))


def members_of(words: Iterable[int]) -> frozenset[int]:
    """The codes whose bits are set, in words of 32.

    >>> sorted(members_of([5, 1]))
    [0, 2, 32]
    """
    return frozenset(
        32 * i + bit for i, word in enumerate(words) for bit in range(32) if int(word) >> bit & 1
    )


def codes_of(kind: str, column: Column, values: Sequence[Any]) -> dict[Category, int]:
    """The code of each value: its place among the values.

    Raises `NotConvertibleError` where they are not of the column's own type.
    """
    text = column.type == "STRING"
    plain = [v.item() if hasattr(v, "item") else v for v in values]
    for value in plain:
        if isinstance(value, str) != text or not isinstance(value, str | int | float):
            raise NotConvertibleError(
                kind,
                f"the category {value!r} of column {column.name!r} is no {column.type}.",
                "Give a sample of the training data.",
            )
        if isinstance(value, str):
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise NotConvertibleError(
                    kind, f"the category {value!r} of column {column.name!r} is no Unicode text."
                )
        elif abs(value) >= _EXACT:
            raise NotConvertibleError(
                kind, f"the category {value} of column {column.name!r} is no exact double."
            )
    return {value: code for code, value in enumerate(plain)}


def code_column(g: Graph, categories: Categories, dtype: Width) -> str:
    """[N, 1]: the codes, NaN for a missing value and for one without a code."""
    found = looked_up(g, categories, list(categories.codes.values()), np.nan, np.nan)
    return found if ELEMENT[dtype] == DOUBLE else g.cast(found, ELEMENT[dtype])


def looked_up(
    g: Graph, categories: Categories, numbers: Sequence[float], missing: float, unknown: float
) -> str:
    """[N, 1] of doubles: a number for each category, for a missing value and for all else."""
    values = np.array([*numbers, missing, unknown], np.float64)
    if categories.text:
        keys: Any = np.array([*categories.codes, MISSING_STRING], object)
    else:
        keys = np.array([*categories.codes, np.nan], np.float64)
    return g.node(
        "LabelEncoder",
        categories.tensor,
        domain="ai.onnx.ml",
        keys_tensor=numpy_helper.from_array(keys, "keys"),
        values_tensor=numpy_helper.from_array(values[:-1], "values"),
        default_tensor=numpy_helper.from_array(values[-1:], "default"),
    )


def _table(g: Graph, categories: Categories, splits: Sequence[Split], dtype: Width) -> str:
    """[N, splits]: each row's entries, picked from those of its category."""
    codes = list(categories.codes.values())
    if (len(codes) + 2) * len(splits) > MOST_CELLS:
        raise NotConvertibleError(
            "Splits by category",
            f"one feature has {len(codes):,} categories in {len(splits):,} different splits.",
            "Train with fewer categories, or with smaller trees.",
        )
    table = np.zeros((len(codes) + 2, len(splits)), dtype)
    for i, split in enumerate(splits):
        inside = np.array([code in split.members for code in codes], np.bool_)
        table[:-2, i] = inside == split.members_right
        table[-2:, i] = split.missing_right, split.unknown_right
    return picked(g, categories, table)


def picked(g: Graph, categories: Categories, table: Array) -> str:
    """[N, columns]: the table's row at each category's place.

    Its last two rows are for a missing value and for all else.
    """
    count = len(categories.codes)
    row = looked_up(g, categories, list(range(count)), count, count + 1)
    row = g.node("Reshape", g.node("Cast", row, to=INT64), g.const([-1], "int64"))
    return g.node("Gather", g.const(table), row, axis=0)
