"""Models around another classifier or regressor: thresholds, one model a class, chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE, INT64
from sqlml.convert.links import row_sum, two_columns
from sqlml.convert.sklearn.arithmetic import affine, argmax, column, flat, positive
from sqlml.convert.sklearn.frame import Part, Result, Table, name_of
from sqlml.convert.sklearn.steps import predict
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


def labels_of(g: Graph, result: Result) -> str:
    """[N] int64: the index of the predicted class."""
    if result.label is not None:
        return result.label
    assert result.probabilities is not None
    return argmax(g, result.probabilities)


def second(g: Graph, probabilities: str) -> str:
    """[N, 1]: the second column."""
    return g.node("Gather", probabilities, g.const([1], "int64"), axis=1)


def decision_of(g: Graph, step: Any, inner: Any, result: Result) -> str:
    """The inner model's decision_function, [N, 1] or [N, K]; else its probabilities."""
    if hasattr(inner, "decision_function"):
        if result.decision is None:
            raise NotConvertibleError(
                f"{name_of(step)}({name_of(inner)})",
                "the decision function of the inner model has no form here.",
            )
        return result.decision
    if result.probabilities is None:
        raise NotConvertibleError(
            f"{name_of(step)}({name_of(inner)})", "the inner model has no probabilities."
        )
    two = len(result.classes) == 2
    return second(g, result.probabilities) if two else result.probabilities


def _threshold(g: Graph, step: Any, table: Table) -> Result:
    """The label by another threshold than one half; the probabilities stay."""
    inner = predict(g, step.estimator_, table)
    tuned = hasattr(step, "best_threshold_")
    wanted = step._curve_scorer._get_pos_label() if tuned else step.pos_label
    methods = step._get_response_method()
    first = [methods] if isinstance(methods, str) else list(methods)
    method = next(m for m in first if hasattr(step.estimator_, m))
    if tuned:
        limit = float(step.best_threshold_)
    elif step.threshold == "auto":
        limit = 0.5 if method == "predict_proba" else 0.0
    else:
        limit = float(step.threshold)
    classes = list(step.classes_)
    at = 1 if wanted is None else classes.index(wanted)
    if method == "predict_proba":
        assert inner.probabilities is not None
        score = g.node("Gather", inner.probabilities, g.const([at], "int64"), axis=1)
    else:
        score = decision_of(g, step, step.estimator_, inner)
        score = score if at == 1 else g.node("Neg", score)
    reached = g.node("GreaterOrEqual", score, g.const(np.array([limit])))
    yes, no = g.const([at], "int64"), g.const([1 - at], "int64")
    return Result(
        "classification",
        probabilities=inner.probabilities if hasattr(step, "predict_proba") else None,
        label=flat(g, g.node("Where", reached, yes, no)),
        classes=tuple(classes),
        decision=inner.decision,
    )


def _one_vs_rest(g: Graph, step: Any, table: Table) -> Result:
    if step.multilabel_:
        raise NotConvertibleError(name_of(step), "several labels for one row have no form in SQL.")
    inner = [predict(g, e, table) for e in step.estimators_]
    decisions = [decision_of(g, step, e, r) for e, r in zip(step.estimators_, inner, strict=True)]
    classes = tuple(step.classes_)
    proba = None
    if all(r.probabilities is not None for r in inner):
        each = [second(g, r.probabilities) for r in inner if r.probabilities is not None]
        if len(each) == 1:
            proba = two_columns(g, each[0])
        else:
            shares = g.concat(each)
            total = row_sum(g, shares)
            zero, one = g.const(np.array([0.0])), g.const(np.array([1.0]))
            total = g.node("Where", g.node("Equal", total, zero), one, total)
            proba = g.node("Div", shares, total)
    if len(decisions) == 1:
        limit = 0.0 if hasattr(step.estimators_[0], "decision_function") else 0.5
        above = g.node("Greater", decisions[0], g.const(np.array([limit])))
        return Result("classification", probabilities=proba,
                      label=flat(g, g.node("Cast", above, to=INT64)),
                      classes=classes, decision=decisions[0])  # fmt: skip
    joined = g.concat(decisions)
    by_decision = any(hasattr(e, "decision_function") for e in step.estimators_)
    label = argmax(g, joined) if by_decision or proba is None else None
    return Result(
        "classification",
        probabilities=proba,
        label=label,
        classes=classes,
        decision=joined,
    )


