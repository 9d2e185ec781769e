"""CREATE, ALTER, SHOW, DESCRIBE and DROP MODEL in Spark sessions."""

from __future__ import annotations

import mlflow
import pytest
from pyspark.errors import PySparkException

pytestmark = pytest.mark.usefixtures("table")


@pytest.fixture(scope="module")
def source(registry, fitted, frame) -> str:
    """A model that its author logged with MLflow, in XGBoost's own format."""
    import numpy as np
    from xgboost import XGBClassifier

    numbers = frame[["age", "tenure"]].astype(float)
    model = XGBClassifier(n_estimators=5, max_depth=2).fit(numbers, np.arange(len(numbers)) % 2)
    with mlflow.start_run():
        return mlflow.xgboost.log_model(model, name="model", input_example=numbers).model_uri


@pytest.fixture
def stated(spark, source):
    """The model `stated`, version 1, alias champion."""
    yield spark.sql(f"CREATE OR REPLACE MODEL stated FROM '{source}' WITH (alias = 'champion')")
    spark.sql("DROP MODEL IF EXISTS stated")


def test_create_model_publishes_once(spark, stated):
    """The rows of the result are kept: showing them again does not publish again."""
    assert dict(stated.dtypes) == {
        "name": "string",
        "version": "int",
        "aliases": "array<string>",
        "task": "string",
        "sha256": "string",
        "rows_compared": "bigint",
        "max_abs_error": "double",
    }
    row = stated.first()
    assert (row.name, row.version, row.aliases, row.task) == (
        "stated",
        1,
        ["champion"],
        "classification",
    )
    assert stated.count() == 1
    assert spark.sql("SHOW VERSIONS IN MODEL stated").count() == 1
    assert spark.sql("SELECT predict('stated', *) AS y FROM customers").count() == 200


def test_explain_does_not_publish(spark, source):
    text = spark.sql(f"EXPLAIN CREATE MODEL never FROM '{source}'").first()[0]
    assert "CREATE MODEL never FROM" in text
    assert spark.sql("SHOW MODELS LIKE 'never'").count() == 0


def test_the_sample_may_be_a_table_or_a_query(spark, source):
    for sample in ("customers_numbers", "SELECT age, tenure FROM customers LIMIT 50"):
        spark.sql("SELECT age, tenure FROM customers").createOrReplaceTempView("customers_numbers")
        row = spark.sql(
            f"CREATE OR REPLACE MODEL sampled FROM '{source}' WITH (sample = '{sample}')"
        ).first()
        assert row.rows_compared > 50
    spark.sql("DROP MODEL sampled")


def test_the_sample_is_read_in_the_session_that_asks(spark, other_spark, source):
    """Also where Python has used another session since."""
    rows = other_spark.createDataFrame(spark.sql("SELECT age, tenure FROM customers").toArrow())
    rows.createTempView("mine")
    spark.createDataFrame([(1,)], "a INT").count()
    create = f"CREATE OR REPLACE MODEL sampled FROM '{source}' WITH (sample = 'mine')"
    assert other_spark.sql(create).first().rows_compared > 50
    other_spark.createDataFrame([(1,)], "a INT").count()
    with pytest.raises(PySparkException, match="TABLE_OR_VIEW_NOT_FOUND"):
        spark.sql(create)
    spark.sql("DROP MODEL sampled")


def test_aliases_are_set_and_unset(spark, stated):
    row = spark.sql("ALTER MODEL stated SET ALIAS challenger TO VERSION 1").first()
    assert (row.name, row.alias, row.version) == ("stated", "challenger", 1)
    assert spark.sql("SHOW VERSIONS IN MODEL stated").first().aliases == ["challenger", "champion"]
    spark.sql("ALTER MODEL stated UNSET ALIAS challenger")
    assert spark.sql("SHOW VERSIONS IN MODEL stated").first().aliases == ["champion"]


def test_show_models_is_a_relation_with_types(spark, stated):
    frame = spark.sql("SHOW MODELS LIKE 'stat%'")
    assert frame.dtypes == spark.sql("SELECT * FROM models()").dtypes
    assert [r.name for r in frame.collect()] == ["stated"]
    assert "stated" in {r.name for r in spark.sql("show models").collect()}


