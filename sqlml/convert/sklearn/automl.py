"""What FLAML's AutoML finds: its own preparation of columns, and the estimator that it wraps."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.sklearn.encode import lookup
from sqlml.convert.sklearn.frame import Part, Result, Table, is_automl, name_of
from sqlml.convert.sklearn.steps import predict, transform
from sqlml.errors import NotConvertibleError, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlml.convert.graph import Graph

_ABSENT = "__NAN__"
"""FLAML's category for a missing value, and for one that was not in the training data."""

# Wrappers of FLAML's that give the inner estimator the columns as they are, categories as codes.
_CODES = (
    "ExtraTreesEstimator", "HistGradientBoostingEstimator", "LRL1Classifier", "LRL2Classifier",
    "RandomForestEstimator", "XGBoostLimitDepthEstimator", "XGBoostSklearnEstimator",
    "ElasticNetEstimator",
)  # fmt: skip
# And those that know categories themselves: without categories, the columns as they are.
_NUMBERS = ("LGBMEstimator", "CatBoostEstimator")


def is_classifier(model: Any) -> bool:
    """Whether it finds labels; scikit-learn's tags do not tell."""
    return is_automl(model) and bool(model._state.task.is_classification())


def predict_automl(g: Graph, step: Any, table: Table) -> Result:
    """The nodes of `AutoML.predict` and `AutoML.predict_proba`."""
    wrapper = getattr(step, "model", None)
    if wrapper is None:
        raise NotConvertibleError(name_of(step), "it is not trained.", "Call fit first.")
    task = step._state.task
    if not (task.is_classification() or task.is_regression()) or task.is_nlp():
        raise NotConvertibleError(name_of(step), f"its task {task.name!r} has no form here.")
    kind = f"{name_of(step)}({name_of(wrapper)})"
    prepared, categories = _prepared(g, step, table)
    known = _CODES if categories else _CODES + _NUMBERS
    if name_of(wrapper) not in known:
        about = " for columns that are categories" if name_of(wrapper) in _NUMBERS else ""
        raise NotConvertibleError(
            kind, f"FLAML's {name_of(wrapper)} has no form here{about}.",
            "Search with estimator_list among what has: rf, extra_tree, xgboost, histgb, lrl1"
            f"{'' if categories else ', lgbm, catboost'}.",
        )  # fmt: skip
    result = predict(g, wrapper.estimator, prepared)
    if task.is_regression():
        return result
    labels = [step.classes_[int(c)] for c in result.classes]
    return dataclasses.replace(result, classes=tuple(labels))


def _prepared(g: Graph, step: Any, table: Table) -> tuple[Table, bool]:
    """FLAML's DataTransformer: categories first, then numbers; and whether there are categories."""
    own = step._transformer
    if not hasattr(own, "_num_columns"):  # trained on an array, of which nothing is changed
        return table, False
    if own._datetime_columns:
        raise NotConvertibleError(
            name_of(step), f"it takes dates apart: {listed(own._datetime_columns)}.",
            "Compute their parts in SQL before PREDICT, and train on them.",
        )  # fmt: skip
    if own._drop or table.names is None:
        raise NotConvertibleError(
            name_of(step), "it knows its columns by number.", "Train on a DataFrame with names."
        )
    names = list(table.names)
    saved = getattr(own, "_cat_categories", {}) or {}
    parts: list[Part] = []
    for name in own._cat_columns:
        (part,) = table.select(g, [names.index(name)]).parts
        parts.append(Part(_codes(g, step, part, saved, name), 1))
    if own._num_columns:
        parts += transform(g, own.transformer, table).parts
    return Table(tuple(parts), (*own._cat_columns, *own._num_columns)), bool(own._cat_columns)


def _codes(g: Graph, step: Any, part: Part, saved: Mapping[str, list[Any]], name: str) -> str:
    """The place of a value among the categories of the training; FLAML's own one for all else."""
    known = saved.get(name)
    if known is None or any(not isinstance(value, str) for value in known):
        raise NotConvertibleError(
            name_of(step), f"the categories of column {name!r} are no texts.", "Train on texts."
        )
    absent = float(known.index(_ABSENT))
    return lookup(g, part, known, np.arange(len(known), dtype="float64"), absent, step)
