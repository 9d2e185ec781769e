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
    from collections.abc import Callable

    from sqlml.model import ScoringModel

_lock = threading.Lock()
_udfs: dict[tuple[str, str], Any] = {}


def raw_udf(model: ScoringModel) -> Any:
    """An Arrow UDF over the model's inputs, in their order, that returns `model.raw`.

    Made once per model and Spark application; its arguments have the inputs' wire types.
    """
    context = SparkContext._active_spark_context
    key = (context.applicationId, model.key)
    with _lock:
        if key not in _udfs:
            shipped = context.broadcast((model.to_json(), model.onnx))
            _udfs[key] = arrow_udf(_score_with(key[1], lambda: shipped.value), raw_type(model))
        return _udfs[key]


def raw_type(model: ScoringModel) -> str:
    """The Spark SQL type of the raw result."""
    fields = model.raw
    return fields[0].type if len(fields) == 1 else struct_type(fields)


def _score_with(key: str, fetch: Callable[[], tuple[str, bytes]]) -> Callable[..., pa.Array]:
    """The function that runs in a Python worker; `fetch` brings metadata and ONNX bytes."""
    raw = on_executors("prediction.raw")

    def score(*columns: pa.Array) -> pa.Array:
        return raw(key, fetch, columns)

    return score
