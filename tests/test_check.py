"""sqlml check: every step is tried, whatever the others say, and nothing is published."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from skl2onnx import to_onnx
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import CategoricalNB, GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import sqlml
from sqlml.cli import main


class Clipped(TransformerMixin, BaseEstimator):
    """A step of the author's own, which does not say how many columns it gives."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.clip(np.asarray(X), -1, 1)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "age": rng.normal(40, 9, 120),
            "tenure": rng.normal(9, 2, 120),
            "plan": rng.choice(["basic", "plus"], 120),
            "note": rng.choice(["a good one", "a bad one", "none"], 120),
        }
    )


@pytest.fixture(scope="module")
def leaves(rows):
    return np.where(rows.age > 40, "yes", "no")


def found(checked):
    return [(step.name, step.kind, step.reason) for step in checked.steps]


def test_steps_after_the_first_refusal_are_tried_too(rows, leaves):
    """Two refusals, a step between and one after them that convert, and the model itself."""
    numeric = make_pipeline(Clipped(), StandardScaler(), FunctionTransformer(lambda X: X + 1))
    columns = ColumnTransformer(
        [
            ("numbers", numeric, ["age", "tenure"]),
            ("text", OneHotEncoder(), ["plan"]),
            ("words", HashingVectorizer(), "note"),
        ]
    )
    model = Pipeline([("prepare", columns), ("forest", RandomForestClassifier(3))])
    checked = sqlml.check(model.fit(rows, leaves), sample=rows)

    assert [(step.name, step.kind, step.converts) for step in checked.steps] == [
        ("model", "Pipeline", True),
        ("prepare", "ColumnTransformer", True),
        ("prepare / numbers", "Pipeline", True),
        ("prepare / numbers / clipped", "Clipped", False),
        ("prepare / numbers / standardscaler", "StandardScaler", True),
        ("prepare / numbers / functiontransformer", "FunctionTransformer", False),
        ("prepare / text", "OneHotEncoder", True),
        ("prepare / words", "HashingVectorizer", False),
        ("forest", "RandomForestClassifier", True),
    ]
    reasons = {step.kind: step.reason for step in checked.steps}
    assert reasons["Clipped"] == "it is not scikit-learn's own class."
    assert reasons["FunctionTransformer"] == "it runs Python code."
    assert "a million columns" in reasons["HashingVectorizer"]
    assert not checked.ok
    assert checked.expected is None
    assert str(checked).startswith("[NOT_CONVERTIBLE] Clipped cannot be converted")


def test_models_within_models_are_steps(rows, leaves):
    """Each under its author's name; the many members of a bag are one line."""
    X = rows[["age", "tenure"]].abs().round()
    stack = StackingClassifier(
        [
            ("bag", BaggingClassifier(LogisticRegression(), 5)),
            ("bayes", CategoricalNB(min_categories=100)),
        ],
        final_estimator=GaussianNB(),
        cv=2,
    )
    checked = sqlml.check(stack.fit(X, leaves), sample=X)
    assert [(step.name, step.kind, step.converts) for step in checked.steps] == [
        ("model", "StackingClassifier", True),
        ("bag", "BaggingClassifier", True),
        ("bag / estimator", "LogisticRegression", True),
        ("bayes", "CategoricalNB", False),
        ("final_estimator", "GaussianNB", True),
    ]


def test_what_a_refused_step_gives_may_be_text(rows, leaves):
    """The encoder after it is not blamed for getting something else while it is tried."""
    upper = FunctionTransformer(lambda X: X.apply(lambda c: c.str.upper()))
    model = make_pipeline(upper, OneHotEncoder(), LogisticRegression())
    checked = sqlml.check(model.fit(rows[["plan"]], leaves), sample=rows[["plan"]])
    reasons = {step.kind: step.reason for step in checked.steps}
    assert reasons["FunctionTransformer"] == "it runs Python code."
    assert reasons["OneHotEncoder"] == ""
    assert reasons["LogisticRegression"] == ""


def test_what_converts_is_measured(rows, leaves):
    """The figures are those of the converted model."""
    X = rows[["age", "tenure"]].assign(constant=1.0)
    model = RandomForestClassifier(7, max_depth=3, random_state=0).fit(X, leaves)
    checked = sqlml.check(model, sample=X)
    scoring = sqlml.convert(model, sample=X)
    assert checked.ok
    assert found(checked) == [("model", "RandomForestClassifier", "")]
    assert checked.expected.onnx_bytes == len(scoring.onnx)
    assert checked.expected.trees == 7
    splits = sum(int((e.tree_.children_left >= 0).sum()) for e in model.estimators_)
    assert 7 <= checked.expected.splits <= splits  # branches with the same leaves are one
    assert (checked.expected.inputs, checked.expected.inputs_used) == (3, 2)
    assert checked.expected.task == "classification"
    assert checked.expected.backend in str(checked)


