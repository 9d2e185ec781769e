"""Functions that every session of an application knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlml.spark.internals.calls import Call, read_argument
from sqlml.spark.internals.explain import noting
from sqlml.spark.internals.jvm import (
    Callback,
    JavaObject,
    active_session,
    bridge,
    catalyst,
    java_session,
    jvm,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import SparkSession


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
    packages, some = catalyst(spark), jvm(spark).scala.Option.apply
    state = java_session(spark).sessionState()
    registries = (
        (scalar, packages.analysis.FunctionRegistry.builtin(), state.functionRegistry()),
        (table, packages.analysis.TableFunctionRegistry.builtin(), state.tableFunctionRegistry()),
    )
    for functions, builtin, of_session in registries:
        for name, function in functions.items():
            build = _building(name, function)
            builder = bridge(spark).builder(
                Callback(spark, build), Callback(spark, noting(spark, build))
            )
            identifier = packages.FunctionIdentifier(name, some("builtin"), some("system"))
            about = ("sqlml", None, name, function.usage, *[""] * 6, "built-in")
            info = packages.expressions.ExpressionInfo(*about)
            for registry in (builtin, of_session):
                registry.registerFunction(identifier, info, builder)


def _building(name: str, function: Function) -> Callable[[JavaObject], JavaObject]:
    def build(expressions: JavaObject) -> JavaObject:
        spark = active_session()
        handles = [expressions.apply(i) for i in range(expressions.size())]
        return function.build(Call(name, tuple(read_argument(h) for h in handles), spark))

    return build