def test_describe_model(spark, stated):
    described = spark.sql("DESCRIBE MODEL stated@champion")
    assert described.collect() == spark.sql("SELECT * FROM describe_model('stated')").collect()
    extended = spark.sql("DESC MODEL EXTENDED stated").collect()
    facts = {r.name: r.value for r in extended if r.role == "property"}
    assert (facts["version"], facts["parity_ok"], facts["task"]) == ("1", "true", "classification")


def test_a_table_named_model_is_sparks(spark):
    spark.range(1).createOrReplaceTempView("model")
    assert [r.col_name for r in spark.sql("DESCRIBE model").collect()] == ["id"]
    assert spark.sql("DESCRIBE TABLE EXTENDED model").first().col_name == "id"
    assert spark.sql("SELECT id AS model FROM model").columns == ["model"]
    spark.catalog.dropTempView("model")


def test_drop_model(spark, source):
    spark.sql(f"CREATE MODEL dropped FROM '{source}'")
    spark.sql(f"CREATE OR REPLACE MODEL dropped FROM '{source}'")
    assert spark.sql("DROP MODEL dropped VERSION 1").first().versions == [1]
    assert [r.version for r in spark.sql("SHOW VERSIONS IN MODEL dropped").collect()] == [2]
    assert spark.sql("DROP MODEL dropped").first().versions == [2]
    assert spark.sql("DROP MODEL IF EXISTS dropped").count() == 0


def test_a_session_opened_later_knows_the_statements(other_spark, stated):
    assert other_spark.sql("SHOW VERSIONS IN MODEL stated").count() == 1
    assert other_spark.sql("ALTER MODEL stated SET ALIAS c TO VERSION 1").count() == 1
    assert other_spark.sql("EXECUTE IMMEDIATE 'SHOW MODELS'").count() > 0


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE MODEL churn FORM 'x'", "[STATEMENT_SYNTAX] line 1, column 20: found FORM"),
        ("EXPLAIN DROP MODEL", "[STATEMENT_SYNTAX]"),
        ("CREATE MODEL churn FROM 'runs:/1/x'", "[MODEL_EXISTS]"),
        ("CREATE MODEL new FROM 'runs:/1/x'", "[MODEL_REJECTED]"),
        ("CREATE MODEL new FROM 'file:/etc/passwd'", "[REFERENCE_NOT_ALLOWED]"),
        ("ALTER MODEL churn SET ALIAS a TO VERSION 99", "[VERSION_NOT_FOUND]"),
        ("ALTER MODEL churn UNSET ALIAS nobody", "[ALIAS_NOT_FOUND]"),
        ("DESCRIBE MODEL chrun", "[MODEL_NOT_FOUND] No model 'chrun'. Did you mean 'churn'?"),
        ("SHOW VERSIONS IN MODEL chrun", "[MODEL_NOT_FOUND]"),
        ("DROP MODEL chrun", "[MODEL_NOT_FOUND]"),
    ],
)
def test_errors_are_one_line(spark, error_of, statement, message):
    assert error_of(spark, statement).startswith(message)


@pytest.mark.parametrize(
    "statement", ["SELECT model FROM (", "CREATE TABLE model (", "SELEC 'model'", "DROP modle x"]
)
def test_sparks_own_errors_come_back_unchanged(spark, statement):
    """Text, condition and position are those of a session without sqlml."""
    from pyspark.errors import ParseException

    parser = spark._jvm.org.apache.spark.sql.execution.SparkSqlParser()
    with pytest.raises(ParseException) as plain:
        parser.parsePlan(statement)
    with pytest.raises(ParseException) as ours:
        spark.sql(statement)
    assert str(ours.value) == str(plain.value)


def test_pickled_models_need_the_owners_word(spark, registry, fitted, frame, error_of):
    import sqlml

    with mlflow.start_run():
        uri = mlflow.sklearn.log_model(
            fitted["churn"],
            name="model",
            input_example=frame,
            serialization_format="pickle",
        ).model_uri
    create = f"CREATE MODEL pickled FROM '{uri}'"
    assert error_of(spark, create).startswith("[MODEL_REJECTED]")
    assert "trust_pickle=True" in error_of(spark, create)
    sqlml.install(spark, trust_pickle=True)
    try:
        assert spark.sql(create).first().version == 1
    finally:
        sqlml.install(spark)
        spark.sql("DROP MODEL IF EXISTS pickled")
    assert error_of(spark, create.replace("pickled", "again")).startswith("[MODEL_REJECTED]")
