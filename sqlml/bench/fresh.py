"""A new session: from its being there to the first score, and the queries after it.

Each measurement has a Python and a JVM of its own, since a first query is first only once.
What a contestant imports, loads and registers counts. The child process begins at `main`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyspark.sql import DataFrame, SparkSession

    from sqlml.bench.case import Case
    from sqlml.bench.results import Result
    from sqlml.bench.stage import Stage
    from sqlml.bench.workloads import Workload

    Rows = Callable[[], DataFrame]

FIRST = "first query, s"
LATER = "20th query, s"
QUERIES = 20
PLAIN = "plain query"
SQLML, SQLML_ONNX = "sqlml", "sqlml onnx"
MLFLOW = "mlflow spark_udf"


def sessions(stage: Stage, workload: Workload, case: Case) -> Iterator[Result]:
    """Contestants in turns, each in new processes."""
    from sqlml.bench.contestants import logged_for_mlflow
    from sqlml.bench.measure import reason
    from sqlml.bench.results import Result

    published = stage.publish(case)
    given = {PLAIN: "", SQLML: published, MLFLOW: logged_for_mlflow(stage, case)}
    if case.library != "sklearn":
        given[SQLML_ONNX] = published
    stage.stop_spark()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in given}
    notes: dict[str, str] = {}
    for repetition in range(stage.repeat):
        stage.say(f"{case.name}: new sessions, {repetition + 1} of {stage.repeat}")
        for name, model in given.items():
            if name in notes:
                continue
            try:
                task = (name, model, case.data, case.library, *case.inputs)
                found[name].append(_in_a_process(task))
            except RuntimeError as error:
                notes[name] = reason(error)
    for name, runs in found.items():
        for quantity in (FIRST, LATER):
            values = () if name in notes else tuple(run[quantity] for run in runs)
            note = notes.get(name, "")
            yield Result(workload.number, case.name, name, quantity, values, note=note)


def _in_a_process(task: Sequence[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "sqlml.bench.fresh", *task]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main(name: str, model: str, data: str, library: str, *inputs: str) -> dict[str, float]:
    """Score as a new session does; seconds of the first and of the 20th query."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(os.environ.get("SPARK_MASTER", "local[*]"))
    spark = builder.config(map=_SETTINGS).getOrCreate()
    spark.sql(data).createTempView("rows")
    start = time.perf_counter()
    rows = _CONTESTANTS[name](spark, model, library, inputs)
    seconds = []
    for _ in range(QUERIES):
        rows().selectExpr("avg(score)").collect()
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    spark.stop()
    return {FIRST: seconds[0], LATER: seconds[-1]}


_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
}


def _plain(spark: SparkSession, _model: str, _library: str, inputs: Sequence[str]) -> Rows:
    return lambda: spark.sql(f"SELECT {' + '.join(inputs)} AS score FROM rows")


def _sqlml(
    spark: SparkSession, model: str, _library: str, _inputs: Sequence[str], backend: str = ""
) -> Rows:
    import sqlml

    sqlml.install(spark)
    forced = f", backend => '{backend}'" if backend else ""
    sql = f"SELECT probabilities[1] AS score FROM PREDICT('{model}', TABLE(rows){forced})"
    return lambda: spark.sql(sql)


def _mlflow(spark: SparkSession, model: str, library: str, inputs: Sequence[str]) -> Rows:
    import mlflow
    from pyspark.sql import functions as F

    udf = mlflow.pyfunc.spark_udf(spark, model, result_type="double", env_manager="local")
    score: Any = udf(F.struct(*inputs))
    if library == "sklearn":
        score = 1 - score  # the first column of predict_proba
    return lambda: spark.table("rows").select(score.alias("score"))


_CONTESTANTS: dict[str, Callable[..., Rows]] = {
    PLAIN: _plain,
    SQLML: _sqlml,
    SQLML_ONNX: partial(_sqlml, backend="onnx"),
    MLFLOW: _mlflow,
}

if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
