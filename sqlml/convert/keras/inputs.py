"""Which columns are which input of a Keras model, in the graph and when Keras is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE, FLOAT, INT32, INT64, STRING, Graph
from sqlml.errors import NotConvertibleError, SampleError, listed
from sqlml.types import INTEGERS, element_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.sample import Column

_WRAP = "Let its inputs have the names of the columns, or take all columns as one."


ELEMENTS = {
    "float32": int(FLOAT),
    "float64": int(DOUBLE),
    "int64": int(INT64),
    "int32": int(INT64),
    "string": int(STRING),
}
"""By the type of an input: that of the graph's tensor."""
TYPES = ("float32", "int64", "int32", "string")
"""Those of Keras' inputs; its layers compute in float32."""


@dataclass(frozen=True, slots=True)
class Given:
    """One input of the model, and the sample's columns that make it, by number."""

    name: str
    tensor: Any
    """What has a `dtype` and a `shape`, the first axis of which is that of the rows."""
    columns: tuple[int, ...]
    element: int
    """STRING, INT64, FLOAT or DOUBLE."""


def inputs_of(model: Any, columns: Sequence[Column]) -> list[Given]:
    """The inputs of a model, and which columns are which.

    Raises `NotConvertibleError` where they are not to be told.
    """
    if len(getattr(model, "outputs", None) or ()) != 1:
        raise NotConvertibleError(
            type(model).__name__,
            "it is not a functional or sequential model with one output.",
            "Build it with keras.Model(inputs, output), one output for one published model.",
        )
    return bound(type(model).__name__, named(model), columns, TYPES)


def bound(
    kind: str, given: Mapping[str, Any], columns: Sequence[Column], types: Sequence[str]
) -> list[Given]:
    """Named inputs of some types, and which columns are which. `kind`: the model, in messages.

    Raises `NotConvertibleError` where they are not to be told.
    """
    check_tensors(given, types)
    if len(given) == 1:
        ((name, tensor),) = given.items()
        only = Given(name, tensor, tuple(range(len(columns))), element_of_tensor(tensor))
        return _of_that_width([only], columns)
    places = {column.name: i for i, column in enumerate(columns)}
    if sorted(given) != sorted(places):
        raise NotConvertibleError(
            kind,
            f"its inputs are {listed([*given])}, and the columns of the sample "
            f"{listed([*places])}.",
            _WRAP,
        )
    several = [
        Given(name, tensor, (places[name],), element_of_tensor(tensor))
        for name, tensor in given.items()
    ]
    return _of_that_width(several, columns)


def check_tensors(given: Mapping[str, Any], types: Sequence[str]) -> None:
    """Raises `NotConvertibleError` for inputs of other types, and of any length."""
    for name, tensor in given.items():
        if str(tensor.dtype) not in types:
            raise NotConvertibleError(
                f"Input {name}",
                f"it is {tensor.dtype}.",
                f"Let it be one of {listed([*types])}.",
            )
        if None in tensor.shape[1:]:
            raise NotConvertibleError(
                f"Input {name}", "it is of any length.", "State its length: keras.Input((10,))."
            )


def _of_that_width(inputs: list[Given], columns: Sequence[Column]) -> list[Given]:
    for given in inputs:
        takes = math.prod(int(n) for n in given.tensor.shape[1:])
        found = sum(columns[i].width or 1 for i in given.columns)
        if takes != found:
            raise NotConvertibleError(
                f"Input {given.name}",
                f"it takes {takes} numbers a row, and the sample has {found}: "
                f"{listed([columns[i].name for i in given.columns])}.",
            )
    return inputs


def named(model: Any) -> dict[str, Any]:
    """The inputs by name, in the model's order."""
    struct = getattr(model, "_inputs_struct", None)
    if isinstance(struct, dict):
        return dict(struct)
    return {tensor.name: tensor for tensor in model.inputs}


def element_of_tensor(tensor: Any) -> int:
    """STRING, INT64, FLOAT or DOUBLE."""
    return ELEMENTS[str(tensor.dtype)]


def column_input(g: Graph, index: int, column: Column, inputs: Sequence[Given]) -> str:
    """A column as a graph input."""
    (given,) = (each for each in inputs if index in each.columns)
    kind = element_of(column.type) or column.type
    if (given.element == STRING) != (kind == "STRING"):
        raise SampleError(
            f"Column {column.name!r} of the sample is {column.type}, and input {given.name!r} of "
            f"the model is {given.tensor.dtype}."
        )
    if given.element == INT64 and kind not in INTEGERS:
        raise SampleError(
            f"Column {column.name!r} of the sample is {column.type}, and input {given.name!r} of "
            "the model takes whole numbers."
        )
    element = given.element
    if element == FLOAT and kind != "FLOAT":
        element = DOUBLE  # a whole number may be NULL
    return g.input(f"in{index}", element, column.width)


def joined(g: Graph, given: Given, columns: Sequence[str]) -> str:
    """The tensor of an input, of the rank that the model takes."""
    parts = [columns[i] for i in given.columns]
    if given.element == FLOAT:
        parts = [g.cast(part, FLOAT) for part in parts]
    tensor = g.concat(parts)
    if str(given.tensor.dtype) == "int32":  # larger numbers lose their upper half, as in Keras
        tensor = g.cast(g.cast(tensor, INT32), INT64)
    if len(given.tensor.shape) == 1:
        return g.node("Reshape", tensor, g.const([-1], "int64"))
    if len(given.tensor.shape) == 2:
        return tensor
    shape = [-1, *(int(n) for n in given.tensor.shape[1:])]
    return g.node("Reshape", tensor, g.const(shape, "int64"))


def table_of(rows: Any) -> Any:
    """Columns side by side; arrays in their full width."""
    parts = []
    for label in rows.columns:
        values = rows[label].to_numpy()
        if values.dtype == object and len(values) and isinstance(values[0], np.ndarray | list):
            values = np.stack([np.asarray(v) for v in values])
        parts.append(values if values.ndim == 2 else values[:, None])
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def shaped(table: Any, tensor: Any, entries: int | None) -> Any:
    """A table as a model's input takes it; `entries`: of what it is the index."""
    element = element_of_tensor(tensor)
    if element == INT64 and table.dtype.kind not in "iu":
        raise ValueError("whole numbers are expected")
    if entries is not None and not ((table >= 0) & (table < entries)).all():
        raise ValueError(f"indices from 0 to {entries - 1} are expected")
    kind = {STRING: object, INT64: np.int64, FLOAT: np.float32, DOUBLE: np.float64}[element]
    return table.astype(kind).reshape(-1, *(int(n) for n in tensor.shape[1:]))
