"""Linear models, their links, and constant ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE
from sqlml.convert.links import row_sum, sigmoid, softmax, two_columns
from sqlml.convert.sklearn.arithmetic import affine, argmax, positive
from sqlml.convert.sklearn.frame import Result, Table, dense, name_of
from sqlml.convert.sklearn.steps import predict
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


def _linear(g: Graph, step: Any, table: Table) -> str:
    return affine(g, table.matrix(g, step, "DOUBLE"), step.coef_, step.intercept_)


def _regressor(g: Graph, step: Any, table: Table) -> Result:
    return Result("regression", _linear(g, step, table), len(np.atleast_2d(step.coef_)))


def _generalised(g: Graph, step: Any, table: Table) -> Result:
    link = type(step._base_loss.link).__name__
    predictor = _linear(g, step, table)
    if link == "LogLink":
        predictor = g.node("Exp", predictor)
    elif link != "IdentityLink":
        raise NotConvertibleError(name_of(step), f"its link {link} has no form here.")
    return Result("regression", predictor)


def _partial_least_squares(g: Graph, step: Any, table: Table) -> Result:
    centred = g.node("Sub", table.matrix(g, step, "DOUBLE"), g.const(step._x_mean, "float64"))
    return Result("regression", affine(g, centred, step.coef_, step.intercept_), len(step.coef_))


def _ransac(g: Graph, step: Any, table: Table) -> Result:
    return predict(g, step.estimator_, table)


def decided(g: Graph, decision: str, step: Any, probabilities: str | None = None) -> Result:
    """A classifier whose label is the sign or the greatest of its decision function."""
    classes = tuple(step.classes_)
    label = positive(g, decision) if len(classes) == 2 else argmax(g, decision)
    return Result(
        "classification",
        probabilities=probabilities,
        label=label,
        classes=classes,
        decision=decision,
    )


def _decision_only(g: Graph, step: Any, table: Table) -> Result:
    if np.ndim(step.classes_) != 1 or (len(step.classes_) > 2 and len(step.coef_) == 1):
        raise NotConvertibleError(name_of(step), "several labels for one row have no form in SQL.")
    return decided(g, _linear(g, step, table), step)


def _softmax_or_sigmoid(g: Graph, step: Any, table: Table) -> Result:
    decision = _linear(g, step, table)
    classes = tuple(step.classes_)
    if len(classes) == 2:
        probabilities = two_columns(g, sigmoid(g, decision))
    else:
        probabilities = softmax(g, decision)
    return Result("classification", probabilities=probabilities, classes=classes, decision=decision)


def normalised(g: Graph, shares: str, classes: int) -> str:
    """Rows divided by their sums; equal shares where the sum is zero."""
    total = row_sum(g, shares)
    zero, one = g.const(np.array([0.0])), g.const(np.array([1.0]))
    empty = g.node("Equal", total, zero)
    even = g.node("Where", empty, one, shares)
    count = g.const(np.array([float(classes)]))
    return g.node("Div", even, g.node("Where", empty, count, total))


def _gradient_descent(g: Graph, step: Any, table: Table) -> Result:
    decision = _linear(g, step, table)
    classes = len(step.classes_)
    if step.loss == "log_loss":
        shares = sigmoid(g, decision)
    elif step.loss == "modified_huber":
        one = g.const(np.array([1.0]))
        low = g.node("Max", decision, g.const(np.array([-1.0])))
        grown = g.node("Add", g.node("Min", low, one), one)
        shares = g.node("Div", grown, g.const(np.array([2.0])))
    else:
        return decided(g, decision, step)
    if classes == 2:
        result = two_columns(g, shares)
        return Result("classification", probabilities=result, classes=tuple(step.classes_),
                      decision=decision)  # fmt: skip
    return decided(g, decision, step, normalised(g, shares, classes))


def _discriminant_transform(g: Graph, step: Any, table: Table) -> Table:
    x = table.matrix(g, step, "DOUBLE")
    kept = np.asarray(step.scalings_, dtype="float64")[:, : step._max_components]
    if step.solver == "svd":
        x = g.node("Sub", x, g.const(step.xbar_, "float64"))
    return dense(affine(g, x, kept.T, 0.0), kept.shape[1])


def constant_rows(g: Graph, table: Table, row: Any) -> str:
    """The same row of numbers for every row."""
    return g.rows_like(row, table.parts[0].tensor)


def _dummy_regressor(g: Graph, step: Any, table: Table) -> Result:
    row = np.ravel(step.constant_)
    return Result("regression", constant_rows(g, table, row), len(row))


def _dummy_classifier(g: Graph, step: Any, table: Table) -> Result:
    if step.strategy not in ("prior", "most_frequent", "constant"):
        raise NotConvertibleError(name_of(step), "it draws its answers at random.")
    row = step.predict_proba(np.zeros((1, 1)))
    if isinstance(row, list):
        raise NotConvertibleError(name_of(step), "several labels for one row have no form in SQL.")
    probabilities = constant_rows(g, table, row)
    return Result("classification", probabilities=probabilities, classes=tuple(step.classes_))


def _bernoulli(g: Graph, step: Any, table: Table) -> Result:
    """BernoulliNB: log-likelihoods of the features that are there and of those that are not."""
    x = table.matrix(g, step, "DOUBLE")
    if step.binarize is not None:
        above = g.node("Greater", x, g.const(np.array([float(step.binarize)])))
        x = g.cast(above, DOUBLE)
    absent = np.log(1 - np.exp(step.feature_log_prob_))
    shift = step.class_log_prior_ + absent.sum(axis=1)
    likelihood = affine(g, x, step.feature_log_prob_ - absent, shift)
    return Result("classification", probabilities=softmax(g, likelihood),
                  classes=tuple(step.classes_))  # fmt: skip


def _one_class(g: Graph, step: Any, table: Table) -> Result:
    x = table.matrix(g, step, "DOUBLE")
    return outliers(g, affine(g, x, step.coef_, -np.ravel(step.offset_)))


def outliers(g: Graph, score: str) -> Result:
    """-1 where the decision function, [N, 1], is negative, else 1."""
    inside = g.node("Not", g.node("Less", score, g.const(np.array([0.0]))))
    sign = g.node("Where", inside, g.const([1], "int64"), g.const([-1], "int64"))
    flat = g.node("Reshape", sign, g.const([-1], "int64"))
    return Result("outlier_detection", prediction=flat, score=score)


_REGRESSORS = (
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars",
    "LarsCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression",
    "LinearSVR", "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso",
    "MultiTaskLassoCV", "OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV",
    "PassiveAggressiveRegressor", "QuantileRegressor", "Ridge", "RidgeCV", "SGDRegressor",
    "TheilSenRegressor",
)  # fmt: skip

TRANSFORMS = {"LinearDiscriminantAnalysis": _discriminant_transform}
PREDICTORS = {
    **dict.fromkeys(_REGRESSORS, _regressor),
    **dict.fromkeys(("GammaRegressor", "PoissonRegressor", "TweedieRegressor"), _generalised),
    **dict.fromkeys(("PLSRegression", "PLSCanonical", "CCA"), _partial_least_squares),
    "RANSACRegressor": _ransac,
    "LogisticRegression": _softmax_or_sigmoid,
    "LogisticRegressionCV": _softmax_or_sigmoid,
    "LinearDiscriminantAnalysis": _softmax_or_sigmoid,
    "SGDClassifier": _gradient_descent,
    "LinearSVC": _decision_only,
    "PassiveAggressiveClassifier": _decision_only,
    "Perceptron": _decision_only,
    "RidgeClassifier": _decision_only,
    "RidgeClassifierCV": _decision_only,
    "DummyClassifier": _dummy_classifier,
    "DummyRegressor": _dummy_regressor,
    "SGDOneClassSVM": _one_class,
    "BernoulliNB": _bernoulli,
}
