"""One operation of a TensorFlow graph, with what it was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sqlml.convert.network import without_denormals
from sqlml.convert.tensorflow.values import (
    COUNTS,
    ELEMENTS,
    FLOATS,
    Known,
    Listed,
    Mixed,
    Shape,
    Tensor,
    Value,
    array_of,
    length_of,
)
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlml.convert.ensemble import Width
    from sqlml.convert.graph import Graph

    How = Callable[["Step"], Value | Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Step:
    """An operation to convert."""

    g: Graph
    op: Any
    """TensorFlow's Operation."""
    given: tuple[Value, ...]

    @property
    def label(self) -> str:
        """Its name in a message."""
        return label_of(self.op)

    def refused(self, reason: str, advice: str = "") -> NotConvertibleError:
        """Why it is not converted, to raise."""
        return NotConvertibleError(self.label, reason, advice)

    def attribute(self, name: str) -> Any:
        """As TensorFlow gives it in Python."""
        return self.op.get_attr(name)

    def text(self, name: str) -> str:
        """An attribute that is a text."""
        return str(self.op.get_attr(name).decode())

    def dtype(self, output: int = 0) -> str:
        """Of what it gives."""
        name = str(self.op.outputs[output].dtype.name)
        if name not in ELEMENTS:
            raise self.refused(f"it gives {name}.")
        return name

    def tensor(self, place: int) -> Tensor:
        """What it was given, as a tensor of all rows."""
        value = self.given[place]
        return value if isinstance(value, Tensor) else self.rows_of(self.known(place))

    def moved(self) -> Tensor:
        """The first thing that it was given, which must be made of the rows."""
        value = self.given[0]
        if not isinstance(value, Tensor):
            raise self.refused("what it works on is not made of the inputs.")
        return value

    def listed(self, place: int = 0) -> Listed:
        """What it was given, as a list."""
        value = self.given[place]
        if not isinstance(value, Listed):
            raise self.refused("what it works on is no list that is followed.")
        return value

    def known(self, place: int) -> Known:
        """What it was given, which must be known without the rows."""
        value = self.given[place]
        if isinstance(value, Mixed):
            raise value.error
        if not isinstance(value, Known):
            raise self.refused("what it does depends on the values of the rows.")
        return value

    def constant(self, place: int) -> Any:
        """The same as a NumPy array; any number of rows has to give the same one."""
        value = self.known(place)
        if not value.fixed:
            raise self.refused("what it does depends on the number of the rows.")
        return array_of(value.values[0])

    def at_counts(self, place: int) -> list[Any]:
        """The same for each of `COUNTS` for which it was made."""
        value = self.known(place)
        made = (value.at(i) for i in range(len(COUNTS)))
        return [array_of(each) for each in made if each is not None]

    def ints(self, *values: int) -> str:
        """A constant of whole numbers, [K]."""
        return self.g.const(list(values), "int64")

    def number(self, value: float, dtype: str) -> str:
        """A constant number."""
        return self.g.const(np.asarray(value, dtype))

    def operand(self, place: int) -> tuple[str, Shape]:
        """What it was given, for an operator that repeats what is shorter, and its shape."""
        value = self.given[place]
        if isinstance(value, Tensor):
            return value.name, value.shape
        row, shape = self._row(self.known(place))
        return self.g.const(row), shape

    def compared(self, name: str, dtype: str) -> str:
        """A tensor as TensorFlow compares and rounds it."""
        return without_denormals(self.g, name, cast("Width", dtype)) if dtype in FLOATS else name

    def rows_of(self, value: Known) -> Tensor:
        """What is known, as a tensor: repeated for each row where it grows with them."""
        row, shape = self._row(value)
        name = self.g.const(row)
        if any(length < 0 for length in shape):
            count = self.g.node("Shape", next(iter(self.g.inputs)), start=0, end=1)
            parts = [
                self.ints(n) if n >= 0 else self.g.node("Mul", count, self.ints(-n)) for n in shape
            ]
            name = self.g.node("Expand", name, self.g.concat(parts, axis=0))
        return Tensor(name, self._dtype_of(value), shape)

    def _dtype_of(self, value: Known) -> str:
        name = str(value.values[0].dtype.name)
        if name not in ELEMENTS:
            raise self.refused(f"it was given {name}.")
        return name

    def _row(self, value: Known) -> tuple[Any, Shape]:
        """Its numbers with one place for all rows, and its shape."""
        self._dtype_of(value)
        arrays = [array_of(each) for each in value.values if each is not None]
        if value.fixed:
            return arrays[0], arrays[0].shape
        if len({array.ndim for array in arrays}) > 1:
            raise self.refused("how many axes it has depends on the number of the rows.")
        lengths = [length_of(each) for each in zip(*(a.shape for a in arrays), strict=True)]
        if None in lengths or sum(n is not None and n < 0 for n in lengths) != 1:
            raise self.refused("what it was given depends on the number of the rows.")
        shape = tuple(n for n in lengths if n is not None)
        axis = next(i for i, n in enumerate(shape) if n < 0)
        row = arrays[0].take([0], axis)
        if not all((array == row).all() for array in arrays):
            raise self.refused("what it was given is another for each row.")
        return row, shape

    def broadcast(self, *shapes: Shape) -> Shape:
        """The shape of several tensors that are worked on place by place."""
        rank = max(map(len, shapes))
        made = []
        for lengths in zip(*((1,) * (rank - len(s)) + s for s in shapes), strict=True):
            longer = {n for n in lengths if n != 1}
            if len(longer) > 1:
                raise self.refused("the lengths of what it joins differ.")
            made.append(longer.pop() if longer else 1)
        return tuple(made)

    def made(
        self, name: str, shape: Shape, dtype: str | None = None, within: range | None = None
    ) -> Tensor:
        """What it gives. Raises where that is no longer a tensor of rows."""
        if sum(n < 0 for n in shape) != 1:
            raise self.refused("it brings numbers of several rows together.")
        return Tensor(name, dtype or self.dtype(), tuple(shape), within=within)


def label_of(op: Any) -> str:
    """The name of an operation in a message."""
    return f"{op.type} ({op.name})"
