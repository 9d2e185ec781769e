"""XGBoost's and LightGBM's models as a step: their own converter's nodes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.categories import Categories, code_column, codes_of
from sqlml.convert.graph import DOUBLE, FLOAT
from sqlml.convert.sklearn.frame import Part, Result, Table, name_of
from sqlml.errors import NotConvertibleError
from sqlml.sample import Column

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


def predict_booster(g: Graph, step: Any, table: Table) -> Result:
    """The booster on the matrix that the steps before it made."""
    framework = type(step).__module__.partition(".")[0]
    module = importlib.import_module(f"sqlml.convert.{framework}")
    coded = _coded(g, step, table, module) if framework == "lightgbm" else {}
    if coded:
        parts = [
            Part(code_column(g, coded[i], "float64"), 1) if i in coded else part
            for i, part in enumerate(table.split(g))
        ]
        table = Table(tuple(parts), table.names)
    if table.kind == "STRING":
        raise NotConvertibleError(
            name_of(step),
            "it gets texts or categories from the model around it.",
            "Encode them first, or publish the booster by itself (best_estimator_, say).",
        )
    matrix = table.matrix(g, step)
    if table.sparse and framework == "xgboost":
        # XGBoost reads a sparse matrix as it is stored: a zero is absent, hence missing. What is
        # zero in float32 alone was stored.
        zero, missing = (
            g.const(np.array([v]), "float32" if table.kind == "FLOAT" else "float64")
            for v in (0.0, np.nan)
        )
        matrix = g.node("Where", g.node("Equal", matrix, zero), missing, matrix)
    matrix = g.cast(matrix, FLOAT if framework == "xgboost" else DOUBLE)
    stored = {"sparse": table.sparse} if framework == "lightgbm" else {}
    scores = module.nodes(g, step, matrix, coded, **stored)
    if scores.task == "regression":
        return Result("regression", g.cast(scores.tensor, DOUBLE), scores.width)
    classes = tuple(step.classes_)
    if scores.role == "label":
        return Result("classification", label=scores.tensor, classes=classes)
    tensor = g.cast(scores.tensor, DOUBLE)
    return Result("classification", probabilities=tensor, classes=classes, decision=scores.decision)


def _coded(g: Graph, step: Any, table: Table, module: Any) -> dict[int, Categories]:
    """The pandas category columns that LightGBM was trained on, as it gets them here too."""
    parts = table.split(g)
    places = [i for i, part in enumerate(parts) if part.categorical]
    values = module.category_values(step)
    if table.names is None or len(places) != len(values):
        return {}
    coded = {}
    for i, known in zip(places, values, strict=True):
        text = parts[i].kind == "STRING"
        column = Column(str(table.names[i]), "STRING" if text else "DOUBLE", parts[i].missing)
        tensor = parts[i].tensor if text else g.cast(parts[i].tensor, DOUBLE)
        coded[i] = Categories(tensor, codes_of(name_of(step), column, known), text)
    return coded
