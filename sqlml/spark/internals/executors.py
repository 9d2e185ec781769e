"""What runs on the executors of an application, looked at without their Python workers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

_STABLE_SECONDS = 3.0
_DAEMON = "spark.python.daemon.module"


def count_executors(spark: SparkSession, timeout: float) -> int:
    """How many executors there are, once no more come; at most `timeout` seconds are waited.

    A local Spark has one: its driver.
    """
    tracker = spark.sparkContext._jsc.sc().statusTracker()
    if spark.sparkContext._jsc.isLocal():
        return 1
    end = time.monotonic() + timeout
    found, since = 0, time.monotonic()
    while time.monotonic() < end and (not found or time.monotonic() < since + _STABLE_SECONDS):
        time.sleep(0.2)
        now = len(tracker.getExecutorInfos()) - 1  # the driver is among them
        if now != found:
            found, since = now, time.monotonic()
    return found


def fork_workers_from(spark: SparkSession, module: str) -> None:
    """Let Spark fork its Python workers from this module instead of pyspark.daemon.

    A setting of the application's own stays. Spark reads it whenever it starts a daemon, in
    the driver's own settings: a local Spark's workers begin there.
    """
    settings = spark.sparkContext._jsc.sc().conf()
    if not settings.contains(_DAEMON):
        settings.set(_DAEMON, module)


def run_command(spark: SparkSession, command: Sequence[str], times: int) -> list[str]:
    """The lines that a command prints, run so many times at once, spread over the executors.

    Spark offers a stage's tasks to its executors in turn, so none is passed over where
    `times` is their number. A command that fails is a Py4JJavaError that names the host.
    """
    context = spark.sparkContext
    tasks = context._jsc.parallelize([""] * times, times)
    return [str(line) for line in tasks.pipe(list(command)).collect()]
