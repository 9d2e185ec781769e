"""TensorFlow's tables of words and numbers, places in tables of weights, and bins.

What tables hold is asked of TensorFlow, which has filled them when it opened the model.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import FLOAT, INT64
from sqlml.convert.network import accept_indices
from sqlml.convert.tensorflow.values import ELEMENTS, FLOATS, WHOLE, Tensor, Value, array_of

if TYPE_CHECKING:
    from sqlml.convert.tensorflow.step import How, Step

_EXACT = 2**24
"""Below it float32 has all whole numbers."""


def _find(step: Step) -> Value:
    """Numbers of words; what a table does not know gets its default."""
    x, default = step.tensor(1), step.constant(2)
    keys, values = _entries(step)
    words, numbers = x.dtype == "string", values.dtype.kind == "i"
    if x.dtype not in ("string", "int64") or step.dtype() not in ("int64", "float32"):
        raise step.refused(f"it finds {step.dtype()} by {x.dtype}.")
    if not len(keys):
        raise step.refused("its table is empty.")
    kind = "int64" if numbers else "float"
    given: dict[str, Any] = {
        "keys_strings" if words else "keys_int64s": keys.tolist(),
        f"values_{kind}s": values.tolist(),
        f"default_{kind}": default.item(),
    }
    name = step.g.node("LabelEncoder", x.name, domain="ai.onnx.ml", **given)
    every = [*values.tolist(), default.item()]
    within = range(min(every), max(every) + 1) if numbers else None
    return step.made(name, x.shape, within=within)


def _entries(step: Step) -> tuple[Any, Any]:
    """The keys and values of the table."""
    import tensorflow as tf

    keys, values = tf.raw_ops.LookupTableExportV2(
        table_handle=step.known(0).values[0],
        Tkeys=step.attribute("Tin"),
        Tvalues=step.attribute("Tout"),
    )
    order = np.argsort(array_of(keys), kind="stable")  # a table of hashes has no order
    return array_of(keys)[order], array_of(values)[order]


def without_default(step: Step, found: Value) -> Value:
    """What a lookup finds whose input has nothing that it does not know."""
    words, numbers = _entries(step)
    keys = step.tensor(1)
    if len(keys.columns) != 1:
        raise step.refused("it raises for what it does not know, which is no input.")
    step.g.accepted[keys.columns[0]] = tuple(words.tolist())
    if not isinstance(found, Tensor) or numbers.dtype.kind != "i":
        return found
    return dataclasses.replace(found, within=range(int(numbers.min()), int(numbers.max()) + 1))


def _gathered(step: Step) -> Value:
    """Rows of a table of weights; or some places of a tensor."""
    axis = 0 if step.op.type == "ResourceGather" else int(step.constant(2))
    if step.attribute("batch_dims"):
        raise step.refused("it takes other places of each row.")
    if isinstance(step.given[0], Tensor):
        return _taken(step, step.moved(), axis)
    table, places = _table(step), step.tensor(1)
    axis %= table.ndim
    allow(step, places, table.shape[axis])
    name = step.g.node("Gather", step.g.const(table), places.name, axis=axis)
    shape = (*table.shape[:axis], *places.shape, *table.shape[axis + 1 :])
    return step.made(name, shape)


def _table(step: Step) -> Any:
    import tensorflow as tf

    if step.op.type != "ResourceGather":
        return step.constant(0)
    (handle,) = step.known(0).values
    kind = step.attribute("dtype")
    return array_of(tf.raw_ops.ReadVariableOp(resource=handle, dtype=kind))


def allow(step: Step, places: Tensor, entries: int) -> None:
    """That whole numbers are places from zero to below `entries`, or their inputs are no others."""
    within = places.within
    if within is not None and within.start >= 0 and within.stop <= entries:
        return
    if not places.columns:
        raise step.refused(
            "its index is no input of whole numbers, and may be beyond its entries.",
            "Give it an input of its own, of int64.",
        )
    for column in places.columns:
        accept_indices(step.g, column, entries)


def _taken(step: Step, x: Tensor, axis: int) -> Value:
    places = step.constant(1)
    axis %= len(x.shape)
    if axis == x.rows:
        raise step.refused("it takes some of the rows.")
    name = step.g.node("Gather", x.name, step.g.const(places, "int64"), axis=axis)
    shape = (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
    return dataclasses.replace(step.made(name, shape), columns=x.columns, within=x.within)


def _one_hot(step: Step) -> Value:
    """A place for each number below the depth; others have none."""
    x, depth = step.tensor(0), int(step.constant(1))
    if int(step.attribute("axis")) not in (-1, len(x.shape)):
        raise step.refused("its axis is not the last one.")
    on, off = (step.g.const(step.constant(i)) for i in (2, 3))
    hot = step.g.node("Where", _places(step, x, depth), on, off)
    return step.made(hot, (*x.shape, depth))


def _places(step: Step, x: Tensor, depth: int) -> str:
    """Which of the numbers below the depth each number is."""
    one = step.g.node("Unsqueeze", x.name, step.ints(len(x.shape)))
    return step.g.node("Equal", one, step.g.const(np.arange(depth), x.dtype))


def _counted(step: Step) -> Value:
    """How often each number is in a row, or whether; numbers beyond are not counted."""
    x, size, weights = step.tensor(0), int(step.constant(1)), step.constant(2)
    if weights.size or len(x.shape) != 2 or x.rows:
        raise step.refused("it is weighted, or counts more than columns.")
    allow(step, x, size)  # it raises for numbers below zero
    hot = step.g.node("Cast", _places(step, x, size), to=FLOAT)
    fold = "ReduceMax" if step.attribute("binary_output") else "ReduceSum"
    name = step.g.node(fold, hot, step.ints(1), keepdims=0)
    if step.dtype() != "float32":
        name = step.g.node("Cast", name, to=ELEMENTS[step.dtype()])
    return step.made(name, (x.shape[0], size))


def _bins(step: Step) -> Value:
    """The number of boundaries that a number is not below; NaN is below none."""
    x = step.moved()
    bounds = np.asarray(step.attribute("boundaries"), "float32")
    exact = abs(bounds) < _EXACT
    if x.dtype not in FLOATS and (x.dtype not in WHOLE or not exact.all()):
        raise step.refused(f"it works on {x.dtype}, beyond what float32 tells apart.")
    g = step.g
    limits = bounds if x.dtype in FLOATS else np.ceil(bounds)
    one = g.node("Unsqueeze", step.compared(x.name, x.dtype), step.ints(len(x.shape)))
    above = g.node("Not", g.node("Less", one, g.const(limits, x.dtype)))
    count = g.node("ReduceSum", g.node("Cast", above, to=INT64), step.ints(len(x.shape)),
                   keepdims=0)  # fmt: skip
    count = g.node("Cast", count, to=ELEMENTS["int32"])
    return step.made(count, x.shape, within=range(len(bounds) + 1))


OPERATIONS: dict[str, How] = {
    "LookupTableFindV2": _find,
    "GatherV2": _gathered,
    "ResourceGather": _gathered,
    "OneHot": _one_hot,
    "DenseBincount": _counted,
    "Bucketize": _bins,
}
