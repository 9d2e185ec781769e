"""A Spark application as a process of its own, which does what each line of its input says.

    python application.py spark://127.0.0.1:7077      a driver, with PREDICT installed
    python application.py sc://127.0.0.1:15002        a Spark Connect client

A line is a JSON object of arguments for the function that `do` names; so is the answer,
`{"result": …}` or `{"error": …}`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import SparkSession

import sqlml
from sqlml.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROW = "row number"
APPLICATION = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": "UTC",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.connect.grpc.binding.port": "0",
    # Both executors are there before the first task.
    "spark.cores.max": "2",
    "spark.scheduler.minRegisteredResourcesRatio": "1",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    # Which executor ran what, for the tests to read.
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",
    "spark.eventLog.rolling.enabled": "false",
}


def start(url: str, events: str) -> SparkSession:
    if url.startswith("sc://"):
        return SparkSession.builder.remote(url).getOrCreate()
    builder = SparkSession.builder.master(url).config("spark.eventLog.dir", events)
    for key, value in APPLICATION.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    sqlml.install(spark)
    return spark


def score(
    spark: SparkSession,
    *,
    views: Mapping[str, str],
    functions: Mapping[str, tuple[str, sqlml.spark.registration.Vectorized]],
    queries: Mapping[str, str],
    columns: Mapping[str, tuple[str, str]],
    directory: str,
) -> list[str]:
    """Write the rows of each query, in order of ROW, to an Arrow file of its name.

    `views`: name to Parquet; `functions`: name to the model and form to register;
    `columns`: name to the view and the model of a `sqlml.udf`.
    """
    for view, path in views.items():
        spark.read.parquet(path).createOrReplaceTempView(view)
    for function, (model, form) in functions.items():
        sqlml.register(spark, function, model, vectorized=form)
    frames = {name: spark.sql(query) for name, query in queries.items()}
    for name, (view, model) in columns.items():
        inputs = [quoted(i.name) for i in sqlml.load(model).signature.inputs]
        frames[name] = spark.table(view).select(f"`{ROW}`", sqlml.udf(model)(*inputs))
    for name, frame in frames.items():
        rows = frame.toArrow().sort_by(ROW)
        with (
            pa.OSFile(str(Path(directory, name)), "wb") as file,
            pa.ipc.new_file(file, rows.schema) as writer,
        ):
            writer.write_table(rows)
    return list(frames)


def run(spark: SparkSession, *, query: str) -> list[list[Any]]:
    return [list(row) for row in spark.sql(query).collect()]


def serve(spark: SparkSession) -> str:
    """Start Spark Connect in this driver; its URL."""
    package = spark._jvm.org.apache.spark.sql.connect.service
    service = getattr(getattr(package, "SparkConnectService$"), "MODULE$")
    service.start(spark.sparkContext._jsc.sc())
    return f"sc://127.0.0.1:{service.localPort()}"


def look_around(spark: SparkSession) -> list[tuple[str, str, bool]]:
    """Where each executor's Python is and works, and whether it could import sqlml."""

    def look(_: Iterator[int]) -> Iterator[tuple[str, str, bool]]:
        import importlib.util
        import os
        import sys

        yield sys.executable, os.getcwd(), importlib.util.find_spec("sqlml") is not None

    return spark.sparkContext.parallelize(range(8), 8).mapPartitions(look).distinct().collect()


def wait_for_executors(spark: SparkSession, *, count: int) -> int:
    """Wait until the application has so many executors, and no others."""
    tracker = spark.sparkContext._jsc.sc().statusTracker()
    end = time.monotonic() + 90
    while time.monotonic() < end and len(tracker.getExecutorInfos()) != count + 1:  # the driver
        time.sleep(0.1)
    return len(tracker.getExecutorInfos()) - 1


def score_slowly(spark: SparkSession, *, query: str, view: str, marks: str) -> list[list[Any]]:
    """Run a query over `slow`, a view whose every partition takes a third of a second more.

    Each partition that begins leaves a file in `marks`.
    """

    def slow(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import time
        import uuid
        from pathlib import Path

        Path(marks, uuid.uuid4().hex).touch()
        time.sleep(0.3)
        yield from batches

    rows = spark.table(view).repartition(40)
    rows.mapInArrow(slow, rows.schema).createOrReplaceTempView("slow")
    return run(spark, query=query)


def main(url: str, events: str) -> None:
    spark = start(url, events)
    functions = (score, run, serve, look_around, wait_for_executors, score_slowly)
    known = {function.__name__: function for function in functions}
    for line in sys.stdin:
        wanted = json.loads(line)
        try:
            answer = {"result": known[wanted.pop("do")](spark, **wanted)}
        except Exception as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
