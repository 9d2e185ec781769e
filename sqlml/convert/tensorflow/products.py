"""TensorFlow's products of matrices, and what folds an axis: sums, means, the largest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import FLOAT
from sqlml.convert.tensorflow.values import ELEMENTS, FLOATS, Mixed, Tensor, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert.tensorflow.step import How, Step
    from sqlml.convert.tensorflow.values import Shape

_ROWS = "it brings numbers of several rows together."


def _product(first: str, second: str) -> How:
    """Of matrices, one or both turned where these attributes say so."""

    def made(step: Step) -> Value:
        if step.dtype() not in FLOATS:
            raise step.refused(f"it works on {step.dtype()}.")
        (x, a), (y, b) = (
            _turned(step, place, bool(step.attribute(name)))
            for place, name in enumerate((first, second))
        )
        if a[-1] != b[-2] or a[-1] < 0:
            raise step.refused(_ROWS)
        shape = (*step.broadcast(a[:-2], b[:-2]), a[-2], b[-1])
        return step.made(step.g.node("MatMul", x, y), shape)

    return made


def _turned(step: Step, place: int, turned: bool) -> tuple[str, Shape]:
    name, shape = step.operand(place)
    if len(shape) < 2:
        raise step.refused("what it multiplies is no matrix.")
    if not turned:
        return name, shape
    order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    return step.g.node("Transpose", name, perm=order), tuple(shape[i] for i in order)


def _einsum(step: Step) -> Value:
    equation = step.text("equation").replace(" ", "")
    given, _, result = equation.partition("->")
    if step.dtype() not in FLOATS or not result or "." in equation:
        raise step.refused(f"its equation is {equation}, of {step.dtype()}.")
    lengths: dict[str, int] = {}
    names = []
    for place, letters in enumerate(given.split(",")):
        name, shape = step.operand(place)
        names.append(name)
        if len(set(letters)) < len(letters):
            raise step.refused(f"its equation is {equation}.")
        for letter, length in zip(letters, shape, strict=True):
            if lengths.setdefault(letter, length) != length:
                raise step.refused("the lengths of what it joins differ.")
    if any(n < 0 and letter not in result for letter, n in lengths.items()):
        raise step.refused(_ROWS)
    shape = tuple(lengths[letter] for letter in result)
    return step.made(step.g.node("Einsum", *names, equation=equation), shape)


def _folding(fold: Any, kinds: Sequence[str]) -> How:
    """Along axes; what several rows make together matters only where it is used."""

    def made(step: Step) -> Value:
        x = step.moved()
        if x.dtype not in kinds:
            raise step.refused(f"it works on {x.dtype}.")
        axes = sorted({int(a) % len(x.shape) for a in np.ravel(step.constant(1))})
        if x.rows in axes:
            return Mixed(step.refused(_ROWS))
        keep = bool(step.attribute("keep_dims"))
        if not axes:
            return x
        shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
        name = fold(step, x, axes)
        if not keep:
            name = step.g.node("Squeeze", name, step.ints(*axes))
            shape = [n for i, n in enumerate(x.shape) if i not in axes]
        return step.made(name, tuple(shape))

    return made


def _sum(step: Step, x: Tensor, axes: list[int]) -> str:
    """A product with ones, whose bits do not depend on the row's place."""
    if x.dtype not in FLOATS:
        return step.g.node("ReduceSum", x.name, step.ints(*axes), keepdims=1)
    others = [i for i in range(len(x.shape)) if i not in axes]
    name, order = x.name, [*others, *axes]
    if order != sorted(order):
        name = step.g.node("Transpose", name, perm=order)
    width = int(np.prod([x.shape[i] for i in axes]))
    if len(axes) > 1:
        flat = [x.shape[i] if x.shape[i] > 0 else -1 for i in others]
        name = step.g.node("Reshape", name, step.ints(*flat, width))
    ones = step.g.const(np.ones((width, 1), x.dtype))
    total = step.g.node("MatMul", name, ones)
    kept = [1 if i in axes else n if n > 0 else -1 for i, n in enumerate(x.shape)]
    return total if axes == [len(x.shape) - 1] else step.g.node("Reshape", total, step.ints(*kept))


