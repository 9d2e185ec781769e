"""models(), model_versions(), describe_model(), model_parity(): the registry in SQL."""

from __future__ import annotations

import pytest

import sqlml

pytestmark = pytest.mark.usefixtures("table")


def test_models_lists_every_model(spark, published):
    rows = {r.name: r for r in spark.sql("SELECT * FROM models()").collect()}
    assert set(published) <= set(rows)
    assert rows["churn"].task == "classification"
    assert rows["churn"].latest_version == 1
    kinds = dict(spark.sql("SELECT * FROM models()").dtypes)
    assert kinds["created"] == "timestamp"


def test_model_versions_lists_versions_with_their_aliases(spark, fitted, frame):
    sample = frame[["age", "tenure"]]
    sqlml.publish(fitted["flag"], "aged", sample=sample)
    sqlml.publish(fitted["flag"], "aged", sample=sample, alias="champion")
    rows = spark.sql("SELECT * FROM model_versions('aged')").collect()
    assert [(r.version, r.aliases, r.parity_ok) for r in rows] == [
        (1, [], True),
        (2, ["champion"], True),
    ]
    assert rows[0].sha256 == sqlml.load("aged/1").sha256


def test_describe_model_has_a_row_for_each_input_and_output_and_the_backend(spark):
    rows = spark.sql("SELECT * FROM describe_model('churn')").collect()
    assert [tuple(r) for r in rows] == [
        ("input", "age", "DOUBLE", False),
        ("input", "tenure", "BIGINT", False),
        ("input", "plan", "STRING", rows[2].missing_allowed),
        ("output", "prediction", "STRING", None),
        ("output", "probability", "DOUBLE", None),
        ("output", "probabilities", "MAP<STRING, DOUBLE>", None),
        ("backend", "sql", rows[-1].type, None),
    ]
    assert rows[-1].type.startswith("an expression over 3 inputs")


def test_describe_model_names_the_backend_that_predict_uses(spark):
    for name, backend in (("worth", "sql"), ("odd", "trees")):
        (row,) = spark.sql(
            f"SELECT * FROM describe_model('{name}') WHERE role = 'backend'"
        ).collect()
        (plan,) = spark.sql(f"EXPLAIN SELECT * FROM PREDICT('{name}', TABLE(customers))").collect()
        assert row.name == backend
        assert f"backend {row.name}, {row.type}" in plan[0]
    extended = spark.sql("SELECT * FROM describe_model('worth', extended => true)").collect()
    properties = {r.name: r.value for r in extended if r.role == "property"}
    assert properties["backend"] == "sql"
    assert properties["backend_reason"].startswith("an expression over 3 inputs")


def test_model_parity_is_the_report_of_the_publishing(spark, published):
    row = spark.sql("SELECT * FROM model_parity('churn')").first()
    report = published["churn"].report
    assert (row.ok, row.rows_compared, row.label_mismatches) == (True, report.rows, 0)
    assert row.max_abs_error == report.max_abs_error
    assert row.versions["onnxruntime"]


def test_the_relations_join_and_filter_like_tables(spark):
    query = """
        SELECT m.name, v.version FROM models() m, LATERAL (
          SELECT version FROM model_versions('churn')) v WHERE m.name = 'churn'
    """
    assert [tuple(r) for r in spark.sql(query).collect()] == [("churn", 1)]


def test_a_client_cannot_name_another_registry(spark, published):
    """MLflow's own client takes one from the session's settings."""
    spark.conf.set("spark.mlflow.modelRegistryUri", "sqlite:////nowhere/mlflow.db")
    try:
        assert set(published) <= {r.name for r in spark.sql("SELECT * FROM models()").collect()}
    finally:
        spark.conf.unset("spark.mlflow.modelRegistryUri")
