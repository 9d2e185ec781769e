"""LightGBM's models score in ONNX as LightGBM scores them."""

from __future__ import annotations

from functools import partial

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

import sqlml
from sqlml.convert import convert
from sqlml.convert import lightgbm as converter
from sqlml.errors import NotConvertibleError, SampleError

from .agreement import assert_agrees, scores

rng = np.random.default_rng(7)
X = rng.normal(size=(500, 4)).round(2)
GAPS = np.where(rng.random(X.shape) < 0.2, np.nan, X)
ZEROS = np.where(rng.random(X.shape) < 0.3, 0.0, X)
BINARY = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
THREE = rng.integers(0, 3, len(X)) * (X[:, 2] > -0.5)
NUMBER = X[:, 0] * 3 + rng.normal(size=len(X))
POSITIVE = np.exp(X[:, 0] / 2)
UNIT = BINARY * 0.8 + 0.1

Classifier = partial(lgb.LGBMClassifier, n_estimators=12, num_leaves=9, verbose=-1)
Regressor = partial(lgb.LGBMRegressor, n_estimators=12, num_leaves=9, verbose=-1)


def frame(columns=("a", "b", "c", "d"), rows=X):
    return pd.DataFrame(rows.copy(), columns=list(columns))


def booster(params, y, rounds=8, rows=X):
    return lgb.train({"verbose": -1, **params}, lgb.Dataset(rows, y), rounds)


def awkward(rows=X):
    """Rows with what LightGBM treats in a way of its own: nothing, zero and nearly zero."""
    values = [np.nan, 0.0, -0.0, 1e-36, -1e-36, 1e-35, 2e-35, -2e-35, np.inf, -np.inf, 1e300]
    return np.where(rng.random(rows.shape) < 0.4, rng.choice(values, rows.shape), rows)


# Objective → a target for it.
REGRESSION = {
    "regression": NUMBER,
    "regression_l1": NUMBER,
    "huber": NUMBER,
    "fair": NUMBER,
    "quantile": NUMBER,
    "mape": POSITIVE,
    "poisson": POSITIVE,
    "gamma": POSITIVE,
    "tweedie": POSITIVE,
    "cross_entropy": UNIT,
    "cross_entropy_lambda": UNIT,
}


@pytest.mark.parametrize("objective", REGRESSION)
def test_every_objective_of_a_regressor(objective):
    model = Regressor(objective=objective).fit(GAPS, REGRESSION[objective])
    converted = assert_agrees(model, GAPS)
    assert converted.task == "regression"
    assert converted.precision == "float64"
    assert assert_agrees(model.booster_, GAPS).task == "regression"


@pytest.mark.parametrize("objective", ["regression", "regression_l1", "huber"])
def test_targets_whose_root_was_learnt(objective):
    assert_agrees(Regressor(objective=objective, reg_sqrt=True).fit(X, NUMBER), X)


@pytest.mark.parametrize("objective", ["lambdarank", "rank_xendcg"])
def test_every_objective_of_a_ranker(objective):
    ranker = lgb.LGBMRanker(objective=objective, n_estimators=8, verbose=-1)
    assert_agrees(ranker.fit(X, BINARY, group=[20] * 25), X)


@pytest.mark.parametrize(
    ("params", "y"),
    [
        ({"objective": "binary"}, BINARY),
        ({"objective": "binary", "sigmoid": 2.5}, BINARY),
        ({"objective": "multiclass", "num_class": 3}, THREE),
        ({"objective": "multiclassova", "num_class": 3, "sigmoid": 1.7}, THREE),
    ],
    ids=lambda p: p["objective"] if isinstance(p, dict) else "",
)
def test_every_objective_of_a_classifier(params, y):
    assert assert_agrees(Classifier(**params).fit(GAPS, y), GAPS).task == "classification"
    bare = assert_agrees(booster(params, y, rows=GAPS), GAPS)
    assert bare.labels == tuple(range(y.max() + 1))


def test_a_classifier_that_learns_by_cross_entropy():
    assert_agrees(Classifier(objective="cross_entropy").fit(X, BINARY), X)


@pytest.mark.parametrize(
    "labels", [("no", "yes"), (False, True), (3, 7), (1.0, 2.0), ("a", "b", "c")], ids=str
)
def test_labels_are_the_authors_own(labels):
    y = np.array(labels)[(BINARY if len(labels) == 2 else THREE).astype(int)]
    model = assert_agrees(Classifier().fit(X, y), X)
    assert model.labels == labels
    assert {type(x) for x in model.labels} == {type(labels[0])}


