"""The command line: what it prints, for people and for programs, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression

import sqlml
from sqlml.cli import _json_lines, main, spark_message


@pytest.fixture(scope="module")
def customers():
    rng = np.random.default_rng(3)
    return pd.DataFrame({"age": rng.normal(40, 9, 200), "tenure": rng.normal(9, 2, 200)})


@pytest.fixture(scope="module")
def churn(registry, customers):
    return LogisticRegression().fit(customers, np.where(customers.age > 40, "yes", "no"))


@pytest.fixture(scope="module")
def published(churn, customers):
    return sqlml.publish(churn, "cli-churn", sample=customers, alias="champion")


@pytest.fixture(scope="module")
def rows(customers, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    customers.to_parquet(path)
    return str(path)


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def in_a_process(*arguments, cwd, **more):
    command = Path(sys.executable).with_name("sqlml")
    return subprocess.run(
        [command, *arguments],
        cwd=cwd,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_help_is_fast_and_loads_no_library(tmp_path):
    start = time.monotonic()
    done = in_a_process("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert time.monotonic() - start < 2  # 0.1 seconds on a machine with nothing else to do
    check = "import sys, sqlml.cli; print({'mlflow', 'pyspark', 'pandas', 'onnx'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", check], text=True).strip() == "set()"


@pytest.mark.parametrize("command", main.commands)
def test_every_command_shows_an_example(command):
    assert f"Example: sqlml {command}" in run(command, "--help").output.replace("\n ", "")


def test_models_are_listed(published):
    assert "cli-churn" in run("models").output
    listed = json.loads(run("models", "--json").output)
    (row,) = [m for m in listed if m["name"] == "cli-churn"]
    assert (row["champion_version"], row["task"]) == (published.version, "classification")


def test_describe_tells_inputs_outputs_parity_and_versions(published):
    text = run("describe", "cli-churn@champion").output
    for word in ("age", "DOUBLE", "probability", published.sha256, "scores agree", "champion"):
        assert word in text
    facts = json.loads(run("describe", "cli-churn", "--json").output)
    assert [i["name"] for i in facts["inputs"]] == ["age", "tenure"]
    assert facts["parity"]["ok"]
    assert facts["versions"][0]["aliases"] == ["champion"]
    assert facts["backend"] == "sql"
    assert f"backend sql: {facts['backend_reason']}" in text
    assert facts["backend_reason"].startswith("an expression over 2 inputs")


def test_to_sql_prints_an_expression_or_a_function(published):
    model = sqlml.load("cli-churn")
    assert run("to-sql", "cli-churn").stdout == sqlml.to_sql(model) + "\n"
    probability = run("to-sql", "cli-churn@champion", "--output", "probabilities['yes']").stdout
    assert probability == sqlml.to_sql(model, "probabilities['yes']") + "\n"

    made = run("to-sql", "cli-churn", "--output", "probability", "--create-function").stdout
    assert made.startswith(
        "CREATE FUNCTION predict_cli_churn(age DOUBLE, tenure DOUBLE)\nRETURNS DOUBLE\n"
        f"COMMENT 'Model cli-churn, version 1, sha256 {published.sha256}'\nRETURN CASE WHEN "
    )
    named = run("to-sql", "cli-churn", "--create-function", "ml.leaving").stdout
    assert named.startswith("CREATE FUNCTION ml.leaving(age DOUBLE, tenure DOUBLE)\n")
    assert run("to-sql", "--create-function", "cli-churn").stdout.startswith(
        "CREATE FUNCTION predict_cli_churn("
    )


def test_to_sql_says_what_cannot_be_an_expression(registry, customers):
    from sklearn.neighbors import KNeighborsRegressor

    near = KNeighborsRegressor().fit(customers, customers.age)
    sqlml.publish(near, "cli-near", sample=customers)
    done = run("to-sql", "cli-near")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "[NOT_COMPILABLE] Operator Scan has no form in SQL.\n"
    assert run("to-sql").exit_code == 2


def test_an_error_is_one_line_without_a_traceback(published):
    done = run("describe", "cli-chrun")
    assert done.exit_code == 1
    assert done.stderr.startswith("[MODEL_NOT_FOUND]")
    assert "Did you mean 'cli-churn'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_publishing_a_pickled_model_needs_trust(churn, rows):
    import mlflow

    source = mlflow.sklearn.log_model(churn, name="model", serialization_format="pickle").model_uri
    publish = ("publish", source, "--name", "cli-trusted", "--sample", rows)

    refused = run(*publish)
    assert refused.exit_code == 1
    assert "--trust-pickle" in refused.stderr

    done = run(*publish, "--alias", "champion", "--trust-pickle", "--json")
    assert json.loads(done.stdout)["version"] == 1
    assert sqlml.load("cli-trusted").task == "classification"


def test_a_statsmodels_model_is_pickled_too(customers, rows):
    import mlflow
    import statsmodels.formula.api as smf

    results = smf.ols("target ~ age + tenure", data=customers.assign(target=customers.age)).fit()
    source = mlflow.statsmodels.log_model(results, name="model").model_uri
    publish = ("publish", source, "--name", "cli-ols", "--sample", rows)
    assert "--trust-pickle" in run(*publish).stderr
    assert run(*publish, "--trust-pickle").exit_code == 0
    assert [o.type for o in sqlml.load("cli-ols").signature.outputs] == ["DOUBLE"]


def test_publishing_xgboosts_own_file_needs_no_trust(customers, rows):
    import mlflow
    import xgboost

    model = xgboost.XGBRegressor(n_estimators=3).fit(customers, customers.age)
    source = mlflow.xgboost.log_model(model, name="model").model_uri
    done = run("publish", source, "--name", "cli-xgb", "--sample", rows)
    assert "SELECT * FROM PREDICT('cli-xgb/1'" in done.output


def test_publishing_a_file_of_keras_states_its_labels(rows, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    layers = [keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    pd.DataFrame({"a": [0.5, 2.0], "b": [1.0, -3.0]}).to_csv(tmp_path / "ab.csv", index=False)
    source = ("publish", str(tmp_path / "model.keras"), "--sample", str(tmp_path / "ab.csv"))

    wrong = run(*source, "--name", "cli-keras", "--labels", "no,yes")
    assert wrong.exit_code == 2
    assert "found no,yes" in wrong.stderr
    assert run(*source, "--name", "cli-keras", "--labels", '["no", "yes"]').exit_code == 0
    assert sqlml.load("cli-keras").labels == ("no", "yes")


def test_a_native_file_that_names_other_code_needs_trust(customers, rows, tmp_path):
    from sqlml.registry.source import _native

    assert _native("xgboost", {"model_class": "xgboost.sklearn.XGBClassifier"})
    assert not _native("xgboost", {"model_class": "evil.Model"})
    assert not _native("xgboost", {"model_class": "xgboost.core.Booster", "code": "code"})
    assert not _native("lightgbm", {"model_class": "lightgbm.sklearn.LGBMClassifier"})
    assert not _native("sklearn", {"serialization_format": "skops"})


@pytest.mark.parametrize(
    ("source", "condition"),
    [
        ("model.onnx", "MODEL_REJECTED"),
        ("dbfs:/model.onnx", "REFERENCE_NOT_ALLOWED"),
        ("runs:/nothing/model", "MODEL_REJECTED"),
        ("nowhere.keras", "MODEL_REJECTED"),
        ("nowhere.h5", "MODEL_REJECTED"),
        ("models:/../../etc", "REFERENCE_NOT_ALLOWED"),
        ("file:///etc/passwd", "REFERENCE_NOT_ALLOWED"),
    ],
)
def test_a_source_that_cannot_be_published_says_why(rows, source, condition):
    done = run("publish", source, "--name", "cli-none", "--sample", rows)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"[{condition}]")


def test_sql_runs_in_a_terminal_and_its_tables_stay(published, tmp_path):
    """One Spark is started for each command, as a person would have it."""
    made = in_a_process(
        "sql", "CREATE TABLE people AS SELECT 51.5D AS age, 9D AS tenure, 'a' AS id;", cwd=tmp_path
    )
    assert (made.returncode, made.stdout) == (0, "")

    query = "SELECT id, INT(NULL) AS nothing, prediction FROM PREDICT('cli-churn', TABLE(people))"
    shown = in_a_process("sql", query, cwd=tmp_path)
    assert "|id |nothing|prediction|" in shown.stdout
    assert "|a  |NULL   |yes       |" in shown.stdout
    assert noise_in(shown.stderr) == []


def test_rows_for_programs_are_one_json_object_a_line(spark, published):
    rows = spark.sql(
        "SELECT id AS `a.b`, INT(NULL) AS nothing, probabilities FROM PREDICT('cli-churn',"
        " TABLE(SELECT id, 51.5D AS age, 9D AS tenure FROM range(3)))"
    )
    first, *_ = lines = [json.loads(line) for line in _json_lines(rows, None)]
    assert len(lines) == 3
    assert first["nothing"] is None
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert len(list(_json_lines(rows, 2))) == 2


def test_a_wrong_statement_shows_sparks_message_alone(tmp_path):
    done = in_a_process("sql", "SELECT nothing FROM VALUES (1)", cwd=tmp_path)
    assert done.returncode == 1
    assert "[UNRESOLVED_COLUMN" in done.stderr
    assert noise_in(done.stderr) == []
    assert "+- " not in done.stderr


def noise_in(stderr):
    """What a person has no use for; the JVM's own first line cannot be left out."""
    rest = stderr.replace("WARNING: Using incubator modules", "")
    return [n for n in ("WARN", "Traceback", "JVM stacktrace", "\tat ", "{") if n in rest]


def test_a_parse_error_keeps_its_pointer():
    text = "\n[PARSE_SYNTAX_ERROR] Wrong.\n\n== SQL ==\nSELEC 1\n^^^\n\nJVM stacktrace:\nx\n\tat y"
    assert spark_message(text).endswith("SELEC 1\n^^^")
