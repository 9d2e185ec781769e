"""One table: Spark SQL type ↔ Arrow type ↔ ONNX element type; and which casts lose information.

Types are Spark SQL's own words ("BIGINT"), everywhere: in signatures, in messages, in
the metadata file. This module imports nothing, since every executor imports it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scalar:
    """One row of the table."""

    sql: str
    """Spark SQL's word, as in CAST(x AS …)."""
    arrow: str
    """The name of pyarrow's type factory: pa.type_for_alias takes it."""
    onnx: int
    """The ONNX TensorProto.DataType, https://onnx.ai/onnx/intro/concepts.html#element-type."""
    mlflow: str
    """MLflow's DataType in a model signature."""


SCALARS = {
    row.sql: row
    for row in (
        Scalar("BOOLEAN", "bool", 9, "boolean"),
        Scalar("TINYINT", "int8", 3, "integer"),
        Scalar("SMALLINT", "int16", 5, "integer"),
        Scalar("INT", "int32", 6, "integer"),
        Scalar("BIGINT", "int64", 7, "long"),
        Scalar("FLOAT", "float32", 1, "float"),
        Scalar("DOUBLE", "float64", 11, "double"),
        Scalar("STRING", "string", 8, "string"),
    )
}
BY_ARROW = {row.arrow: row for row in SCALARS.values()} | {
    "float": SCALARS["FLOAT"],
    "double": SCALARS["DOUBLE"],
    "large_string": SCALARS["STRING"],
}
BY_ONNX = {row.onnx: row for row in SCALARS.values()}

INTEGERS = ("TINYINT", "SMALLINT", "INT", "BIGINT")
NUMBERS = (*INTEGERS, "FLOAT", "DOUBLE")

# Decimal digits that every value of the integer type can hold, for DECIMAL(p, 0).
_DIGITS = {"TINYINT": 2, "SMALLINT": 4, "INT": 9, "BIGINT": 18}

_SPARK_NAMES = {
    "BYTE": "TINYINT",
    "SHORT": "SMALLINT",
    "INTEGER": "INT",
    "LONG": "BIGINT",
    "REAL": "FLOAT",
}


def sql_type(spark_name: str) -> str:
    """Spark's own name of a type, in the words of this table.

    >>> sql_type("bigint"), sql_type("varchar(10)"), sql_type("decimal(10,2)")
    ('BIGINT', 'STRING', 'DECIMAL(10,2)')
    """
    name = spark_name.strip().upper()
    if re.fullmatch(r"(VAR)?CHAR\(\d+\)|STRING COLLATE \w+", name):
        return "STRING"
    return _SPARK_NAMES.get(name, name)


def element_of(kind: str) -> str | None:
    """The type of an array's elements; None for a type that is no array.

    >>> element_of("ARRAY<FLOAT>"), element_of("FLOAT")
    ('FLOAT', None)
    """
    return kind[6:-1] if kind.startswith("ARRAY<") else None


def widens(found: str, expected: str) -> bool:
    """Whether every value of type `found` keeps its meaning as an `expected`.

    BIGINT and DECIMAL to DOUBLE count as widening, as they do in Spark SQL and NumPy,
    though integers above 2**53 are rounded.

    >>> widens("INT", "DOUBLE"), widens("DOUBLE", "INT"), widens("STRING", "DOUBLE")
    (True, False, False)
    >>> widens("BOOLEAN", "DOUBLE"), widens("DECIMAL(9,0)", "INT"), widens("BIGINT", "FLOAT")
    (True, True, False)
    >>> widens("ARRAY<INT>", "ARRAY<DOUBLE>"), widens("DOUBLE", "ARRAY<DOUBLE>")
    (True, False)
    """
    if found in (expected, "VOID"):
        return True
    elements = element_of(found), element_of(expected)
    if elements[0] and elements[1]:
        return widens(elements[0], elements[1])
    if expected not in NUMBERS:
        return False
    if found == "BOOLEAN":
        return True
    if decimal := re.fullmatch(r"DECIMAL\((\d+),\s*(-?\d+)\)", found):
        precision, scale = int(decimal[1]), int(decimal[2])
        fits = scale == 0 and precision <= _DIGITS.get(expected, 0)
        return expected == "DOUBLE" or fits
    if found not in NUMBERS:
        return False
    if expected == "FLOAT":  # 24 bits of significand
        return found in ("TINYINT", "SMALLINT")
    return NUMBERS.index(found) < NUMBERS.index(expected)
