"""Linear models and what is built like them: links, margins, factorisation machines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.links import row_sum, sigmoid, softmax, two_columns
from sqlml.convert.sklearn.arithmetic import affine, argmax, positive
from sqlml.convert.sklearn.frame import Result
from sqlml.convert.spark.frame import Frame, features, floats, given, name_of, numbers, row, scalar
from sqlml.convert.special import normal_cdf
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert.graph import Graph

_TINY = 1e-16
"""GeneralizedLinearRegression.epsilon: means are kept this far from their bounds."""


def matrix(stage: Any, frame: Frame) -> str:
    """[N, features]: what the model is asked about."""
    return features(stage, frame, stage.getFeaturesCol()).tensor


def labels(count: int) -> tuple[float, ...]:
    """A classifier's labels: Spark numbers them, as doubles."""
    return tuple(float(i) for i in range(count))


def classified(g: Graph, stage: Any, raw: str | None, probabilities: str, count: int) -> Result:
    """The likeliest label; with thresholds, that of the greatest share of its threshold
    (ProbabilisticClassificationModel.probability2prediction).
    """
    if count < 2:
        raise NotConvertibleError(name_of(stage), "it was trained on one label only.")
    label = None
    thresholds = given(stage, "thresholds")
    if thresholds:
        if min(thresholds) <= 0:
            raise NotConvertibleError(
                name_of(stage), "a threshold of 0 has no form here.", "Give a small one instead."
            )
        share = g.node("Div", probabilities, g.const(floats(thresholds).reshape(1, -1)))
        label = argmax(g, share)
    return Result(
        "classification",
        probabilities=probabilities,
        label=label,
        classes=labels(count),
        decision=raw,
    )


def by_margin(g: Graph, stage: Any, margin: str, factor: float = 1.0) -> Result:
    """Two labels from the second one's margin, [N, 1], through the logistic function."""
    scaled = margin if factor == 1.0 else g.node("Mul", margin, scalar(g, factor))
    probabilities = two_columns(g, sigmoid(g, scaled))
    return classified(g, stage, sides(g, margin), probabilities, 2)


def sides(g: Graph, margin: str) -> str:
    """rawPrediction: the margin against and for the second label."""
    return g.concat([g.node("Neg", margin), margin])


def _logistic(g: Graph, stage: Any, frame: Frame) -> Result:
    x, found = matrix(stage, frame), stage.coefficientMatrix
    weights, shift = floats(found), floats(stage.interceptVector)
    if len(weights) > 1:
        if type(found).__name__ == "SparseMatrix":
            # A product of its own for each label: what has no weight in it is left out there.
            each = [affine(g, x, w, s) for w, s in zip(weights, shift, strict=True)]
            margins = g.concat(each)
        else:
            margins = affine(g, x, weights, shift)
        return classified(g, stage, margins, softmax(g, margins), len(weights))
    margin = affine(g, x, weights, shift)
    result = Result(
        "classification",
        probabilities=two_columns(g, sigmoid(g, margin)),
        classes=labels(2),
        decision=sides(g, margin),
    )
    return _beyond(g, result, margin, float(stage.getThreshold()))


def _beyond(g: Graph, result: Result, margin: str, threshold: float) -> Result:
    """The label by a probability's threshold, which is compared on the side of the margins
    (LogisticRegressionModel.raw2prediction).
    """
    if threshold == 0.5:
        return result
    limit = {0.0: -math.inf, 1.0: math.inf}.get(threshold)
    if limit is None:
        limit = math.log(threshold / (1.0 - threshold))
    return Result(
        "classification",
        probabilities=result.probabilities,
        label=_above(g, margin, limit),
        classes=result.classes,
        decision=result.decision,
    )


def _above(g: Graph, margin: str, limit: float) -> str:
    above = g.node("Greater", margin, scalar(g, limit))
    places = g.node("Where", above, g.const([1], "int64"), g.const([0], "int64"))
    return g.node("Reshape", places, g.const([-1], "int64"))


def _support_vector(g: Graph, stage: Any, frame: Frame) -> Result:
    """LinearSVCModel: the label by a threshold on the margin, and no probability."""
    margin = _margin(g, stage, frame)
    threshold = float(stage.getThreshold())
    label = positive(g, margin) if threshold == 0 else _above(g, margin, threshold)
    return Result("classification", label=label, classes=labels(2), decision=sides(g, margin))


def _margin(g: Graph, stage: Any, frame: Frame) -> str:
    return affine(g, matrix(stage, frame), floats(stage.coefficients), stage.intercept)


def _linear(g: Graph, stage: Any, frame: Frame) -> Result:
    return Result("regression", _margin(g, stage, frame))


def _survival(g: Graph, stage: Any, frame: Frame) -> Result:
    return Result("regression", g.node("Exp", _margin(g, stage, frame)))


