"""What Spark tells of a query that it has run: Python nodes, rows that came back, bytes read."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import DataFrame

    from sqlml.bench.stage import Stage

    Run = Callable[[], DataFrame]

NODES = "evaluations"
SCORED = "rows scored"
BYTES = "bytes read"

# Local files in vectored reads are not counted by Hadoop's statistics (Hadoop 3.4).
_VECTORED = "parquet.hadoop.vectored.io.enabled"


def evaluations(_: Stage, run: Run) -> float:
    """How many nodes of the plan call Python, each on every row that reaches it."""
    return sum("EvalPython" in str(node.nodeName()) for node in _executed(run()))


def rows_scored(_: Stage, run: Run) -> float:
    """Rows that Python workers gave back."""
    return sum(
        float(found.get().value())
        for node in _executed(run())
        if (found := node.metrics().get("pythonNumRowsReceived")).isDefined()
    )


def bytes_read(stage: Stage, run: Run) -> float:
    """Bytes that the tasks read from storage."""
    spark = stage.spark
    context = spark.sparkContext
    group = uuid.uuid4().hex
    before = spark.conf.get(_VECTORED, "true")
    spark.conf.set(_VECTORED, "false")
    context.setJobGroup(group, "bytes read")
    try:
        run()
    finally:
        spark.conf.set(_VECTORED, str(before))
        context.setLocalProperty("spark.jobGroup.id", None)
    jvm: Any = context._jsc
    bus = jvm.sc().listenerBus()
    bus.waitUntilEmpty()
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = {number for job in jobs if job for number in job.stageIds}
    store = jvm.sc().statusStore()
    return float(sum(store.lastStageAttempt(number).inputBytes() for number in stages))


def _executed(ran: DataFrame) -> Iterator[Any]:
    """The nodes of the plan as it was executed."""
    return _nodes(ran._jdf.queryExecution().executedPlan())


def _nodes(plan: Any) -> Iterator[Any]:
    if plan.nodeName() == "AdaptiveSparkPlan":
        plan = plan.executedPlan()
    yield plan
    children = plan.children()
    for i in range(children.size()):
        yield from _nodes(children.apply(i))
    if plan.nodeName().endswith("QueryStage"):
        yield from _nodes(plan.plan())