def test_sums_are_the_bits_of_lightgbm():
    model = Regressor(n_estimators=150).fit(GAPS, NUMBER)
    found = scores(convert(model, sample=GAPS), frame(rows=GAPS))["prediction"]
    np.testing.assert_array_equal(found[:, 0], model.predict(GAPS))


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (X, {}),
        (GAPS, {}),
        (GAPS, {"use_missing": False}),
        (ZEROS, {"zero_as_missing": True}),
        (np.where(X > 1, np.nan, ZEROS), {"zero_as_missing": True}),
    ],
    ids=["none seen", "seen", "not used", "zeros", "zeros and gaps"],
)
def test_missing_values(rows, options):
    assert_agrees(Regressor(**options).fit(rows, NUMBER), awkward(rows), sample=rows)


def test_missing_values_of_two_meanings_in_one_feature():
    first = booster({"objective": "regression"}, NUMBER, rows=GAPS)
    params = {"objective": "regression", "verbose": -1, "zero_as_missing": True}
    both = lgb.train(params, lgb.Dataset(ZEROS, NUMBER, free_raw_data=False), 5, init_model=first)
    assert_agrees(both, awkward(), sample=X)


@pytest.mark.parametrize("y", [BINARY, THREE], ids=["two classes", "three classes"])
def test_predict_stops_at_the_best_round(y):
    data = lgb.Dataset(X[:250], y[:250])
    params = {
        "objective": "multiclass",
        "num_class": 3,
        "verbose": -1,
        "learning_rate": 0.6,
    }
    stopped = lgb.train(
        params,
        data,
        60,
        valid_sets=[lgb.Dataset(X[250:], y[250:], reference=data)],
        callbacks=[lgb.early_stopping(5, verbose=False)],
        keep_training_booster=True,
    )
    assert stopped.best_iteration < stopped.current_iteration()
    assert_agrees(stopped, X)
    model = Classifier(n_estimators=60, learning_rate=0.9)
    stop = lgb.early_stopping(3, verbose=False)
    model.fit(X[:250], y[:250], eval_set=[(X[250:], y[250:])], callbacks=[stop])
    assert_agrees(model, X)


@pytest.mark.parametrize("y", [BINARY, THREE], ids=["two classes", "three classes"])
@pytest.mark.parametrize(
    "options",
    [
        {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"boosting_type": "dart", "drop_rate": 0.5},
        {"data_sample_strategy": "goss"},
    ],
    ids=["forest", "dart", "goss"],
)
def test_every_way_of_boosting(options, y):
    assert_agrees(Classifier(**options).fit(X, y), X)


def test_a_forest_of_regression_trees():
    forest = {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}
    assert_agrees(Regressor(**forest).fit(X, NUMBER), X)
    assert_agrees(Regressor(objective="poisson", **forest).fit(X, POSITIVE), X)


def test_trees_of_one_leaf():
    assert_agrees(Regressor().fit(X, np.full(len(X), 7.0)), X)
    assert_agrees(Classifier(min_child_samples=10_000).fit(X, THREE), X)


def test_very_deep_trees():
    steps = np.arange(3000.0)[:, None]
    model = Regressor(n_estimators=1, num_leaves=3000, min_child_samples=1, learning_rate=1)
    assert_agrees(model.fit(steps, 1.5 ** (steps[:, 0] / 30)), steps)


def test_columns_are_double_and_numbers_of_any_type():
    rows = pd.DataFrame(
        {
            "double": X[:, 0] + 1e-9,
            "long": rng.integers(2**52, 2**52 + 40, len(X)),
            "flag": X[:, 1] > 0,
            "float": X[:, 2].astype("float32"),
        }
    )
    model = assert_agrees(Regressor(min_child_samples=2).fit(rows, NUMBER), rows)
    assert [x.type for x in model.signature.inputs] == ["DOUBLE", "BIGINT", "BOOLEAN", "FLOAT"]
    assert {x.wire for x in model.signature.inputs} == {"DOUBLE"}


def test_an_array_of_integers_is_narrowed_as_lightgbm_does():
    rows = rng.integers(2**24, 2**24 + 40, (500, 2))
    model = Regressor(min_child_samples=2).fit(rows, NUMBER + rows[:, 0] % 2)
    assert_agrees(model, rows)


