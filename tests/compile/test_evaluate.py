"""What NumPy makes of a formula is what Spark makes of its text."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from sqlml.compile.evaluate import evaluate
from sqlml.compile.expressions import Arena
from sqlml.compile.formula import Field, Formula
from sqlml.compile.operators import read_graph
from sqlml.compile.sql import expression
from sqlml.convert.graph import DOUBLE, Graph
from sqlml.signature import Output

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlml.compile.expressions import Expr

NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 0.1, 1 / 3, 1e-30, 1e30, 88.0, -104.0, 16777217.0,
    np.inf, -np.inf, np.nan, None,
)  # fmt: skip
TEXTS = ("a", "it's", "b\\n", "é\N{SEEDLING}", "", None)
# Java's own library and C's may be an ulp apart in these.
LIBRARY = ("exp", "log", "tanh", "pow")


def operations(arena: Arena, x: Expr, y: Expr) -> dict[str, Expr]:
    """Each operation on two numbers, and what stands around it in models."""
    two = arena.literal(2, x.dtype)
    found = {op: arena.apply(op, x, y) for op in ("add", "sub", "mul", "div", "max", "min", "pow")}
    found |= {op: arena.apply(op, x) for op in ("neg", "abs", "exp", "log", "sqrt", "tanh")}
    found |= {op: arena.apply(op, x, y) for op in ("lt", "le", "eq")}
    found |= {f"{op} 2": arena.apply(op, x, two) for op in ("lt", "le", "eq", "div")}
    below, missing = found["lt"], arena.apply("isnan", x)
    found |= {
        "isnan": missing,
        "where": arena.apply("where", below, x, y),
        "logic": arena.apply("or", arena.apply("and", below, arena.apply("not", missing)), missing),
        "known numbers": arena.lookup(x, {0.0: 5, 0.1: 6, float("nan"): 7}, 8, "float64"),
        "many numbers": arena.lookup(x, {i / 2: i for i in range(-20, 20)}, -99, "float64"),
    }
    return found


def formula_of(arena: Arena, cells: dict[str, Expr], taken: Expr | None = None) -> Formula:
    fields = [Field(Output(n, "DOUBLE"), (arena.cast(c, "float64"),)) for n, c in cells.items()]
    return Formula(tuple(fields), taken or arena.literal(True, "bool"))


def by_spark(
    spark: SparkSession, formula: Formula, columns: dict[str, pa.Array]
) -> dict[str, pa.ChunkedArray]:
    rows = spark.createDataFrame(pa.table({"row": pa.array(range(len(columns["c0"]))), **columns}))
    names = dict(enumerate(columns))
    chosen = [f"{expression(formula, f, names)} AS `{f.output.name}`" for f in formula.fields]
    table = rows.selectExpr("row", *chosen).toArrow().sort_by("row")
    return {f.output.name: table[f.output.name] for f in formula.fields}


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_numbers_are_computed_as_spark_does(spark: SparkSession, kind: str) -> None:
    arena = Arena()
    cells = operations(arena, arena.input(0, kind), arena.input(1, kind))
    formula = formula_of(arena, cells)
    pairs = list(itertools.product(NUMBERS, NUMBERS))
    columns = {f"c{i}": pa.array([p[i] for p in pairs], pa.from_numpy_dtype(kind)) for i in (0, 1)}
    found = evaluate(formula, list(columns.values()))
    expected = by_spark(spark, formula, columns)
    for name, values in zip(cells, found.flatten(), strict=True):
        says = expected[name].to_numpy()
        ours = values.to_numpy(zero_copy_only=False)
        ulp = 4e-16 if name in LIBRARY and kind == "float64" else 1e-7 * (name in LIBRARY)
        np.testing.assert_allclose(ours, says, rtol=ulp, atol=0, err_msg=name)


def test_texts_integers_and_rows_that_are_not_taken(spark: SparkSession) -> None:
    arena = Arena()
    text, whole, flag = arena.input(0, "str"), arena.input(1, "int64"), arena.input(2, "bool")
    cells = {
        "few": arena.lookup(text, {"a": 1.5, "it's": 2.5}, 0, "float32"),
        "many": arena.lookup(text, {t or "": i for i, t in enumerate(TEXTS)}, -1, "float64"),
        "imputed": arena.lookup(text, {"a": 1, "\ufdd0sqlml:missing": 3}, 2, "float64"),
        "equal": arena.apply("eq", text, arena.literal("b\\n", "str")),
        "whole": arena.lookup(whole, {2**53 + 1: 4, -1: 5}, 6, "float64"),
        "float": arena.cast(whole, "float32"),
        "flag": flag,
    }
    taken = arena.apply("and", arena.present(whole), arena.present(flag))
    formula = formula_of(arena, cells, taken)
    rows = list(itertools.product(TEXTS, (-1, 2**53 + 1, 2**53, None), (True, False, None)))
    types = (pa.string(), pa.int64(), pa.bool_())
    columns = {f"c{i}": pa.array([r[i] for r in rows], t) for i, t in enumerate(types)}
    found = evaluate(formula, list(columns.values()))
    assert [v is None for v in found.to_pylist()] == [None in row[1:] for row in rows]
    expected = by_spark(spark, formula, columns)
    for name, values in zip(cells, found.flatten(), strict=True):
        assert values.to_pylist() == expected[name].to_pylist(), name


def test_rows_come_in_blocks_and_arrays_keep_their_order() -> None:
    arena = Arena()
    x = arena.input(1, "float64")
    doubled = arena.apply("mul", x, arena.literal(2, "float64"))
    cells = (x, doubled, arena.literal(7, "float64"))
    formula = Formula((Field(Output("r", "ARRAY<DOUBLE>"), cells),), arena.apply("le", x, x))
    numbers = np.arange(10_000.0)
    numbers[5_000] = np.nan
    found = evaluate(formula, [pa.nulls(10_000), pa.array(numbers)])
    assert found.type == pa.list_(pa.float64())
    assert found[9_999].as_py() == [9_999.0, 19_998.0, 7.0]
    assert found[5_000].as_py() is None
    assert found.null_count == 1
    assert len(evaluate(formula, [pa.nulls(0), pa.array([], pa.float64())])) == 0


def test_a_tensor_of_one_number_a_row_is_read_with_constants() -> None:
    """[N]: a place of the columns, to which a constant of one number is added."""
    g = Graph()
    place = g.node("Gather", g.input("in0", DOUBLE), g.const(np.int64(0)), axis=1)
    more = g.node("Add", place, g.const([2.0]))
    g.output("prediction", g.node("Unsqueeze", more, g.const([1], "int64")), DOUBLE, 1)
    arena = Arena()
    inputs = {"in0": arena.input(0, "float64")}
    found = read_graph(g.finish(), arena, inputs, ["prediction"])["prediction"]
    (cell,) = found.cells.flat
    scored = evaluate(formula_of(arena, {"score": cell}), [pa.array([1.0, -0.5])])
    assert scored.to_pylist() == [3.0, 1.5]


def test_tables_of_one_number_meet_in_nan() -> None:
    """Two NaN are two keys of a dictionary; a sum of tables has one."""
    arena = Arena()
    x = arena.input(0, "float64")
    tables = [{float("nan"): 1.0, 1.0: 2.0}, {float("nan"): 10.0, 2.0: 20.0}]
    both = arena.apply("add", *(arena.lookup(x, table, 0.0, "float64") for table in tables))
    assert both.op == "lookup"
    found = evaluate(formula_of(arena, {"y": both}), [pa.array([np.nan, 1.0, 2.0, 3.0])])
    assert found.to_pylist() == [11.0, 2.0, 20.0, 0.0]
