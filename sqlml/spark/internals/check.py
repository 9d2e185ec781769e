"""What Spark must have for all of this."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa  # noqa: TC002 - Spark reads the form of a UDF from its annotations

from sqlml.errors import SparkIncompatibleError
from sqlml.spark.internals.filters import facts
from sqlml.spark.internals.jvm import bridge, catalyst, java_session, jvm
from sqlml.spark.internals.plans import score

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession


def self_test(spark: SparkSession) -> None:
    """Try each internal that PREDICT relies on; `SparkIncompatibleError` says what broke."""
    for what, attempt in _ATTEMPTS.items():
        try:
            attempt(spark)
        except Exception as error:
            raise SparkIncompatibleError(
                f"Spark {spark.version} lacks {what} as Spark 4.3 has it "
                f"({type(error).__name__}). Install it: pip install 'pyspark>=4.3,<4.4'"
            ) from error


def _attempt_registries(spark: SparkSession) -> None:
    analysis, state = catalyst(spark).analysis, java_session(spark).sessionState()
    for registry in (
        analysis.FunctionRegistry.builtin(),
        analysis.TableFunctionRegistry.builtin(),
        state.functionRegistry(),
        state.tableFunctionRegistry(),
    ):
        if registry.listFunction().isEmpty():
            raise LookupError("no builtin functions in it")


def _attempt_rewrite(spark: SparkSession) -> None:
    from pyspark.sql.functions import arrow_udf

    def same(column: pa.Array) -> pa.Array:
        return column

    relation = spark.range(1)._jdf.queryExecution().analyzed()
    udf = arrow_udf(same, "DOUBLE")
    plan = score(relation, ["CAST(id AS DOUBLE)"], udf, lambda raw: {"y": raw}, spark)
    session = java_session(spark)
    frame = jvm(spark).org.apache.spark.sql.classic.Dataset.ofRows(session, plan)
    if list(frame.columns()) != ["id", "y"]:
        raise ValueError("the rewritten plan has other columns")


def _attempt_parser(spark: SparkSession) -> None:
    state = jvm(spark).java.lang.Class.forName("org.apache.spark.sql.internal.SessionState")
    state.getDeclaredField("sqlParser")


def _attempt_filters(spark: SparkSession) -> None:
    relation, packages = spark.range(1)._jdf.queryExecution().analyzed(), catalyst(spark)
    condition = packages.expressions.IsNotNull(relation.output().head())
    (fact,) = facts(packages.plans.logical.Filter(condition, relation), spark).values()
    if not fact.not_null:
        raise ValueError("the filter says something else")


def _attempt_error(spark: SparkSession) -> None:
    error = bridge(spark).exception("TEST", "a message")
    if (error.getCondition(), error.getMessage()) != ("TEST", "a message"):
        raise ValueError("the exception says something else")


_ATTEMPTS: dict[str, Callable[[SparkSession], object]] = {
    "what our Java classes are compiled against": bridge,
    "the builtin function registries": _attempt_registries,
    "plans with an ArrowEvalPython node": _attempt_rewrite,
    "a parser that can be replaced": _attempt_parser,
    "conditions in a plan's filters": _attempt_filters,
    "an unchecked exception with a condition": _attempt_error,
}
