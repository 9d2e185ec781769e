"""Each condition, as a SQL user sees it: one line, and the session goes on working."""

from __future__ import annotations

import contextlib

import pytest

import sqlml

pytestmark = pytest.mark.usefixtures("table")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "SELECT * FROM PREDICT('chrun', TABLE(customers))",
            "[MODEL_NOT_FOUND] No model 'chrun'. Did you mean 'churn'?",
        ),
        (
            "SELECT predict('churn/99', *) FROM customers",
            "[VERSION_NOT_FOUND] Model 'churn' has no version 99. It has: 1.",
        ),
        (
            "SELECT predict('churn@champ', *) FROM customers",
            "[ALIAS_NOT_FOUND] Model 'churn' has no alias 'champ'. It has: none.",
        ),
        (
            "SELECT predict('file:///etc/passwd', *) FROM customers",
            "[REFERENCE_NOT_ALLOWED] 'file:///etc/passwd' is not a model reference.",
        ),
        (
            "SELECT predict(plan, age) FROM customers",
            "[MODEL_NOT_CONSTANT] The model of predict must be a constant string",
        ),
        (
            "SELECT predict(CAST(NULL AS STRING), age) FROM customers",
            "[MODEL_NOT_CONSTANT] The model of predict must be a constant string such as 'churn' "
            "or 'churn@champion', found CAST(NULL AS STRING).",
        ),
        (
            "SELECT predict(7, age) FROM customers",
            "[MODEL_NOT_CONSTANT] The model of predict must be a constant string",
        ),
        (
            "SELECT * FROM PREDICT('churn', TABLE(SELECT age AS agge, plan FROM customers))",
            "[INPUT_MISSING] Model 'churn' needs age DOUBLE (did you mean 'agge'?), "
            "tenure BIGINT: not among the columns agge, plan.",
        ),
        (
            "SELECT predict('churn', age, plan) FROM customers",
            "[INPUT_MISSING] Model 'churn' needs tenure BIGINT: not among the columns age, plan.",
        ),
        (
            "SELECT predict('churn', 1, 2)",
            "[INPUT_COUNT] Model 'churn' takes 3 inputs, found 2. It takes, in this order: "
            "age, tenure, plan.",
        ),
        (
            "SELECT predict('churn')",
            "[INPUT_MISSING] Model 'churn' needs age DOUBLE, tenure BIGINT, plan STRING",
        ),
        (
            "SELECT predict('churn', age, tenure, 'pro') FROM customers",
            "[INPUT_AMBIGUOUS] Argument 'pro' of predict('churn', …) has no name while others "
            "have. Write the input's name before it: plan => 'pro'.",
        ),
        (
            "SELECT predict('churn', a.*, b.*) FROM customers a JOIN customers b USING (id)",
            "[INPUT_AMBIGUOUS] Input 'age' of model 'churn' could be any of 2 columns: "
            "a.age, b.age.",
        ),
        (
            "SELECT * FROM PREDICT('churn', TABLE(SELECT *, 1 AS AGE FROM customers))",
            "[INPUT_AMBIGUOUS] Input 'age' of model 'churn' could be any of 2 columns: age, AGE.",
        ),
        (
            "SELECT * FROM PREDICT('churn', TABLE(SELECT 'x' AS age, tenure, plan FROM customers))",
            "[INPUT_TYPE] Input 'age' of model 'churn' is DOUBLE, found STRING: an implicit cast "
            "could lose information. Write CAST(age AS DOUBLE) AS age in a subquery.",
        ),
        (
            "SELECT predict('churn', age, plan, tenure => 1.5) FROM customers",
            "[INPUT_TYPE] Input 'tenure' of model 'churn' is BIGINT, found DECIMAL(2,1): an "
            "implicit cast could lose information. Write tenure => CAST(1.5BD AS BIGINT).",
        ),
        (
            "SELECT predict('churn', age, plan, tenure => current_date()) FROM customers",
            "[INPUT_TYPE] Input 'tenure' of model 'churn' is BIGINT, found DATE",
        ),
        (
            "SELECT * FROM PREDICT('churn', TABLE(SELECT *, 1 AS Prediction FROM customers))",
            "[OUTPUT_NAME_CLASH] The table already has prediction, which PREDICT with model "
            "'churn' would add. Write PREDICT('churn', TABLE(…), prefix => 'scored_')",
        ),
        (
            "SELECT predict_proba('worth', *) FROM customers",
            "[OUTPUT_MISSING] predict_proba needs a classifier with probabilities; model 'worth' "
            "is for regression and gives prediction. Use predict.",
        ),
        (
            "SELECT predict_proba('margin', *) FROM customers",
            "[OUTPUT_MISSING] predict_proba needs a classifier with probabilities",
        ),
        (
            "SELECT predict('churn', age, plan, tenur => 1) FROM customers",
            "[ARGUMENT_INVALID] Model 'churn' has no input 'tenur'. Did you mean 'tenure'?",
        ),
        (
            "SELECT * FROM PREDICT('churn')",
            "[ARGUMENT_INVALID] PREDICT lacks its DATA. Write PREDICT('churn', TABLE(customers))",
        ),
        (
            "SELECT * FROM PREDICT('churn', 'customers')",
            "[ARGUMENT_INVALID] The DATA of PREDICT must be a table, found",
        ),
        (
            "SELECT * FROM PREDICT('churn', TABLE(customers), prefix => 7)",
            "[ARGUMENT_INVALID] The prefix of PREDICT must be a constant string, found 7.",
        ),
        (
            "SELECT * FROM PREDICT('churn', TABLE(customers), prefixx => 'a')",
            "[ARGUMENT_INVALID] PREDICT has no argument 'prefixx'",
        ),
        ("SELECT predict()", "[ARGUMENT_INVALID] predict lacks its model."),
        ("SELECT * FROM describe_model('nobody')", "[MODEL_NOT_FOUND] No model 'nobody'."),
        ("SELECT * FROM model_parity()", "[ARGUMENT_INVALID] model_parity takes one argument"),
        ("SELECT * FROM models('churn')", "[ARGUMENT_INVALID] models() takes no arguments."),
    ],
)
def test_the_message_says_what_was_found_and_what_to_type(spark, error_of, query, message):
    assert message in error_of(spark, query)