def mean_of(step: Step, x: Tensor, axes: list[int]) -> str:
    """Along axes, which stay."""
    width = float(np.prod([x.shape[i] for i in axes]))
    return step.g.node("Div", _sum(step, x, axes), step.number(width, x.dtype))


def _extreme(op: str) -> Any:
    """ONNX Runtime leaves NaN out, and TensorFlow does not."""

    def fold(step: Step, x: Tensor, axes: list[int]) -> str:
        g, where = step.g, step.ints(*axes)
        found = g.node(op, x.name, where, keepdims=1)
        if x.dtype not in FLOATS:
            return found
        odd = g.node("ReduceMax", g.node("Cast", g.node("IsNaN", x.name), to=FLOAT), where,
                     keepdims=1)  # fmt: skip
        odd = g.node("Greater", odd, step.number(0.5, "float32"))
        return g.node("Where", odd, step.number(np.nan, x.dtype), found)

    return fold


def _prod(step: Step, x: Tensor, axes: list[int]) -> str:
    return step.g.node("ReduceProd", x.name, step.ints(*axes), keepdims=1)


def _truth(op: str) -> Any:
    def fold(step: Step, x: Tensor, axes: list[int]) -> str:
        numbers = step.g.node("Cast", x.name, to=FLOAT)
        found = step.g.node(op, numbers, step.ints(*axes), keepdims=1)
        return step.g.node("Greater", found, step.number(0.5, "float32"))

    return fold


def _place(op: str, worst: float) -> How:
    """Where the largest is, the first of several; NaN is never larger, for TensorFlow."""

    def made(step: Step) -> Value:
        x = step.moved()
        axis = int(step.constant(1)) % len(x.shape)
        if x.dtype not in FLOATS or axis == x.rows:
            raise step.refused(f"it works on {x.dtype}, or over the rows.")
        g = step.g
        least = step.number(worst * float(np.finfo(x.dtype).max), x.dtype)
        name = g.node("Where", g.node("IsNaN", x.name), least, x.name)
        name = g.node("Max" if worst < 0 else "Min", name, least)
        found = g.node(op, name, axis=axis, keepdims=0, select_last_index=0)
        shape = tuple(n for i, n in enumerate(x.shape) if i != axis)
        if step.dtype() != "int64":
            found = g.node("Cast", found, to=ELEMENTS[step.dtype()])
        return step.made(found, shape, within=range(x.shape[axis]))

    return made


def _cumulated(step: Step) -> Value:
    x = step.moved()
    axis = int(step.constant(1)) % len(x.shape)
    if axis == x.rows or x.dtype not in _NUMBERS:
        raise step.refused(f"it works on {x.dtype}, or over the rows.")
    total = step.g.node(
        "CumSum", x.name, step.g.const(np.int64(axis)),
        exclusive=int(step.attribute("exclusive")), reverse=int(step.attribute("reverse")),
    )  # fmt: skip
    return step.made(total, x.shape)


_NUMBERS = ("float32", "float64", "int32", "int64")

OPERATIONS: dict[str, How] = {
    "MatMul": _product("transpose_a", "transpose_b"),
    "BatchMatMul": _product("adj_x", "adj_y"),
    "BatchMatMulV2": _product("adj_x", "adj_y"),
    "BatchMatMulV3": _product("adj_x", "adj_y"),
    "Einsum": _einsum,
    "Sum": _folding(_sum, _NUMBERS),
    "Mean": _folding(mean_of, FLOATS),
    "Max": _folding(_extreme("ReduceMax"), _NUMBERS),
    "Min": _folding(_extreme("ReduceMin"), _NUMBERS),
    "Prod": _folding(_prod, FLOATS),
    "Any": _folding(_truth("ReduceMax"), ("bool",)),
    "All": _folding(_truth("ReduceMin"), ("bool",)),
    "Cumsum": _cumulated,
    "ArgMax": _place("ArgMax", -1.0),
    "ArgMin": _place("ArgMin", 1.0),
}
