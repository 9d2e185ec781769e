"""What flows through a TensorFlow graph that is followed: tensors of the rows, and what is known.

The number of rows is open. What TensorFlow can say without the rows it says for several numbers of
them, `COUNTS`: what is the same for all is a constant, and a length that grows with them is so
many times the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import BOOL, DOUBLE, FLOAT, INT32, INT64, STRING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.errors import NotConvertibleError

COUNTS = (1, 61, 1009, 1_000_003)
"""Numbers of rows, the first of which is one. For the last one no more than shapes are made."""

ELEMENTS = {
    "float32": int(FLOAT),
    "float64": int(DOUBLE),
    "int32": int(INT32),
    "int64": int(INT64),
    "bool": int(BOOL),
    "string": int(STRING),
}
"""TensorFlow's types that are followed, and those of the graph."""

FLOATS = ("float32", "float64")
WHOLE = ("int32", "int64")

Shape = tuple[int, ...]
"""The lengths of axes; -k is k times the number of rows."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that the rows make: a tensor of the graph."""

    name: str
    dtype: str
    shape: Shape
    columns: tuple[int, ...] = ()
    """The inputs, by number, whose values these are, in whatever form."""
    within: range | None = None
    """They are whole numbers, all in here, by what made them."""

    @property
    def rows(self) -> int:
        """The axis of the rows."""
        return next(i for i, length in enumerate(self.shape) if length < 0)


@dataclass(frozen=True, slots=True)
class Known:
    """What TensorFlow gives without the rows: a tensor of its own, or one for each of `COUNTS`.

    The last one is None where it would be too large to make.
    """

    values: tuple[Any, ...]

    @property
    def fixed(self) -> bool:
        """It is the same for any number of rows."""
        return len(self.values) == 1

    def at(self, place: int) -> Any:
        """The value for one of `COUNTS`."""
        return self.values[0] if self.fixed else self.values[place]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of tensors, as loops fill them; None where nothing is yet."""

    items: tuple[Value | None, ...]


@dataclass(frozen=True, slots=True)
class Mixed:
    """What several rows make together, and why it has no form; it matters only where it is used."""

    error: NotConvertibleError
    least: float | None = None
    """It is not below this."""


Value = Tensor | Known | Listed | Mixed


def known(values: Sequence[Any]) -> Known:
    """What was found for `COUNTS`, as one value where it is always the same."""
    first = values[0]
    same = len(values) == 1 or all(
        value is not None
        and value.shape == first.shape
        and np.array_equal(array_of(value), array_of(first))
        for value in values[1:]
    )
    return Known((first,) if same else tuple(values))


def array_of(value: Any) -> Any:
    """TensorFlow's tensor as a NumPy array; texts as texts."""
    array = np.asarray(value.numpy())
    if array.dtype.kind not in "OS":
        return array
    texts = [item.decode() for item in array.ravel()]
    return np.array(texts, dtype=object).reshape(array.shape)


def length_of(lengths: Sequence[int]) -> int | None:
    """A length that was found for the first of `COUNTS`; None where it is no multiple of rows."""
    times = lengths[0]
    if all(length == times for length in lengths):
        return times
    multiple = all(n == times * count for n, count in zip(lengths, COUNTS, strict=False))
    return -times if multiple and times > 0 else None


def lengths_at(shape: Shape, place: int) -> list[int]:
    """A shape for one of `COUNTS`."""
    return [n if n >= 0 else -n * COUNTS[place] for n in shape]