def test_columns_may_have_any_name():
    rows = frame(["home.dest", "years of age", "größe", "a`b'c"])
    model = assert_agrees(Regressor().fit(rows, NUMBER), rows)
    assert [x.name for x in model.signature.inputs] == list(rows.columns)


def test_a_model_trained_on_an_array_takes_the_names_of_the_sample():
    for source in (Regressor().fit(X, NUMBER), booster({}, NUMBER)):
        model = assert_agrees(source, frame("pqrs"))
        assert [x.name for x in model.signature.inputs] == ["p", "q", "r", "s"]
        assert_agrees(source, X)


@pytest.mark.parametrize(
    ("columns", "says"), [("abdc", "in the order of its training"), ("abcx", "trained on d")]
)
def test_columns_other_than_in_training_are_an_error_of_the_sample(columns, says):
    model = Regressor().fit(frame(), NUMBER)
    for source in (model, model.booster_):
        with pytest.raises(SampleError, match=says):
            convert(source, sample=frame(columns))


def test_text_is_an_error_of_the_sample():
    with pytest.raises(SampleError, match=r"'a'.*One-hot"):
        convert(Regressor().fit(X, NUMBER), sample=frame().assign(a="x"))


WORDS = np.array(["", "nan", "größte", "x", "y", "z"])
CODE = rng.integers(0, 6, len(X))
BY_CODE = np.array([5, 0, 3, 1, 4, 2])[CODE] + X[:, 1]
Sets = partial(Regressor, min_data_per_group=1, cat_smooth=1, max_cat_to_onehot=1)


def with_words(rows=X, values=WORDS[CODE], **options):
    return frame(rows=rows).assign(a=pd.Categorical(values, **options))


@pytest.mark.parametrize("ordered", [False, True], ids=["categories", "in an order"])
def test_categories_of_pandas_are_inputs_of_their_own_type(ordered):
    rows = with_words(ordered=ordered)
    model = Sets().fit(rows, BY_CODE)
    assert ("\ncat_threshold=" in model.booster_.model_to_string()) is not ordered
    for source in (model, model.booster_):
        converted = convert(source, sample=rows)
        assert [x.type for x in converted.signature.inputs] == ["STRING", *["DOUBLE"] * 3]
        report = sqlml.verify(converted, source, rows)
        assert report.ok, report
        assert report.backends == ("sql", "trees", "onnx")


def test_the_order_of_categories_is_that_of_training():
    model = Sets().fit(with_words(), BY_CODE)
    turned = with_words(categories=WORDS[::-1])
    assert convert(model, sample=turned).sha256 == convert(model, sample=with_words()).sha256


def test_categories_beside_zeros_that_are_missing():
    rows = with_words(ZEROS)
    model = Sets(zero_as_missing=True).fit(rows, BY_CODE)
    assert sqlml.verify(convert(model, sample=rows), model, rows).ok


def test_numbers_that_are_categories_are_cut_towards_zero():
    rows = np.c_[CODE.astype(float), X[:, 1:]]
    model = Sets().fit(rows, BY_CODE, categorical_feature=[0])
    assert "\ncat_threshold=" in model.booster_.model_to_string()
    strange = [np.nan, -0.0, -0.5, -1.0, -1.5, 2.5, 5.999, 6.0, 31.0, 1e-36, 1e300, np.inf, -np.inf]
    more = np.tile(rows[:1], (len(strange) * 6, 1))
    more[:, 0] = np.repeat(strange, 6)
    more[:, 1:] = X[: len(more), 1:]
    assert_agrees(model, np.r_[rows, more], sample=rows)


def test_more_categories_than_a_word_has_bits():
    codes = rng.integers(0, 90, len(X))
    rows = with_words(values=[f"c{code}" for code in codes])
    model = Sets(min_child_samples=2).fit(rows, codes * 37 % 11)
    report = sqlml.verify(convert(model, sample=rows), model, rows)
    assert report.ok, report


def test_a_column_without_a_category():
    rows = with_words(values=[None] * len(X))
    model = Regressor().fit(rows, NUMBER)
    assert sqlml.verify(convert(model, sample=rows), model, rows).ok


def test_category_columns_other_than_in_training_are_an_error_of_the_sample():
    model = Sets().fit(with_words(), BY_CODE)
    with pytest.raises(SampleError, match="1 pandas category columns, the sample has 0"):
        convert(model.booster_, sample=frame())
    with pytest.raises(SampleError, match="0 pandas category columns, the sample has 1"):
        convert(Regressor().fit(frame(), NUMBER), sample=with_words())


