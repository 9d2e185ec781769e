"""Whatever is changed in a converted model, by however little, verify finds it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import sqlml
from sqlml.convert.ensemble import floor32
from sqlml.errors import ParityError
from sqlml.parity import accepting
from sqlml.score import Scorer

from .tampering import (
    change_constants,
    flip_missing,
    forget_category,
    move_threshold,
    splits,
    tampered,
)

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.tree import DecisionTreeClassifier


def up(threshold: np.float64) -> np.float32:
    """For numbers of 32 bits, the next that `x <= threshold` tells from it."""
    return np.nextafter(floor32(threshold), np.float32(np.inf))


def down(threshold: np.float64) -> np.float32:
    return np.nextafter(floor32(threshold), np.float32(-np.inf))


@pytest.mark.parametrize("move", [up, down])
def test_any_threshold_moved_by_one_ulp_is_found(
    tree: DecisionTreeClassifier, people: pd.DataFrame, move: object
) -> None:
    """Each node is reached by an edge row, and stands exactly where the original's does."""
    rows = people[["age", "visits"]]
    model = sqlml.convert(tree, sample=rows)
    assert sqlml.verify(model, tree, rows).ok
    age = np.flatnonzero(splits(model) % 0.5 != 0)  # a count has no value beside a threshold
    assert len(age) > 10
    for node in age:
        report = sqlml.verify(tampered(model, move_threshold(node, move)), tree, rows)
        assert not report.ok, f"node {node}"


def test_a_threshold_is_found_with_a_sample_that_reaches_few_nodes(
    people: pd.DataFrame, churn: np.ndarray
) -> None:
    """Rows that arrive at the other nodes are made."""
    rows = people[["age", "visits"]].astype(float)
    forest = RandomForestClassifier(3, random_state=0).fit(rows, churn)
    few = rows.head(10)
    model = sqlml.convert(forest, sample=few)
    assert sqlml.verify(model, forest, few).ok
    age = np.flatnonzero(splits(model) % 0.5 != 0)
    for node in age[:: max(1, len(age) // 12)]:
        assert not sqlml.verify(tampered(model, move_threshold(node, up)), forest, few).ok


def test_a_threshold_behind_a_scaler_is_found(people: pd.DataFrame, churn: np.ndarray) -> None:
    """Thresholds are traced back through arithmetic to the input."""
    rows = people[["age", "visits"]]
    model = make_pipeline(StandardScaler(), RandomForestClassifier(2, max_depth=3, random_state=0))
    model.fit(rows, churn)
    scoring = sqlml.convert(model, sample=rows)
    assert sqlml.verify(scoring, model, rows).ok
    report = sqlml.verify(tampered(scoring, move_threshold(0, lambda t: t + 1e-6)), model, rows)
    assert not report.ok
    assert report.worst_rows[0].kind.startswith("threshold of ")


@pytest.mark.parametrize("missing_in", ["tree", "boosting"])
def test_a_flipped_missing_direction_is_found(
    missing_in: str,
    holes: pd.DataFrame,
    people: pd.DataFrame,
    tree_with_holes: DecisionTreeRegressor,
) -> None:
    original = tree_with_holes
    if missing_in == "boosting":
        boosting = HistGradientBoostingRegressor(max_iter=2, max_depth=3, random_state=0)
        original = boosting.fit(holes, people.age + people.visits)
    model = sqlml.convert(original, sample=holes)
    assert sqlml.verify(model, original, holes).ok
    random = np.random.default_rng(0)
    anything = [pa.array(random.choice(holes[c], 3000), from_pandas=True) for c in holes]
    inputs = [dataclasses.replace(i, takes_missing=True) for i in model.signature.inputs]
    straight = Scorer(accepting(model, inputs)).score(anything)
    flips = 0
    for node in range(len(splits(model))):
        flipped = tampered(model, flip_missing(node))
        # Below a node at which missing values of the same input went their way, and where
        # two leaves are alike, the direction has no effect.
        if Scorer(accepting(flipped, inputs)).score(anything) != straight:
            assert not sqlml.verify(flipped, original, holes).ok, f"node {node}"
            flips += 1
    assert flips > 2


def test_a_split_of_missing_values_from_all_numbers_is_compared(holes: pd.DataFrame) -> None:
    """Its threshold is infinite, where the original refuses rows."""
    original = DecisionTreeRegressor(max_depth=3, random_state=0)
    original.fit(holes, np.where(holes.age.isna(), 0, 30) + holes.visits.fillna(20))
    model = sqlml.convert(original, sample=holes)
    assert sqlml.verify(model, original, holes).ok
    infinite = np.flatnonzero(np.abs(splits(model)) > 1e38)
    assert len(infinite)
    for node in infinite:
        assert not sqlml.verify(tampered(model, flip_missing(node)), original, holes).ok


def test_one_changed_weight_is_found(people: pd.DataFrame) -> None:
    rows = people[["age", "visits"]]
    line = LinearRegression().fit(rows, 2 * people.age + people.visits)
    model = sqlml.convert(line, sample=rows)

    def edit(values: np.ndarray) -> np.ndarray:
        values.flat[0] *= 1 + 1e-7
        return values

    report = sqlml.verify(tampered(model, change_constants(edit)), line, rows)
    assert not report.ok
    assert report.label_mismatches == 0
    assert 1e-9 < report.max_rel_error < 1e-6


def test_swapped_labels_are_found(tree: DecisionTreeClassifier, people: pd.DataFrame) -> None:
    rows = people[["age", "visits"]]
    model = sqlml.convert(tree, sample=rows)
    swapped = dataclasses.replace(model, labels=model.labels[::-1])
    report = sqlml.verify(swapped, tree, rows)
    assert report.label_mismatches > len(rows) / 2
    with pytest.raises(
        ParityError, match=r"\[PARITY_FAILED\] .*the original says '(yes|no)'"
    ) as error:
        report.raise_if_different()
    assert error.value.report is report
    assert "\n" not in str(error.value)


def test_a_forgotten_category_is_found_though_the_sample_lacks_it(
    people: pd.DataFrame, churn: np.ndarray
) -> None:
    """Categories are read from the graph too."""
    columns = people[["plan", "age"]]
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["plan"]), remainder="passthrough"
    )
    original = make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(columns, churn)
    model = sqlml.convert(original, sample=columns)
    assert sqlml.verify(model, original, columns).ok
    assert not sqlml.verify(tampered(model, forget_category("pro")), original, columns).ok


def test_a_category_added_in_the_graph_is_found(people: pd.DataFrame, churn: np.ndarray) -> None:
    """A constant that only the graph knows is an edge row as well."""
    columns = people[["plan"]][people.plan != "pro"]
    original = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    original.fit(people[["plan"]], churn)
    model = sqlml.convert(original, sample=columns)
    report = sqlml.verify(tampered(model, forget_category("pro")), original, columns)
    assert not report.ok
    assert report.worst_rows[0].inputs == {"plan": "forgotten"}
