"""A machine whose ONNX Runtime is of another release scores the golden rows first."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import sqlml
from sqlml import golden, registry
from sqlml.compile import prepare
from sqlml.errors import ModelRejectedError
from sqlml.score import Scorer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

    from sqlml.model import ScoringModel

FRAME = pd.DataFrame(
    {
        "size": np.linspace(0, 1, 90),
        "plan": ["basic", "pro", "größte"] * 30,
        "stars": [1.0, 2.0, np.nan] * 30,
    }
)


@pytest.fixture
def another_release(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = importlib.metadata.version
    monkeypatch.setattr(
        golden, "version", lambda name: "99.0" if name == "onnxruntime" else installed(name)
    )


def line(slope: float) -> LinearRegression:
    X = FRAME[["size"]]
    return LinearRegression().fit(X, slope * X["size"])


def published(model: object, name: str, sample: pd.DataFrame) -> ScoringModel:
    sqlml.publish(model, name, sample=sample)
    return sqlml.load(name)


@pytest.fixture
def wrong(registry: str) -> ScoringModel:
    """A model whose golden rows bear the scores of another one."""
    first = published(line(2.0), "line", FRAME[["size"]])
    other = published(line(2.1), "other-line", FRAME[["size"]])
    return dataclasses.replace(first, golden=other.golden)


def score(model: ScoringModel, columns: Sequence[pa.Array]) -> list[object]:
    return Scorer(model).score(columns).to_pylist()


@pytest.mark.usefixtures("another_release")
def test_a_release_that_scores_alike_is_accepted(registry: str) -> None:
    model = published(line(2.0), "line", FRAME[["size"]])
    assert len(model.golden) > 500
    assert score(model, [pa.array([0.5])]) == pytest.approx([1.0])


def test_a_release_that_scores_otherwise_is_refused_and_the_release_to_install_is_named(
    wrong: ScoringModel, another_release: None
) -> None:
    here = importlib.metadata.version("onnxruntime")
    with pytest.raises(ModelRejectedError, match=rf"onnxruntime 99\.0 .* onnxruntime=={here}"):
        Scorer(wrong)


def test_the_release_of_the_comparison_is_not_asked_again(wrong: ScoringModel) -> None:
    assert score(wrong, [pa.array([0.5])]) == pytest.approx([1.0])


def test_golden_rows_have_what_is_missing_and_survive_the_registry(registry: str) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    X = FRAME[["size", "stars"]]
    boosted = HistGradientBoostingClassifier(max_iter=5).fit(X, X["size"] > 0.5)
    model = published(boosted, "missing", X)
    given, result, runtime = golden._read(model.golden)
    assert runtime == importlib.metadata.version("onnxruntime")
    assert len(given[0]) == golden.MOST_ROWS == len(result)
    assert all(column.null_count for column in given)
    assert Scorer(model).score(given).equals(result)


@pytest.mark.usefixtures("another_release")
def test_texts_that_travel_as_numbers_are_golden_too(registry: str) -> None:
    X = FRAME[["size", "plan"]]
    encoded = make_column_transformer((OneHotEncoder(), ["plan"]), remainder="passthrough")
    model = published(make_pipeline(encoded, LogisticRegression()).fit(X, X["size"] > 0.5), "t", X)
    prepared = prepare(model, backend="onnx")
    assert prepared.texts
    Scorer(prepared.model, "onnx", prepared.program, prepared.inputs)
    given, _, _ = golden._read(prepared.model.golden)
    assert pa.types.is_integer(given[1].type)


def test_a_wide_model_keeps_few_golden_rows(registry: str) -> None:
    X = np.random.default_rng(0).normal(size=(80, 300))
    model = published(LinearRegression().fit(X, X[:, 0]), "wide", X)  # type: ignore[arg-type]
    given, _, _ = golden._read(model.golden)
    assert len(given[0]) == golden.MOST_VALUES // 300


def test_spark_workers_ask_the_golden_rows(spark: SparkSession, wrong: ScoringModel) -> None:
    """The rows bear another release's name: to the worker its own runtime is the newer one."""
    given, result, _ = golden._read(wrong.golden)
    old = dataclasses.replace(wrong, golden=golden._stream(given, result, "1.0.0"))
    registry.log(old, "older", parity_json='{"ok": true}')
    query = "SELECT * FROM PREDICT('older', TABLE(SELECT 0.5D AS size), backend => 'onnx')"
    with pytest.raises(PySparkException, match=r"\[MODEL_REJECTED\] onnxruntime .*==1\.0\.0"):
        spark.sql(query).collect()
