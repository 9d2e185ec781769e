"""Calibrated probabilities: sigmoid, isotonic and temperature, and isotonic regression itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE, INT64
from sqlml.convert.links import row_sum, sigmoid, softmax, two_columns
from sqlml.convert.sklearn.frame import Result, Table, name_of
from sqlml.convert.sklearn.linear import normalised
from sqlml.convert.sklearn.meta import decision_of
from sqlml.convert.sklearn.steps import predict
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph

_LACKS = "a fold of its training had not all classes."


def _calibrated(g: Graph, step: Any, table: Table) -> Result:
    classes = list(step.classes_)
    shares = [_calibrated_member(g, step, m, classes, table) for m in step.calibrated_classifiers_]
    total = shares[0]
    for share in shares[1:]:
        total = g.node("Add", total, share)
    mean = g.node("Div", total, g.const(np.array([float(len(shares))])))
    return Result("classification", probabilities=mean, classes=tuple(classes))


def _calibrated_member(g: Graph, step: Any, member: Any, classes: list[Any], table: Table) -> str:
    decision = decision_of(g, step, member.estimator, predict(g, member.estimator, table))
    count = len(classes)
    if member.method == "temperature":  # of labels that are texts the member knows the numbers
        if len(member.estimator.classes_) < count:
            raise NotConvertibleError(name_of(step), _LACKS)
        return _tempered(g, member, decision, count)
    if member.method not in ("sigmoid", "isotonic"):
        raise NotConvertibleError(
            name_of(step), f"its method {member.method!r} has no form here.",
            "Use method='sigmoid', 'isotonic' or 'temperature'.",
        )  # fmt: skip
    if count == 2:
        return two_columns(g, _calibrator(g, member.calibrators[0], decision))
    columns: list[str] = [""] * count
    places = [classes.index(c) for c in member.estimator.classes_]
    for k, (place, calibrator) in enumerate(zip(places, member.calibrators, strict=True)):
        one = g.node("Gather", decision, g.const([k], "int64"), axis=1)
        columns[place] = _calibrator(g, calibrator, one)
    if "" in columns:
        raise NotConvertibleError(name_of(step), _LACKS)
    return normalised(g, g.concat(columns), count)


def _tempered(g: Graph, member: Any, decision: str, classes: int) -> str:
    """Softmax of the logits, times one number (sklearn.calibration, _TemperatureScaling)."""
    if hasattr(member.estimator, "decision_function"):
        two = classes == 2
        logits = g.concat([g.node("Neg", decision), decision]) if two else decision
    else:
        shares = two_columns(g, decision) if classes == 2 else decision
        logits = g.node("Log", g.node("Add", shares, g.const(np.array([1e-12]))))
    beta = g.const(np.array([float(member.calibrators[0].beta_)]))
    return softmax(g, g.node("Mul", logits, beta))


def _calibrator(g: Graph, calibrator: Any, x: str) -> str:
    if name_of(calibrator) == "IsotonicRegression":
        return interpolated(g, calibrator, x)
    scaled = g.node("Mul", x, g.const(np.array([-float(calibrator.a_)])))
    return sigmoid(g, g.node("Sub", scaled, g.const(np.array([float(calibrator.b_)]))))


def interpolated(g: Graph, step: Any, x: str) -> str:
    """IsotonicRegression: straight lines between the fitted points."""
    xs = np.asarray(step.X_thresholds_, dtype="float64")
    ys = np.asarray(step.y_thresholds_, dtype="float64")
    if step.out_of_bounds != "clip":
        raise NotConvertibleError(
            name_of(step), "outside of its training data it has no answer.",
            "Train with out_of_bounds='clip'.",
        )  # fmt: skip
    if len(xs) == 1:
        return g.node("Add", g.node("Mul", x, g.const(np.array([0.0]))), g.const(ys))
    low, high = g.const(np.array(xs[0])), g.const(np.array(xs[-1]))
    x = g.node("Min", g.node("Max", x, low), high)
    # How many inner points lie below x: the segment that it falls into.
    if len(xs) > 2:
        below = g.node("Cast", g.node("Less", g.const(xs[1:-1].reshape(1, -1)), x), to=DOUBLE)
        segment = g.node("Cast", row_sum(g, below), to=INT64)
    else:
        segment = g.node("Cast", g.node("Mul", x, g.const(np.array([0.0]))), to=INT64)
    slope = (ys[1:] - ys[:-1]) / (xs[1:] - xs[:-1])
    start, left, rise = (g.node("Gather", g.const(v), segment) for v in (ys[:-1], xs[:-1], slope))
    return g.node("Add", g.node("Mul", rise, g.node("Sub", x, left)), start)


def _isotonic(g: Graph, step: Any, table: Table) -> Result:
    return Result("regression", interpolated(g, step, table.matrix(g, step, "DOUBLE")))


TRANSFORMS: dict[str, Any] = {}
PREDICTORS = {
    "CalibratedClassifierCV": _calibrated,
    "IsotonicRegression": _isotonic,
}
