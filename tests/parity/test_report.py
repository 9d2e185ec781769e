"""The report: what it counts, what it forgives, and that it can be stored."""

from __future__ import annotations

import json
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

import sqlml
from sqlml import ParityReport
from sqlml.convert import Answer
from sqlml.errors import SampleError
from sqlml.parity import splits, verification

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

X = pd.DataFrame({"x": np.linspace(1.0, 5.0, 20)})


def constant(label: str, probability_of_b: float) -> Any:
    def says(rows: np.ndarray) -> Answer:
        if not np.isfinite(rows).all():
            raise ValueError("not finite")
        proba = np.array([[1 - probability_of_b, probability_of_b]] * len(rows))
        return Answer(np.array([label] * len(rows)), proba)

    return says


def test_labels_may_differ_on_a_tie(stand_in: Any) -> None:
    original = stand_in.Model(constant("a", 0.5 - 1e-13))
    report = sqlml.verify(stand_in.coin(0.5 + 1e-13), original, X)
    assert report.ok
    assert report.label_mismatches == 0


def test_labels_may_not_differ_beside_a_tie(stand_in: Any) -> None:
    """Though each probability is within its bound."""
    original = stand_in.Model(constant("a", 0.5 + 3e-9))
    report = sqlml.verify(stand_in.coin(0.5 + 3e-9), original, X)
    assert report.label_mismatches >= report.sample_rows
    assert report.worst_rows[0].output == "prediction"


def test_probabilities_are_held_against_the_bound_as_they_are(stand_in: Any) -> None:
    original = stand_in.Model(constant("b", 0.9))
    assert sqlml.verify(stand_in.coin(0.9 + 5e-10), original, X).ok
    report = sqlml.verify(stand_in.coin(0.9 + 5e-9), original, X)
    assert not report.ok
    assert report.label_mismatches == 0
    assert report.max_abs_error == pytest.approx(5e-9, rel=1e-3)


@pytest.mark.parametrize(
    ("says", "same"), [(math.nan, False), (math.inf, False), (2.0, True), (2.0 + 1e-7, False)]
)
def test_numbers_are_held_against_the_largest_of_the_sample(
    stand_in: Any, says: float, same: bool
) -> None:
    """NaN and infinity are like nothing but themselves."""

    def answer(rows: np.ndarray) -> Answer:
        return Answer(np.where(rows[:, 0] == 1.0, says, 2 * rows[:, 0]))

    assert sqlml.verify(stand_in.doubling(), stand_in.Model(answer), X).ok is same


def test_what_is_no_number_on_both_sides_is_the_same(stand_in: Any) -> None:
    """2 x is NaN for NaN and infinite for infinity, as the original has it."""
    original = stand_in.Model(lambda rows: Answer(2 * rows[:, 0]))
    report = sqlml.verify(stand_in.doubling(), original, X)
    assert report.ok
    assert report.max_abs_error == 0
    assert report.rejected == {}


def test_a_report_survives_json(tree_with_holes: DecisionTreeRegressor, holes: Any) -> None:
    """NaN, infinities and NULLs included, in JSON that every reader takes."""
    model = sqlml.convert(tree_with_holes, sample=holes)
    original = type(tree_with_holes)(max_depth=2).fit(holes, -tree_with_holes.predict(holes))
    report = sqlml.verify(model, original, holes)
    assert not report.ok

    def forbidden(text: str) -> None:
        raise AssertionError(text)

    text = report.to_json()
    facts = json.loads(text, parse_constant=forbidden)
    assert (facts["ok"], facts["rows"]) == (False, report.rows)
    again = ParityReport.from_json(text)
    assert again.to_json() == text
    assert again.signature == report.signature
    assert str(again) == str(report)


def test_the_same_comparison_twice_says_the_same(
    tree: DecisionTreeClassifier, people: pd.DataFrame
) -> None:
    rows = people[["age", "visits"]]
    model = sqlml.convert(tree, sample=rows)
    first, second = (json.loads(sqlml.verify(model, tree, rows).to_json()) for _ in range(2))
    assert first | {"created": ""} == second | {"created": ""}


def test_the_libraries_are_recorded(tree: DecisionTreeClassifier, people: pd.DataFrame) -> None:
    rows = people[["age", "visits"]]
    report = sqlml.verify(sqlml.convert(tree, sample=rows), tree, rows)
    assert {"python", "numpy", "onnx", "onnxruntime", "scikit-learn"} <= report.versions.keys()
    assert report.rows == report.sample_rows + report.edge_rows
    assert "scores like the original" in str(report)


def test_an_original_that_refuses_the_sample_is_not_compared(
    tree: DecisionTreeClassifier, people: pd.DataFrame
) -> None:
    rows = people[["age", "visits"]]
    model = sqlml.convert(tree, sample=rows)
    with pytest.raises(SampleError, match="refuses the sample: ValueError"):
        sqlml.verify(model, tree, rows.rename(columns={"age": "years"}))


def test_warnings_of_the_original_stay_inside(
    capsys: pytest.CaptureFixture[str], stand_in: Any
) -> None:
    def says(rows: np.ndarray) -> Answer:
        warnings.warn("X does not have valid feature names", stacklevel=1)
        print("[Warning] no further splits")
        return Answer(2 * rows[:, 0])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sqlml.verify(stand_in.doubling(), stand_in.Model(says), X).ok
    assert capsys.readouterr() == ("", "")


def test_large_forests_are_compared_in_bounded_rows(
    people: pd.DataFrame, churn: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thresholds that have no row of their own share rows."""
    monkeypatch.setattr(verification, "EDGE_ROWS", 500)
    rows = people[["age", "visits"]]
    forest = RandomForestClassifier(10, random_state=0).fit(rows, churn)
    groups: list[str] = []
    made = splits.split_groups

    def watched(*args: Any) -> Any:
        for group in made(*args):
            groups.append(group.kind)
            yield group

    monkeypatch.setattr(verification, "split_groups", watched)
    report = sqlml.verify(sqlml.convert(forest, sample=rows), forest, rows)
    assert report.ok
    assert report.edge_rows < 900
    assert "thresholds of several inputs" in groups
