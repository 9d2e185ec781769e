"""Numeric pieces that several steps share, all on doubles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import INT64, Graph

if TYPE_CHECKING:
    from collections.abc import Callable


def affine(g: Graph, matrix: str, coefficients: Any, intercept: Any) -> str:
    """[N, K] = matrix · coefficients.T + intercept, for coefficients of shape [K, features]."""
    weights = np.atleast_2d(np.asarray(coefficients, dtype="float64"))
    product = g.node("MatMul", matrix, g.const(np.ascontiguousarray(weights.T)))
    shift = np.broadcast_to(np.asarray(intercept, dtype="float64").ravel(), (len(weights),))
    return g.node("Add", product, g.const(shift.copy())) if shift.any() else product


def argmax(g: Graph, x: str) -> str:
    """[N] int64: the first greatest column of each row."""
    return g.node("ArgMax", x, axis=1, keepdims=0, select_last_index=0)


def positive(g: Graph, x: str) -> str:
    """[N] int64: 1 where the one column is above zero."""
    above = g.node("Cast", g.node("Greater", x, g.const(np.array([0.0]))), to=INT64)
    return flat(g, above)


def flat(g: Graph, x: str) -> str:
    """[N, 1] as [N]."""
    return g.node("Reshape", x, g.const([-1], "int64"))


def column(g: Graph, x: str) -> str:
    """[N] as [N, 1]."""
    return g.node("Reshape", x, g.const([-1, 1], "int64"))


def log1p(g: Graph, x: str) -> str:
    """log(1 + x) without losing a small x (W. Kahan's correction of the rounding of 1 + x)."""
    one = g.const(np.array([1.0]))
    grown = g.node("Add", x, one)
    log = g.node("Log", grown)
    plain = g.node("Or", g.node("Equal", grown, one), g.node("IsInf", grown))
    mended = g.node("Mul", log, g.node("Div", x, g.node("Sub", grown, one)))
    limit = g.node("Where", g.node("IsInf", grown), log, x)
    return g.node("Where", plain, limit, mended)


def expm1(g: Graph, x: str) -> str:
    """exp(x) - 1 without losing a small x, as `log1p`."""
    one, zero = g.const(np.array([1.0])), g.const(np.array([0.0]))
    power = g.node("Exp", x)
    less = g.node("Sub", power, one)
    mended = g.node("Mul", less, g.node("Div", x, g.node("Log", power)))
    plain = g.node("Or", g.node("Equal", power, zero), g.node("IsInf", power))
    result = g.node("Where", plain, less, mended)
    return g.node("Where", g.node("Equal", power, one), x, result)


def _power(exponent: float) -> Callable[[Graph, str], str]:
    return lambda g, x: g.node("Pow", x, g.const(np.array(exponent)))


def _plain(op: str) -> Callable[[Graph, str], str]:
    return lambda g, x: g.node(op, x)


# The NumPy functions that a FunctionTransformer or a TransformedTargetRegressor may apply.
UFUNCS: dict[str, Callable[[Graph, str], str]] = {
    "log": _plain("Log"),
    "log1p": log1p,
    "log2": lambda g, x: g.node("Div", g.node("Log", x), g.const(np.log([2.0]))),
    "log10": lambda g, x: g.node("Div", g.node("Log", x), g.const(np.log([10.0]))),
    "exp": _plain("Exp"),
    "expm1": expm1,
    "sqrt": _plain("Sqrt"),
    "square": _power(2.0),
    "cbrt": lambda g, x: g.node(
        "Mul", g.node("Sign", x),
        g.node("Pow", g.node("Abs", x), g.const(np.array(1 / 3))),
    ),
    "absolute": _plain("Abs"),
    "fabs": _plain("Abs"),
    "negative": _plain("Neg"),
    "reciprocal": _plain("Reciprocal"),
    "sign": _plain("Sign"),
}  # fmt: skip
