"""Models of many models: voting, stacking, bagging, AdaBoost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE
from sqlml.convert.links import softmax
from sqlml.convert.sklearn.arithmetic import argmax, positive
from sqlml.convert.sklearn.frame import Part, Result, Table, name_of
from sqlml.convert.sklearn.meta import labels_of, second
from sqlml.convert.sklearn.steps import predict
from sqlml.convert.sklearn.trees import averaged, is_tree, narrowed, summed, tree_of, values_of
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert.graph import Graph


def _weighted_mean(g: Graph, tensors: Sequence[str], weights: Any) -> str:
    shares = np.ones(len(tensors)) if weights is None else np.asarray(weights, dtype="float64")
    total = None
    for tensor, weight in zip(tensors, shares, strict=True):
        term = tensor if weight == 1 else g.node("Mul", tensor, g.const(np.array([weight])))
        total = term if total is None else g.node("Add", total, term)
    assert total is not None
    return g.node("Div", total, g.const(np.array([shares.sum()])))


def _votes(g: Graph, result: Result, classes: int) -> str:
    """[N, K] of doubles: 1 at the predicted class."""
    label = g.node("Reshape", labels_of(g, result), g.const([-1, 1], "int64"))
    places = g.const(np.arange(classes).reshape(1, -1), "int64")
    return g.cast(g.node("Equal", label, places), DOUBLE)


def _voting_classifier(g: Graph, step: Any, table: Table) -> Result:
    inner = [predict(g, e, table) for e in step.estimators_]
    classes = tuple(step.classes_)
    weights = step._weights_not_none
    if step.voting == "soft":
        each = [r.probabilities for r in inner if r.probabilities is not None]
        return Result("classification", probabilities=_weighted_mean(g, each, weights),
                      classes=classes)  # fmt: skip
    votes = _weighted_mean(g, [_votes(g, r, len(classes)) for r in inner], weights)
    return Result("classification", label=argmax(g, votes), classes=classes)


def _voting_regressor(g: Graph, step: Any, table: Table) -> Result:
    inner = [predict(g, e, table) for e in step.estimators_]
    each = [r.prediction for r in inner if r.prediction is not None]
    return Result("regression", _weighted_mean(g, each, step._weights_not_none))


def _stacked(g: Graph, step: Any, table: Table) -> Table:
    """What the final estimator of a stack gets."""
    parts: list[Part] = []
    for inner, method in zip(step.estimators_, step.stack_method_, strict=True):
        result = predict(g, inner, table)
        count = len(result.classes)
        if method == "predict_proba" and result.probabilities is not None:
            two = count == 2
            tensor = second(g, result.probabilities) if two else result.probabilities
            parts.append(Part(tensor, 1 if two else count))
        elif method == "decision_function" and result.decision is not None:
            parts.append(Part(result.decision, 1 if count == 2 else count))
        elif method == "predict" and result.prediction is not None:
            parts.append(Part(g.cast(result.prediction, DOUBLE), result.width))
        else:
            raise NotConvertibleError(
                f"{name_of(step)}({name_of(inner)})", f"{method} of the inner model has no form.",
                "Use inner models that give probabilities.",
            )  # fmt: skip
    if step.passthrough:
        parts += table.parts
    return Table(tuple(parts), None, table.sparse and step.passthrough)


def _stacking_transform(g: Graph, step: Any, table: Table) -> Table:
    return _stacked(g, step, table)


def _stacking(g: Graph, step: Any, table: Table) -> Result:
    final = predict(g, step.final_estimator_, _stacked(g, step, table))
    if final.task != "classification":
        return final
    classes = tuple(step.classes_)
    if len(final.classes) != len(classes):
        raise NotConvertibleError(name_of(step), "its final estimator has not all classes.")
    return Result("classification", probabilities=final.probabilities, label=final.label,
                  classes=classes, decision=final.decision)  # fmt: skip


def _bagging(g: Graph, step: Any, table: Table) -> Result:
    members, features = step.estimators_, step.estimators_features_
    classes = getattr(step, "classes_", None)
    complete = classes is None or all(len(m.classes_) == len(classes) for m in members)
    if complete and all(is_tree(m) for m in members):
        return averaged(g, step, members, features, narrowed(g, step, table))
    inner = [predict(g, m, table.select(g, f)) for m, f in zip(members, features, strict=True)]
    if classes is None:
        each = [r.prediction for r in inner if r.prediction is not None]
        return Result("regression", _weighted_mean(g, each, None), inner[0].width)
    each = [_spread(g, r, m, len(classes)) for r, m in zip(inner, members, strict=True)]
    return Result("classification", probabilities=_weighted_mean(g, each, None),
                  classes=tuple(classes))  # fmt: skip


def _spread(g: Graph, result: Result, member: Any, classes: int) -> str:
    """A member's probabilities, or its vote, in the columns of all classes."""
    shares = result.probabilities
    if shares is None or not hasattr(member, "predict_proba"):
        shares = _votes(g, result, len(result.classes))
    if len(result.classes) == classes:
        return shares
    places = np.zeros((len(result.classes), classes))
    for k, place in enumerate(result.classes):  # integers: a bag encodes its classes
        places[k, int(place)] = 1.0
    return g.node("MatMul", shares, g.const(places))


