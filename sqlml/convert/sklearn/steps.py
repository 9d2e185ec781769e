"""Which scikit-learn class is converted by what. The rest goes to skl2onnx, or is refused."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any, cast

from sqlml.convert.sklearn.frame import Result, Table, is_automl, is_sklearn, name_of
from sqlml.convert.sklearn.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert.graph import Graph

    Transform = Callable[[Graph, Any, Table], Table]
    Predict = Callable[[Graph, Any, Table], Result]

# Each has two tables, TRANSFORMS and PREDICTORS, by class name.
MODULES = (
    "compose", "scale", "impute", "encode", "linear", "trees", "meta", "calibrate", "vote",
    "svm", "kernels", "cluster", "splines", "words",
)  # fmt: skip


@functools.cache
def _table(kind: str) -> dict[str, Any]:
    modules = [importlib.import_module(f"sqlml.convert.sklearn.{m}") for m in MODULES]
    return {name: how for m in modules for name, how in getattr(m, kind).items()}


def transform(g: Graph, step: Any, table: Table) -> Table:
    """The nodes of `step.transform`."""
    how = _table("TRANSFORMS").get(name_of(step)) if is_sklearn(step) else None
    if how is None:
        from sqlml.convert.sklearn.upstream import transform_upstream as how
    nodes = cast("Transform", how)
    return g.transformed(nodes, step, table) if isinstance(g, Trial) else nodes(g, step, table)


def predict(g: Graph, step: Any, table: Table) -> Result:
    """The nodes of `step.predict` and `step.predict_proba`."""
    if type(step).__module__.partition(".")[0] in ("xgboost", "lightgbm", "catboost"):
        from sqlml.convert.sklearn.boosters import predict_booster as how
    elif is_automl(step):
        from sqlml.convert.sklearn.automl import predict_automl as how
    elif is_sklearn(step) and name_of(step) in _table("PREDICTORS"):
        how = _table("PREDICTORS")[name_of(step)]
    else:
        from sqlml.convert.sklearn.upstream import predict_upstream as how
    nodes = cast("Predict", how)
    return g.predicted(nodes, step, table) if isinstance(g, Trial) else nodes(g, step, table)
