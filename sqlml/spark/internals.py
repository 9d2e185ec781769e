"""Spark's JVM internals: the one module that touches them, tried on Spark 4.3.

Each function is named for what it does, and nothing above this module sees a Scala class:
expressions, plans and columns pass through as opaque handles. `self_test` says what broke
where another Spark lacks something.
"""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa  # noqa: TC002 - Spark reads the form of a UDF from its annotations
from py4j.protocol import Py4JJavaError
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession
from pyspark.sql.classic.column import Column as ClassicColumn
from pyspark.sql.functions import col

from sqlml.errors import SparkIncompatibleError, SqlmlError
from sqlml.types import sql_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import Column

# Handles of the JVM. The names are for readers; py4j has one type for all.
JavaObject = Any
Expression = JavaObject
Plan = JavaObject

# PythonEvalType.SQL_SCALAR_ARROW_UDF of pyspark.util
ARROW_UDF = 250

# The JVM holds builders as proxies only; what they call is kept here, by name and kind.
_builders: dict[tuple[str, bool], object] = {}


# --- functions in every session ------------------------------------------------------


@dataclass(frozen=True)
class Function:
    """A function to install: what DESCRIBE FUNCTION shows, and what a call becomes."""

    usage: str
    """One line; `_FUNC_` stands for the name."""
    build: Callable[[Call], JavaObject]
    """From a call with resolved arguments to a Catalyst expression, or a logical plan for a
    table function. A `SqlmlError` raised here reaches any client as one line."""


def install_functions(
    spark: SparkSession, scalar: Mapping[str, Function], table: Mapping[str, Function]
) -> None:
    """Make functions known to this session and to every later session of the application.

    Sessions copy Spark's builtin registries when they open, so the functions go there, and
    into the registries of the session that is open already. As builtin functions, not as
    temporary ones, they may stand in a persistent view.
    """
    gateway = _context(spark)._gateway
    ensure_callback_server_started(gateway)
    # A Java exception raised in a builder must arrive as itself, not as a Python traceback.
    gateway.python_parameters.propagate_java_exceptions = True
    logging.getLogger("py4j.clientserver").addFilter(_hides_answers)
    catalyst, some = _catalyst(spark), _jvm(spark).scala.Option.apply
    state = _java_session(spark).sessionState()
    registries = (
        (scalar, catalyst.analysis.FunctionRegistry.builtin(), state.functionRegistry()),
        (table, catalyst.analysis.TableFunctionRegistry.builtin(), state.tableFunctionRegistry()),
    )
    for functions, builtin, of_session in registries:
        for name, function in functions.items():
            builder = _Builder(name, function.build)
            _builders[name, functions is table] = builder
            identifier = catalyst.FunctionIdentifier(name, some("builtin"), some("system"))
            about = ("sqlml", None, name, function.usage, *[""] * 6, "built-in")
            info = catalyst.expressions.ExpressionInfo(*about)
            for registry in (builtin, of_session):
                registry.registerFunction(identifier, info, builder)


class _Builder:
    """A Python function as the scala.Function1 that Spark's function registries hold."""

    def __init__(self, name: str, build: Callable[[Call], JavaObject]) -> None:
        self._name, self._build = name, build

    def apply(self, expressions: JavaObject) -> JavaObject:
        # The session that analyses the query; the one that installed may be closed.
        spark = SparkSession.getActiveSession()
        if spark is None:
            raise SparkIncompatibleError("A query is analysed without an active session.")
        try:
            handles = [expressions.apply(i) for i in range(expressions.size())]
            call = Call(self._name, tuple(_read_argument(h) for h in handles), spark)
            return self._build(call)
        except SqlmlError as error:
            raise _java_error(spark, error) from None

    class Java:
        implements = ("scala.Function1",)


class _Answer(Py4JJavaError):  # type: ignore[misc]
    """A `SqlmlError` on its way through py4j to the user."""


def _hides_answers(record: logging.LogRecord) -> bool:
    # py4j logs the traceback of every exception that leaves a callback. Ours are answers to
    # the user, who reads them as the query's error.
    return not (record.exc_info and isinstance(record.exc_info[1], _Answer))


