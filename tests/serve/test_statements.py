"""The statements on models and the T-SQL form of PREDICT, the same through every client."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import mlflow
import numpy as np
import pytest
from xgboost import XGBClassifier

from .clients import beeline, pyhive

CONNECT_CLIENT = """
import json, sys
from pyspark.sql import SparkSession

spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
print(json.dumps([[row[:2] for row in spark.sql(text).collect()] for text in sys.argv[2:]]))
spark.stop()
"""


def through_beeline(server, statements):
    """Beeline has one output for all of them: a line tells where the next begins."""
    asked = [part for statement in statements for part in ("SELECT 'next'", statement)]
    done = beeline(server, *asked)
    assert done.returncode == 0, done.stderr
    answers = []
    for row in csv.reader(line for line in done.stdout.splitlines() if line):
        if row == ["next"]:
            answers.append([])
        else:
            answers[-1].append(row[:2])
    return answers


def through_pyhive(server, statements):
    answers = []
    with pyhive(server) as cursor:
        for statement in statements:
            cursor.execute(statement)
            answers.append([row[:2] for row in cursor.fetchall()])
    return answers


def through_connect(server, statements):
    done = subprocess.run(
        [sys.executable, "-c", CONNECT_CLIENT, server.connect, *statements],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def as_text(rows):
    """Clients differ in what they make of a boolean or an array."""
    return [[str(value).lower() for value in row] for row in rows]


@pytest.fixture(scope="module")
def source(own_registry, rows):
    """A model that its author logged with MLflow, in XGBoost's own format."""
    numbers = rows[["age", "tenure"]].astype(float)
    model = XGBClassifier(n_estimators=4, max_depth=2).fit(numbers, np.arange(len(rows)) % 2)
    with pytest.MonkeyPatch.context() as env:
        for key, value in own_registry.items():
            env.setenv(key, value)
        with mlflow.start_run():
            return mlflow.xgboost.log_model(model, name="model", input_example=numbers).model_uri


@pytest.mark.parametrize("run", [through_beeline, through_pyhive, through_connect])
def test_statements_are_the_same_through_every_client(server, source, run):
    name = "stated_" + run.__name__.rpartition("_")[2]
    tsql = (
        "SELECT d.id, p.score BETWEEN 0 AND 1 FROM PREDICT(MODEL = 'churn', DATA = customers AS d, "
        "RUNTIME = ONNX) WITH (score FLOAT) AS p WHERE d.id < 2 ORDER BY d.id"
    )
    steps = [
        (f"CREATE MODEL {name} FROM '{source}' WITH (alias = 'champion')", [(name, 1)]),
        (f"SHOW MODELS LIKE '{name}%'", [(name, 1)]),
        (
            f"ALTER MODEL {name} SET ALIAS challenger TO VERSION 1",
            [(name, "challenger")],
        ),
        (
            f"DESCRIBE MODEL {name}@challenger",
            [
                ("input", "age"),
                ("input", "tenure"),
                ("output", "prediction"),
                ("output", "probability"),
                ("output", "probabilities"),
                ("backend", "sql"),
            ],
        ),
        (f"SELECT count(*), count(predict('{name}', *)) FROM customers", [(120, 120)]),
        (f"DROP MODEL {name}", [(name, [1])]),
        (f"SHOW MODELS LIKE '{name}%'", []),
        (tsql, [(0, True), (1, True)]),
    ]
    found = run(server, [statement for statement, _ in steps])
    assert [as_text(rows) for rows in found] == [as_text(rows) for _, rows in steps]
