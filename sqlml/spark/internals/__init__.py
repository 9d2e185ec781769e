"""Spark's JVM internals: the one package that touches them, tried on Spark 4.3.

    jvm         the JVM, and our few Java classes in it
    calls       reading a call of one of our functions
    functions   functions in every session
    explain     what EXPLAIN says about them
    plans       building expressions and plans
    filters     what a plan's filters say of its columns
    parsing     statements that Spark's parser does not know
    optimizing  what Spark's optimizer does not know
    endpoints   the servers for JDBC and Spark Connect clients
    executors   what runs on the executors
    check       what Spark must have

Each function is named for what it does, and nothing above this package sees a Scala class:
expressions, plans and columns pass through as opaque handles. `self_test` says what broke
where another Spark lacks something.
"""

from sqlml.spark.internals.calls import (
    Argument,
    Call,
    columns_of,
    constant_text,
    plan_columns,
    struct_fields,
)
from sqlml.spark.internals.check import self_test
from sqlml.spark.internals.executors import fork_workers_from
from sqlml.spark.internals.explain import note
from sqlml.spark.internals.filters import facts
from sqlml.spark.internals.functions import Function, install_functions
from sqlml.spark.internals.jvm import Expression, Plan, compiling
from sqlml.spark.internals.optimizing import install_optimizations
from sqlml.spark.internals.parsing import Statements, install_statements
from sqlml.spark.internals.plans import (
    MARK,
    column_of,
    compute,
    expression_of,
    filled,
    renamed,
    rows_plan,
    score,
)

__all__ = [
    "MARK",
    "Argument",
    "Call",
    "Expression",
    "Function",
    "Plan",
    "Statements",
    "column_of",
    "columns_of",
    "compiling",
    "compute",
    "constant_text",
    "expression_of",
    "facts",
    "filled",
    "fork_workers_from",
    "install_functions",
    "install_optimizations",
    "install_statements",
    "note",
    "plan_columns",
    "renamed",
    "rows_plan",
    "score",
    "self_test",
    "struct_fields",
]
