"""What EXPLAIN says about the calls of our functions, after Spark's own output."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from sqlml.spark.internals.jvm import bridge, jvm

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

    from sqlml.spark.internals.jvm import JavaObject

# Of the call that this thread builds for EXPLAIN.
_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


def note(text: str) -> None:
    """Have EXPLAIN show a line, under "== Models ==", for the call that is being built.

    To be called in the thread that a `Function.build` runs in. Equal lines of one query are
    shown once. Nothing happens, and nothing leaves Python, where nobody explains.

    >>> note("PREDICT('churn') is churn/3")
    """
    notes = _notes.get()
    if notes is not None:
        notes.append(text)


def noting(
    spark: SparkSession, build: Callable[[JavaObject], JavaObject]
) -> Callable[[JavaObject], JavaObject]:
    """The same builder for EXPLAIN: its answer together with the notes."""

    def build_and_tell(expressions: JavaObject) -> JavaObject:
        notes: list[str] = []
        outer = _notes.set(notes)
        try:
            answer = build(expressions)
        finally:
            _notes.reset(outer)
        lines = spark.sparkContext._gateway.new_array(jvm(spark).java.lang.String, len(notes))
        for i, line in enumerate(notes):
            lines[i] = " ".join(line.splitlines())
        return bridge(spark).noted(answer, lines)

    return build_and_tell
