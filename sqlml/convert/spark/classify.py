"""Bayes, networks, one against the rest, and isotonic curves."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import INT64
from sqlml.convert.links import row_sum, sigmoid, softmax
from sqlml.convert.sklearn.arithmetic import affine, argmax, column
from sqlml.convert.sklearn.frame import Result
from sqlml.convert.spark.frame import (
    Frame,
    Part,
    bits,
    features,
    floats,
    name_of,
    numbers,
    row,
    scalar,
)
from sqlml.convert.spark.linear import classified, labels, matrix
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph

_ENCODE = "Encode the features (OneHotEncoder, Bucketizer, Binarizer), or train another model."


def _bayes(g: Graph, stage: Any, frame: Frame) -> Result:
    """NaiveBayesModel, by its modelType: log-likelihoods, and their softmax."""
    part = features(stage, frame, stage.getFeaturesCol())
    kind = stage.getModelType()
    _check(stage, kind, part)
    theta, prior = floats(stage.theta), floats(stage.pi)
    if kind == "gaussian":
        raw = _gaussian(g, part.tensor, prior, theta, floats(stage.sigma))
    elif kind == "bernoulli":
        absent = np.log1p(-np.exp(theta))
        raw = affine(g, part.tensor, theta - absent, prior + absent.sum(axis=1))
    elif kind == "multinomial":
        raw = affine(g, part.tensor, theta, prior)
    else:  # complement: the priors have no part in it
        raw = affine(g, part.tensor, theta, np.zeros(len(theta)))
    return classified(g, stage, raw, softmax(g, raw), len(prior))


def _check(stage: Any, kind: str, part: Part) -> None:
    """It raises on what it was not made for, which SQL cannot rule out in a feature."""
    if kind == "bernoulli" and part.holds != "bits":
        raise NotConvertibleError(
            name_of(stage),
            "as a bernoulli model it raises on features other than 0 and 1.",
            _ENCODE,
        )
    if kind in ("multinomial", "complement") and part.holds == "numbers":
        raise NotConvertibleError(
            name_of(stage), f"as a {kind} model it raises on negative features.", _ENCODE
        )


def _gaussian(g: Graph, x: str, prior: Any, theta: Any, sigma: Any) -> str:
    columns = []
    for log_share, means, variances in zip(prior, theta, sigma, strict=True):
        apart = g.node("Sub", x, row(g, means))
        ratio = g.node("Div", g.node("Mul", apart, apart), row(g, variances))
        spread = g.node("Add", row_sum(g, ratio), scalar(g, np.log(variances).sum()))
        halved = g.node("Mul", spread, scalar(g, 0.5))
        columns.append(g.node("Sub", scalar(g, log_share), halved))
    return g.concat(columns)


def _perceptron(g: Graph, stage: Any, frame: Frame) -> Result:
    """MultilayerPerceptronClassificationModel: each layer's weights by columns, then its shifts
    (AffineLayerModel in ml/ann/Layer.scala); sigmoids between, a softmax at the end.
    """
    x, flat = matrix(stage, frame), floats(stage.weights)
    sizes = [int(size) for size in stage.getLayers()]
    for place, (given, made) in enumerate(itertools.pairwise(sizes)):
        weights, flat = flat[: made * given], flat[made * given :]
        shift, flat = flat[:made], flat[made:]
        x = affine(g, x, weights.reshape(made, given, order="F"), shift)
        if place < len(sizes) - 2:
            x = sigmoid(g, x)
    return classified(g, stage, x, softmax(g, x), sizes[-1])


def _one_against_rest(g: Graph, stage: Any, frame: Frame) -> Result:
    """OneVsRestModel: the classifier that is surest of its own label, by rawPrediction."""
    from sqlml.convert.spark.stages import predict

    part = features(stage, frame, stage.getFeaturesCol())
    columns = []
    for model in stage.models:
        result = predict(g, model, {**frame, model.getFeaturesCol(): part})
        if result.decision is None:
            raise NotConvertibleError(
                f"{name_of(stage)}({name_of(model)})",
                "the inner model's rawPrediction has no form here.",
                "Use LogisticRegression, LinearSVC or GBTClassifier inside.",
            )
        columns.append(g.columns(result.decision, [1], 2))
    if len(columns) < 2:
        raise NotConvertibleError(name_of(stage), "it was trained on one label only.")
    raw = g.concat(columns)
    return Result("classification", label=argmax(g, raw), classes=labels(len(columns)),
                  decision=raw)  # fmt: skip


def _isotonic(g: Graph, stage: Any, frame: Frame) -> Result:
    """Mllib's IsotonicRegressionModel.predict: straight lines between the boundaries, and the
    outermost values beyond them; NaN sorts above all numbers.
    """
    part = numbers(stage, frame, stage.getFeaturesCol())
    place = int(stage.getFeatureIndex()) if part.vector else 0
    x = g.columns(part.tensor, [place], part.width)
    bounds, values = floats(stage.boundaries), floats(stage.predictions)
    if len(bounds) < 2 or not (np.diff(bounds) > 0).all():
        raise NotConvertibleError(name_of(stage), "it has no two boundaries, or equal ones.")
    least, most = scalar(g, bounds[0]), scalar(g, bounds[-1])
    x = g.node("Where", g.node("IsNaN", x), most, x)
    x = g.node("Max", g.node("Min", x, most), least)
    inner = g.const(bounds[1:-1].reshape(1, -1))
    if len(bounds) > 2:
        reached = row_sum(g, bits(g, g.node("GreaterOrEqual", x, inner)))
    else:
        reached = g.node("Mul", x, scalar(g, 0.0))
    line = g.node("Reshape", g.cast(reached, INT64), g.const([-1], "int64"))

    def at(entries: Any) -> str:
        return column(g, g.node("Gather", g.const(floats(entries)), line))

    rise = g.node("Mul", at(np.diff(values)), g.node("Sub", x, at(bounds[:-1])))
    step = g.node("Div", rise, at(np.diff(bounds)))
    return Result("regression", g.node("Add", at(values[:-1]), step))


TRANSFORMS: dict[str, Any] = {}
PREDICTORS = {
    "NaiveBayesModel": _bayes,
    "MultilayerPerceptronClassificationModel": _perceptron,
    "OneVsRestModel": _one_against_rest,
    "IsotonicRegressionModel": _isotonic,
}