def test_categories_that_a_double_may_not_tell_apart_are_refused():
    rows = with_words(values=2**53 + 2 * CODE)
    model = Sets().fit(rows, BY_CODE)
    with pytest.raises(NotConvertibleError, match="no exact double"):
        convert(model, sample=rows)


def test_categories_of_another_type_than_the_samples_are_refused():
    model = Sets().fit(with_words(), BY_CODE)
    with pytest.raises(NotConvertibleError, match="is no BIGINT"):
        convert(model, sample=with_words(values=CODE))


@pytest.mark.parametrize("options", [{"pred_early_stop": True}, {"raw_score": True}], ids=str)
def test_parameters_of_predict_are_refused(options):
    """Early stopping leaves trees out in rows that a sample need not have."""
    with pytest.raises(NotConvertibleError, match=f"{next(iter(options))}=True"):
        convert(Classifier(**options).fit(X, BINARY), sample=X)


@pytest.mark.parametrize("rows", [X, GAPS], ids=["numbers", "gaps"])
def test_lines_in_leaves(rows):
    for objective, y in (("regression", NUMBER), ("poisson", POSITIVE), ("quantile", NUMBER)):
        model = Regressor(linear_tree=True, objective=objective).fit(rows, y)
        assert "is_linear=1" in model.booster_.model_to_string()
        assert_agrees(model, rows)


def test_lines_in_leaves_of_several_classes():
    assert_agrees(Classifier(linear_tree=True).fit(GAPS, THREE), GAPS)


@pytest.mark.parametrize("options", [{}, {"use_missing": False}], ids=str)
def test_lines_of_missing_and_of_infinite_features(options):
    rows = np.where(np.isnan(GAPS), GAPS, ZEROS)
    model = Regressor(linear_tree=True, **options).fit(rows, NUMBER)
    strange = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e300, -1e300], X.shape)
    report = sqlml.verify(convert(model, sample=rows), model, rows)
    assert report.ok, report
    more = np.where(rng.random(X.shape) < 0.2, strange, rows)
    with np.errstate(all="ignore"):
        expected = model.predict(more)
    found = scores(convert(model, sample=rows), pd.DataFrame(more))["prediction"].ravel()
    assert np.isnan(expected).any()
    assert np.isinf(expected).any()
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_lines_beside_categories():
    rows = with_words(GAPS)
    model = Sets(linear_tree=True).fit(rows, BY_CODE)
    assert sqlml.verify(convert(model, sample=rows), model, rows).ok


def squared(y, prediction):
    return prediction - y, np.ones_like(prediction)


def test_an_objective_of_the_authors_own_predicts_raw_numbers():
    assert_agrees(Regressor(objective=squared).fit(X, NUMBER), X)
    with pytest.raises(NotConvertibleError, match="function of yours"):
        convert(Classifier(objective=squared).fit(X, BINARY), sample=X)


def test_one_class_is_refused():
    with pytest.raises(NotConvertibleError, match="one class"):
        convert(Classifier().fit(X, BINARY * 0), sample=X)


def test_a_model_without_training_is_refused():
    with pytest.raises(NotConvertibleError, match="not trained"):
        convert(lgb.LGBMRegressor(), sample=X)


def test_subclasses_are_not_recognised():
    class Contrary(lgb.LGBMRegressor):
        pass

    assert converter.recognises(lgb.LGBMRegressor())
    assert not converter.recognises(Contrary())


def test_the_same_model_gives_the_same_bytes():
    model = Classifier().fit(X, THREE)
    assert convert(model, sample=X).sha256 == convert(model, sample=X).sha256


def test_a_row_has_the_same_sum_alone_and_in_a_batch():
    model = convert(Regressor(n_estimators=90).fit(GAPS, NUMBER), sample=GAPS)
    whole = scores(model, frame(rows=GAPS))["prediction"]
    alone = [scores(model, frame(rows=GAPS[i : i + 1]))["prediction"] for i in range(40)]
    np.testing.assert_array_equal(np.concatenate(alone), whole[:40])


@pytest.mark.parametrize(
    ("step", "y"),
    [
        (Classifier(), BINARY),
        (Classifier(), np.array(["x", "y", "z"])[THREE.astype(int)]),
        (Regressor(), NUMBER),
    ],
)
def test_the_last_step_of_a_scikit_learn_pipeline(step, y):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), step).fit(X, y)
    model = sqlml.convert(pipeline, sample=X)
    assert sqlml.verify(model, pipeline, X).ok
