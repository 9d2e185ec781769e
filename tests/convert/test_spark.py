"""Spark ML: what is read of a pipeline, and what is refused by name."""

from __future__ import annotations

import importlib
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.ml import Pipeline, PipelineModel, Transformer
from pyspark.ml.classification import DecisionTreeClassifier, LogisticRegression
from pyspark.ml.clustering import LDA
from pyspark.ml.feature import (
    Bucketizer,
    HashingTF,
    Imputer,
    IndexToString,
    MaxAbsScaler,
    OneHotEncoder,
    StringIndexer,
    Tokenizer,
    VectorAssembler,
    VectorIndexer,
)
from pyspark.ml.recommendation import ALS
from pyspark.ml.regression import GBTRegressor, LinearRegression, RandomForestRegressor

import sqlml
from sqlml.convert import RefusedRowsError, converter_of, input_names
from sqlml.convert.spark import stages
from sqlml.convert.spark.original import answer
from sqlml.errors import NotConvertibleError, SampleError
from sqlml.score import Scorer
from sqlml.score.outputs import derive
from tests.zoo import spark_ml

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LINEAR = partial(LinearRegression, labelCol="y")

MODULES_OF_SPARK = tuple(
    f"pyspark.ml.{name}"
    for name in (
        "pipeline", "feature", "classification", "regression", "clustering", "recommendation",
        "fpm", "tuning",
    )
)  # fmt: skip
BASES_OF_SPARK = {"LDAModel"}


def table(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=n),
            "rooms": rng.integers(1, 6, n),
            "kind": rng.choice(["flat", "house", "loft", "mill"], n),
        }
    )
    bonus = frame["kind"].map({"flat": 0.0, "house": 3.0, "loft": 0.5, "mill": 3.0})
    return frame.assign(y=frame["size"] + frame["rooms"] + bonus)


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(table()).coalesce(1).cache()


def indexed(handle: str = "keep") -> StringIndexer:
    return StringIndexer(inputCol="kind", outputCol="kind #", handleInvalid=handle)


def vector(*columns: str, handle: str = "keep") -> VectorAssembler:
    return VectorAssembler(inputCols=list(columns), outputCol="features", handleInvalid=handle)


def fitted(rows: DataFrame, *stages: Any) -> Any:
    return Pipeline(stages=list(stages)).fit(rows)


def features() -> pd.DataFrame:
    return table().drop(columns="y")


def predicted(scoring: sqlml.ScoringModel, frame: pd.DataFrame) -> list[Any]:
    """What the engine says."""
    columns = [pa.array(frame[i.name]) for i in scoring.signature.inputs]
    found: list[Any] = derive(scoring, Scorer(scoring).score(columns))["prediction"].to_pylist()
    return found


def test_inputs_are_the_raw_columns_that_the_prediction_depends_on(rows: DataFrame) -> None:
    """Neither the label nor what stages make of other columns is an input."""
    model = fitted(
        rows,
        StringIndexer(inputCol="kind", outputCol="label"),
        vector("size", "rooms"),
        LogisticRegression(maxIter=3),
        IndexToString(inputCol="prediction", outputCol="said", labels=["a", "b", "c", "d"]),
    )
    assert input_names(model) == ["size", "rooms"]
    scoring = sqlml.convert(model, sample=features())
    assert [i.name for i in scoring.signature.inputs] == ["size", "rooms"]
    assert scoring.labels == ("a", "b", "c", "d")


def test_a_stringindexer_of_features_and_the_label_needs_the_features_only(
    rows: DataFrame,
) -> None:
    model = fitted(
        rows.withColumnRenamed("rooms", "answer"),
        StringIndexer(inputCols=["kind", "answer"], outputCols=["kind #", "label"]),
        vector("kind #", "size"),
        LogisticRegression(maxIter=3),
    )
    assert input_names(model) == ["kind", "size"]
    assert answer(model, features()[["kind", "size"]]).prediction.shape == (len(table()),)


