"""Trained models that several tests of parity compare, and a stand-in framework."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sqlml.convert import CONVERTERS

from . import double


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """Customers: a number, a count, a plan, a code and a flag."""
    random, rows = np.random.default_rng(7), 300
    return pd.DataFrame(
        {
            "age": random.normal(40, 12, rows),
            "visits": random.integers(1, 9, rows),
            "plan": random.choice(["basic", "plus", "pro"], rows),
            "code": random.choice([3, 5, 9], rows),
            "member": random.random(rows) < 0.5,
        }
    )


@pytest.fixture(scope="session")
def churn(people: pd.DataFrame) -> np.ndarray:
    noise = np.random.default_rng(8).normal(0, 6, len(people))
    worth = people.age + 3 * people.visits + 8 * (people.plan == "pro") + noise
    return np.where(worth > 55, "yes", "no")


@pytest.fixture(scope="session")
def tree(people: pd.DataFrame, churn: np.ndarray) -> DecisionTreeClassifier:
    """Six levels over a number and a count."""
    return DecisionTreeClassifier(max_depth=6, random_state=0).fit(people[["age", "visits"]], churn)


@pytest.fixture(scope="session")
def holes(people: pd.DataFrame) -> pd.DataFrame:
    """Two numbers with missing values."""
    rows = people[["age", "visits"]].astype(float)
    rows.loc[::7, "age"] = np.nan
    rows.loc[::5, "visits"] = np.nan
    return rows


@pytest.fixture(scope="session")
def tree_with_holes(holes: pd.DataFrame, people: pd.DataFrame) -> DecisionTreeRegressor:
    """A tree that was trained with missing values, every leaf of its own value."""
    target = people.age + people.visits
    return DecisionTreeRegressor(max_depth=4, random_state=0).fit(holes, target)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes `double.Model` a framework that sqlml knows."""
    monkeypatch.setitem(sys.modules, "double_framework", double.module())
    monkeypatch.setitem(CONVERTERS, "double", "double_framework")
    return double
