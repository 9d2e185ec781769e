"""The driver's JVM, and the Java classes of ours in it, in front of Python functions."""

from __future__ import annotations

import contextlib
import logging
import threading
from importlib import resources
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext
from pyspark.errors.exceptions.captured import CapturedException
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

from sqlml.errors import SparkIncompatibleError, SqlmlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Handles of the JVM. The names are for readers; py4j has one type for all.
JavaObject = Any
Expression = JavaObject
Plan = JavaObject

_logger = logging.getLogger("sqlml.spark")

# One bridge for each JVM, by its gateway.
_bridges: dict[Any, JavaObject] = {}
_plans: dict[Any, JavaObject] = {}

_answers = threading.local()


def bridge(spark: SparkSession) -> JavaObject:
    """The object of Bridge.java in this JVM, compiled when it is first asked for."""
    gateway = spark.sparkContext._gateway
    if gateway not in _bridges:
        ensure_callback_server_started(gateway)
        loader = _compiled(spark, "Bridge.java", None)
        made = _new(spark, loader, "sqlml.Bridge")
        try:
            loader = _compiled(spark, "JdbcErrors.java", loader)
            made.useForJdbc(_new(spark, loader, "sqlml.JdbcErrors"))
        except Py4JJavaError:
            _logger.debug("This Spark has no Thrift server.")
        _bridges[gateway] = made
    return _bridges[gateway]


def plans(spark: SparkSession) -> JavaObject:
    """The object of Plans.java in this JVM, compiled when it is first asked for."""
    gateway = spark.sparkContext._gateway
    if gateway not in _plans:
        _plans[gateway] = _new(spark, _compiled(spark, "Plans.java", None), "sqlml.Plans")
    return _plans[gateway]


@contextlib.contextmanager
def compiling(spark: SparkSession) -> Iterator[None]:
    """Have the JVM compile our Java classes while Python does something else.

    Java's own errors are met again, and told, by whoever asks for the classes next.
    """

    def compile_both() -> None:
        with contextlib.suppress(Py4JError):
            bridge(spark)
            plans(spark)

    thread = threading.Thread(target=compile_both, name="sqlml-compiling")
    thread.start()
    try:
        yield
    finally:
        thread.join()


class Callback:
    """A Python function of one argument as the scala.Function1 that Java code calls.

    What it raises becomes its result, which Bridge.java throws: a `SqlmlError` as one line,
    an error of Java's as itself.
    """

    def __init__(self, spark: SparkSession, function: Callable[[Any], Any]) -> None:
        self._bridge, self._function = bridge(spark), function

    def apply(self, argument: Any) -> Any:
        # Once Python lets go of an object, py4j has Java forget it: from another thread, and
        # maybe before Java has read the answer. This thread's next answer, or end, comes after.
        _answers.last = self._answer(argument)
        return _answers.last

    def _answer(self, argument: Any) -> Any:
        try:
            return self._function(argument)
        except SqlmlError as error:
            return self._bridge.refusal(error.condition, str(error))
        except Py4JJavaError as error:
            return error.java_exception
        except CapturedException as error:
            if error._origin is not None:
                return error._origin
            return self._defect(error)
        except Exception as error:
            return self._defect(error)

    def _defect(self, error: Exception) -> JavaObject:
        _logger.exception("A defect of sqlml; please report it.")
        found = SqlmlError(f"{type(error).__name__}: {error} (a defect of sqlml; please report it)")
        return self._bridge.refusal(found.condition, str(found))

    class Java:
        implements = ("scala.Function1",)


def text_of(found: str | JavaObject) -> str:
    """A text as Bridge.java gives it: itself, or pieces of a long one."""
    return found if isinstance(found, str) else "".join(found[i] for i in range(len(found)))


def active_session() -> SparkSession:
    """The session that analyses a query in this thread; the one that installed may be closed.

    PySpark's getActiveSession answers with the session that Python used last, in any thread.
    """
    context = SparkContext._active_spark_context
    if context is not None:
        found = _java_class(context, "org.apache.spark.sql.classic.SparkSession").getActiveSession()
        if found.isDefined():
            return SparkSession(context, found.get())
    raise SparkIncompatibleError("A query is analysed without an active session.")


def sql_conf(spark: SparkSession) -> JavaObject:
    """The settings of the session whose query is being analysed in this thread."""
    return _java_class(spark.sparkContext, "org.apache.spark.sql.internal.SQLConf").get()


def _java_class(context: SparkContext, name: str) -> Any:
    """By its whole name: one call, where package by package it is one for each."""
    return getattr(context._jvm, name)


def context(spark: SparkSession) -> Any:
    """The SparkContext."""
    return spark.sparkContext


def jvm(spark: SparkSession) -> Any:
    """The view of the JVM through which classes are reached by name."""
    return spark._jvm


def java_session(spark: SparkSession) -> JavaObject:
    """The session's own object in the JVM."""
    return spark._jsparkSession


def catalyst(spark: SparkSession) -> Any:
    """The package of expressions and plans."""
    return jvm(spark).org.apache.spark.sql.catalyst


def parser(spark: SparkSession) -> JavaObject:
    """Spark's own parser, without extensions; it reads settings from the thread."""
    return getattr(getattr(catalyst(spark).parser, "CatalystSqlParser$"), "MODULE$")


def seq(items: list[JavaObject], spark: SparkSession) -> JavaObject:
    """A Scala Seq."""
    return jvm(spark).PythonUtils.toSeq(items)


def _compiled(spark: SparkSession, source: str, parent: JavaObject | None) -> JavaObject:
    """The class loader with the classes of a Java source beside this module."""
    java = jvm(spark)
    compiler = java.org.codehaus.janino.SimpleCompiler()
    compiler.setParentClassLoader(
        parent or java.java.lang.Thread.currentThread().getContextClassLoader()
    )
    # Through the importer: the package may be in a zip of spark-submit's.
    compiler.cook(resources.files(__package__).joinpath(source).read_text(encoding="utf-8"))
    return compiler.getClassLoader()


def _new(spark: SparkSession, loader: JavaObject, name: str) -> JavaObject:
    """An object of a compiled class, whose constructor takes nothing."""
    nothing = spark.sparkContext._gateway.new_array(jvm(spark).java.lang.Object, 0)
    return loader.loadClass(name).getConstructors()[0].newInstance(nothing)
