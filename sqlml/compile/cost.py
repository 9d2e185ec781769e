"""How much generated code an expression becomes.

Spark fuses the operators of a stage into one Java method. HotSpot never compiles a method of
more than 8,000 bytes of bytecode (-XX:-DontCompileHugeMethods is off by default) and
interprets it instead, some ten times slower, scan included. So a model either fits, or its
operator leaves whole-stage generation, where Spark splits long code into many small methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlml.compile.formula import walk
from sqlml.compile.text import CHOICES, is_dense, places

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlml.compile.expressions import Expr
    from sqlml.compile.formula import Formula

BUDGET = 6_000
"""Bytes that a model may take of a stage's 8,000: the rest is the query's own."""

# Bytes of bytecode by operation, fitted to what Spark 4.3 generates (benchmarks/bytecode.py).
_BYTES = {
    "input": 0,
    "literal": 0,
    "add": 11,
    "mul": 10,
    "div": 50,
    "abs": 14,
    "lt": 22,
    "le": 22,
    "eq": 28,
    "isnan": 14,
    "and": 14,
    "or": 14,
    "where": 32,
    "max": 40,
    "min": 40,
    "exp": 18,
    "log": 70,
    "pow": 16,
    "present": 10,
}
_OTHER = 8
_PER_INPUT = 36
_PER_KEY = 34
_CHOICE = 32
_MAP = 160
"""A lookup that is a map: its table is an object, and no code."""
_FLOAT_MAP = 500
"""The same for a key that is a float: a whole number is looked for as such."""
_ARRAY = 140
"""A lookup by a place."""
_PLACE = 70
"""A whole number as a place, which stands with the inputs."""
_CONVERTED = 200
"""A number of another type as a place, each time that it is looked for."""
_PER_LABEL = 90
"""A probability among several: it is put into an array, and the greatest is looked for."""
_PER_MODEL = 120
_PER_COLUMN = 60
"""A column that is read from a batch of a Parquet file, and that may be NULL."""

_SLOTS = 254
"""Arguments that a method of Spark's may have."""
_TWO_SLOTS = ("BIGINT", "DOUBLE", "TIME", "INTERVAL DAY")
"""The types that Spark holds in Java's long or double, as they begin."""
_MAX_FIELDS = 100
"""spark.sql.codegen.maxFields: wider rows are in no whole-stage code, whatever is done here."""


def has_room(columns: Sequence[str], inputs: int) -> bool:
    """Whether a model within the budget may be fused into a query over columns of these types.

    Spark gives it a method of its own, with every column and whether it is NULL as arguments.
    Where those are too many, the model shares one method with the scan, the joins and the
    columns themselves, which together are more than HotSpot compiles.

    >>> [has_room(["DOUBLE"] * count, inputs=10) for count in (60, 90, 200)]
    [True, False, True]
    """
    slots = sum(3 if kind.startswith(_TWO_SLOTS) else 2 for kind in columns) + 2 * inputs
    return slots <= _SLOTS or len(columns) > _MAX_FIELDS


def is_small(size: int, columns: int) -> bool:
    """Whether a model of so many bytes may stand in one method with the scan of its table.

    >>> [is_small(size=4_000, columns=count) for count in (28, 60)]
    [True, False]
    """
    return size + _PER_COLUMN * columns <= BUDGET


def bytecode(made: Formula, known: Sequence[Expr] = ()) -> int:
    """About how many bytes a formula takes, what is `known` being computed once."""
    outputs = (*made.outputs, made.taken)
    columns, looked_up = set(known), places(made.outputs, made.taken, made.whole)
    total = 0
    for root in (*known, *outputs):
        stack = list(root.args) if root in columns else [root]
        total += _of(root, looked_up) if root in columns else 0
        while stack:
            x = stack.pop()
            if x not in columns:
                total += _of(x, looked_up)
                stack.extend(x.args)
    inputs = sum(x.op == "input" for x in walk(outputs))
    cells = len(made.outputs)
    return total + _PER_MODEL + _PER_INPUT * inputs + (_PER_LABEL * cells if cells > 2 else 0)


def inputs_bytecode(made: Formula) -> int:
    """About how many more the inputs take, which stand with the scan or in their own method."""
    return _PLACE * len(places(made.outputs, made.taken, made.whole))


def _of(x: Expr, looked_up: Collection[Expr]) -> int:
    if x.op == "lookup":
        keys = len(x.value.entries)
        if keys > CHOICES and is_dense([k for k in x.value.entries if k == k]):
            return _ARRAY if x.args[0] in looked_up else _ARRAY + _CONVERTED
        if keys > CHOICES:
            return _FLOAT_MAP if x.args[0].dtype.startswith("float") else _MAP
        return _CHOICE + _PER_KEY * keys
    return _BYTES.get(x.op, _OTHER)
