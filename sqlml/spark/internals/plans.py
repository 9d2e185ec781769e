"""Building expressions and plans."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from pyspark.sql.classic.column import Column as ClassicColumn

from sqlml.spark.internals.jvm import catalyst, java_session, jvm, plans, seq

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import Column, SparkSession

    from sqlml.spark.internals.jvm import Expression, JavaObject, Plan

MARK = f"sqlml_{uuid.uuid4().hex[:8]}"
"""How the names of columns begin that no query sees: no user's do, and a text made again is
the same text, which is not read again."""

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
    outputs: Callable[[str], Mapping[str, str]],
    spark: SparkSession,
) -> Plan:
    """Every column of `plan`, then `outputs` of what an Arrow UDF makes of `casts`, in SQL.

    `casts` are expressions over the plan's columns, the UDF's arguments; `outputs` gets the name
    of its result, and gives name → SQL. The UDF is evaluated once, over plain columns that are
    narrow before they leave the JVM: see `evaluatedInPython` of Plans.java.

    All columns are named, not referred to: the analysis that asked for the plan resolves
    them, and may give the relations below new identities before it does (self-joins).
    """
    shipped = {f"{MARK}_{i}": cast for i, cast in enumerate(casts)}
    raw = f"{MARK}_raw"
    return plans(spark).evaluatedInPython(
        plan,
        _adding(shipped),
        udf._unwrapped._judf,
        list(shipped),
        raw,
        ARROW_UDF,
        _adding(outputs(raw), hidden=[*shipped, raw]),
    )


def compute(
    plan: Plan,
    chain: Sequence[Mapping[str, str]],
    results: Mapping[str, str],
    outputs: Callable[[Mapping[str, str]], Mapping[str, str]],
    spark: SparkSession,
    *,
    fused: bool,
    small: bool,
) -> Plan:
    """Every column of `plan`, then `outputs` of what expressions in SQL make of it.

    `chain` are columns to compute, each step over those before it, the inputs first; `results`
    over all of them.
    The results are evaluated once: see `evaluatedOnce` of Plans.java. `fused`: the steps are in
    whole-stage code, `small`: in the method of a scan, where there is nothing else.
    `outputs` gets the name of the column of each of them.
    """
    named = {name: f"{MARK}_raw{i}" for i, name in enumerate(results)}
    steps = [*chain, {named[name]: text for name, text in results.items()}]
    hidden = [name for step in steps for name in step]
    selects = [*map(_adding, steps), _adding(outputs(named), hidden)]
    counts = [len(step) for step in steps]
    apart = 2 if fused else 1
    return plans(spark).evaluatedOnce(java_session(spark), plan, selects, counts, apart, small)


def _adding(columns: Mapping[str, str], hidden: Sequence[str] = ()) -> str:
    """SELECT of every column but some, and of new ones: name → SQL."""
    every = f"* EXCEPT ({', '.join(hidden)})" if hidden else "*"
    added = (f"{sql} AS `{name.replace('`', '``')}`" for name, sql in columns.items())
    return ", ".join([f"SELECT {every}", *added])


def filled(text: str, values: Mapping[str, Expression], spark: SparkSession) -> Expression:
    """An expression from SQL text in which the names of `values` stand for other expressions."""
    return plans(spark).filled(text, list(values), seq(list(values.values()), spark))


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