def _ada_classifier(g: Graph, step: Any, table: Table) -> Result:
    classes = tuple(step.classes_)
    count = len(classes)
    weights = step.estimator_weights_[: len(step.estimators_)]
    if any(list(m.classes_) != list(classes) for m in step.estimators_):
        raise NotConvertibleError(name_of(step), "a stage of its training had not all classes.")
    if all(is_tree(m) for m in step.estimators_):
        trees = []
        for member, weight in zip(step.estimators_, weights, strict=True):
            chosen = np.argmax(values_of(member), axis=1)
            right = chosen[:, None] == np.arange(count)
            trees.append(tree_of(member, np.where(right, weight, -1 / (count - 1) * weight)))
        raw = summed(g, narrowed(g, step, table), trees, count)
    else:
        raw = ""
        for member, weight in zip(step.estimators_, weights, strict=True):
            vote = _votes(g, predict(g, member, table), count)
            right = g.node("Mul", vote, g.const(np.array([weight * (1 + 1 / (count - 1))])))
            term = g.node("Sub", right, g.const(np.array([weight / (count - 1)])))
            raw = g.node("Add", raw, term) if raw else term
    raw = g.node("Div", raw, g.const(np.array([step.estimator_weights_.sum()])))
    if count > 2:
        scaled = g.node("Div", raw, g.const(np.array([count - 1.0])))
        return Result("classification", probabilities=softmax(g, scaled), classes=classes,
                      decision=raw)  # fmt: skip
    decision = g.node("Sub", second(g, raw), g.columns(raw, [0], 2))
    half = g.node("Div", decision, g.const(np.array([2.0])))
    pair = g.concat([g.node("Neg", half), half])
    return Result("classification", probabilities=softmax(g, pair), label=positive(g, decision),
                  classes=classes, decision=decision)  # fmt: skip


def _ada_regressor(g: Graph, step: Any, table: Table) -> Result:
    """The weighted median of the members' answers."""
    members = step.estimators_
    weights = np.asarray(step.estimator_weights_[: len(members)], dtype="float64")
    if all(is_tree(m) for m in members):
        trees = [tree_of(m, values_of(m)) for m in members]
        x = narrowed(g, step, table)
        answers = summed(g, x, trees, len(trees), outputs_of_tree=list(range(len(trees))))
    else:
        inner = [predict(g, m, table) for m in members]
        answers = g.concat([r.prediction for r in inner if r.prediction is not None])
    ordered, order = g.nodes_of(
        "TopK", [answers, g.const([len(members)], "int64")], 2, axis=1, largest=0, sorted=1
    )
    reached = g.node("CumSum", g.node("Gather", g.const(weights), order), g.const(1, "int64"))
    last = g.node("Gather", reached, g.const([len(members) - 1], "int64"), axis=1)
    half = g.node("Mul", last, g.const(np.array([0.5])))
    above = g.node("Cast", g.node("GreaterOrEqual", reached, half), to=DOUBLE)
    place = g.node("ArgMax", above, axis=1, keepdims=1, select_last_index=0)
    return Result("regression", g.node("GatherElements", ordered, place, axis=1))


TRANSFORMS = {
    "StackingClassifier": _stacking_transform,
    "StackingRegressor": _stacking_transform,
}
PREDICTORS = {
    "VotingClassifier": _voting_classifier,
    "VotingRegressor": _voting_regressor,
    "StackingClassifier": _stacking,
    "StackingRegressor": _stacking,
    "BaggingClassifier": _bagging,
    "BaggingRegressor": _bagging,
    "AdaBoostClassifier": _ada_classifier,
    "AdaBoostRegressor": _ada_regressor,
}
