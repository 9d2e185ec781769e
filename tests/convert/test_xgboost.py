"""XGBoost's models score in ONNX as XGBoost scores them."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

import sqlml
from sqlml.convert import convert
from sqlml.convert import xgboost as converter
from sqlml.errors import NotConvertibleError, SampleError

from .agreement import assert_agrees, scores

rng = np.random.default_rng(11)
X = rng.normal(size=(400, 4)).astype(np.float32).round(1)
GAPS = np.where(rng.random(X.shape) < 0.2, np.nan, X).astype(np.float32)
BINARY = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
THREE = rng.integers(0, 3, len(X)) * (X[:, 2] > -0.5)
NUMBER = X[:, 0] * 3 + rng.normal(size=len(X))
POSITIVE = np.exp(X[:, 0] / 2)
TWO = np.stack([NUMBER, X[:, 1] - 5], axis=1)
UNIT = BINARY * 0.8 + 0.1

Classifier = partial(xgb.XGBClassifier, n_estimators=12, max_depth=4)
Regressor = partial(xgb.XGBRegressor, n_estimators=12, max_depth=4)


def frame(columns=("a", "b", "c", "d"), rows=X):
    return pd.DataFrame(rows.copy(), columns=list(columns))


def booster(params, y, rounds=8, rows=X, **data):
    matrix = xgb.DMatrix(rows, y, **data)
    return xgb.train({"max_depth": 4, **params}, matrix, rounds)


# Objective → a target for it, and the parameters it needs.
REGRESSION = {
    "reg:squarederror": (NUMBER, {}),
    "reg:squaredlogerror": (POSITIVE, {}),
    "reg:absoluteerror": (NUMBER, {}),
    "reg:pseudohubererror": (NUMBER, {}),
    "reg:logistic": (UNIT, {}),
    "reg:gamma": (POSITIVE, {}),
    "reg:tweedie": (POSITIVE, {}),
    "count:poisson": (POSITIVE.round(), {}),
    "reg:quantileerror": (NUMBER, {"quantile_alpha": 0.3}),
    "survival:cox": (POSITIVE, {}),
}


@pytest.mark.parametrize("objective", REGRESSION)
def test_every_objective_of_a_regressor(objective):
    y, options = REGRESSION[objective]
    model = assert_agrees(Regressor(objective=objective, **options).fit(GAPS, y), GAPS)
    assert model.task == "regression"
    assert model.metadata["objective"] == objective


@pytest.mark.parametrize("objective", REGRESSION)
def test_every_objective_of_a_booster(objective):
    y, options = REGRESSION[objective]
    assert_agrees(booster({"objective": objective, **options}, y, rows=GAPS), GAPS)


def test_accelerated_failure_times():
    bounds = {"label_lower_bound": POSITIVE, "label_upper_bound": POSITIVE * 2}
    assert_agrees(booster({"objective": "survival:aft"}, None, **bounds), X)


@pytest.mark.parametrize("objective", ["rank:ndcg", "rank:map", "rank:pairwise"])
def test_every_objective_of_a_ranker(objective):
    ranker = xgb.XGBRanker(objective=objective, n_estimators=8, max_depth=3)
    assert_agrees(ranker.fit(X, BINARY, qid=np.arange(400) // 20), X)


@pytest.mark.parametrize("alphas", [[0.1, 0.5, 0.9]])
def test_several_quantiles_are_as_many_outputs(alphas):
    model = Regressor(objective="reg:quantileerror", quantile_alpha=alphas).fit(X, NUMBER)
    outputs = assert_agrees(model, X).signature.outputs
    assert [o.name for o in outputs] == ["prediction_1", "prediction_2", "prediction_3"]


@pytest.mark.parametrize("strategy", ["one_output_per_tree", "multi_output_tree"])
def test_several_targets(strategy):
    assert_agrees(Regressor(multi_strategy=strategy).fit(GAPS, TWO), GAPS)


@pytest.mark.parametrize(
    ("objective", "y", "labels"),
    [
        ("binary:logistic", BINARY, (0, 1)),
        ("binary:hinge", BINARY, (0, 1)),
        ("multi:softprob", THREE, (0, 1, 2)),
        ("multi:softmax", THREE, (0, 1, 2)),
    ],
)
def test_every_objective_of_a_classifier(objective, y, labels):
    model = assert_agrees(Classifier(objective=objective).fit(GAPS, y), GAPS)
    assert (model.task, model.labels) == ("classification", labels)
    classes = {"num_class": 3} if objective.startswith("multi") else {}
    bare = assert_agrees(booster({"objective": objective, **classes}, y, rows=GAPS), GAPS)
    assert (bare.task, bare.labels) == ("classification", labels)


def test_raw_margins_give_a_classifier_labels_and_no_probabilities():
    model = assert_agrees(Classifier(objective="binary:logitraw").fit(X, BINARY), X)
    assert [o.name for o in model.signature.outputs] == ["prediction"]
    assert assert_agrees(booster({"objective": "binary:logitraw"}, BINARY), X).task == "regression"


def test_two_classes_with_softmax():
    assert_agrees(Classifier(objective="multi:softprob", num_class=2).fit(X, BINARY), X)


def test_the_probabilities_of_a_rare_class_keep_their_digits():
    rare = (X[:, 0] > 2.4).astype(int)
    model = Classifier(n_estimators=60, reg_lambda=0, min_child_weight=0).fit(X, rare)
    found = scores(convert(model, sample=X), frame())["probabilities"][:, 1]
    np.testing.assert_allclose(found, model.predict_proba(X)[:, 1], rtol=1e-5)


@pytest.mark.parametrize("base_score", [0.02, 0.5, 0.97])
def test_a_base_score_is_a_probability(base_score):
    assert_agrees(Classifier(base_score=base_score, n_estimators=2).fit(X, BINARY), X)


@pytest.mark.parametrize(
    ("objective", "base_score"), [("reg:squarederror", -40.0), ("count:poisson", 7.0)]
)
def test_a_base_score_is_a_mean(objective, base_score):
    model = Regressor(objective=objective, base_score=base_score, n_estimators=2)
    assert_agrees(model.fit(X, POSITIVE.round()), X)


def test_margins_are_the_bits_of_xgboost():
    model = Regressor(n_estimators=150).fit(GAPS, NUMBER)
    found = scores(convert(model, sample=GAPS), frame(rows=GAPS))["prediction"]
    np.testing.assert_array_equal(found[:, 0], model.predict(GAPS))


@pytest.mark.parametrize("y", [BINARY, THREE], ids=["two classes", "three classes"])
def test_an_estimator_stops_at_the_best_round_and_its_booster_does_not(y):
    model = Classifier(n_estimators=60, early_stopping_rounds=3, learning_rate=0.9)
    model.fit(X[:200], y[:200], eval_set=[(X[200:], y[200:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    whole = assert_agrees(model.get_booster(), X)
    assert assert_agrees(model, X).sha256 != whole.sha256


@pytest.mark.parametrize("y", [BINARY, THREE], ids=["two classes", "three classes"])
def test_dart_weighs_its_trees(y):
    assert_agrees(Classifier(booster="dart", rate_drop=0.5, one_drop=True).fit(X, y), X)


def test_dart_of_parallel_trees_that_stopped_early():
    model = Classifier(booster="dart", rate_drop=0.5, num_parallel_tree=2, early_stopping_rounds=2)
    model.fit(X[:200], THREE[:200], eval_set=[(X[200:], THREE[200:])], verbose=False)
    assert_agrees(model, X)


@pytest.mark.parametrize("kind", ["XGBRFClassifier", "XGBRFRegressor"])
def test_random_forests(kind):
    assert_agrees(getattr(xgb, kind)(n_estimators=10, max_depth=4).fit(X, THREE), X)


@pytest.mark.parametrize(
    ("make", "y"),
    [
        (xgb.XGBClassifier, THREE),
        (xgb.XGBClassifier, BINARY),
        (xgb.XGBRegressor, NUMBER),
        (xgb.XGBRegressor, TWO),
    ],
)
def test_linear_boosters(make, y):
    assert_agrees(make(booster="gblinear", n_estimators=5).fit(GAPS, y), GAPS)


def test_trees_of_one_leaf_and_no_trees():
    assert_agrees(Regressor().fit(X, np.full(len(X), 7.0)), X)
    assert_agrees(Regressor(n_estimators=0).fit(X, NUMBER), X)


@pytest.mark.parametrize("missing", [0.0, -1.0, 999.0])
def test_another_marker_of_missing_values(missing):
    rows = np.where(np.isnan(GAPS), missing, X).astype(np.float32)
    rows[0] = np.nan
    rows[1] = -0.0
    assert_agrees(Regressor(missing=missing).fit(rows, NUMBER), rows)


def test_missing_values_that_were_not_seen_in_training():
    assert_agrees(Regressor().fit(X, NUMBER), GAPS, sample=X)


def test_every_type_of_number_is_narrowed_as_xgboost_does():
    rows = pd.DataFrame(
        {
            "double": X[:, 0].astype(float) + 1e-9,
            "long": rng.integers(16_777_210, 16_777_230, len(X)),
            "flag": X[:, 1] > 0,
            "short": rng.integers(-5, 5, len(X)).astype("int16"),
        }
    )
    model = assert_agrees(Regressor(max_depth=6).fit(rows, NUMBER), rows)
    assert [x.type for x in model.signature.inputs] == ["DOUBLE", "BIGINT", "BOOLEAN", "SMALLINT"]
    assert {x.wire for x in model.signature.inputs} == {"FLOAT"}
    assert model.precision == "float32"


def test_infinity_where_xgboost_takes_it():
    rows = frame()
    rows.loc[0, "a"], rows.loc[1, "b"] = np.inf, -np.inf
    assert_agrees(Regressor().fit(frame(), NUMBER), rows)


@pytest.mark.parametrize("shape", ["estimator", "booster"])
def test_columns_may_have_any_name(shape):
    rows = frame(["home.dest", "years of age", "größe", "a`b\"c'"])
    model = Regressor().fit(rows, NUMBER)
    converted = assert_agrees(model if shape == "estimator" else model.get_booster(), rows)
    assert [x.name for x in converted.signature.inputs] == list(rows.columns)


def test_an_array_scores_a_model_that_knows_names():
    model = Regressor().fit(frame(), NUMBER)
    assert_agrees(model, X)
    converted = assert_agrees(model.get_booster(), X)
    assert [x.name for x in converted.signature.inputs] == ["a", "b", "c", "d"]
    assert_agrees(xgb.XGBRegressor(booster="gblinear").fit(frame(), NUMBER), X)


def test_a_model_trained_on_an_array_takes_the_names_of_the_sample():
    model = assert_agrees(Regressor().fit(X, NUMBER), frame("pqrs"))
    assert [x.name for x in model.signature.inputs] == ["p", "q", "r", "s"]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("abdc", "in the order of its training"),
        ("abcx", "trained on d"),
        ("abc", "trained on d"),
    ],
)
def test_columns_that_xgboost_would_refuse(columns, says):
    with pytest.raises(SampleError, match=says):
        convert(Regressor().fit(frame(), NUMBER), sample=frame(columns, X[:, : len(columns)]))


def test_a_column_more_than_in_training_is_an_error_of_the_sample():
    with pytest.raises(SampleError, match="not trained on e"):
        convert(Regressor().fit(frame(), NUMBER), sample=frame().assign(e=1))
    with pytest.raises(SampleError, match="trained on 4 columns"):
        convert(Regressor().fit(X, NUMBER), sample=frame().assign(e=1))


def test_text_is_an_error_of_the_sample():
    with pytest.raises(SampleError, match=r"'a'.*One-hot"):
        convert(Regressor().fit(X, NUMBER), sample=frame().assign(a="x"))


CODE = rng.integers(0, 6, len(X))
BY_CODE = np.array([5, 0, 3, 1, 4, 2])[CODE] + X[:, 1]
TEXTS = np.array(["", "nan", "gross", "x", "y", "z"])
UMLAUTS = np.array(["", "nan", "größte", "x", "ÿ", "東京"])


def with_categories(values, **options):
    return frame().assign(a=pd.Categorical(values, **options))


@pytest.mark.parametrize("onehot", [1, 10], ids=["sets", "one by one"])
@pytest.mark.parametrize("values", [TEXTS, UMLAUTS, np.array([40, -1, 7, 3, 12, 0])], ids=str)
def test_categories_of_pandas_are_inputs_of_their_own_type(values, onehot):
    rows = with_categories(values[CODE])
    model = Regressor(enable_categorical=True, max_cat_to_onehot=onehot).fit(rows, BY_CODE)
    kind = "BIGINT" if values.dtype.kind == "i" else "STRING"
    for source in (model, model.get_booster()):
        converted = convert(source, sample=rows)
        assert [x.type for x in converted.signature.inputs] == [kind, *["FLOAT"] * 3]
        assert set(converted.signature.inputs[0].categories) == set(values.tolist())
        report = sqlml.verify(converted, source, rows)
        assert report.ok, report
        assert report.rejected["a"] == ("unknown values",)


def test_the_order_of_categories_is_that_of_training():
    model = Regressor(enable_categorical=True).fit(with_categories(TEXTS[CODE]), BY_CODE)
    turned = with_categories(TEXTS[CODE], categories=TEXTS[::-1])
    few = with_categories(TEXTS[CODE]).query("a in ['x', 'y']")
    few["a"] = few["a"].cat.remove_unused_categories()
    shas = {convert(model, sample=rows).sha256 for rows in (turned, few)}
    assert shas == {convert(model, sample=with_categories(TEXTS[CODE])).sha256}


def test_categories_that_xgboost_cut_and_that_are_not_in_order_are_refused():
    model = Regressor(enable_categorical=True).fit(with_categories(UMLAUTS[CODE]), BY_CODE)
    with pytest.raises(NotConvertibleError, match=r"'a'.*Give a sample"):
        convert(model, sample=with_categories(UMLAUTS[CODE], categories=UMLAUTS[::-1]))


def test_names_that_xgboost_cut_to_the_same_are_refused():
    assert converter._as_xgboost_has_them(["éé", "éb"]) == [b"\xc3\xa9", b"\xc3\xa9"]
    rows = with_categories(np.array(["éé", "éb"])[CODE % 2], categories=["éé", "éb"])
    model = Regressor(enable_categorical=True).fit(rows, BY_CODE)
    with pytest.raises(NotConvertibleError, match=r"rename the categories"):
        convert(model, sample=rows)


def test_numbers_that_are_categories_are_cut_towards_zero():
    rows = np.c_[CODE.astype(np.float32), X[:, 1:]]
    model = Regressor(feature_types=["c", "q", "q", "q"], enable_categorical=True)
    model.fit(rows, BY_CODE)
    assert "categories_nodes" in model.get_booster().save_raw("json").decode()
    strange = [np.nan, -0.0, -0.5, -1.0, -1.5, 2.5, 5.999, 6.0, 31.0, 64.0, 1e30]
    more = np.tile(rows[:1], (len(strange) * 6, 1))
    more[:, 0] = np.repeat(strange, 6)
    more[:, 1:] = X[: len(more), 1:]
    assert_agrees(model, np.r_[rows, more].astype(np.float32), sample=rows)


def test_a_marker_of_missing_values_beside_categories_is_refused():
    rows = with_categories(TEXTS[CODE])
    model = Regressor(enable_categorical=True, missing=0.0).fit(rows, BY_CODE)
    with pytest.raises(NotConvertibleError, match="missing=0 may be a code"):
        convert(model, sample=rows)


def test_category_columns_other_than_in_training_are_an_error_of_the_sample():
    model = Regressor(enable_categorical=True).fit(with_categories(TEXTS[CODE]), BY_CODE)
    with pytest.raises(SampleError, match="trained on the pandas category column 'a'"):
        convert(model.get_booster(), sample=frame())
    with pytest.raises(NotConvertibleError, match="'a' is categorical"):
        convert(Regressor().fit(frame(), NUMBER), sample=with_categories(TEXTS[CODE]))


def test_categories_of_a_model_that_has_no_values_are_refused():
    rows = with_categories(TEXTS[CODE])
    model = Regressor(enable_categorical=True).fit(rows, BY_CODE)
    facts = json.loads(model.get_booster().save_raw("json"))
    del facts["learner"]["gradient_booster"]["model"]["cats"]  # as before XGBoost 3.1
    bare = xgb.Booster(model_file=bytearray(json.dumps(facts).encode()))
    with pytest.raises(NotConvertibleError, match=r"'a'.*XGBoost 3\.1"):
        convert(bare, sample=rows)


def squared(y, prediction):
    return prediction - y, np.ones_like(prediction)


def test_an_objective_of_the_authors_own_predicts_raw_numbers():
    assert_agrees(Regressor(objective=squared).fit(X, NUMBER), X)
    with pytest.raises(NotConvertibleError, match="function of yours"):
        convert(Classifier(objective=squared).fit(X, BINARY), sample=X)


def test_several_labels_a_row_are_refused():
    labels = np.stack([BINARY, 1 - BINARY], axis=1)
    with pytest.raises(NotConvertibleError, match="several labels"):
        convert(Classifier().fit(X, labels), sample=X)


def test_one_class_is_refused():
    with pytest.raises(NotConvertibleError, match="one class"):
        convert(Classifier().fit(X, BINARY * 0), sample=X)


def test_a_model_without_training_is_refused():
    with pytest.raises(NotConvertibleError, match="not trained"):
        convert(xgb.XGBRegressor(), sample=X)


def test_subclasses_are_not_recognised():
    class Contrary(xgb.XGBRegressor):
        pass

    assert converter.recognises(xgb.XGBRegressor())
    assert not converter.recognises(Contrary())


def test_the_same_model_gives_the_same_bytes():
    model = Classifier().fit(X, THREE)
    assert convert(model, sample=X).sha256 == convert(model, sample=X).sha256


@pytest.mark.parametrize("y", [BINARY, THREE], ids=["two classes", "three classes"])
def test_a_row_has_the_same_score_alone_and_in_a_batch(y):
    model = convert(Classifier(n_estimators=90).fit(GAPS, y), sample=GAPS)
    whole = scores(model, frame(rows=GAPS))["probabilities"]
    alone = [scores(model, frame(rows=GAPS[i : i + 1]))["probabilities"] for i in range(40)]
    np.testing.assert_array_equal(np.concatenate(alone), whole[:40])


@pytest.mark.parametrize(
    ("step", "y"), [(Classifier(), BINARY), (Classifier(), THREE), (Regressor(), TWO)]
)
def test_the_last_step_of_a_scikit_learn_pipeline(step, y):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = X.astype(float)
    pipeline = make_pipeline(StandardScaler(), step).fit(rows, y)
    model = sqlml.convert(pipeline, sample=rows)
    assert sqlml.verify(model, pipeline, rows).ok