def test_a_booster_is_one_step(rows):
    import xgboost

    X = rows[["age", "tenure"]]
    good = xgboost.XGBRegressor(n_estimators=2).fit(X, X.age)
    assert found(sqlml.check(good, sample=X)) == [("model", "XGBRegressor", "")]
    one_class = xgboost.XGBClassifier(n_estimators=2).fit(X, np.zeros(len(X), dtype=int))
    (step,) = sqlml.check(one_class, sample=X).steps
    assert step.reason == "it was trained on one class only."


def test_a_network_has_the_labels_that_its_author_states(rows, leaves):
    from torch import nn

    X = rows[["age", "tenure"]].astype("float32")
    network = nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=1)).eval()
    checked = sqlml.check(network, sample=X, labels=["no", "yes"])
    assert found(checked) == [("model", "Sequential", "")]
    assert checked.expected.task == "classification"
    assert sqlml.check(network, sample=X).expected.task == "regression"


def test_a_file_is_checked_as_it_is_published(rows, leaves, tmp_path):
    X = rows[["age", "tenure"]].set_axis(["in0", "in1"], axis=1)
    made = sqlml.convert(LogisticRegression().fit(X, leaves), sample=X)
    path = tmp_path / "model.onnx"
    path.write_bytes(made.onnx)
    X.to_parquet(tmp_path / "rows.parquet")
    done = run("check", path, "--sample", tmp_path / "rows.parquet")
    assert done.exit_code == 0, done.output
    assert "2 of 2 inputs used" in done.stdout


def test_an_onnx_file_is_one_step(rows, tmp_path):
    X = rows[["age", "tenure"]].astype("float32")
    made = to_onnx(LinearRegression().fit(X, X.age), X.to_numpy()[:1])
    (tmp_path / "age.onnx").write_bytes(made.SerializeToString())
    for model in (made, tmp_path / "age.onnx"):
        checked = sqlml.check(model, sample=X)
        assert (checked.ok, len(checked.steps), checked.expected.task) == (True, 1, "regression")


def test_what_is_no_model_at_all_is_tried_as_what_it_is(rows):
    """A pipeline without a model: its steps convert, the whole would be refused."""
    X = rows[["age", "tenure"]]
    checked = sqlml.check(make_pipeline(StandardScaler()).fit(X), sample=X)
    assert [step.converts for step in checked.steps] == [True, True]
    assert "no predict method" in checked.refused


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_the_command_reads_mlflow_and_its_input_example(registry, rows, leaves, tmp_path):
    import mlflow

    X = rows[["age", "tenure"]]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, leaves)
    log = {"serialization_format": "pickle"}
    with_rows = mlflow.sklearn.log_model(model, name="a", input_example=X, **log).model_uri
    without = mlflow.sklearn.log_model(model, name="b", **log).model_uri

    assert "--trust-pickle" in run("check", with_rows).stderr
    done = run("check", with_rows, "--trust-pickle")
    assert done.exit_code == 0
    for word in ("standardscaler", "LogisticRegression", "converts", "backend sql", "publish"):
        assert word in done.stdout
    facts = json.loads(run("check", with_rows, "--trust-pickle", "--json").stdout)
    assert facts["ok"]
    assert [step["reason"] for step in facts["steps"]] == ["", "", ""]
    assert facts["expected"]["inputs"] == 2

    refused = run("check", without, "--trust-pickle")
    assert refused.stderr.startswith("[SAMPLE_INVALID]")
    assert "--sample FILE" in refused.stderr
    X.to_parquet(tmp_path / "rows.parquet")
    sample = ("--sample", tmp_path / "rows.parquet")
    assert run("check", without, *sample, "--trust-pickle").exit_code == 0


def test_a_refused_model_ends_with_code_one(registry, rows, leaves):
    import mlflow

    X = rows[["age", "tenure"]]
    model = make_pipeline(FunctionTransformer(np.sin), LogisticRegression()).fit(X, leaves)
    log = {"serialization_format": "pickle", "input_example": X}
    source = mlflow.sklearn.log_model(model, name="c", **log).model_uri
    done = run("check", source, "--trust-pickle")
    assert done.exit_code == 1
    assert "it runs Python code." in done.stdout
    assert "[NOT_CONVERTIBLE] FunctionTransformer(sin)" in done.stdout
