"""Support vector machines in double: kernels, then the pairs' votes as libsvm counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE
from sqlml.convert.sklearn.arithmetic import affine, argmax, positive
from sqlml.convert.sklearn.frame import Result, Table
from sqlml.convert.sklearn.kernels import Kernel, between
from sqlml.convert.sklearn.linear import outliers
from sqlml.convert.sklearn.meta import one_vs_one_votes

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


def _kernel(g: Graph, step: Any, table: Table) -> str:
    """[N, vectors]: the kernel between each row and each support vector."""
    x = table.matrix(g, step, "DOUBLE")
    kernel = Kernel(step.kernel, float(step._gamma), float(step.coef0), float(step.degree))
    return between(g, step, x, step.support_vectors_, kernel)


def _dense(values: Any) -> Any:
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, "float64")


def _regressor(g: Graph, step: Any, table: Table) -> Result:
    kernel = _kernel(g, step, table)
    return Result("regression", affine(g, kernel, _dense(step._dual_coef_), step._intercept_))


def _one_class(g: Graph, step: Any, table: Table) -> Result:
    kernel = _kernel(g, step, table)
    score = affine(g, kernel, _dense(step._dual_coef_), step._intercept_)
    result = outliers(g, score)
    # libsvm says 1 only above zero.
    inside = g.node("Greater", score, g.const(np.array([0.0])))
    sign = g.node("Where", inside, g.const([1], "int64"), g.const([-1], "int64"))
    flat = g.node("Reshape", sign, g.const([-1], "int64"))
    return Result("outlier_detection", prediction=flat, score=result.score)


def _classifier(g: Graph, step: Any, table: Table) -> Result:
    classes = tuple(step.classes_)
    kernel = _kernel(g, step, table)
    if len(classes) == 2:
        decision = affine(g, kernel, -_dense(step._dual_coef_), -np.asarray(step._intercept_))
        label = positive(g, decision)
    else:
        pairs = affine(g, kernel, _pairs(step), step._intercept_)
        wins = g.node("Cast", g.node("Greater", pairs, g.const(np.array([0.0]))), to=DOUBLE)
        lost = g.node("Sub", g.const(np.array([1.0])), wins)
        votes = one_vs_one_votes(g, lost, g.node("Neg", pairs), len(classes))
        if step.break_ties:
            label = argmax(g, votes)
        else:  # whole votes, the first of equals
            rounded = g.node("Floor", g.node("Add", votes, g.const(np.array([0.5]))))
            label = argmax(g, rounded)
        decision = votes if step.decision_function_shape == "ovr" else g.node("Neg", pairs)
    probabilities = None
    if step.probability:
        from sqlml.convert.sklearn.upstream import predict_upstream

        probabilities = predict_upstream(g, step, table).probabilities
    return Result("classification", probabilities=probabilities, label=label, classes=classes,
                  decision=decision)  # fmt: skip


def _pairs(step: Any) -> Any:
    """[pairs, vectors]: the weights of libsvm's decision for each pair of classes.

    A vector of class i has, for each other class j in order, one coefficient
    (https://github.com/cjlin1/libsvm, svm_predict_values).
    """
    coefficients = _dense(step._dual_coef_)
    ends = np.cumsum(step._n_support)
    spans = [slice(e - n, e) for e, n in zip(ends, step._n_support, strict=True)]
    rows = []
    for i in range(len(spans)):
        for j in range(i + 1, len(spans)):
            row = np.zeros(coefficients.shape[1])
            row[spans[i]] = coefficients[j - 1, spans[i]]
            row[spans[j]] = coefficients[i, spans[j]]
            rows.append(row)
    return np.array(rows)


TRANSFORMS: dict[str, Any] = {}
PREDICTORS = {
    "SVR": _regressor,
    "NuSVR": _regressor,
    "SVC": _classifier,
    "NuSVC": _classifier,
    "OneClassSVM": _one_class,
}
