"""What Spark's optimizer does not know of our plans, in every session of an application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlml.spark.internals.jvm import java_session, plans

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_installed: set[str] = set()


def install_optimizations(spark: SparkSession) -> None:
    """Take one label's probability without making the map of all: see `OneLabel` of Plans.java."""
    application = spark.sparkContext.applicationId
    if application not in _installed:
        plans(spark).optimizeLookups(java_session(spark))
        _installed.add(application)
