"""What a query's filters say of the inputs: the formula that is left is as right, and smaller."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import sqlml
from sqlml.compile.evaluate import evaluate
from sqlml.compile.facts import Fact
from sqlml.compile.formula import formula, walk

ROWS = 400
PLANS = ("basic", "plus", "pro", "it's")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "age": rng.normal(40, 20, ROWS).round(1),
            "tenure": rng.integers(-5, 60, ROWS),
            "plan": rng.choice(PLANS, ROWS),
            "paid": rng.random(ROWS) < 0.5,
        }
    )


@pytest.fixture(scope="module")
def columns(rows) -> list[pa.Array]:
    """More than the models were trained on: NULL, NaN, infinities, zeros of both signs."""
    rng = np.random.default_rng(4)
    odd = [None, np.nan, np.inf, -np.inf, 0.0, -0.0, 40.0, 1e300]
    age = [odd[i % len(odd)] if i % 3 == 0 else v for i, v in enumerate(rows["age"])]
    tenure = [
        None if v < 0.05 else int(t) for v, t in zip(rng.random(ROWS), rows["tenure"], strict=True)
    ]
    plan = rng.choice(np.array([*PLANS, "unseen", "", None], dtype=object), ROWS)
    paid = [None if v < 0.1 else bool(v < 0.5) for v in rng.random(ROWS)]
    return [
        pa.array(age, pa.float64(), from_pandas=False),
        pa.array(tenure, pa.int64()),
        pa.array(list(plan), pa.string()),
        pa.array(paid, pa.bool_()),
    ]


@pytest.fixture(scope="module")
def models(rows) -> dict[str, sqlml.ScoringModel]:
    """As converted, and with every input allowed to be missing."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.tree import DecisionTreeRegressor

    target = rows["age"] - rows["tenure"] + 30 * (rows["plan"] == "pro") + 9 * rows["paid"]

    def encoded(model):
        encode = make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "tenure"]),
            (OneHotEncoder(handle_unknown="ignore"), ["plan"]),
            ("passthrough", ["paid"]),
        )
        return make_pipeline(encode, model)

    made = {
        "logistic": encoded(LogisticRegression()).fit(rows, target > 10),
        "tree": encoded(DecisionTreeRegressor(max_depth=7)).fit(rows, target),
    }
    return {name: sqlml.convert(model, sample=rows) for name, model in made.items()}


def random_fact(rng: np.random.Generator, index: int, values: pa.Array) -> Fact:
    not_null = bool(rng.random() < 0.6)
    if index == 2:
        some = rng.choice([*PLANS, "unseen", ""], rng.integers(0, 4), replace=False)
        return Fact(tuple(map(str, some)), not_null=not_null, may_be_nan=False)
    if index == 3:
        return Fact((bool(rng.random() < 0.5),), not_null=not_null, may_be_nan=False)
    low, high = sorted(float(v) for v in rng.choice([-np.inf, -0.0, 0.0, 20.0, 40.0, 60.0], 2))
    if index == 1:
        low, high = (int(max(v, -100)) for v in (low, high))
    elif low == high == 0:
        low, high = -0.0, 0.0
    return Fact(
        None,
        low if rng.random() < 0.7 else None,
        high if rng.random() < 0.7 else None,
        not_null,
        may_be_nan=index == 0 and bool(rng.random() < 0.5),
    )


def holds(fact: Fact, value: object) -> bool:
    if value is None:
        return not fact.not_null
    if isinstance(value, float) and value != value:
        return fact.may_be_nan
    if fact.values is not None and value not in fact.values:
        return False
    return (fact.low is None or value >= fact.low) and (fact.high is None or value <= fact.high)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("name", ["logistic", "tree"])
def test_rows_of_which_the_facts_hold_score_the_same_bits(models, columns, name, seed):
    model, rng = models[name], np.random.default_rng(seed)
    chosen = rng.choice(4, rng.integers(1, 4), replace=False)
    facts = {int(i): random_fact(rng, int(i), columns[i]) for i in chosen}
    values = [c.to_pylist() for c in columns]
    held = pa.array([all(holds(f, values[i][r]) for i, f in facts.items()) for r in range(ROWS)])
    rows = [
        pc.cast(pc.filter(c, held), pa.type_for_alias(_arrow(i.wire)))
        for c, i in zip(columns, model.signature.inputs, strict=True)
    ]
    if not len(rows[0]):
        return
    plain, special = formula(model), formula(model, facts)
    assert _bits(evaluate(special, rows)) == _bits(evaluate(plain, rows)), facts
    assert _size(special) <= _size(plain)


def test_a_known_category_leaves_no_lookup(models):
    facts = {2: Fact(("pro",), not_null=True, may_be_nan=False)}
    plain, special = (formula(models["logistic"], f) for f in (None, facts))
    assert 2 in plain.inputs
    assert 2 not in special.inputs
    assert _size(special) < _size(plain)


def test_dead_branches_of_a_tree_are_gone(models):
    plain = _size(formula(models["tree"]))
    facts = {3: Fact((True,), not_null=True, may_be_nan=False)}
    facts[2] = Fact(("basic",), not_null=True, may_be_nan=False)
    assert _size(formula(models["tree"], facts)) < plain


def test_an_in_list_keeps_its_own_entries(models):
    facts = {2: Fact(("basic", "pro"), not_null=True, may_be_nan=False)}
    (table,) = [
        x.value for x in walk(formula(models["logistic"], facts).outputs) if x.op == "lookup"
    ]
    assert set(table.entries) <= {"basic", "pro"}


def _size(made) -> int:
    return sum(1 for _ in walk((*made.outputs, made.taken)))


def _arrow(wire: str) -> str:
    from sqlml import types

    return types.SCALARS[wire].arrow


def _bits(scores: pa.Array) -> list[bytes | None]:
    return [None if v is None else np.float64(v).tobytes() for v in scores.to_pylist()]
