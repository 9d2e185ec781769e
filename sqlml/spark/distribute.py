"""How a model reaches the executors: as one Arrow UDF around one broadcast.

A broadcast travels to each executor once, whatever the number of queries, tasks and
Python workers; each worker loads the model at its first batch and keeps it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa  # noqa: TC002 - Spark reads the form of a UDF from its annotations
from pyspark import SparkContext
from pyspark.sql.functions import arrow_udf

from sqlml.signature import struct_type
from sqlml.spark.shipping import on_executors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlml.compile import Prepared
    from sqlml.model import ScoringModel

_lock = threading.Lock()
_udfs: dict[tuple[str, str], Any] = {}


def raw_udf(prepared: Prepared) -> Any:
    """An Arrow UDF over `prepared.inputs`, in their order, that returns the model's raw result.

    Made once per program and Spark application; its arguments have the inputs' wire types.
    """
    context = SparkContext._active_spark_context
    key = (context.applicationId, prepared.key)
    with _lock:
        if key not in _udfs:
            model = prepared.model
            parts = {
                "metadata": context.broadcast(model.to_json()),
                prepared.backend: context.broadcast(prepared.program),
            }
            if prepared.backend != "onnx":  # fetched only by a worker that cannot run the program
                parts["onnx"] = context.broadcast(model.onnx)
            task = (prepared.key, prepared.backend, _fetching(parts), prepared.inputs)
            _udfs[key] = arrow_udf(_named(_score(task), prepared), raw_type(model))
        return _udfs[key]


def _fetching(parts: Mapping[str, Any]) -> Callable[[str], Any]:
    def fetch(part: str) -> Any:
        return parts[part].value

    return fetch


def _named(function: Callable[..., Any], prepared: Prepared) -> Callable[..., Any]:
    """The function under the name that a plan shows."""
    function.__name__ = f"sqlml_{prepared.backend}"
    return function


def raw_type(model: ScoringModel) -> str:
    """The Spark SQL type of the raw result."""
    fields = model.raw
    return fields[0].type if len(fields) == 1 else struct_type(fields)


def _score(task: tuple[Any, ...]) -> Callable[..., pa.Array]:
    """The function that runs in a Python worker; `task` is a `score.prediction.Task`."""
    raw = on_executors("prediction.raw")

    def score(*columns: pa.Array) -> pa.Array:
        return raw(task, columns)

    return score
