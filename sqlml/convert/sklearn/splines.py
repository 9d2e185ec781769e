"""SplineTransformer: polynomials in pieces, on one column each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE
from sqlml.convert.sklearn.frame import ELEMENT, Part, Table, name_of
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


def _splines(g: Graph, step: Any, table: Table) -> Table:
    """The basis functions of each column, side by side."""
    if step.degree == 0:
        raise NotConvertibleError(
            name_of(step), "its pieces are constants (degree=0).", "Use KBinsDiscretizer."
        )
    if step.sparse_output and step.handle_missing == "zeros":
        raise NotConvertibleError(
            name_of(step), "a missing value depends on other rows (sparse_output=True).",
            "Train with sparse_output=False.",
        )  # fmt: skip
    parts = []
    for i, (part, spline) in enumerate(zip(table.split(g), step.bsplines_, strict=True)):
        values = _outside(g, step, g.cast(part.tensor, DOUBLE), spline, first=i == 0)
        if step.handle_missing == "zeros":
            missing = g.node("IsNaN", g.cast(part.tensor, DOUBLE))
            values = g.node("Where", missing, g.const(np.array(0.0)), values)
        width = spline.c.shape[1]
        if not step.include_bias:  # the last function of each column is left out
            values = g.columns(values, range(width - 1), width)
            width -= 1
        kind = "DOUBLE" if step.sparse_output else part.kind
        parts.append(Part(g.cast(values, ELEMENT[kind]), width, kind))
    return Table(tuple(parts), None, bool(step.sparse_output))


def _outside(g: Graph, step: Any, x: str, spline: Any, *, first: bool) -> str:
    """[N, functions] of an [N, 1] column, and what they are outside of the training data."""
    degree, width = spline.k, spline.c.shape[1]
    # Of degree 1, two functions go on as lines. scikit-learn 1.9 counts them as the degree of
    # the columns after the first one, whose lines begin a knot further inside.
    lines = 2 if degree == 1 and step.extrapolation == "linear" else degree
    end = degree if first else lines
    least, most = float(spline.t[end]), float(spline.t[-end - 1])
    low, high = g.const(np.array(least)), g.const(np.array(most))
    if step.extrapolation == "periodic":
        # NumPy's remainder, which has the sign of the period, of the one in C.
        period = g.const(np.array(most - least))
        rest = g.node("Mod", g.node("Sub", x, low), period, fmod=1)
        below = g.node("Less", rest, g.const(np.array(0.0)))
        rest = g.node("Where", below, g.node("Add", rest, period), rest)
        turned = _basis(g, g.node("Add", rest, low), spline)
        once = g.columns(turned, range(width), width + degree)
        again = g.columns(turned, range(width, width + degree), width + degree)
        nothing = g.rows_like(np.zeros(width - degree), x)
        return g.node("Add", once, g.concat([again, nothing]))
    if step.extrapolation in ("continue", "error"):
        return _basis(g, x, spline)
    inside = _basis(g, g.node("Min", g.node("Max", x, low), high), spline)
    if step.extrapolation == "constant":
        return inside
    below = _line(g, x, least, spline, slice(lines))
    above = _line(g, x, most, spline, slice(-lines, None))
    value = g.node("Where", g.node("Less", x, low), below, inside)
    return g.node("Where", g.node("Greater", x, high), above, value)


def _line(g: Graph, x: str, at: float, spline: Any, those: slice) -> str:
    """The tangents at an end of the training data, of those functions that have one there."""
    value, slope = np.zeros(spline.c.shape[1]), np.zeros(spline.c.shape[1])
    value[those], slope[those] = spline(at)[those], spline(at, nu=1)[those]
    distance = g.node("Sub", x, g.const(np.array(at)))
    rise = g.node("Mul", distance, g.const(slope.reshape(1, -1)))
    return g.node("Add", rise, g.const(value.reshape(1, -1)))


def _basis(g: Graph, x: str, spline: Any) -> str:
    """[N, functions]: the recursion of Cox and de Boor, from pieces to splines of a degree.

    C. de Boor, A Practical Guide to Splines, X (4) and (5). Numbers outside belong to the
    first and the last interval, as in scipy's BSpline.
    """
    knots, degree = np.asarray(spline.t, dtype="float64"), int(spline.k)
    count = len(knots) - degree - 1
    start, end = knots[:-1].copy(), knots[1:].copy()
    start[degree], end[count - 1] = -np.inf, np.inf
    start[:degree] = end[count:] = np.nan  # intervals that nothing belongs to
    reached = g.node("GreaterOrEqual", x, g.const(start.reshape(1, -1)))
    within = g.node("And", reached, g.node("Less", x, g.const(end.reshape(1, -1))))
    values, width = g.cast(within, DOUBLE), len(start)
    for k in range(1, degree + 1):
        length = knots[k:] - knots[:-k]  # of the support of each function
        length = np.where(length == 0, np.inf, length)[:width].reshape(1, -1)
        share = g.node("Div", values, g.const(length))
        rising = g.node("Sub", x, g.const(knots[:width].reshape(1, -1)))
        falling = g.node("Sub", g.const(knots[k : width + k].reshape(1, -1)), x)
        up, down = g.node("Mul", share, rising), g.node("Mul", share, falling)
        left = g.columns(up, range(width - 1), width)
        values = g.node("Add", left, g.columns(down, range(1, width), width))
        width -= 1
    return values


TRANSFORMS = {"SplineTransformer": _splines}
PREDICTORS: dict[str, Any] = {}
