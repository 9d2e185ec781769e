"""PySpark over Spark Connect, in a process of its own, as a notebook on another machine."""

from __future__ import annotations

import json
import subprocess
import sys

from .clients import assert_one_line

CLIENT = """
import json, sys
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
other = SparkSession.builder.remote(sys.argv[1]).create()

def error_of(query):
    try:
        spark.sql(query).collect()
    except PySparkException as error:
        return str(error)

spark.sql("SET spark.sql.shuffle.partitions = 3")
spark.createDataFrame([(30.0, 4, "pro")], "age DOUBLE, tenure INT, plan STRING") \\
    .createOrReplaceTempView("mine")
scored = spark.sql("SELECT * FROM PREDICT('churn', TABLE(customers)) ORDER BY id")
print(json.dumps({
    "names": scored.columns,
    "types": [field.dataType.simpleString() for field in scored.schema],
    "labels": [row.prediction for row in scored.collect()],
    "map": sum(scored.first().probabilities.values()),
    "mine": spark.sql("SELECT prediction FROM PREDICT('churn', TABLE(mine))").first()[0],
    "frame": spark.table("customers").selectExpr("predict('worth', *) AS p").count(),
    "models": [row.name for row in spark.sql("SELECT * FROM models()").collect()],
    "error": error_of("SELECT * FROM PREDICT('chrun', TABLE(customers))"),
    "after": spark.sql("SELECT 1").first()[0],
    "own": [s.conf.get("spark.sql.shuffle.partitions") for s in (spark, other)],
    "views": [s.catalog.tableExists("mine") for s in (spark, other)],
}), flush=True)
# A session that is only dropped keeps grpcio waiting when Python ends.
other.stop()
spark.stop()
"""


def test_a_remote_session_scores_and_has_its_own_settings(server, rows, fitted, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, server.connect],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    expected = fitted["churn"].predict(rows[["age", "tenure", "plan"]])
    assert found["names"] == [*rows.columns, "prediction", "probability", "probabilities"]
    assert found["types"][-3:] == ["string", "double", "map<string,double>"]
    assert found["labels"] == expected.tolist()
    assert round(found["map"], 9) == 1
    assert found["mine"] in ("yes", "no")
    assert found["frame"] == len(rows)
    assert {"churn", "worth"} <= set(found["models"])
    assert found["error"].startswith("[MODEL_NOT_FOUND] No model 'chrun'. Did you mean 'churn'?")
    assert_one_line(found["error"])
    assert found["after"] == 1
    assert found["own"][0] == "3" != found["own"][1]
    assert found["views"] == [True, False]
