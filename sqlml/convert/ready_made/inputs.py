"""The inputs of a graph as it came: which columns are in each, and the tensors of some rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from onnx import TensorProto, helper

from sqlml import types
from sqlml.errors import NotConvertibleError, SampleError, did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from sqlml.sample import Column

    Array = np.ndarray[Any, Any]

# Element → the Spark SQL type in which it travels. Spark has no half precision.
WIRES = {element: row.sql for element, row in types.BY_ONNX.items()} | {
    TensorProto.FLOAT16: "FLOAT"
}


_WHOLE = (TensorProto.INT32, TensorProto.INT64)

# What whole numbers may go through and still be the same ones.
_MOVING = (
    "Cast", "Concat", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
    "Unsqueeze",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Feed:
    """One input of the graph."""

    name: str
    element: int
    """A TensorProto.DataType."""
    shape: tuple[int | None, ...]
    """Behind the rows: () of [N], (K,) of [N, K]; None where the graph leaves K open."""
    single: bool
    """The graph says that it takes one row at a time."""

    @property
    def width(self) -> int | None:
        """How many numbers of a row it has; None where the graph leaves that open."""
        return None if None in self.shape else math.prod(n or 0 for n in self.shape)


def feeds_of(graph: onnx.GraphProto, kind: str) -> tuple[Feed, ...]:
    """The inputs, initializers that are listed among them left out.

    Raises `NotConvertibleError` for what is no tensor of numbers or texts for each row.
    """
    constants = {t.name for t in graph.initializer}
    found = tuple(_feed(value, kind) for value in graph.input if value.name not in constants)
    if not found:
        raise NotConvertibleError(kind, "it has no inputs.")
    return found


def _feed(value: onnx.ValueInfoProto, kind: str) -> Feed:
    def refuse(why: str, advice: str = "") -> NotConvertibleError:
        return NotConvertibleError(kind, f"input {value.name!r} {why}.", advice)

    if not value.type.HasField("tensor_type"):
        raise refuse("is no tensor")
    tensor = value.type.tensor_type
    if tensor.elem_type not in WIRES:
        raise refuse(f"is of {TensorProto.DataType.Name(tensor.elem_type)}, which SQL lacks")
    # A size that is not known is left out, or written as a text, as 0 or as -1.
    dims = [d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim]
    if not dims:
        raise refuse("has no axis for the rows", "Export it with a dynamic first axis.")
    if dims[0] not in (None, 1):
        raise refuse(f"takes {dims[0]} rows at a time", "Export it with a dynamic first axis.")
    shape = tuple(dims[1:])
    if len(shape) > 1 and None in shape:
        raise refuse(f"has {len(dims)} axes, of which more than the first are open")
    return Feed(value.name, tensor.elem_type, shape, dims[0] == 1)


def entries_of(graph: onnx.GraphProto, feeds: Sequence[Feed]) -> dict[str, int]:
    """By the name of an input of whole numbers that are places in a table: the table's length.

    None of one that is a place in tables of several lengths. ONNX Runtime raises for a place
    beyond, and counts a negative one from the end.
    """
    lengths = {t.name: t.dims[0] for t in graph.initializer if t.dims}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            lengths |= dict(zip(node.output, node.attribute[0].t.dims, strict=False))
    of_tensor = {feed.name: {feed.name} for feed in feeds if feed.element in _WHOLE}
    found: dict[str, set[int]] = {}
    for node in graph.node:
        if node.op_type in _MOVING:
            sources = set().union(*(of_tensor.get(name, set()) for name in node.input))
            of_tensor |= dict.fromkeys(node.output, sources)
        elif node.op_type == "Gather" and not any(a.name == "axis" and a.i for a in node.attribute):
            table, places = node.input
            for name in of_tensor.get(places, ()) if table in lengths else ():
                found.setdefault(name, set()).add(lengths[table])
    return {name: several.pop() for name, several in found.items() if len(several) == 1}


def places_of(
    feeds: Sequence[Feed], names: Sequence[str], widths: Sequence[int], kind: str
) -> list[list[int]]:
    """For each input, the places of its columns: by name, or all in their order for one input.

    `widths`: the numbers in a row of each column, more than one where it holds arrays.
    Raises `SampleError` where the columns are not the graph's.
    """
    first, total = feeds[0], sum(widths)
    if len(feeds) == 1 and (first.width != 1 or first.name not in names):
        if first.width not in (None, total):
            raise SampleError(
                f"{kind} takes {first.width} columns, the sample has {total}: {listed(names)}."
            )
        return [list(range(len(names)))]
    known = [feed.name for feed in feeds]
    if absent := [name for name in known if name not in names]:
        raise SampleError(
            f"{kind} has the inputs {listed(absent)}: not among the columns of the sample, "
            f"{listed(names)}.{did_you_mean(absent[0], names)}"
        )
    if more := [name for name in names if name not in known]:
        raise SampleError(f"{kind} has no inputs {listed(more)}: leave them out of the sample.")
    places = [list(names).index(name) for name in known]
    for feed, place in zip(feeds, places, strict=True):
        if feed.width not in (None, widths[place]):
            raise SampleError(
                f"Input {feed.name!r} of {kind} takes {feed.width} numbers a row, column "
                f"{feed.name!r} of the sample has {widths[place]}. Give a column of arrays."
            )
    return [[place] for place in places]


def check_types(
    feeds: Sequence[Feed], places: Sequence[Sequence[int]], columns: Sequence[Column], kind: str
) -> None:
    """That every column is of a type that the graph's input can hold."""
    for feed, mine in zip(feeds, places, strict=True):
        wanted = WIRES[feed.element]
        for column in (columns[i] for i in mine):
            kind_of = types.element_of(column.type) or column.type
            number = kind_of in types.NUMBERS or kind_of == "BOOLEAN"
            holds = number if wanted in ("FLOAT", "DOUBLE") else types.widens(kind_of, wanted)
            if column.categorical or not holds:
                found = "categorical" if column.categorical else column.type
                numpy = "str" if wanted == "STRING" else types.SCALARS[wanted].arrow
                raise SampleError(
                    f"Column {column.name!r} of the sample is {found}, and input {feed.name!r} "
                    f"of {kind} is {wanted}. Give sample.astype({{{column.name!r}: {numpy!r}}}), "
                    "if those are the values that the model was made for."
                )


