"""Reading a call of one of our functions: its arguments, as the analyzer resolved them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.spark.internals.jvm import bridge, catalyst, jvm, sql_conf, text_of
from sqlml.types import sql_type

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlml.spark.internals.jvm import JavaObject, Plan


@dataclass(frozen=True)
class Argument:
    """One argument of a function call, as the analyzer resolved it."""

    name: str | None
    """The name of a column, alias or struct field, or of `name => …`; None for the rest."""
    type: str
    """The Spark SQL type, "ARRAY<DOUBLE>" for one; "STRUCT" or "MAP" for what has fields or keys,
    "TABLE" for a table."""
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
        return bool(sql_conf(self.spark).caseSensitiveAnalysis())


def constant_text(argument: Argument) -> str | None:
    """The text of an argument that is one constant string for all rows, else None."""
    if argument.type != "STRING" or not argument.handle.foldable():
        return None
    value = argument.handle.eval(None)
    return None if value is None else str(value.toString())


def struct_fields(argument: Argument, spark: SparkSession) -> tuple[Argument, ...]:
    """The fields of a STRUCT argument, each as an argument of its own."""
    expressions = catalyst(spark).expressions
    struct = argument.handle
    names_and_types = _names_and_types(struct.dataType().json())
    if struct.getClass().getSimpleName() == "CreateNamedStruct":
        values = struct.valExprs()
        handles = [values.apply(i) for i in range(values.size())]
    else:
        some = jvm(spark).scala.Option.apply
        handles = [
            expressions.GetStructField(struct, i, some(name))
            for i, (name, _) in enumerate(names_and_types)
        ]
    return tuple(
        Argument(name, kind, handle)
        for (name, kind), handle in zip(names_and_types, handles, strict=True)
    )


def plan_columns(plan: Plan, spark: SparkSession) -> list[tuple[str, str]]:
    """Name and Spark SQL type of each output column of a logical plan."""
    return _names_and_types(text_of(bridge(spark).schema(plan)))


def columns_of(ddl: str, spark: SparkSession) -> list[tuple[str, str]]:
    """Name and Spark SQL type of each column of a schema such as "score DOUBLE, label STRING"."""
    schema = jvm(spark).org.apache.spark.sql.types.StructType.fromDDL(ddl)
    return _names_and_types(schema.json())


def read_argument(handle: JavaObject) -> Argument:
    kind = handle.getClass().getSimpleName()
    if kind == "NamedArgumentExpression":
        inner = read_argument(handle.value())
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
    if not isinstance(type_, dict):
        return sql_type(type_)
    if type_["type"] == "array":
        return f"ARRAY<{_type_word(type_['elementType'])}>"
    return sql_type(type_["type"])