def test_a_column_too_many_is_refused_and_one_too_few(rows: DataFrame) -> None:
    model = fitted(rows, vector("size", "rooms"), LINEAR())
    with pytest.raises(SampleError, match="not trained on: kind"):
        sqlml.publish(model, "spark-sample", sample=features())
    with pytest.raises(SampleError, match="rooms"):
        sqlml.convert(model, sample=features()[["size"]])


def test_a_spark_sample_keeps_whole_numbers_that_are_missing(
    spark: SparkSession, rows: DataFrame
) -> None:
    """Spark imputes a column of whole numbers with a whole number; pandas would say 3.4."""
    gaps = rows.selectExpr("if(size > 1, null, rooms) AS rooms", "size", "y")
    model = fitted(
        gaps, Imputer(inputCols=["rooms"], outputCols=["r"]), vector("r", "size"), LINEAR()
    )
    sample = gaps.drop("y")
    scoring = sqlml.convert(model, sample=sample)
    assert [i.type for i in scoring.signature.inputs] == ["BIGINT", "DOUBLE"]
    report = sqlml.verify(scoring, model, sample)
    assert report.ok, str(report)
    assert "rooms" not in report.rejected


@pytest.mark.parametrize("kind", [RandomForestRegressor, GBTRegressor])
def test_a_category_that_no_split_knows_goes_with_the_larger_side(
    rows: DataFrame, kind: Any
) -> None:
    """CategoricalSplit keeps the smaller side of its categories, and asks for those."""
    model = fitted(
        rows, indexed(), vector("kind #", "size"), kind(labelCol="y", maxDepth=4, seed=1)
    )
    unseen = features().assign(kind="castle")
    everything = pd.concat([features(), unseen], ignore_index=True)
    scoring = sqlml.convert(model, sample=features())
    expected = answer(model, everything).prediction
    np.testing.assert_allclose(predicted(scoring, everything), expected, rtol=1e-12)
    trees = model.stages[-1].trees
    assert any("in {" in tree.toDebugString for tree in trees)


def test_missing_is_refused_where_null_and_nan_are_two_things(rows: DataFrame) -> None:
    splits = [-np.inf, 0.0, np.inf]
    bucket = Bucketizer(splits=splits, inputCol="size", outputCol="b", handleInvalid="keep")
    model = fitted(rows, bucket, vector("b", "rooms"), LINEAR())
    sample = features()[["size", "rooms"]]
    with pytest.raises(ValueError, match="for NULL is another one than for NaN"):
        answer(model, sample.assign(size=np.nan))
    report = sqlml.verify(sqlml.convert(model, sample=sample), model, sample)
    assert report.ok, str(report)
    assert "missing values" in report.rejected["size"]


def test_rows_that_are_dropped_are_refused_as_those_that_raise(rows: DataFrame) -> None:
    model = fitted(rows, indexed("skip"), vector("kind #", "size", handle="skip"), LINEAR())
    some = features().iloc[:4].assign(kind=["castle", "house", "castle", "flat"])
    with pytest.raises(RefusedRowsError, match="drops them") as refused:
        answer(model, some)
    assert refused.value.refused.tolist() == [True, False, True, False]
    kept = some.iloc[[1, 3]].reset_index(drop=True)
    said = refused.value.answer.prediction[~refused.value.refused]
    np.testing.assert_array_equal(said, answer(model, kept).prediction)
    with pytest.raises(RefusedRowsError, match="drops them"):
        answer(model, features().assign(kind="castle"))
    sample = pd.concat([features(), some], ignore_index=True)
    with pytest.raises(SampleError, match="nothing of 2 of the sample's 124 rows: It drops them"):
        sqlml.verify(sqlml.convert(model, sample=sample), model, sample)


def test_a_stringindexer_that_drops_rows_by_an_unused_column_is_refused(rows: DataFrame) -> None:
    """Without that column Spark scores nothing, and with it not every row."""
    several = StringIndexer(
        inputCols=["kind", "rooms"], outputCols=["kind #", "rooms #"], handleInvalid="skip"
    )
    model = fitted(rows, several, vector("kind #", "size"), LINEAR())
    with pytest.raises(NotConvertibleError, match="it drops rows by rooms"):
        sqlml.convert(model, sample=features())