def _java_error(spark: SparkSession, error: SqlmlError) -> _Answer:
    """The error as an unchecked Java exception, which clients show as one of Spark's own.

    A checked one (AnalysisException) would arrive wrapped. The public constructors look a
    message up in Spark's own list of conditions; the private one takes ours.
    """
    jvm = _jvm(spark)
    kind = jvm.java.lang.Class.forName("org.apache.spark.SparkRuntimeException")
    wanted = ["String", "Option", "Option", "Map", "QueryContext[]", "Option"]
    for constructor in kind.getDeclaredConstructors():
        if [p.getSimpleName() for p in constructor.getParameterTypes()] == wanted:
            break
    else:
        raise SparkIncompatibleError("SparkRuntimeException has no constructor for a message.")
    constructor.setAccessible(True)
    context = jvm.java.lang.Class.forName("org.apache.spark.QueryContext")
    given = (
        str(error),
        jvm.scala.Option.empty(),
        jvm.scala.Option.apply(error.condition),
        jvm.PythonUtils.toScalaMap({}),
        jvm.java.lang.reflect.Array.newInstance(context, 0),
        jvm.scala.Option.empty(),
    )
    arguments = _context(spark)._gateway.new_array(jvm.java.lang.Object, len(given))
    for i, value in enumerate(given):
        arguments[i] = value
    return _Answer("", constructor.newInstance(arguments))


# --- reading a call ------------------------------------------------------------------


@dataclass(frozen=True)
class Argument:
    """One argument of a function call, as the analyzer resolved it."""

    name: str | None
    """The name of a column, alias or struct field, or of `name => …`; None for the rest."""
    type: str
    """The Spark SQL type; "STRUCT", "ARRAY" or "MAP" for nested ones, "TABLE" for a table."""
    handle: JavaObject
    """The expression; the logical plan of a table."""
    explicit: bool = False
    """The name was written as `name => …`."""

    @property
    def text(self) -> str:
        """As a user would read it in a message."""
        return str(self.handle.sql()) if self.type != "TABLE" else "TABLE(…)"


@dataclass(frozen=True)
class Call:
    """A call of one of our functions, in the session that analyses it."""

    function: str
    arguments: tuple[Argument, ...]
    spark: SparkSession

    @property
    def case_sensitive(self) -> bool:
        """Spark's own setting, spark.sql.caseSensitive, in the calling session."""
        conf = self.spark._jvm.org.apache.spark.sql.internal.SQLConf.get()
        return bool(conf.caseSensitiveAnalysis())


def constant_text(argument: Argument) -> str | None:
    """The text of an argument that is one constant string for all rows, else None."""
    if argument.type != "STRING" or not argument.handle.foldable():
        return None
    value = argument.handle.eval(None)
    return None if value is None else str(value.toString())


def struct_fields(argument: Argument, spark: SparkSession) -> tuple[Argument, ...]:
    """The fields of a STRUCT argument, each as an argument of its own."""
    expressions = _catalyst(spark).expressions
    struct = argument.handle
    names_and_types = _names_and_types(struct.dataType().json())
    if struct.getClass().getSimpleName() == "CreateNamedStruct":
        values = struct.valExprs()
        handles = [values.apply(i) for i in range(values.size())]
    else:
        some = _jvm(spark).scala.Option.apply
        handles = [
            expressions.GetStructField(struct, i, some(name))
            for i, (name, _) in enumerate(names_and_types)
        ]
    return tuple(
        Argument(name, kind, handle)
        for (name, kind), handle in zip(names_and_types, handles, strict=True)
    )


def plan_columns(plan: Plan) -> list[tuple[str, str]]:
    """Name and Spark SQL type of each output column of a logical plan."""
    return _names_and_types(plan.schema().json())


def _read_argument(handle: JavaObject) -> Argument:
    kind = handle.getClass().getSimpleName()
    if kind == "NamedArgumentExpression":
        inner = _read_argument(handle.value())
        return Argument(handle.key(), inner.type, inner.handle, explicit=True)
    if kind == "FunctionTableSubqueryArgumentExpression":
        return Argument(None, "TABLE", handle.plan())
    return Argument(_name_of(handle, kind), _type_name(handle.dataType().json()), handle)


def _name_of(handle: JavaObject, kind: str) -> str | None:
    """The name that a reader of the SQL would say the expression has."""
    match kind:
        case "AttributeReference" | "Alias" | "OuterReference":
            return str(handle.name())
        case "GetStructField":
            return str(handle.extractFieldName())
        case "Cast":  # CAST(age AS DOUBLE) is still the age
            child = handle.child()
            return _name_of(child, child.getClass().getSimpleName())
    return None


