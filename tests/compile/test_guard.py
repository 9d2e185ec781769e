"""A weighted sum tells of its inputs that they are finite, where it does."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

import sqlml
from sqlml.compile.expressions import FUNCTIONS, Arena
from sqlml.compile.formula import Field, Formula, formula
from sqlml.compile.guard import witness
from sqlml.compile.sql import steps
from sqlml.signature import Output

X = np.random.default_rng(0).normal(size=(200, 4))
Y = X @ [1.0, -2.0, 0.5, 3.0]


def computed(x, columns):
    """The value of an expression in every row."""
    if x.op in ("literal", "input"):
        return x.value if x.op == "literal" else columns[x.value]
    return FUNCTIONS[x.op](*(computed(a, columns) for a in x.args))


def compiled(model, target):
    """The formula of a model that refuses what is not finite, as verify finds of the original."""
    made = sqlml.convert(model.fit(X, target), sample=X)
    inputs = [
        dataclasses.replace(i, takes_missing=False, takes_infinite=False)
        for i in made.signature.inputs
    ]
    signature = dataclasses.replace(made.signature, inputs=tuple(inputs))
    return formula(dataclasses.replace(made, signature=signature))


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (LinearRegression(), Y),
        (make_pipeline(StandardScaler(), LogisticRegression()), Y > 0),
        (LogisticRegression(), np.digitize(Y, [-1, 1])),
    ],
    ids=["linear", "scaled", "three classes"],
)
def test_a_weighted_sum_is_not_finite_where_an_input_is_not(model, target):
    found = witness(compiled(model, target))
    assert found is not None
    test, value = found
    rows = [X[0].copy() for _ in range(17)]
    for place in range(4):
        for i, bad in enumerate((np.nan, np.inf, -np.inf, 1e308)):
            rows[4 * place + i][place] = bad
    columns = np.array(rows).T
    with np.errstate(all="ignore"):
        tested, summed = (computed(x, columns) for x in (test, value))
    assert tested.tolist() == [bool(np.isfinite(row).all()) for row in rows]
    assert not (np.isfinite(summed) & ~tested).any()
    assert np.isfinite(summed[-1])  # and is for rows that are


def test_a_value_that_forgets_an_input_tells_nothing():
    """A branch that is not taken is finite whatever the input."""
    model = DecisionTreeRegressor(max_depth=3)
    assert witness(compiled(model, Y)) is None


def test_the_condition_of_a_row_stands_above_every_column_that_it_names():
    """Of a condition that asks for more than finite inputs, and is deeper than the sum."""
    arena = Arena()
    a, b = arena.input(0, "float64"), arena.input(1, "float64")
    zero = arena.literal(0, "float64")

    def both(op, *factors):
        return arena.apply(
            op,
            *(
                arena.apply("mul", x, arena.literal(f, "float64"))
                for x, f in zip((a, b), factors, strict=True)
            ),
        )

    total = both("add", 2, 3)
    finite = arena.apply("eq", both("add", 0, 0), zero)
    power = arena.apply("exp", total)
    deep = arena.apply("exp", arena.apply("add", power, total))
    taken = arena.apply("and", finite, arena.apply("lt", arena.apply("add", deep, power), zero))
    cells = {"sum": total, "power": power, "deep": deep}
    fields = [Field(Output(name, "DOUBLE"), (x,)) for name, x in cells.items()]
    made = Formula(tuple(fields), taken)
    assert witness(made) is not None
    levels, results = steps(made, ((0, "a", ""), (1, "b", "")), "m", fused=True)
    known = {"a", "b"}
    for columns in (*levels, results):
        named = {
            name for text in columns.values() for name in re.findall(r"\bm_\w+|\b[ab]\b", text)
        }
        assert named <= known
        known |= columns.keys()
    assert "m_taken" in levels[-1]
