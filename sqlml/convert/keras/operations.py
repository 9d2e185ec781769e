"""The functions of `keras.ops`, and Python's operators, between a functional model's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.keras.activations import ACTIVATIONS, softmax_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert.keras.building import Building, Call

    How = Callable[[Building, Call], str]


def _operands(b: Building, call: Call) -> list[str]:
    """What a function of numbers got, tensors and plain numbers, in the order of writing."""
    if str(call.output.dtype) != "float32":
        raise call.refused(f"it gives {call.output.dtype}.")
    given = dict(zip(map(id, call.inputs), range(len(call.inputs)), strict=True))
    made = []
    for value in (*call.args, *call.kwargs.values()):
        if id(value) in given:
            made.append(b.floats(call, given[id(value)]))
        elif isinstance(value, int | float | np.number | np.ndarray) and not isinstance(
            value, bool
        ):
            made.append(b.weight(np.asarray(value)))
        elif value is not None:
            raise call.refused(f"it was called with {type(value).__name__}.")
    return made


def _of(op: str, count: int = 1, **attributes: Any) -> How:
    def made(b: Building, call: Call) -> str:
        operands = _operands(b, call)
        if len(operands) != count:
            raise call.refused(f"it has {len(operands)} operands.")
        return b.g.node(op, *operands, **attributes)

    return made


def _curve(name: str) -> How:
    """A function that is an activation too."""

    def made(b: Building, call: Call) -> str:
        if call.operation.__dict__.get("approximate"):
            raise call.refused("it is approximate.")
        return ACTIVATIONS[name](b, b.floats(call))

    return made


def _softmax(b: Building, call: Call) -> str:
    from sqlml.convert.keras.layers import last_axis

    last_axis(call, call.operation.axis)
    return softmax_of(b, b.floats(call), call.rank)


def _square(b: Building, call: Call) -> str:
    (x,) = _operands(b, call)
    return b.g.node("Mul", x, x)


def _log1p(b: Building, call: Call) -> str:
    """In double: log(1 + x) of a small x has few digits in float32."""
    from sqlml.convert.graph import DOUBLE, FLOAT

    (x,) = _operands(b, call)
    one = b.g.node("Add", b.g.cast(x, DOUBLE), b.g.const([1.0], "float64"))
    return b.g.cast(b.g.node("Log", one), FLOAT)


def _clip(b: Building, call: Call) -> str:
    low, high = call.operation.x_min, call.operation.x_max
    if not all(isinstance(n, int | float) for n in (low, high)):
        raise call.refused("its limits are no numbers.")
    x = b.g.node("Max", b.floats(call), b.weight([low]))
    return b.g.node("Min", x, b.weight([high]))


def _not_equal(b: Building, call: Call) -> str:
    """To a number: what masks are made of."""
    numbers = [v for v in call.args if isinstance(v, int | float)]
    if len(call.given) != 1 or len(numbers) != 1:
        raise call.refused("it compares two tensors.")
    kind = "float32" if str(call.inputs[0].dtype) == "float32" else "int64"
    return b.g.node("Not", b.g.node("Equal", call.given[0], b.g.const([numbers[0]], kind)))


def _any(b: Building, call: Call) -> str:
    """Along the last axis."""
    rank = len(call.inputs[0].shape)
    if [a % rank for a in call.operation.axis or ()] != [rank - 1] or call.operation.keepdims:
        raise call.refused("it is not along the last axis.")
    return any_of(b, call.given[0], keepdims=0)


def any_of(b: Building, x: str, keepdims: int) -> str:
    """Whether any of the booleans along the last axis is true."""
    from sqlml.convert.graph import FLOAT

    most = b.g.node("ReduceMax", b.g.cast(x, FLOAT), b.ints(-1), keepdims=keepdims)
    return b.g.node("Greater", most, b.weight([0.5]))


def _mean(divided: bool) -> How:
    """Over the last axis: a product with ones, whose bits do not depend on the row's place."""

    def made(b: Building, call: Call) -> str:
        axes = [a % len(call.inputs[0].shape) for a in call.operation.axis or ()]
        width = call.inputs[0].shape[-1]
        if axes != [len(call.inputs[0].shape) - 1] or str(call.output.dtype) != "float32":
            raise call.refused("it is not along the last axis.")
        total = b.g.node("MatMul", b.floats(call), b.weight(np.ones((int(width), 1))))
        if divided:
            total = b.g.node("Div", total, b.weight([float(width)]))
        return total if call.operation.keepdims else b.g.node("Squeeze", total, b.ints(-1))

    return made


