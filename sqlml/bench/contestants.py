"""The contestants that answer a query in Spark, each with its best known settings.

A contestant is made ready once for a case, as its user would do it once a session. What it
returns is called once a query: the case's rows with a column `score`.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator  # noqa: TC003 - Spark reads a UDF's form from annotations
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sqlml.bench import workers
from sqlml.bench.case import LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame

    from sqlml.bench.case import Case
    from sqlml.bench.stage import Stage

    Rows = Callable[[], DataFrame]


class CannotCompeteError(Exception):
    """Why a contestant has nothing to measure: the model is not one for it."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who scores, with which settings."""

    name: str
    settings: str
    ready: Callable[[Stage, Case], Callable[[], Any]]
    floor: bool = False
    """What scoring cannot be faster than: it gives other numbers, which are not compared."""
    alone: bool = False
    """It works without Spark: what `ready` returns is itself what is timed."""


def _ours(stage: Stage, case: Case, backend: str = "") -> Rows:
    name = stage.publish(case)
    score = f"probabilities[{LABEL}]" if case.classifies else "prediction"
    forced = f", backend => '{backend}'" if backend else ""
    sql = f"SELECT *, {score} AS score FROM PREDICT('{name}', TABLE({case.data}){forced})"
    return lambda: stage.spark.sql(sql)