def one_vs_one_votes(g: Graph, wins: str, confidences: str, classes: int) -> str:
    """[N, K]: votes of the pairs, and their confidence within a third of a vote.

    `wins`: [N, pairs] of 0 and 1, where 1 is for the second class of the pair.
    """
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    lost, won, signed = (np.zeros((len(pairs), classes)) for _ in range(3))
    for p, (i, j) in enumerate(pairs):
        lost[p, i], won[p, j] = 1.0, 1.0
        signed[p, i], signed[p, j] = -1.0, 1.0
    one = g.const(np.array([1.0]))
    votes = g.node(
        "Add",
        g.node("MatMul", g.node("Sub", one, wins), g.const(lost)),
        g.node("MatMul", wins, g.const(won)),
    )
    sums = g.node("MatMul", confidences, g.const(signed))
    bound = g.node("Mul", g.node("Add", g.node("Abs", sums), one), g.const(np.array([3.0])))
    return g.node("Add", votes, g.node("Div", sums, bound))


def _one_vs_one(g: Graph, step: Any, table: Table) -> Result:
    if step.pairwise_indices_ is not None:
        raise NotConvertibleError(name_of(step), "precomputed kernels have no form in SQL.")
    classes = tuple(step.classes_)
    inner = [predict(g, e, table) for e in step.estimators_]
    decisions = g.concat(
        [decision_of(g, step, e, r) for e, r in zip(step.estimators_, inner, strict=True)]
    )
    wins = g.concat([g.cast(column(g, labels_of(g, r)), DOUBLE) for r in inner])
    votes = one_vs_one_votes(g, wins, decisions, len(classes))
    if len(classes) == 2:
        limit = 0.0 if hasattr(step.estimators_[0], "decision_function") else 0.5
        score = second(g, votes)
        label = positive(g, g.node("Sub", score, g.const(np.array([limit]))))
        return Result("classification", label=label, classes=classes, decision=score)
    return Result("classification", label=argmax(g, votes), classes=classes, decision=votes)


def _output_code(g: Graph, step: Any, table: Table) -> Result:
    """The class whose code is the nearest to the members' answers (sklearn.multiclass).

    With the square of the answers, as scikit-learn's pairwise_distances_argmin adds it: where they
    are huge it swallows what differs from class to class, and the first is taken.
    """
    answers = g.concat([decision_of(g, step, e, predict(g, e, table)) for e in step.estimators_])
    codes = np.asarray(step.code_book_, dtype="float64")
    cross = affine(g, answers, -2 * codes, (codes**2).sum(axis=1))
    distances = g.node("Add", cross, row_sum(g, g.node("Mul", answers, answers)))
    label = g.node("ArgMin", distances, axis=1, keepdims=0, select_last_index=0)
    return Result("classification", label=label, classes=tuple(step.classes_))


def _multi_output(g: Graph, step: Any, table: Table) -> Result:
    each = [predict(g, e, table) for e in step.estimators_]
    return Result("regression", g.concat([r.prediction for r in each if r.prediction]), len(each))


def _chain(g: Graph, step: Any, table: Table) -> Result:
    answers: dict[int, str] = {}
    for place, estimator in zip(step.order_, step.estimators_, strict=True):
        inner = predict(g, estimator, table)
        assert inner.prediction is not None
        answers[int(place)] = inner.prediction
        table = Table((*table.parts, Part(inner.prediction, 1)))
    return Result("regression", g.concat([answers[i] for i in sorted(answers)]), len(answers))


def _frozen(g: Graph, step: Any, table: Table) -> Result:
    return predict(g, step.estimator, table)


def _self_training(g: Graph, step: Any, table: Table) -> Result:
    return predict(g, step.estimator_, table)


def _constant(g: Graph, step: Any, table: Table) -> Result:
    """What stands in OneVsRestClassifier for a class that all rows, or none, had."""
    value = float(np.ravel(step.y_)[0])
    row = g.rows_like([1 - value, value], table.parts[0].tensor)
    return Result("classification", probabilities=row, classes=(0, 1), decision=second(g, row))


TRANSFORMS: dict[str, Any] = {}
PREDICTORS = {
    "FixedThresholdClassifier": _threshold,
    "TunedThresholdClassifierCV": _threshold,
    "OneVsRestClassifier": _one_vs_rest,
    "OneVsOneClassifier": _one_vs_one,
    "OutputCodeClassifier": _output_code,
    "MultiOutputRegressor": _multi_output,
    "RegressorChain": _chain,
    "FrozenEstimator": _frozen,
    "SelfTrainingClassifier": _self_training,
    "_ConstantPredictor": _constant,
}
