"""Pipelines that Spark ML wrote into a directory: parameters as JSON, numbers as Parquet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlml.convert.files import unreadable
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DESCRIPTION = "metadata"
"""The directory of a stage that holds its class and its parameters."""

_OWN = ("org.apache.spark.ml.", "pyspark.ml.")


def opened(path: Path) -> Any:
    """The pipeline or model, by the active Spark session, or by one of this machine.

    Spark loads the classes that the description of a stage names. So none but Spark's own may
    be among them: nobody's code is run. Raises `NotConvertibleError` with the class of any
    other, `ModelRejectedError` where the directory is damaged.
    """
    for name in _classes(path):
        if not name.startswith(_OWN) or name.startswith("pyspark.ml.connect."):
            raise NotConvertibleError(
                name,
                "it is no class of Spark's own, and opening it would run code.",
                "Publish from Python: sqlml.publish(pipeline, …).",
            )
    from pyspark.ml.util import DefaultParamsReader
    from pyspark.sql import SparkSession

    try:
        session = SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()
        # As a URI: the file system that Spark takes a plain path for may be another.
        return DefaultParamsReader.loadParamsInstance(path.resolve().as_uri(), session.sparkContext)
    except Exception as error:  # Py4J's and Spark's, of many kinds
        raise unreadable(path, error) from error


def _classes(path: Path) -> Iterator[str]:
    """What each stage says it is."""
    for file in sorted(path.rglob(f"{DESCRIPTION}/part-*")):
        try:
            yield str(json.loads(file.read_text("utf-8"))["class"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise unreadable(path, error) from error
