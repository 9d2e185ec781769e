"""Keras' activation functions as ONNX, in float32.

ONNX Runtime's own Sigmoid and Softplus lose what is far from zero, and its Erf is that of float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.links import row_sum, sigmoid, softmax
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert.keras.building import Building


def activated(b: Building, activation: Any, x: str, rank: int = 2) -> str:
    """A function of Keras, by its name, over a tensor of so many axes."""
    name = getattr(activation, "__name__", type(activation).__name__)
    own = getattr(activation, "__module__", "").startswith("keras.src.")
    if name == "softmax" and own:
        return softmax_of(b, x, rank)
    how = ACTIVATIONS.get(name) if own else None
    if how is None:
        raise NotConvertibleError(
            f"activation {name}", "it has no conversion that is known to be exact."
        )
    return how(b, x)


def softmax_of(b: Building, x: str, rank: int) -> str:
    """Softmax over the last axis."""
    return softmax(b.g, x, "float32", rank - 1)


def sum_of(b: Building, x: str, rank: int) -> str:
    """Over the last axis, which stays."""
    return row_sum(b.g, x, rank - 1)


def _unary(op: str, **attributes: Any) -> Callable[[Building, str], str]:
    return lambda b, x: b.g.node(op, x, **attributes)


def _sigmoid(b: Building, x: str) -> str:
    return sigmoid(b.g, x, "float32")


def _gelu(b: Building, x: str) -> str:
    """x/2 · (1 + erf(x / √2)), which is Keras' own where it is not told to approximate."""
    half = b.g.node("Mul", x, b.weight([0.5]))
    erf = b.g.node("Erf", b.g.node("Div", x, b.weight([np.sqrt(2)])))
    return b.g.node("Mul", half, b.g.node("Add", erf, b.weight([1.0])))


def _swish(b: Building, x: str) -> str:
    return b.g.node("Mul", x, _sigmoid(b, x))


def _softplus(b: Building, x: str) -> str:
    """max(x, 0) + log(1 + exp(-|x|)), which does not overflow."""
    tail = b.g.node("Exp", b.g.node("Neg", b.g.node("Abs", x)))
    return b.g.node(
        "Add", b.g.node("Relu", x), b.g.node("Log", b.g.node("Add", tail, b.weight([1.0])))
    )


def _mish(b: Building, x: str) -> str:
    return b.g.node("Mul", x, b.g.node("Tanh", _softplus(b, x)))


def _hard_sigmoid(b: Building, x: str) -> str:
    """relu6(x + 3) / 6."""
    return b.g.node("Div", _relu6(b, b.g.node("Add", x, b.weight([3.0]))), b.weight([6.0]))


def _hard_swish(b: Building, x: str) -> str:
    return b.g.node("Mul", x, _hard_sigmoid(b, x))


def _relu6(b: Building, x: str) -> str:
    return b.g.node("Min", b.g.node("Relu", x), b.weight([6.0]))


ACTIVATIONS: dict[str, Callable[[Building, str], str]] = {
    "linear": lambda b, x: x,
    "relu": _unary("Relu"),
    "relu6": _relu6,
    "leaky_relu": _unary("LeakyRelu", alpha=0.2),
    "tanh": _unary("Tanh"),
    "exponential": _unary("Exp"),
    "softsign": _unary("Softsign"),
    "elu": _unary("Elu", alpha=1.0),
    "selu": _unary("Selu"),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "silu": _swish,
    "swish": _swish,
    "gelu": _gelu,
    "mish": _mish,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_swish,
}
