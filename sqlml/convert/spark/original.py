"""A pipeline's own answer: one transform of a small DataFrame for each call."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sqlml.convert import Answer, RefusedRowsError
from sqlml.convert.hushed import hushed
from sqlml.convert.spark.frame import given, name_of
from sqlml.convert.spark.pipeline import plan_of
from sqlml.convert.spark.stages import CLUSTERERS
from sqlml.convert.spark.vectors import as_vectors, quoted
from sqlml.errors import SampleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

    from sqlml.convert.spark.pipeline import Plan

    Array = np.ndarray[Any, Any]

_ROW = "sqlml: row"


def answer(model: Any, rows: pd.DataFrame) -> Answer:
    """What Spark itself says of the rows; raises what Spark raises.

    SQL's NULL and NaN reach a converted model as one and the same. So a row with a missing
    number is asked both ways. Where the two differ, a row is refused, as are those that the
    pipeline drops and those with probabilities that are no numbers: `RefusedRowsError`.
    """
    if not isinstance(rows, pd.DataFrame):
        raise SampleError("A Spark pipeline knows its columns by name: give a DataFrame.")
    plan = plan_of(model)
    table, again = _both_ways(rows[list(plan.inputs)])
    with _quiet(_session()) as session, hushed("XGBoost-PySpark"):
        frame = as_vectors(session.createDataFrame(table))
        for stage in plan.units:
            frame = stage.transform(frame)
        found = _collected(frame, plan)
    count = len(rows)
    # What is dropped for NULL or for NaN is dropped.
    at = found[_ROW].to_numpy()
    dropped = _of_rows(~np.isin(np.arange(len(table)), at), again)
    reasons: dict[str, Array] = {"It drops them.": dropped}
    if dropped.all():
        raise RefusedRowsError("It drops them.", dropped, None)
    empty = found["prediction"].is_null().to_numpy()
    reasons["Its prediction is NULL."] = _of_rows(_spread(empty, at, len(table)), again)
    said = {
        name: _spread(_array(found[name]), at, len(table))
        for name in found.column_names
        if name != _ROW
    }
    first = {name: values[:count] for name, values in said.items()}
    for name, values in said.items():
        differs = np.zeros(count, bool)
        differs[again] = ~_same(values[count:], first[name][again])
        reasons[f"Its {name} for NULL is another one than for NaN."] = differs
    prediction, probabilities = first["prediction"], first.get("probabilities")
    if probabilities is not None:
        unknown = np.isnan(probabilities).any(axis=1)
        reasons["A probability is not a number."] = np.asarray(unknown)
    if "raw" in first and prediction.dtype.kind == "f":
        # OneVsRest says -1 where all is NaN.
        reasons["Its prediction is no label."] = prediction < 0
    answered = Answer(prediction, probabilities, _score(plan, first.get("raw")))
    refused = np.any(list(reasons.values()), axis=0)
    if refused.any():
        reason = next(reason for reason, of_rows in reasons.items() if of_rows.any())
        raise RefusedRowsError(reason, refused, answered)
    return answered


def _of_rows(places: Array, again: Array) -> Array:
    """Of each row whether it is so, of a table with some rows below the others `again`."""
    count = len(places) - len(again)
    found = places[:count].copy()
    found[again] |= places[count:]
    return found


def _spread(values: Array, places: Array, count: int) -> Array:
    """The values at their places among `count` rows."""
    wide = np.zeros((count, *values.shape[1:]), dtype=values.dtype)
    wide[places] = values
    return wide


def _collected(frame: DataFrame, plan: Plan) -> pa.Table:
    """What the pipeline says, with the numbers of the rows."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    def named(name: str) -> Any:
        return F.col(quoted(name))

    last = plan.model.getPredictionCol() if plan.decoder is None else plan.decoder.getOutputCol()
    wanted = {"prediction": named(last)}
    if plan.model.hasParam("rawPredictionCol"):
        if given(plan.model, "probabilityCol"):
            wanted["probabilities"] = vector_to_array(named(plan.model.getProbabilityCol()))
        elif given(plan.model, "rawPredictionCol"):
            wanted["raw"] = vector_to_array(named(plan.model.getRawPredictionCol()))
    chosen = frame.select(named(_ROW), *(c.alias(name) for name, c in wanted.items()))
    return chosen.toArrow()


def _array(values: pa.ChunkedArray) -> Array:
    """[N], or [N, K] of a column of arrays."""
    if pa.types.is_list(values.type):
        found = values.to_pylist()
        return np.array(found, dtype="f8").reshape(len(found), -1)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return np.array(values.to_pylist(), dtype=object)
    return np.asarray(values.to_numpy())


def _same(one: Array, other: Array) -> Array:
    """[N]: whether all of a row is."""
    equal = one == other
    if one.dtype.kind == "f":
        equal |= np.isnan(one) & np.isnan(other)
    return np.asarray(equal.all(axis=tuple(range(1, equal.ndim))))


def _score(plan: Plan, raw: Array | None) -> Array | None:
    """How far from a tie a classifier without probabilities is."""
    if raw is None or name_of(plan.model) in CLUSTERERS:
        return None
    if name_of(plan.model) == "LinearSVCModel":
        return np.asarray(raw[:, 1] - float(plan.model.getThreshold()))
    return raw


def _both_ways(rows: pd.DataFrame) -> tuple[pa.Table, Array]:
    """The rows with NULL where a value is missing, and below them, once more, those in which a
    number is missing, with NaN there; and which rows these are.
    """
    floats = [n for n in rows.columns if getattr(rows[n].dtype, "kind", "") == "f"]
    gone = rows[floats].isna().any(axis=1).to_numpy() if floats else np.zeros(len(rows), bool)
    again = np.flatnonzero(gone)
    columns: dict[str, Any] = {}
    for name in rows.columns:
        nulls = _with_nulls(rows[name])
        if name in floats:
            dtype = "f4" if str(rows[name].dtype).lower() == "float32" else "f8"
            numbers = rows[name].to_numpy(dtype=dtype, na_value=np.nan)
            below = pa.array(numbers[again], from_pandas=False)
        else:
            below = nulls.take(pa.array(again))
        columns[name] = pa.concat_arrays([nulls, below])
    columns[_ROW] = pa.array(np.arange(len(rows) + len(again)))
    return pa.table(columns), again


def _with_nulls(values: pd.Series[Any]) -> pa.Array:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    texts = values.dtype == object and values.isna().all()
    made = pa.array(values, type=pa.string() if texts else None, from_pandas=True)
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


def _session() -> SparkSession:
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()
    return _own(active.sparkContext.applicationId)


@functools.lru_cache(maxsize=1)
def _own(application: str) -> SparkSession:
    """A session beside the author's: what is set there, like rules that are switched off,
    makes no difference, and a small DataFrame is computed without a task.
    """
    from pyspark.sql import SparkSession

    session: SparkSession = SparkSession.builder.getOrCreate().newSession()
    session.conf.set("spark.sql.shuffle.partitions", "1")  # ALS joins, for which rows are few
    return session


@contextlib.contextmanager
def _quiet(session: SparkSession) -> Iterator[SparkSession]:
    """Without the log: rows that Spark refuses are meant to be refused."""
    context = session.sparkContext
    root = context._jvm.org.apache.logging.log4j.LogManager.getRootLogger()
    level = root.getLevel().toString()
    context.setLogLevel("OFF")
    try:
        yield session
    finally:
        context.setLogLevel(level)