def tensors(feeds: Sequence[Feed], rows: Any, kind: str) -> dict[str, Array]:
    """Some rows, as the graph takes them; `rows` is a DataFrame or an array.

    Raises `ValueError` for a missing value where the tensor has none.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(np.asarray(rows))
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    if frame is rows:
        names = [str(label) for label in frame.columns]
        places = places_of(feeds, names, [_width(column) for column in columns], kind)
    else:
        one = len(feeds) == 1
        places = [list(range(len(columns)))] if one else [[i] for i in range(len(columns))]
    found = {}
    for feed, mine in zip(feeds, places, strict=True):
        parts = [table(columns[i], feed.element) for i in mine]
        shape = [n or -1 for n in feed.shape]
        found[feed.name] = np.ascontiguousarray(np.hstack(parts).reshape(len(frame), *shape))
    return found


def _width(column: pd.Series[Any]) -> int:
    """The numbers in a row, as the first row that has any tells it."""
    if column.dtype.kind != "O":
        return 1
    return next((np.size(value) for value in column if np.ndim(value)), 1)


def table(values: Any, element: int) -> Array:
    """A column as elements of a tensor, [N, 1], or [N, width] of arrays.

    Raises `ValueError` for a missing array.
    """
    if not any(np.ndim(value) for value in values):
        return elements(values, element)[:, None]
    rows = [np.asarray(value) for value in values]
    if any(row.ndim != 1 for row in rows):
        raise ValueError("an array is missing")
    flat = elements(np.concatenate(rows), element)
    return flat.reshape(len(rows), -1)


def elements(values: Any, element: int) -> Array:
    """A column as elements of a tensor: NaN for a missing float."""
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(element))
    plain = np.asarray(values)
    if plain.dtype.kind in "iufb" and dtype.kind == "f":
        return _narrowed(plain, dtype)
    items = np.asarray(values, dtype=object)
    absent = np.asarray(pd.isna(items), dtype=bool)
    if dtype.kind == "f":
        return _narrowed(np.where(absent, np.nan, items).astype(np.float64), dtype)
    if absent.any():
        raise ValueError(f"a tensor of {TensorProto.DataType.Name(element)} has no missing value")
    if element == TensorProto.STRING:
        return np.array([str(v) for v in items], dtype=object)
    return np.array([bool(v) if dtype.kind == "b" else int(v) for v in items], dtype=dtype)


def _narrowed(numbers: Array, dtype: np.dtype[Any]) -> Array:
    """As Spark casts and the graph goes on: to half precision by way of single."""
    if dtype.itemsize < 4:
        numbers = numbers.astype(np.float32)
    return np.ascontiguousarray(numbers.astype(dtype))