# GeneralizedLinearRegression's families and links: how a mean follows from a linear predictor,
# and where Link.unlink leaves the family's range (Family.project).


def _power(exponent: float) -> Callable[[Graph, str], str]:
    def unlink(g: Graph, eta: str) -> str:
        return g.node("Pow", eta, scalar(g, 1.0 / exponent))

    return unlink


def _inverse(g: Graph, eta: str) -> str:
    return g.node("Div", scalar(g, 1.0), eta)


def _log_log(g: Graph, eta: str) -> str:
    rare = g.node("Exp", g.node("Neg", g.node("Exp", eta)))
    return g.node("Sub", scalar(g, 1.0), rare)


_UNLINK: dict[str, Callable[[Graph, str], str]] = {
    "identity": lambda g, eta: eta,
    "log": lambda g, eta: g.node("Exp", eta),
    "logit": sigmoid,
    "inverse": _inverse,
    "sqrt": lambda g, eta: g.node("Mul", eta, eta),
    "cloglog": _log_log,
    "probit": normal_cdf,
}
_OWN_LINK = {"gaussian": "identity", "binomial": "logit", "poisson": "log", "gamma": "inverse"}
_OF_POWER = {0.0: "log", 1.0: "identity", -1.0: "inverse", 0.5: "sqrt"}
_OF_VARIANCE = {0.0: "gaussian", 1.0: "poisson", 2.0: "gamma"}


def _generalised(g: Graph, stage: Any, frame: Frame) -> Result:
    family, link = str(stage.getFamily()).lower(), given(stage, "link")
    if family == "tweedie":
        variance = float(stage.getVariancePower())
        family = _OF_VARIANCE.get(variance, "tweedie")
        power = given(stage, "linkPower")
        if power is None and family == "tweedie":
            power = 1.0 - variance
        link = _OWN_LINK[family] if power is None else _OF_POWER.get(float(power), "power")
        unlink = _power(float(power)) if link == "power" else _UNLINK[link]
    else:
        link = _OWN_LINK[family] if link is None else str(link).lower()
        if link not in _UNLINK:
            raise NotConvertibleError(
                name_of(stage),
                f"its link {link} has no exact form here.",
                f"Use one of {', '.join(_UNLINK)}.",
            )
        unlink = _UNLINK[link]
    margin, offset = _margin(g, stage, frame), given(stage, "offsetCol")
    if offset:
        margin = g.node("Add", margin, numbers(stage, frame, offset).tensor)
    return Result("regression", _projected(g, family, unlink(g, margin)))


def _projected(g: Graph, family: str, mean: str) -> str:
    largest = float(np.finfo("f8").max)
    if family == "gaussian":
        return _within(g, _within(g, mean, "Less", -largest), "Greater", largest)
    if family == "binomial":
        return _within(g, _within(g, mean, "Less", _TINY), "Greater", 1.0 - _TINY)
    return _within(g, _within(g, mean, "Less", _TINY), "Greater", largest)


def _within(g: Graph, x: str, beyond: str, limit: float) -> str:
    bound = scalar(g, limit)
    return g.node("Where", g.node(beyond, x, bound), bound, x)


def _factorised(g: Graph, stage: Any, frame: Frame) -> str:
    """[N, 1]: linear terms and the products of all pairs (BaseFactorizationMachinesGradient,
    getRawPrediction). A difference of squares loses its digits to rounding, so that each of the
    sums goes from feature to feature, as it does there.
    """
    part, factors = features(stage, frame, stage.getFeaturesCol()), floats(stage.factors)
    total = squares = ""
    for i, weights in enumerate(factors):
        x = g.columns(part.tensor, [i], part.width)
        term = g.node("Mul", x, row(g, weights))
        square = g.node("Mul", term, term)
        total = g.node("Add", total, term) if total else term
        squares = g.node("Add", squares, square) if squares else square
    crossed = row_sum(g, g.node("Sub", g.node("Mul", total, total), squares))
    raw = affine(g, part.tensor, floats(stage.linear), stage.intercept)
    return g.node("Add", raw, g.node("Mul", crossed, scalar(g, 0.5)))


def _machine(g: Graph, stage: Any, frame: Frame) -> Result:
    return Result("regression", _factorised(g, stage, frame))


def _machine_classifier(g: Graph, stage: Any, frame: Frame) -> Result:
    return by_margin(g, stage, _factorised(g, stage, frame))


TRANSFORMS: dict[str, Any] = {}
PREDICTORS = {
    "LogisticRegressionModel": _logistic,
    "LinearSVCModel": _support_vector,
    "LinearRegressionModel": _linear,
    "GeneralizedLinearRegressionModel": _generalised,
    "AFTSurvivalRegressionModel": _survival,
    "FMRegressionModel": _machine,
    "FMClassificationModel": _machine_classifier,
}