@pytest.mark.parametrize("handle", ["error", "skip"])
def test_values_that_a_vectorindexer_refuses_must_be_those_of_a_column(
    rows: DataFrame, handle: str
) -> None:
    """7 is none of the values 0, 1, 2 … of training: after a scaler nothing would tell."""
    lower = rows.selectExpr("rooms - 1 AS rooms", "size", "y")
    raw = VectorAssembler(inputCols=["rooms", "size"], outputCol="raw")
    index = VectorIndexer(inputCol="raw", outputCol="features", handleInvalid=handle)
    model = fitted(lower, raw, index, LINEAR())
    sample = lower.drop("y").toPandas()
    scoring = sqlml.convert(model, sample=sample)
    report = sqlml.verify(scoring, model, sample)
    assert report.ok, str(report)
    assert report.signature.inputs[0].categories == (0, 1, 2, 3, 4)

    scaler = MaxAbsScaler(inputCol="raw", outputCol="scaled")
    scaled = fitted(lower, raw, scaler, index.copy().setInputCol("scaled"), LINEAR())
    with pytest.raises(NotConvertibleError, match=r"VectorIndexerModel .* of feature 0"):
        sqlml.convert(scaled, sample=sample)
    arrays = pd.DataFrame({"raw": list(sample[["rooms", "size"]].to_numpy())})
    with pytest.raises(NotConvertibleError, match="in an ARRAY"):
        sqlml.convert(PipelineModel(model.stages[1:]), sample=arrays)


def test_als_knows_the_ends_of_its_ids(rows: DataFrame) -> None:
    """It raises on what is no INT, and a limit that is known need not be searched for."""
    als = ALS(userCol="rooms", itemCol="rooms", ratingCol="y", rank=1, maxIter=1, seed=1)
    model = als.fit(rows)
    (field,) = sqlml.convert(model, sample=features()[["rooms"]]).signature.inputs
    assert (field.type, field.smallest, field.largest) == ("BIGINT", -(2**31), 2**31 - 1)


def stages_of_spark() -> dict[str, type]:
    """Every class of Spark ML that transforms, by name."""
    found = {}
    for path in MODULES_OF_SPARK:
        for name, kind in vars(importlib.import_module(path)).items():
            concrete = isinstance(kind, type) and issubclass(kind, Transformer)
            if concrete and kind.__module__ == path and not inspect.isabstract(kind):
                found[name] = kind
    return {n: k for n, k in found.items() if not n.startswith("_") and n not in BASES_OF_SPARK}


def test_every_stage_of_spark_is_converted_or_refused_with_a_reason() -> None:
    """There is no third kind, nor a reason for what is gone."""
    known = set(stages_of_spark())
    converted = {name for name in stages.converted() if not name.startswith("SparkXGB")}
    assert known == converted | set(stages.REFUSED)
    assert converted & set(stages.REFUSED) == {"IndexToString"}  # other than of a prediction
    for reason, instead in stages.REFUSED.values():
        assert reason.endswith(".")
        assert instead.endswith(".")


@pytest.mark.parametrize("name", sorted(stages.converted()))
def test_every_stage_that_is_converted_is_in_the_zoo(name: str) -> None:
    trained_by = {
        name,
        name.removesuffix("Model"),
        name.replace("ificationModel", "ifier"),
        name.replace("RegressionModel", "Regressor"),
    }
    assert trained_by & spark_ml.TRAINED


