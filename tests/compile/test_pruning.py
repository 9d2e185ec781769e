"""Trees are pruned by what a query filters on, and score the same where the filter holds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sqlml
from sqlml.compile import prepare
from sqlml.compile.facts import Fact
from sqlml.compile.pruning import pruned
from sqlml.score import Scorer

ROWS = 3000


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(rng.normal(size=(ROWS, 4)), columns=list("abcd"))
    rows["n"] = rng.integers(0, 5, ROWS)
    return rows


def models():
    from lightgbm import LGBMRegressor
    from sklearn.ensemble import RandomForestClassifier
    from xgboost import XGBClassifier

    rows = frame()
    target = rows.a * rows.b + rows.n - rows.c
    gaps = rows.mask(np.random.default_rng(1).random(rows.shape) < 0.1)
    yield "xgboost", XGBClassifier(n_estimators=20, max_depth=5).fit(gaps, target > 1), gaps
    yield "lightgbm", LGBMRegressor(n_estimators=20, verbose=-1).fit(gaps, target), gaps
    forest = RandomForestClassifier(10, max_depth=7, random_state=0)
    yield "forest", forest.fit(rows, np.digitize(target, [0, 2])), rows


# What is known of an input, and the rows of which it holds.
FACTS = {
    "a lower bound": ({0: Fact(low=0.5, not_null=True)}, lambda r: r.a >= 0.5),
    "a lower bound or NaN": ({0: Fact(low=0.5)}, lambda r: (r.a >= 0.5) | r.a.isna()),
    "an upper bound": (
        {1: Fact(high=-0.25, not_null=True, may_be_nan=False)},
        lambda r: r.b <= -0.25,
    ),
    "two bounds and a value": (
        {
            2: Fact(low=-0.5, high=0.5, not_null=True, may_be_nan=False),
            4: Fact(values=(3,), low=3, high=3, not_null=True, may_be_nan=False),
        },
        lambda r: r.c.between(-0.5, 0.5) & (r.n == 3),
    ),
    "a list of values": (
        {4: Fact(values=(0, 1), not_null=True, may_be_nan=False)},
        lambda r: r.n.isin([0, 1]),
    ),
}


@pytest.fixture(scope="module", params=["xgboost", "lightgbm", "forest"])
def case(request):
    model, rows = {name: (m, r) for name, m, r in models()}[request.param]
    return sqlml.convert(model, sample=rows), rows


@pytest.mark.parametrize("known", FACTS)
def test_scores_are_the_same_bits_where_the_facts_hold(case, known):
    model, rows = case
    facts, holds = FACTS[known]
    fewer = pruned(model, facts)
    assert len(fewer.onnx) < len(model.onnx)
    kept = rows[holds(rows)]
    assert len(kept) > 50
    columns = [pa.array(kept[i.name], from_pandas=True) for i in model.signature.inputs]
    expected = Scorer(model).score(columns)
    assert Scorer(fewer).score(columns).equals(expected)
    made = prepare(model, facts, backend="trees")
    given = [columns[i] for i in made.inputs]
    scorer = Scorer(made.model, "trees", made.program, made.inputs)
    assert scorer.score(given).equals(expected)


def test_a_tree_may_shrink_to_a_leaf():
    from sklearn.tree import DecisionTreeRegressor

    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    model = sqlml.convert(DecisionTreeRegressor(max_depth=1).fit(X, X[:, 0] > 1), sample=X)
    fewer = pruned(model, {0: Fact(low=2.0, not_null=True, may_be_nan=False)})
    assert Scorer(fewer).score([pa.array([2.0, 9.0])]).to_pylist() == [1.0, 1.0]


def test_little_to_gain_leaves_the_model_as_it_is(case):
    model, _ = case
    assert pruned(model, {0: Fact(low=-100.0, not_null=True)}) is model
    assert pruned(model, {}) is model
