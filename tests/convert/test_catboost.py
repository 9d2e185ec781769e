"""CatBoost's models score in ONNX as CatBoost scores them."""

from __future__ import annotations

from functools import partial

import catboost
import numpy as np
import pandas as pd
import pytest

import sqlml
from sqlml.convert import convert
from sqlml.errors import NotConvertibleError, SampleError

from .agreement import assert_agrees

rng = np.random.default_rng(7)
X = rng.normal(size=(500, 4)).round(2)
GAPS = np.where(rng.random(X.shape) < 0.2, np.nan, X)
BINARY = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
THREE = rng.integers(0, 3, len(X)) * (X[:, 2] > -0.5)
NUMBER = X[:, 0] * 3 + rng.normal(size=len(X))
POSITIVE = np.exp(X[:, 0] / 2)

QUIET = {"verbose": False, "allow_writing_files": False, "thread_count": 1, "iterations": 10}
Classifier = partial(catboost.CatBoostClassifier, depth=3, **QUIET)
Regressor = partial(catboost.CatBoostRegressor, depth=3, **QUIET)


def frame(columns=("a", "b", "c", "d"), rows=X):
    return pd.DataFrame(rows.copy(), columns=list(columns))


def awkward(rows):
    """Rows with what lies on a border, beyond all of them, or nowhere."""
    values = [np.nan, 0.0, -0.0, 1e-40, np.inf, -np.inf, 3.4e38, -3.4028235e38, 1e300]
    return np.where(rng.random(rows.shape) < 0.3, rng.choice(values, rows.shape), rows)


@pytest.mark.parametrize("nan_mode", ["Min", "Max"])
@pytest.mark.parametrize("policy", ["SymmetricTree", "Depthwise", "Lossguide"])
def test_missing_and_extreme_values_go_where_catboost_sends_them(nan_mode, policy):
    model = Regressor(nan_mode=nan_mode, grow_policy=policy).fit(GAPS, NUMBER)
    converted = assert_agrees(model, awkward(GAPS))
    assert converted.precision == "float64"
    assert {i.wire for i in converted.signature.inputs} == {"FLOAT"}


def test_values_on_a_border_stay_below_it():
    model = Regressor().fit(X, NUMBER)
    borders = [b for values in model.get_borders().values() for b in values]
    assert_agrees(model, rng.choice(borders, (200, 4)).astype(np.float32))


@pytest.mark.parametrize(
    "loss", ["Logloss", "CrossEntropy", "Focal:focal_alpha=0.3;focal_gamma=2.0"]
)
def test_binary_losses(loss):
    assert_agrees(Classifier(loss_function=loss).fit(X, BINARY), X)


@pytest.mark.parametrize("loss", ["MultiClass", "MultiClassOneVsAll"])
def test_losses_of_several_classes(loss):
    assert_agrees(Classifier(loss_function=loss).fit(X, THREE), X)


REGRESSION = (
    "RMSE", "MAE", "Quantile:alpha=0.2", "MAPE", "Poisson", "Tweedie:variance_power=1.3",
    "Huber:delta=0.5", "Expectile:alpha=0.7", "LogCosh", "Lq:q=3",
)  # fmt: skip


@pytest.mark.parametrize("loss", REGRESSION)
def test_losses_of_a_regressor(loss):
    assert_agrees(Regressor(loss_function=loss).fit(X, POSITIVE), X)


def test_trees_of_all_shapes_give_several_numbers():
    targets = np.stack([NUMBER, POSITIVE], axis=1)
    model = Regressor(loss_function="MultiRMSE").fit(X, targets)
    assert [o.name for o in assert_agrees(model, X).signature.outputs] == [
        "prediction_1",
        "prediction_2",
    ]
    three = Classifier(grow_policy="Depthwise").fit(GAPS, THREE)
    assert_agrees(three, GAPS)


def test_scale_and_bias_come_after_the_sum():
    model = Regressor().fit(X, NUMBER)
    model.set_scale_and_bias(0.37, 1e6)
    assert_agrees(model, X)


def test_a_model_from_its_own_file(tmp_path):
    path = str(tmp_path / "model.cbm")
    Classifier().fit(frame(), BINARY).save_model(path)
    loaded = catboost.CatBoostClassifier().load_model(path)
    assert_agrees(loaded, frame())


def test_the_best_round_of_early_stopping_is_the_last_tree():
    model = catboost.CatBoostRegressor(**QUIET | {"iterations": 300, "learning_rate": 0.8})
    model.fit(X[:250], NUMBER[:250], eval_set=(X[250:], NUMBER[250:]), early_stopping_rounds=3)
    assert model.tree_count_ < 300
    assert_agrees(model, X)


def test_columns_in_another_order_are_refused():
    model = Classifier().fit(frame(), BINARY)
    with pytest.raises(SampleError, match="in the order of its training"):
        convert(model, sample=frame()[["b", "a", "c", "d"]])
    with pytest.raises(SampleError, match="not among the columns"):
        convert(model, sample=frame(("a", "b", "c", "e")))


def test_a_threshold_of_its_own_is_refused():
    model = Classifier().fit(X, BINARY)
    model.set_probability_threshold(0.3)
    with pytest.raises(NotConvertibleError, match=r"threshold of 0\.3"):
        convert(model, sample=X)


def test_categories_are_refused_by_name():
    plans = frame().assign(plan=rng.choice(["basic", "pro"], len(X)))
    model = Classifier().fit(plans, BINARY, cat_features=["plan"])
    with pytest.raises(NotConvertibleError, match="feature plan is categorical"):
        convert(model, sample=plans)


def test_an_untrained_model_is_refused():
    with pytest.raises(NotConvertibleError, match="Call fit first"):
        convert(Regressor(), sample=X)


def test_it_is_proven_at_every_border():
    rows = frame(rows=GAPS)
    model = Classifier().fit(rows, np.where(BINARY, "yes", "no"))
    report = sqlml.verify(convert(model, sample=rows), model, rows)
    assert report.ok
    assert "trees" in report.backends
    assert all(i.takes_missing for i in report.signature.inputs)
