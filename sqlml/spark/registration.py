"""One model as one vectorised UDF, through PySpark's public API alone.

It works where PREDICT cannot be installed: over Spark Connect to somebody else's server,
and on older Spark. Annotations are evaluated here: Spark reads the form of a UDF from them.
"""

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa

from sqlml import registry
from sqlml.compile import prepare_for_python
from sqlml.errors import ArgumentError, InputCountError
from sqlml.signature import struct_type
from sqlml.spark.shipping import on_executors

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, SparkSession

    from sqlml.model import ScoringModel

Vectorized = Literal["arrow", "pandas"]


def register(
    spark: "SparkSession",
    name: str,
    model: "str | ScoringModel",
    *,
    vectorized: Vectorized = "arrow",
) -> Any:
    """Make one model a function of this session: `SELECT predict_churn(age, plan) FROM t`.

    Its arguments are the model's inputs, by position or as `age => …`; it returns what
    `predict` returns. `model` is a reference, resolved now, or a ScoringModel.
    `vectorized="pandas"` makes a pandas UDF, the form that every Spark since 3.0 has.
    Returns the UDF. Raises what `sqlml.load` raises.

    >>> register(spark, "predict_churn", "churn@champion")          # doctest: +SKIP
    """
    function = _udf(model, vectorized)
    spark.udf.register(name, function)
    return function


def udf(
    model: "str | ScoringModel", *, vectorized: Vectorized = "arrow"
) -> "Callable[..., Column]":
    """One model as a Column function for the DataFrame API.

    >>> df.select(udf("churn@champion")(df.age, df.plan))            # doctest: +SKIP
    """
    scoring = registry.load(model) if isinstance(model, str) else model
    function = _udf(scoring, vectorized)
    inputs = [i.name for i in scoring.signature.inputs]

    def column(*columns: "Column", **named: "Column") -> "Column":
        if len(columns) + len(named) != len(inputs):
            raise InputCountError(str(model), inputs, len(columns) + len(named))
        result: Column = function(*columns, **named)
        return result

    return column


def _udf(model: "str | ScoringModel", vectorized: Vectorized) -> Any:
    from pyspark.sql import functions as F

    scoring = registry.load(model) if isinstance(model, str) else model
    if vectorized == "arrow":
        return F.arrow_udf(_arrow(scoring), result_type(scoring))
    if vectorized == "pandas":
        return F.pandas_udf(_pandas(scoring), result_type(scoring))
    raise ArgumentError(f"vectorized is 'arrow' or 'pandas', found {vectorized!r}.")


def result_type(model: "ScoringModel") -> str:
    """The Spark SQL type of what `predict` returns."""
    predicted = model.signature.predicted
    return predicted.type if predicted else struct_type(model.signature.outputs)


# The functions below are pickled with the model in them: PySpark broadcasts a large one.


def _task(model: "ScoringModel") -> tuple[Any, ...]:
    """The `score.prediction.Task` of a worker: the backend that works in Python and is best."""
    prepared = prepare_for_python(model, plain=True)
    parts = {"metadata": model.to_json(), "onnx": model.onnx, prepared.backend: prepared.program}

    def fetch(part: str) -> Any:
        return parts[part]

    return (f"{prepared.key} function", prepared.backend, fetch, None)


def _arrow(model: "ScoringModel") -> "Callable[..., pa.Array]":
    task = _task(model)
    predict = on_executors("prediction.predict")

    def score(*columns: pa.Array, **named: pa.Array) -> pa.Array:
        return predict(task, columns, named)

    return score


def _pandas(model: "ScoringModel") -> "Callable[..., pd.Series[Any]]":
    task = _task(model)
    predict = on_executors("prediction.predict_pandas")

    def score(*columns: pd.Series, **named: pd.Series) -> pd.Series:
        result: pd.Series = predict(task, columns, named)
        return result

    if model.signature.predicted is None:
        # Spark tells by the annotation that a struct comes as a DataFrame.
        score.__annotations__["return"] = pd.DataFrame
    return score