class Doubling(Transformer):
    """A stage of the author's own."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return dataset.withColumn("twice", dataset["size"] * 2)


def test_what_is_refused_is_named(rows: DataFrame) -> None:
    """The stage's class stands in the message, whatever the pipeline around it is."""
    vectors = fitted(rows, vector("size", "rooms"), LINEAR())
    refused = {
        "Doubling": fitted(rows, Doubling(), vector("size", "twice"), LINEAR()),
        "Tokenizer": fitted(
            rows,
            Tokenizer(inputCol="kind", outputCol="words"),
            HashingTF(inputCol="words", outputCol="features", numFeatures=8),
            LINEAR(),
        ),
        "VectorAssembler": vectors.stages[0],
        "LinearRegression": LINEAR(),
        "LocalLDAModel": fitted(rows, vector("rooms", handle="error"), LDA(k=2, maxIter=1)),
        "PipelineModel": fitted(rows, vector("size", "rooms")),
        "VectorIndexerModel": fitted(
            rows,
            VectorAssembler(inputCols=["rooms"], outputCol="raw"),
            VectorIndexer(inputCol="raw", outputCol="features", maxCategories=8),
            LINEAR(),
        ),
    }
    native = type("LightGBMRegressionModel", (Doubling,), {"__module__": "synapse.ml.lightgbm"})
    refused["Booster.model_str=model.getNativeModel"] = fitted(rows, native())
    for name, model in refused.items():
        with pytest.raises(NotConvertibleError, match=name):
            sqlml.convert(model, sample=features())


def test_check_says_of_each_stage_whether_it_converts(rows: DataFrame) -> None:
    bounded = Bucketizer(splits=[-9.0, 0.0, 9.0], inputCol="size", outputCol="b")
    model = fitted(rows, indexed(), bounded, vector("b", "kind #", "rooms"), LINEAR())
    checked = sqlml.check(model, sample=features())
    assert [(s.kind, s.converts) for s in checked.steps] == [
        ("StringIndexerModel", True),
        ("Bucketizer", False),
        ("VectorAssembler", False),  # it reads what the one before it made
        ("LinearRegressionModel", False),
    ]
    assert "it raises on numbers" in checked.steps[1].reason
    assert "Bucketizer" in checked.refused


def test_check_says_which_stages_are_not_known(rows: DataFrame) -> None:
    model = fitted(rows, Doubling(), indexed(), vector("kind #", "twice"), LINEAR())
    checked = sqlml.check(model, sample=features())
    assert [s.kind for s in checked.steps if not s.converts] == ["Doubling"]
    assert "none of Spark's own stages" in checked.refused


def test_a_model_alone_takes_an_array_for_its_vector(spark: SparkSession, rows: DataFrame) -> None:
    """Its sample may have vectors, in a DataFrame of Spark or of pandas."""
    pipeline = fitted(rows, vector("size", "rooms"), LINEAR())
    model, sample = pipeline.stages[-1], pipeline.stages[0].transform(rows).select("features")
    for given in (sample, sample.toPandas()):
        scoring = sqlml.convert(model, sample=given)
        (field,) = scoring.signature.inputs
        assert (field.name, field.type, field.width) == ("features", "ARRAY<DOUBLE>", 2)
        assert sqlml.verify(scoring, model, given).ok
    sqlml.publish(model, "spark-alone", sample=sample)
    rows.createOrReplaceTempView("houses")
    query = "SELECT predict('spark-alone', array(size, rooms)) AS p FROM houses ORDER BY size"
    expected = pipeline.transform(rows).orderBy("size").select("prediction").toPandas()
    found = spark.sql(query).toPandas()
    np.testing.assert_allclose(found["p"], expected["prediction"], rtol=1e-12)


def test_nothing_is_printed(rows: DataFrame, capfd: pytest.CaptureFixture[str]) -> None:
    """Not by the conversion, nor by Spark where it refuses rows."""
    model = fitted(
        rows,
        indexed("error"),
        OneHotEncoder(inputCol="kind #", outputCol="kind 01"),
        vector("kind 01", "size"),
        StringIndexer(inputCol="rooms", outputCol="label"),
        DecisionTreeClassifier(maxDepth=3),
    )
    capfd.readouterr()
    sqlml.convert(model, sample=features())
    converter_of(model).answer(model, features())
    with pytest.raises(Exception, match="castle"):
        answer(model, features().assign(kind="castle"))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