def test_the_condition_is_there_for_programs(spark):
    from pyspark.errors import PySparkException

    with pytest.raises(PySparkException) as raised:
        spark.sql("SELECT predict('nobody', 1)")
    assert raised.value.getCondition() == "MODEL_NOT_FOUND"


def test_a_changed_file_is_not_scored(spark, error_of, fitted, frame):
    """The bytes in the registry are not those that were published."""
    from pathlib import Path

    from mlflow import MlflowClient

    version = sqlml.publish(fitted["worth"], "tampered", sample=frame).version
    home = Path(MlflowClient().get_model_version_download_uri("tampered", str(version)))
    content = bytearray((home / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (home / "model.onnx").write_bytes(content)
    message = error_of(spark, "SELECT predict('tampered', *) FROM customers")
    assert "[CHECKSUM_MISMATCH] The file of model 'tampered/1' has sha256" in message
    assert "it was changed after publishing. Publish it again." in message


def test_a_model_of_somebody_elses_is_not_scored(spark, error_of, tmp_path):
    """A version that sqlml did not publish: nothing in it is opened."""
    from mlflow import MlflowClient

    (tmp_path / "model.onnx").write_bytes(b"")
    MlflowClient().create_registered_model("foreign")
    MlflowClient().create_model_version("foreign", str(tmp_path))
    message = error_of(spark, "SELECT predict('foreign', *) FROM customers")
    assert "[MODEL_REJECTED]" in message
    assert "sqlml publish models:/foreign/1 --name" in message


def test_a_registry_that_is_away_is_named_and_known_models_go_on(
    spark, error_of, fitted, frame, tmp_path, monkeypatch
):
    """What the application has resolved before it scores without the registry."""
    import sqlite3

    database = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(tmp_path / "artifacts"))
    sqlml.publish(fitted["worth"], "known", sample=frame)
    query = "SELECT count(prediction) AS n FROM PREDICT('known', TABLE(customers))"
    assert spark.sql(query).first().n == 200
    with contextlib.closing(sqlite3.connect(database)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        assert spark.sql(query).first().n == 200
        message = error_of(spark, query.replace("known", "never_seen"))
    assert f"[REGISTRY_UNAVAILABLE] The MLflow registry at sqlite:///{database}" in message
    assert "Check MLFLOW_TRACKING_URI, or run sqlml doctor." in message


def test_an_answer_to_the_user_is_no_traceback_in_the_log(spark, error_of, caplog):
    assert "[MODEL_NOT_FOUND]" in error_of(spark, "SELECT predict('nobody', 1)")
    assert [r.name for r in caplog.records if r.name.startswith("py4j")] == []


def test_a_table_that_is_not_there_is_sparks_own_error(spark):
    from pyspark.errors import AnalysisException

    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
        spark.sql("SELECT * FROM PREDICT('churn', TABLE(nowhere))")


def test_explain_of_a_bad_call_says_the_same(spark):
    """EXPLAIN shows errors in its result, as for any query of Spark's."""
    lines = [row[0] for row in spark.sql("EXPLAIN SELECT predict('nobody', 1)").collect()]
    assert any(line.startswith("[MODEL_NOT_FOUND] No model 'nobody'.") for line in lines)
