"""CatBoost's models score in ONNX as CatBoost scores them."""

from __future__ import annotations

from functools import partial

import catboost
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sqlml
from sqlml.convert import convert
from sqlml.convert.catboost.source import read
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


def customers(count=600):
    """Numbers with gaps, texts, whole numbers and booleans."""
    return pd.DataFrame(
        {
            "age": rng.normal(size=count).round(1),
            "plan": rng.choice(["basic", "pro", "team"], count),
            "gap": np.where(rng.random(count) < 0.2, np.nan, rng.normal(size=count)),
            "city": rng.choice([f"city {i}" for i in range(25)] + ["", 'größte "😀"\n'], count),
            "rooms": rng.integers(-3, 7, count),
            "owner": rng.random(count) < 0.5,
        }
    )


CATEGORIES = ["plan", "city", "rooms", "owner"]


def strangers(rows):
    """The rows, and among them values that nobody has seen, alone and with others."""
    changed = rows.copy()
    for column, value in (("plan", "PRO"), ("city", "nowhere"), ("rooms", 99)):
        changed.loc[rng.random(len(rows)) < 0.3, column] = value
    return changed


def leaning(rows):
    """What depends on several columns together."""
    both = (rows.plan == "pro") ^ rows.owner ^ (rows.city < "city 2") ^ (rows.age > 0)
    return both ^ ((rows.rooms > 2) & rows.gap.notna())


STATISTICS = ("Borders", "Buckets", "BinarizedTargetMeanValue", "Counter")


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("target", ["two", "three", "number"])
def test_statistics_of_categories(statistic, target):
    rows = customers()
    both = leaning(rows)
    make = Regressor if target == "number" else Classifier
    y = {"two": both.astype(int), "three": both + rows.owner * 1, "number": both * rows.rooms}
    model = make(
        simple_ctr=[f"{statistic}:Prior=0.25"], combinations_ctr=[statistic], one_hot_max_size=2
    ).fit(rows, y[target], cat_features=CATEGORIES)
    assert_agrees(model, strangers(rows), sample=rows)


@pytest.mark.parametrize("nan_mode", ["Min", "Max"])
def test_statistics_of_categories_together_with_answers_to_splits(nan_mode):
    rows = customers(1500)
    model = Classifier(
        iterations=60, depth=6, one_hot_max_size=4, max_ctr_complexity=4, nan_mode=nan_mode
    )
    model.fit(rows, leaning(rows), cat_features=CATEGORIES)
    made = {
        element["combination_element"]
        for ctr in read(model).features("ctrs")
        if len(ctr["elements"]) > 2
        for element in ctr["elements"]
    }
    assert made == {"cat_feature_value", "float_feature", "cat_feature_exact_value"}
    assert_agrees(model, strangers(rows), sample=rows)


@pytest.mark.parametrize("policy", ["SymmetricTree", "Depthwise", "Lossguide"])
def test_categories_by_one_hot_splits(policy):
    rows = customers()
    model = Classifier(grow_policy=policy, one_hot_max_size=255, iterations=30)
    model.fit(rows, leaning(rows), cat_features=CATEGORIES)
    assert_agrees(model, strangers(rows), sample=rows)


def test_categories_of_an_array_and_of_pandas():
    rows = customers()
    table = rows.to_numpy(dtype=object)
    assert_agrees(Classifier().fit(table, leaning(rows), cat_features=[1, 3, 4, 5]), table)
    typed = rows.astype({"plan": "category", "city": "category"})
    model = Classifier().fit(typed, leaning(rows), cat_features=CATEGORIES)
    report = sqlml.verify(convert(model, sample=typed), model, typed)
    report.raise_if_different()
    assert {i.name: i.type for i in report.signature.inputs}["city"] == "STRING"


def test_a_missing_category_is_refused_as_catboost_refuses_it():
    rows = customers()
    model = Classifier(iterations=60).fit(rows, leaning(rows), cat_features=CATEGORIES)
    report = sqlml.verify(convert(model, sample=rows), model, rows)
    report.raise_if_different()
    taking = {i.name for i in report.signature.inputs if i.takes_missing}
    assert taking == {"age", "gap"}


def test_a_sample_without_a_category_of_the_training_is_refused():
    """The model knows the hash of the one that is not there, and no value for it."""
    rows = customers()
    model = Classifier(one_hot_max_size=2).fit(rows, leaning(rows), cat_features=CATEGORIES)
    few = rows[rows.city != "city 7"]
    with pytest.raises(NotConvertibleError, match=r"lacks categories of city: of 27 values"):
        convert(model, sample=few)
    hot = Classifier(one_hot_max_size=255, iterations=60)
    hot.fit(rows, rows.plan == "pro", cat_features=CATEGORIES)
    with pytest.raises(NotConvertibleError, match=r"lacks categories of plan"):
        convert(hot, sample=rows[rows.plan != "pro"])


def test_categories_that_may_be_together_in_too_many_ways_are_refused(monkeypatch):
    from sqlml.convert.catboost import categories

    rows = customers(1500)
    model = Classifier(iterations=60, one_hot_max_size=2, max_ctr_complexity=4)
    model.fit(rows, leaning(rows), cat_features=CATEGORIES)
    monkeypatch.setattr(categories, "MOST_CELLS", 100)
    with pytest.raises(NotConvertibleError, match="may be together in"):
        convert(model, sample=rows)


def test_a_step_of_a_pipeline_has_no_categories():
    rows = customers()[["rooms", "age"]].astype("int64")
    steps = make_pipeline(FunctionTransformer(), Classifier(cat_features=["rooms"]))
    with pytest.raises(NotConvertibleError, match="feature rooms is categorical"):
        convert(steps.fit(rows, rows.rooms > 0), sample=rows)


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
