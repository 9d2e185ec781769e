"""What FLAML's AutoML finds scores as AutoML itself does, or is refused with what to search for."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pandas as pd
import pytest

import sqlml
from sqlml.errors import NotConvertibleError


@pytest.fixture(scope="module", autouse=True)
def flaml(spark):
    """Where pyspark is installed, FLAML's import starts a Spark, or takes the one that runs."""
    import flaml

    return flaml


N = 240
RANDOM = np.random.default_rng(0)
ROWS = pd.DataFrame(
    {
        "income": RANDOM.normal(9, 2, N),
        "plan": RANDOM.choice(["basic", "plus", "pro"], N),
        "age": RANDOM.normal(40, 9, N),
        "same": 1.0,
    }
)
ROWS.loc[::9, "income"] = np.nan
ROWS.loc[4::11, "plan"] = None
SUM = ROWS.age + 4 * (ROWS.plan == "pro") + ROWS.income.fillna(9)
LABEL = np.where(SUM > 50, "yes", "no")


def found(rows, target, estimator, task="classification"):
    """The first model of a search for one kind of estimator."""
    logging.getLogger("flaml").setLevel(logging.ERROR)
    from flaml import AutoML

    automl = AutoML()
    search = {"estimator_list": [estimator], "max_iter": 1, "verbose": 0, "n_jobs": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        automl.fit(rows, target, task=task, eval_method="holdout", **search)
    return automl


def assert_agrees(automl, rows):
    scoring = sqlml.convert(automl, sample=rows)
    sqlml.verify(scoring, automl, rows).raise_if_different()
    return scoring


@pytest.mark.parametrize("estimator", ["rf", "extra_tree", "xgboost", "histgb", "lrl1"])
def test_categories_missing_values_and_labels_are_automls(estimator):
    """A value that the training did not have is FLAML's own category, and so is NULL."""
    scoring = assert_agrees(found(ROWS, LABEL, estimator), ROWS[["plan", "income", "age"]])
    assert scoring.labels == ("no", "yes")
    assert scoring.task == "classification"


@pytest.mark.parametrize("estimator", ["lgbm", "xgb_limitdepth", "catboost"])
def test_columns_of_numbers(estimator):
    rows = ROWS[["income", "age"]]
    assert_agrees(found(rows, np.digitize(SUM, [45, 55]), estimator), rows)


@pytest.mark.parametrize("estimator", ["rf", "lgbm", "enet"])
def test_regression(estimator):
    rows = ROWS[["income", "age"]]
    assert assert_agrees(found(rows, SUM, estimator, "regression"), rows).task == "regression"


def test_an_array_is_taken_as_it_is():
    rows = ROWS[["income", "age"]].fillna(9).to_numpy()
    assert_agrees(found(rows, LABEL, "rf"), rows)


@pytest.mark.parametrize("estimator", ["lgbm", "catboost", "kneighbor", "sgd"])
def test_what_has_no_form_is_refused_with_what_has(estimator):
    with pytest.raises(NotConvertibleError, match="estimator_list among what has: rf, extra_tree"):
        sqlml.convert(found(ROWS, LABEL, estimator), sample=ROWS[["plan", "income", "age"]])


def test_dates_are_refused_by_their_column():
    rows = ROWS[["age"]].assign(since=pd.Timestamp("2024-01-01") + pd.to_timedelta(ROWS.age, "D"))
    automl = found(rows, LABEL, "rf")
    with pytest.raises(NotConvertibleError, match="since"):
        sqlml.convert(automl, sample=ROWS[["age"]].assign(since=1.0))
