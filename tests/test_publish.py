"""Publish: convert, verify, write; or nothing at all is written."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import sqlml
from sqlml import registry
from sqlml.errors import (
    NotConvertibleError,
    ParityError,
    ReferenceNotAllowedError,
    SampleError,
)
from sqlml.publish import read_rows


@pytest.fixture
def customers():
    rng = np.random.default_rng(3)
    return pd.DataFrame({"age": rng.normal(40, 9, 200), "tenure": rng.integers(0, 50, 200)})


@pytest.fixture
def churn(customers):
    label = np.where(customers.age + customers.tenure > 60, "yes", "no")
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(customers, label)


def names():
    return {model.name for model in registry.models()}


def test_a_published_model_is_found_under_its_name_and_alias(churn, customers):
    published = sqlml.publish(churn, "publish-churn", sample=customers, alias="champion")

    assert (published.name, published.alias) == ("publish-churn", "champion")
    assert sqlml.load("publish-churn@champion") == published.scoring_model
    version = registry.resolve(f"publish-churn/{published.version}")
    assert version.sha256 == published.sha256
    assert registry.parity(version)["rows"] == published.report.rows
    assert version.description.startswith("StandardScaler → LogisticRegression: classification")


def test_what_is_published_has_the_signature_that_verification_found(churn, customers):
    published = sqlml.publish(churn, "publish-signature", sample=customers)
    assert published.scoring_model.signature == published.report.signature
    assert sqlml.load("publish-signature").signature == published.report.signature


@pytest.mark.parametrize(
    ("alias", "reference"),
    [("champion", "publish-said"), ("challenger", "publish-said@challenger")],
)
def test_printing_it_shows_the_sql_to_type_next(churn, customers, alias, reference):
    text = str(sqlml.publish(churn, "publish-said", sample=customers, alias=alias))
    assert f"SELECT * FROM PREDICT('{reference}', TABLE(your_table))" in text
    assert f"SELECT predict('{reference}', age, tenure) FROM your_table" in text


def test_without_an_alias_the_shown_reference_is_the_version(churn, customers):
    published = sqlml.publish(churn, "publish-plain", sample=customers)
    assert published.reference == f"publish-plain/{published.version}"


def test_a_model_that_scores_differently_is_not_published(churn, customers, monkeypatch):
    module = importlib.import_module("sqlml.publish")  # sqlml.publish itself is the function
    convert = module.convert

    def wrong(model, *, sample, labels):
        other = LogisticRegression().fit(sample.frame, np.arange(len(sample)) % 2 == 0)
        scoring = convert(model, sample=sample)
        return dataclasses.replace(scoring, onnx=convert(other, sample=sample).onnx)

    monkeypatch.setattr(module, "convert", wrong)
    with pytest.raises(ParityError, match="nothing was published"):
        sqlml.publish(churn, "publish-wrong", sample=customers)
    assert "publish-wrong" not in names()


def test_a_model_that_cannot_be_converted_is_not_published(customers):
    model = make_pipeline(FunctionTransformer(np.sin), LogisticRegression())
    model.fit(customers, customers.age > 40)
    with pytest.raises(NotConvertibleError):
        sqlml.publish(model, "publish-refused", sample=customers)
    assert "publish-refused" not in names()


def test_a_bad_name_is_refused_before_any_work(churn, customers, monkeypatch):
    module = importlib.import_module("sqlml.publish")
    monkeypatch.setattr(module, "convert", lambda *_, **__: pytest.fail("converted"))
    with pytest.raises(ReferenceNotAllowedError):
        sqlml.publish(churn, "no such name", sample=customers)


def test_the_target_in_the_sample_is_refused_by_name(churn, customers):
    with pytest.raises(SampleError, match="not trained on: churned"):
        sqlml.publish(churn, "publish-target", sample=customers.assign(churned=1))
    assert "publish-target" not in names()


def test_the_samples_columns_may_come_in_another_order(churn, customers):
    published = sqlml.publish(churn, "publish-order", sample=customers[["tenure", "age"]])
    assert [i.name for i in published.scoring_model.signature.inputs] == ["age", "tenure"]


def test_sample_files_are_parquet_or_csv(customers, tmp_path):
    customers.to_parquet(tmp_path / "rows.parquet")
    customers.to_csv(tmp_path / "rows.csv", index=False)
    for name in ("rows.parquet", "rows.csv"):
        pd.testing.assert_frame_equal(read_rows(str(tmp_path / name)), customers)
    for name in ("rows.json", "none.csv", "none.parquet"):
        with pytest.raises(SampleError, match=name):
            read_rows(str(tmp_path / name))
