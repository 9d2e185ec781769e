"""From raw scores to predictions: the links that frameworks put behind a sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlml.convert.graph import DOUBLE, FLOAT

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert.ensemble import Width
    from sqlml.convert.graph import Graph

ELEMENT: dict[Width, int] = {"float32": FLOAT, "float64": DOUBLE}


def sigmoid(g: Graph, x: str, dtype: Width = "float64") -> str:
    """1 / (1 + exp(-x)).

    onnxruntime's own Sigmoid loses the tails,
    https://github.com/microsoft/onnxruntime/issues/26281.
    """
    one = g.const([1], dtype)
    return g.node("Div", one, g.node("Add", one, g.node("Exp", g.node("Neg", x))))


def softmax(g: Graph, x: str, dtype: Width = "float64", axis: int = 1) -> str:
    """Softmax over the columns, or along another axis."""
    top = g.node("ReduceMax", x, g.const([axis], "int64"), keepdims=1)
    return _share(g, g.node("Exp", g.node("Sub", x, top)), axis)


def row_sum(g: Graph, x: str, axis: int = 1) -> str:
    """[N, 1]: the sum of each row; or along another axis, which stays."""
    return g.node("ReduceSum", x, g.const([axis], "int64"), keepdims=1)


def two_columns(g: Graph, second: str, dtype: Width = "float64") -> str:
    """The probabilities of two labels from the second's, [N, 1]."""
    return g.concat([g.node("Sub", g.const([1], dtype), second), second])


def _share(g: Graph, x: str, axis: int = 1) -> str:
    return g.node("Div", x, row_sum(g, x, axis))


def _sigmoid_share(g: Graph, x: str, dtype: Width) -> str:
    return _share(g, sigmoid(g, x, dtype))


def _identity(g: Graph, x: str, dtype: Width) -> str:
    return x


def _exp(g: Graph, x: str, dtype: Width) -> str:
    return g.node("Exp", x)


def _step(g: Graph, x: str, dtype: Width) -> str:
    return g.node("Cast", g.node("Greater", x, g.const(0, dtype)), to=ELEMENT[dtype])


def _log1p_exp(g: Graph, x: str, dtype: Width) -> str:
    # log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which keeps the digits of small ones;
    # where exp(x) overflows, the original is infinite.
    one = g.const(1, dtype)
    tail = g.node("Add", one, g.node("Exp", g.node("Neg", g.node("Abs", x))))
    near = g.node("Add", g.node("Relu", x), g.node("Log", tail))
    power = g.node("Exp", x)
    return g.node("Where", g.node("IsInf", power), power, near)


def _signed_square(g: Graph, x: str, dtype: Width) -> str:
    return g.node("Mul", x, g.node("Abs", x))


LINKS: dict[str, Callable[[Graph, str, Width], str]] = {
    "identity": _identity,
    "exp": _exp,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "sigmoid, shared": _sigmoid_share,
    "step": _step,
    "log(1 + exp)": _log1p_exp,
    "signed square": _signed_square,
}