def _names_and_types(schema_json: str) -> list[tuple[str, str]]:
    return [(f["name"], _type_word(f["type"])) for f in json.loads(schema_json)["fields"]]


def _type_name(type_json: str) -> str:
    return _type_word(json.loads(type_json))


def _type_word(type_: Any) -> str:
    return sql_type(type_["type"] if isinstance(type_, dict) else type_)


# --- building expressions and plans --------------------------------------------------


def column_of(expression: Expression, spark: SparkSession) -> Column:
    """An expression as a PySpark Column, to build on with PySpark's own functions."""
    utils = _jvm(spark).org.apache.spark.sql.classic.ExpressionUtils
    return ClassicColumn(utils.column(expression))


def expression_of(column: Column, spark: SparkSession) -> Expression:
    """The Catalyst expression behind a Column; functions in it are resolved later."""
    return _java_session(spark).expression(column._jc)


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
    catalyst = _catalyst(spark)
    mark = f"sqlml_{uuid.uuid4().hex[:8]}"  # PREDICT may stand over PREDICT
    shipped = [f"{mark}_{i}" for i in range(len(casts))]
    below = ", ".join(["*", *(f"{c} AS {s}" for c, s in zip(casts, shipped, strict=True))])
    call = _parser(spark).parseExpression(f"f({', '.join(shipped)})")
    function = udf._unwrapped._judf.builder(call.arguments())
    raw = catalyst.expressions.AttributeReference(
        f"{mark}_raw",
        function.dataType(),
        True,
        _jvm(spark).org.apache.spark.sql.types.Metadata.empty(),
        catalyst.expressions.NamedExpression.newExprId(),
        _seq([], spark),
    )
    evaluated = catalyst.plans.logical.ArrowEvalPython(
        _seq([function], spark), _seq([raw], spark), _select(below, plan, spark), ARROW_UDF
    )
    passed = _select(f"* EXCEPT ({', '.join([*shipped, f'{mark}_raw'])})", evaluated, spark)
    derived = [
        _java_session(spark).expression(column.alias(name)._jc)
        for name, column in outputs(col(f"{mark}_raw")).items()
    ]
    columns = passed.projectList().appendedAll(_seq(derived, spark))
    return catalyst.plans.logical.Project(columns, evaluated)


def _select(columns: str, plan: Plan, spark: SparkSession) -> Plan:
    """SELECT … over a plan, from SQL text: one call for any number of columns."""
    return _parser(spark).parsePlan(f"SELECT {columns}").withNewChildren(_seq([plan], spark))


def rows_plan(rows: list[dict[str, Any]], ddl: str, spark: SparkSession) -> Plan:
    """A relation of given rows; `ddl` is its schema, as in "name STRING, version INT"."""
    text = "SELECT inline(from_json(:rows, :kind))"
    values = {"rows": json.dumps(rows), "kind": f"ARRAY<STRUCT<{ddl}>>"}
    frame = spark.sql(text, values)
    return frame._jdf.queryExecution().analyzed()


# --- what Spark must have ------------------------------------------------------------


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
    analysis, state = _catalyst(spark).analysis, _java_session(spark).sessionState()
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
    session = _java_session(spark)
    frame = _jvm(spark).org.apache.spark.sql.classic.Dataset.ofRows(session, plan)
    if list(frame.columns()) != ["id", "y"]:
        raise ValueError("the rewritten plan has other columns")


_ATTEMPTS: dict[str, Callable[[SparkSession], object]] = {
    "the builtin function registries": _attempt_registries,
    "plans with an ArrowEvalPython node": _attempt_rewrite,
    "an unchecked exception with a condition": lambda s: _java_error(s, SqlmlError("test")),
}


# --- the JVM -------------------------------------------------------------------------


def _context(spark: SparkSession) -> Any:
    return spark.sparkContext


def _jvm(spark: SparkSession) -> Any:
    return spark._jvm


def _java_session(spark: SparkSession) -> JavaObject:
    return spark._jsparkSession


def _catalyst(spark: SparkSession) -> Any:
    return _jvm(spark).org.apache.spark.sql.catalyst


def _parser(spark: SparkSession) -> JavaObject:
    # Spark's own, without extensions; it reads the session's settings from the thread.
    return getattr(getattr(_catalyst(spark).parser, "CatalystSqlParser$"), "MODULE$")


def _seq(items: list[JavaObject], spark: SparkSession) -> JavaObject:
    return _jvm(spark).PythonUtils.toSeq(items)
