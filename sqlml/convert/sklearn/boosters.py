"""XGBoost's and LightGBM's models as a step: their own converter's nodes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE
from sqlml.convert.sklearn.frame import Result, Table, name_of
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


def predict_booster(g: Graph, step: Any, table: Table) -> Result:
    """The booster on the matrix that the steps before it made."""
    framework = type(step).__module__.partition(".")[0]
    module = importlib.import_module(f"sqlml.convert.{framework}")
    if table.kind == "STRING":
        raise NotConvertibleError(
            name_of(step),
            "it gets texts or categories from the model around it.",
            "Encode them first, or publish the booster by itself (best_estimator_, say).",
        )
    matrix = table.matrix(g, step, "FLOAT" if framework == "xgboost" else "DOUBLE")
    if table.sparse and framework == "xgboost":
        # XGBoost reads a sparse matrix as it is stored: a zero is absent, hence missing.
        nothing = g.const(np.array([0.0]), "float32")
        absent = g.node("Equal", matrix, nothing)
        matrix = g.node("Where", absent, g.const(np.array([np.nan]), "float32"), matrix)
    scores = module.nodes(g, step, matrix)
    if scores.task == "regression":
        return Result("regression", g.cast(scores.tensor, DOUBLE), scores.width)
    classes = tuple(step.classes_)
    if scores.role == "label":
        return Result("classification", label=scores.tensor, classes=classes)
    tensor = g.cast(scores.tensor, DOUBLE)
    return Result(
        "classification", probabilities=tensor, classes=classes, decision=scores.decision
    )
