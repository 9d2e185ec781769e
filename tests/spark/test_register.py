"""One model as one function, through PySpark's public API: classic sessions and Connect."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

import sqlml
from sqlml.errors import ArgumentError, InputCountError, SparkIncompatibleError

pytestmark = pytest.mark.usefixtures("table")

MODELS = ["churn", "flag", "thirds", "names", "margin", "worth", "groups", "odd"]


@pytest.mark.parametrize("vectorized", ["arrow", "pandas"])
@pytest.mark.parametrize("model", MODELS)
def test_a_registered_function_gives_what_predict_gives(spark, model, vectorized):
    sqlml.register(spark, "registered", model, vectorized=vectorized)
    inputs = ", ".join(i.name for i in sqlml.load(model).signature.inputs)
    query = f"SELECT predict('{model}', {inputs}) AS a, registered({inputs}) AS b FROM customers"
    found = spark.sql(query)
    assert len({kind for _, kind in found.dtypes}) == 1
    rows = found.collect()
    # predict may be an expression of Spark's, and a sum then has another order.
    close = pytest.approx if isinstance(rows[0].a, float) else list
    assert [r.a for r in rows] == close([r.b for r in rows])
    assert len(rows) == 200


@pytest.mark.parametrize("vectorized", ["arrow", "pandas"])
def test_several_targets_are_a_struct(spark, vectorized):
    sqlml.register(spark, "registered", "pair", vectorized=vectorized)
    query = "SELECT predict('pair', age, tenure) AS a, registered(age, tenure) AS b FROM customers"
    assert all(list(r.a) == pytest.approx(list(r.b)) for r in spark.sql(query).collect())


def test_arguments_may_be_named(spark):
    sqlml.register(spark, "predict_churn", "churn")
    query = """
        SELECT predict('churn', *) AS a,
               predict_churn(plan => plan, age => age, tenure => tenure) AS b FROM customers
    """
    assert all(list(r.a) == pytest.approx(list(r.b)) for r in spark.sql(query).collect())


@pytest.mark.parametrize("vectorized", ["arrow", "pandas"])
def test_nulls_and_narrower_types(spark, vectorized):
    sqlml.register(spark, "registered", "groups", vectorized=vectorized)
    query = """
        SELECT predict('groups', age, tenure) AS a, registered(age, tenure) AS b FROM (
          SELECT IF(id = 3, NULL, CAST(age AS DECIMAL(9, 1))) AS age,
                 CAST(IF(id = 4, NULL, tenure) AS INT) AS tenure FROM customers)
    """
    rows = spark.sql(query).collect()
    assert all(r.a == r.b for r in rows)
    assert sum(r.b is None for r in rows) == 2


def test_udf_is_a_column_function(spark, table):
    predicted = sqlml.udf("churn")
    by_place = table.select(predicted(table.age, table.tenure, table.plan).alias("p"))
    by_name = table.select(predicted(plan=table.plan, age=table.age, tenure=table.tenure))
    expected = [r[0] for r in spark.sql("SELECT predict('churn', *) FROM customers").collect()]
    assert [r[0] for r in by_place.collect()] == expected
    assert [r[0] for r in by_name.collect()] == expected


def test_a_wrong_number_of_columns_is_told_at_once(table):
    with pytest.raises(InputCountError, match="takes 3 inputs, found 1"):
        sqlml.udf("churn")(table.age)


def test_an_unknown_form_is_refused(spark):
    with pytest.raises(ArgumentError, match="'arrow' or 'pandas'"):
        sqlml.register(spark, "f", "churn", vectorized="numpy")


CLIENT = """
import sys
from pyspark.sql import SparkSession
import sqlml

spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
try:
    sqlml.install(spark)
except sqlml.SqlmlError as error:
    print(error)
rows = spark.range(20).selectExpr("id AS i", "30.5D + id AS age", "id AS tenure", "'pro' AS plan")
rows.createOrReplaceTempView("rows")
found = spark.sql("SELECT predict('churn', *) AS p FROM rows ORDER BY i")
print([r.p for r in found.collect()])
for form in ("arrow", "pandas"):
    sqlml.register(spark, "predict_churn", "churn", vectorized=form)
    found = spark.sql("SELECT predict_churn(age, tenure, plan) AS p FROM rows ORDER BY i")
    print([r.p for r in found.collect()])
found = rows.orderBy("i").select(sqlml.udf("churn")(rows.age, rows.tenure, rows.plan))
print([r[0] for r in found.collect()])
"""


def test_over_spark_connect(spark, tmp_path, fitted):
    """A Connect client in a process of its own, of a server that has PREDICT."""
    package = spark._jvm.org.apache.spark.sql.connect.service
    service = getattr(getattr(package, "SparkConnectService$"), "MODULE$")
    service.start(spark.sparkContext._jsc.sc())
    try:
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, f"sc://127.0.0.1:{service.localPort()}"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=tmp_path,
        )
    finally:
        service.stop(spark._jvm.scala.Option.empty(), spark._jvm.scala.Option.empty())
    assert done.returncode == 0, done.stderr[-3000:]
    refused, *scores = done.stdout.strip().splitlines()
    assert refused.startswith("[SPARK_INCOMPATIBLE] PREDICT is installed where Spark's driver runs")
    rows = pd.DataFrame({"age": [30.5 + i for i in range(20)], "tenure": range(20), "plan": "pro"})
    assert scores == [str(fitted["churn"].predict(rows).tolist())] * 4


def test_install_names_what_a_connect_client_can_do():
    class Remote:
        """Any session without a JVM: what `SparkSession.builder.remote` gives."""

    with pytest.raises(SparkIncompatibleError, match=r"sqlml\.register"):
        sqlml.install(Remote())