def _mlflow(stage: Stage, case: Case) -> Rows:
    import mlflow
    from pyspark.sql import functions as F

    uri = logged_for_mlflow(stage, case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        udf = mlflow.pyfunc.spark_udf(stage.spark, uri, result_type="double", env_manager="local")
    score = udf(F.struct(*[F.col(name) for name in case.inputs]))
    if case.classifies and case.library == "sklearn":
        # A number a row is the first column of predict_proba; an array of both costs far more.
        score = 1 - score
    return lambda: stage.spark.sql(case.data).withColumn("score", score)


def logged_for_mlflow(stage: Stage, case: Case) -> str:
    """The URI of the model under its native flavor, so that one number a row is its score."""
    import mlflow
    from mlflow.models import infer_signature

    for name in ("mlflow", "py4j"):
        logging.getLogger(name).setLevel(logging.ERROR)
    stage.say(f"logging {case.name} for mlflow")
    with warnings.catch_warnings(), mlflow.start_run():
        warnings.simplefilter("ignore")
        signature = infer_signature(case.sample[:5])
        if case.library == "xgboost":
            booster = case.model.get_booster()  # its `predict` gives probabilities
            info = mlflow.xgboost.log_model(booster, name="model", signature=signature)
        else:
            proba = "predict_proba" if case.classifies else "predict"
            info = mlflow.sklearn.log_model(
                case.model if case.named else _with_names(case),
                name="model",
                signature=signature,
                pyfunc_predict_fn=proba,
                serialization_format="cloudpickle",
            )
    return str(info.model_uri)


def _with_names(case: Case) -> Any:
    """The model as if fitted on a frame: mlflow gives it frames, of which it would warn else."""
    model = copy.deepcopy(case.model)
    first = model.steps[0][1] if hasattr(model, "steps") else model
    first.feature_names_in_ = np.array(case.inputs, dtype=object)
    return model


def _pandas(stage: Stage, case: Case) -> Rows:
    from pyspark.sql import functions as F

    load = _native(stage, case)

    def score(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        predict = load()
        for columns in batches:
            yield pd.Series(predict(columns))

    udf = F.pandas_udf(score, "double")
    return lambda: stage.spark.sql(case.data).withColumn("score", udf(*_narrow(case)))


def _native(stage: Stage, case: Case) -> Callable[[], Callable[[Any], Any]]:
    """The model's library in a worker, loaded there once from a broadcast."""
    shipped = stage.spark.sparkContext.broadcast(case.model)
    key = f"native {id(shipped)}"
    make = partial(workers.native, names=case.inputs, named=case.named)
    return lambda: workers.kept(key, lambda: make(shipped.value))


def _narrow(case: Case, to: str = "") -> list[Column]:
    """The inputs, in the width in which the library computes, so that less is shipped."""
    from pyspark.sql import functions as F

    narrow = (to or workers.wanted(case.model)) == "float32"
    floats = {name for name in case.inputs if narrow and case.sample[name].dtype.kind == "f"}
    return [F.col(n).cast("float") if n in floats else F.col(n) for n in case.inputs]


def _batches(stage: Stage, case: Case) -> Rows:
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql import functions as F
    from pyspark.sql.types import DoubleType

    shipped = stage.spark.sparkContext.broadcast(case.model)
    names, named = case.inputs, case.named

    def load() -> Callable[..., np.ndarray[Any, Any]]:
        # predict_batch_udf keeps it for the worker's life.
        predict = workers.native(shipped.value, names, named=named)
        return workers.with_parameters(names, predict) if named else workers.on_tensor(predict)

    # Numbers go as one tensor, which is copied once; columns of several types one by one.
    shape = None if named else [[len(names)]]
    udf = predict_batch_udf(
        load, return_type=DoubleType(), batch_size=10_000, input_tensor_shapes=shape
    )
    inputs = _narrow(case)
    score = udf(*inputs) if named else udf(F.array(*inputs))
    return lambda: stage.spark.sql(case.data).withColumn("score", score)


def _onnx(stage: Stage, case: Case) -> Rows:
    from pyspark.sql import functions as F

    shipped = stage.spark.sparkContext.broadcast(_hand_made_onnx(case))
    key = f"onnx {id(shipped)}"
    named = case.named

    def score(*columns: pa.Array) -> pa.Array:
        predict = workers.kept(key, lambda: workers.onnx_runtime(shipped.value, named=named))
        return pa.array(predict([c.to_numpy(zero_copy_only=False) for c in columns]))

    udf, inputs = F.arrow_udf(score, "double"), _narrow(case, "float32")
    return lambda: stage.spark.sql(case.data).withColumn("score", udf(*inputs))


def _hand_made_onnx(case: Case) -> bytes:
    """Floats, no ZipMap: skl2onnx of scikit-learn; of a booster, the file that we publish."""
    if case.library != "sklearn":
        from sqlml.convert import convert

        return convert(case.model, sample=case.sample[:_FEW]).onnx
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    options: dict[str, Any] = {"target_opset": 21}
    if case.classifies:
        options["options"] = {"zipmap": False}
    if not case.named:
        types = [("rows", FloatTensorType([None, len(case.inputs)]))]
    else:
        of = {"f": FloatTensorType, "i": Int64TensorType}
        types = [
            (name, of.get(case.sample[name].dtype.kind, StringTensorType)([None, 1]))
            for name in case.inputs
        ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = to_onnx(case.model, initial_types=types, **options)
    made: bytes = graph.SerializeToString()
    return made


_FEW = 100


def _spark_ml(stage: Stage, case: Case) -> Rows:
    """The same coefficients, the scaler folded into them, in Spark's own model."""
    from pyspark.ml.classification import LogisticRegressionModel
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.functions import vector_to_array

    scale, linear = (step for _, step in case.model.steps)
    weights = linear.coef_[0] / scale.scale_
    intercept = float(linear.intercept_[0] - weights @ scale.mean_)
    context = stage.spark.sparkContext
    jvm: Any = context._jvm
    numbers = context._gateway.new_array(jvm.double, len(weights))
    for i, weight in enumerate(weights.tolist()):
        numbers[i] = weight
    vector = jvm.org.apache.spark.ml.linalg.Vectors.dense(numbers)
    made = jvm.org.apache.spark.ml.classification.LogisticRegressionModel("m", vector, intercept)
    # Without the other two columns, the probability is computed in one step.
    model = LogisticRegressionModel(made).setRawPredictionCol("").setPredictionCol("")
    assemble = VectorAssembler(inputCols=case.inputs, outputCol="features")
    score = vector_to_array("probability")[1]

    def rows() -> DataFrame:
        scored = model.transform(assemble.transform(stage.spark.sql(case.data)))
        return scored.withColumn("score", score)

    return rows


def _orbital(stage: Stage, case: Case) -> Rows:
    import orbital
    import orbital.types
    import sqlglot

    if case.library != "sklearn":
        raise CannotCompeteError(f"takes scikit-learn's models only, not {case.library}'s")
    of = {"f": orbital.types.DoubleColumnType, "i": orbital.types.Int64ColumnType}
    kinds = {
        name: of.get(case.sample[name].dtype.kind, orbital.types.StringColumnType)()
        for name in case.inputs
    }
    parsed = orbital.parse_pipeline(case.model, features=kinds)
    sql = orbital.export_sql("t", parsed, dialect="databricks")
    # It passes no other columns on; a score without its row is of no use.
    tree = sqlglot.parse_one(sql, dialect="databricks")
    for select in tree.find_all(sqlglot.exp.Select):
        select.select("id", copy=False)
    score = "`output_probability.1`" if case.classifies else "`variable`"
    text = tree.sql(dialect="databricks").replace("FROM `t` AS", f"FROM ({case.data}) AS")
    return lambda: stage.spark.sql(f"SELECT id, {score} AS score FROM ({text})")


def _scan(stage: Stage, case: Case) -> Rows:
    """The score replaced by a sum of the columns that it is made of."""
    terms = [f"length({n})" if n in case.texts else n for n in case.inputs]
    sql = f"SELECT *, CAST({' + '.join(terms)} AS DOUBLE) AS score FROM ({case.data})"
    return lambda: stage.spark.sql(sql)


def _identity(stage: Stage, case: Case) -> Rows:
    """The columns to Python and one of them back."""
    from pyspark.sql import functions as F

    def first(*columns: pa.Array) -> pa.Array:
        return columns[0]

    udf, inputs = F.arrow_udf(first, "float"), _narrow(case, "float32")
    return lambda: stage.spark.sql(case.data).withColumn("score", udf(*inputs))


OURS = Contestant("sqlml", "the backend that it chooses", _ours)
OURS_SQL = Contestant("sqlml sql", "backend => 'sql'", partial(_ours, backend="sql"))
OURS_TREES = Contestant("sqlml trees", "backend => 'trees'", partial(_ours, backend="trees"))
OURS_ONNX = Contestant("sqlml onnx", "backend => 'onnx'", partial(_ours, backend="onnx"))
MLFLOW = Contestant(
    "mlflow spark_udf", "native flavor, env_manager local, one double a row", _mlflow
)
PANDAS = Contestant(
    "pandas UDF", "the library itself, iterator form, one thread, inputs narrowed in SQL", _pandas
)
ARROW = Contestant(
    "Arrow UDF + ONNX Runtime", "one thread, float inputs cast in SQL, no ZipMap", _onnx
)
BATCH = Contestant("predict_batch_udf", "the library itself, batches of 10,000", _batches)
SPARK_ML = Contestant("Spark ML", "transform, the scaler folded into the coefficients", _spark_ml)
ORBITAL = Contestant("orbital", "export_sql, optimized", _orbital)
SCAN = Contestant("scan floor", "a sum of the columns", _scan, floor=True)
IDENTITY = Contestant("identity Arrow UDF", "columns narrowed to float", _identity, floor=True)
