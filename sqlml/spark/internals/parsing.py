"""Statements that Spark's parser does not know, in every session of an application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sqlml.spark.internals.jvm import Callback, active_session, bridge, java_session, jvm, text_of
from sqlml.spark.internals.plans import rows_dataset

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlml.spark.internals.jvm import JavaObject, Plan


class Command(Protocol):
    """A statement that does something, as `sqlml.statements` reads it."""

    @property
    def text(self) -> str:
        """The statement without EXPLAIN; read again, it is the same command."""

    @property
    def schema(self) -> str:
        """The columns of its rows, as in "name STRING, version INT"."""

    @property
    def explain(self) -> str | None:
        """What stands before it where it is only to be explained."""


class Statements(Protocol):
    """What reads and runs statements."""

    def read(self, text: str) -> str | Command | None:
        """None for a statement of Spark's; SQL to parse in its place; a command."""

    def run(self, text: str, spark: SparkSession) -> tuple[list[dict[str, Any]], str]:
        """Run the command of this text in the session that asked; its rows, and their schema."""


# The JVM's parsers outlive an `install`; the latest one's statements count.
_installed: dict[str, Statements] = {}


def install_statements(spark: SparkSession, statements: Statements) -> None:
    """Read the statements of this session and of every later one before Spark's parser does.

    A text without the word MODEL never leaves the JVM. A `SqlmlError` raised by `statements`
    reaches any client as one line.
    """
    application = spark.sparkContext.applicationId
    if _installed.get(application) is None:
        run = Callback(spark, lambda text: _run(application, text))
        read = Callback(spark, lambda text: _read(application, text_of(text), run))
        bridge(spark).readStatements(java_session(spark), read)
    _installed[application] = statements


def _read(application: str, text: str, run: Callback) -> str | Plan | None:
    found = _installed[application].read(text)
    if found is None or isinstance(found, str):
        return found
    spark = active_session()
    schema = jvm(spark).PythonUtils.toScalaMap({"schema": found.schema})
    plan = bridge(spark).command(run, found.text, schema)
    if found.explain is None:
        return plan
    # Spark's own EXPLAIN of anything, around our command.
    explain = java_session(spark).sessionState().sqlParser().parsePlan(f"{found.explain} SELECT 1")
    return explain.copy(plan, explain.mode())


def _run(application: str, text: str) -> JavaObject:
    spark = active_session()
    return rows_dataset(*_installed[application].run(text, spark), spark)
