"""What is scored: models of several kinds, their rows in Parquet, and queries over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

import sqlml
from sqlml.errors import quoted
from tests.zoo import ZOO

from .application import ROW

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILES = 4
KINDS = (
    "sklearn-customers",
    "sklearn-mlp-regressor",
    "sklearn-forest-two-targets",
    "sklearn-isolation-forest",
    "xgboost-missing",
    "lightgbm-three",
)
MODELS = {case.id.replace("-", "_"): case for case in ZOO if case.id in KINDS}
"""By the name of the view with their rows."""

Results = dict[str, str]


@dataclass(frozen=True)
class Work:
    """Arguments of `application.score`, to be done on this machine and on the cluster."""

    views: dict[str, str] = field(default_factory=dict)
    functions: dict[str, tuple[str, str]] = field(default_factory=dict)
    columns: dict[str, tuple[str, str]] = field(default_factory=dict)
    predict: dict[str, str] = field(default_factory=dict)
    """Queries for PREDICT, which the server must have."""
    registered: dict[str, str] = field(default_factory=dict)
    """Queries for functions, which a client brings."""


def publish(directory: Path) -> Work:
    """Publish the models and write the rows; each query bears the view's name and its form."""
    work = Work()
    for view, case in MODELS.items():
        model = published_name(view)
        sqlml.publish(case.fitted.model, model, sample=case.fitted.sample)
        inputs = [i.name for i in sqlml.load(model).signature.inputs]
        work.views[view] = _written(case.fitted.table(inputs), directory / view)
        arguments = ", ".join(quoted(name) for name in inputs)
        for form in ("arrow", "pandas"):
            work.functions[f"{view}_{form}"] = (model, form)
        calls = ", ".join(f"{view}_{form}({arguments}) AS {form}" for form in ("arrow", "pandas"))
        work.registered[f"{view}-functions"] = f"SELECT `{ROW}`, {calls} FROM {view}"
        work.predict[f"{view}-table"] = f"SELECT * FROM PREDICT('{model}', TABLE({view}))"
        work.predict[f"{view}-scalar"] = f"SELECT `{ROW}`, predict('{model}', *) AS p FROM {view}"
    work.columns["column"] = (view, model)
    return work


def published_name(view: str) -> str:
    """The model whose rows are in a view."""
    return f"on-cluster-{view}"


def _written(rows: pa.Table, directory: Path) -> str:
    directory.mkdir()
    rows = rows.append_column(ROW, pa.array(range(len(rows))))
    for i in range(FILES):
        part = rows.take(pa.array(range(i, len(rows), FILES)))
        pq.write_table(part, directory / f"{i}.parquet")
    return str(directory)


def results(directory: Path) -> Results:
    """Every row of every query, as text: Python writes each bit of a number."""
    found = {}
    for file in directory.iterdir():
        with pa.memory_map(str(file)) as source:
            found[file.name] = repr(pa.ipc.open_file(source).read_all().to_pylist())
    return found


def arguments(work: Work, queries: Mapping[str, str], directory: Path) -> dict[str, object]:
    """What to call `application.score` with."""
    return {
        "views": work.views,
        "functions": work.functions,
        "columns": work.columns,
        "queries": queries,
        "directory": str(directory),
    }