def _reshape(b: Building, call: Call) -> str:
    """Any function that leaves the numbers in their order."""
    if call.output.shape[0] is not None or None in call.output.shape[1:]:
        raise call.refused("it moves the rows.")
    return b.shaped_as(call.given[0], call.output)


def _transpose(b: Building, call: Call) -> str:
    axes = [int(a) for a in call.operation.axes or ()]
    if not axes or axes[0] != 0:
        raise call.refused("it moves the rows.")
    return b.turned(call.given[0], *axes)


def _joined(b: Building, call: Call) -> str:
    axis = int(call.operation.axis) % call.rank
    if not axis or {str(x.dtype) for x in call.inputs} != {"float32"}:
        raise call.refused("it joins rows, or what it joins is no float32.")
    given = list(call.given)
    if type(call.operation).__name__ == "Stack":
        given = [b.g.node("Unsqueeze", x, b.ints(axis)) for x in given]
    return b.g.concat(given, axis=axis)


def _part(b: Building, call: Call) -> str:
    """x[:, …] with slices and numbers, all rows kept."""
    key = call.args[1] if len(call.args) > 1 else call.kwargs.get("key")
    keys = key if isinstance(key, tuple) else (key,)
    if keys[0] != slice(None) or len(keys) > len(call.inputs[0].shape):
        raise call.refused("it does not keep all rows.")
    x, removed = call.given[0], []
    for axis, each in enumerate(keys[1:], 1):
        size = int(call.inputs[0].shape[axis])
        if isinstance(each, int) and not isinstance(each, bool):
            x = b.part(x, axis, each % size, each % size + 1)
            removed.append(axis)
        elif isinstance(each, slice) and (each.step is None or each.step > 0):
            x = b.part(x, axis, *each.indices(size))
        else:
            raise call.refused("it takes more than slices and places.")
    return b.g.node("Squeeze", x, b.ints(*removed)) if removed else x


OPERATIONS: dict[str, How] = {
    "Add": _of("Add", 2),
    "Subtract": _of("Sub", 2),
    "Multiply": _of("Mul", 2),
    "Divide": _of("Div", 2),
    "TrueDivide": _of("Div", 2),
    "Maximum": _of("Max", 2),
    "Minimum": _of("Min", 2),
    "Matmul": _of("MatMul", 2),
    "Negative": _of("Neg"),
    "Absolute": _of("Abs"),
    "Abs": _of("Abs"),
    "Exp": _of("Exp"),
    "Log": _of("Log"),
    "Log1p": _log1p,
    "Sqrt": _of("Sqrt"),
    "Sin": _of("Sin"),
    "Cos": _of("Cos"),
    "Tanh": _of("Tanh"),
    "Square": _square,
    "Clip": _clip,
    "Relu": _curve("relu"),
    "Sigmoid": _curve("sigmoid"),
    "Silu": _curve("silu"),
    "Gelu": _curve("gelu"),
    "Softplus": _curve("softplus"),
    "Softmax": _softmax,
    "Mean": _mean(True),
    "Sum": _mean(False),
    "NotEqual": _not_equal,
    "Any": _any,
    "Reshape": _reshape,
    "ExpandDims": _reshape,
    "Squeeze": _reshape,
    "Transpose": _transpose,
    "Concatenate": _joined,
    "Stack": _joined,
    "GetItem": _part,
}
