"""Building expressions and plans."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from pyspark.sql.classic.column import Column as ClassicColumn
from pyspark.sql.functions import col

from sqlml.spark.internals.jvm import catalyst, java_session, jvm, parser, seq

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import Column, SparkSession

    from sqlml.spark.internals.jvm import Expression, JavaObject, Plan

# PythonEvalType.SQL_SCALAR_ARROW_UDF of pyspark.util
ARROW_UDF = 250


def column_of(expression: Expression, spark: SparkSession) -> Column:
    """An expression as a PySpark Column, to build on with PySpark's own functions."""
    utils = jvm(spark).org.apache.spark.sql.classic.ExpressionUtils
    return ClassicColumn(utils.column(expression))


def expression_of(column: Column, spark: SparkSession) -> Expression:
    """The Catalyst expression behind a Column; functions in it are resolved later."""
    return java_session(spark).expression(column._jc)


def score(
    plan: Plan,
    casts: Sequence[str],
    udf: Any,
    outputs: Callable[[Column], Mapping[str, Column]],
    spark: SparkSession,
) -> Plan:
    """Every column of `plan`, then `outputs` of what an Arrow UDF makes of `casts`.

    `casts` are SQL expressions over the plan's columns, the UDF's arguments. The UDF stands
    in an ArrowEvalPython node of its own, not in a Project: the optimizer pushes filters
    and limits on other columns below that node and leaves filters on the score above it,
    so that the UDF is evaluated once. In a Project it would be copied into a filter and
    evaluated twice. The casts stand in a Project below, so that its arguments are plain
    columns, narrow before they leave the JVM.

    All columns are named, not referred to: the analysis that asked for the plan resolves
    them, and may give the relations below new identities before it does (self-joins).
    """
    packages = catalyst(spark)
    mark = f"sqlml_{uuid.uuid4().hex[:8]}"  # PREDICT may stand over PREDICT
    shipped = [f"{mark}_{i}" for i in range(len(casts))]
    below = ", ".join(["*", *(f"{c} AS {s}" for c, s in zip(casts, shipped, strict=True))])
    call = parser(spark).parseExpression(f"f({', '.join(shipped)})")
    function = udf._unwrapped._judf.builder(call.arguments())
    raw = packages.expressions.AttributeReference(
        f"{mark}_raw",
        function.dataType(),
        True,
        jvm(spark).org.apache.spark.sql.types.Metadata.empty(),
        packages.expressions.NamedExpression.newExprId(),
        seq([], spark),
    )
    evaluated = packages.plans.logical.ArrowEvalPython(
        seq([function], spark), seq([raw], spark), _select(below, plan, spark), ARROW_UDF
    )
    passed = _select(f"* EXCEPT ({', '.join([*shipped, f'{mark}_raw'])})", evaluated, spark)
    derived = [
        java_session(spark).expression(column.alias(name)._jc)
        for name, column in outputs(col(f"{mark}_raw")).items()
    ]
    columns = passed.projectList().appendedAll(seq(derived, spark))
    return packages.plans.logical.Project(columns, evaluated)


def _select(columns: str, plan: Plan, spark: SparkSession) -> Plan:
    """SELECT … over a plan, from SQL text: one call for any number of columns."""
    return parser(spark).parsePlan(f"SELECT {columns}").withNewChildren(seq([plan], spark))


def renamed(plan: Plan, columns: Sequence[tuple[str, str, str]], spark: SparkSession) -> Plan:
    """The columns of a plan as (name, new name, qualifier): `qualifier.new name` finds each.

    A qualifier for each column is what no alias in SQL text can give: T-SQL's PREDICT has two.
    """
    packages = catalyst(spark)
    none = jvm(spark).scala.Option.empty()
    aliases = [
        packages.expressions.Alias(
            packages.analysis.UnresolvedAttribute(seq([name], spark)),
            new_name,
            packages.expressions.NamedExpression.newExprId(),
            seq([qualifier] if qualifier else [], spark),
            none,
            seq([], spark),
        )
        for name, new_name, qualifier in columns
    ]
    return packages.plans.logical.Project(seq(aliases, spark), plan)


def rows_plan(rows: list[dict[str, Any]], ddl: str, spark: SparkSession) -> Plan:
    """A relation of given rows; `ddl` is its schema, as in "name STRING, version INT"."""
    return rows_dataset(rows, ddl, spark).queryExecution().analyzed()


def rows_dataset(rows: list[dict[str, Any]], ddl: str, spark: SparkSession) -> JavaObject:
    """The same as a Dataset of the JVM."""
    text = "SELECT inline(from_json(:rows, :kind))"
    values = {"rows": json.dumps(rows), "kind": f"ARRAY<STRUCT<{ddl}>>"}
    return spark.sql(text, values)._jdf
