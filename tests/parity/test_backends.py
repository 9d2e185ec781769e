"""What a backend says otherwise than the original is found, and the backend is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

import sqlml
from sqlml import ParityReport
from sqlml.compile import expressions
from sqlml.parity.backends import other_bits
from sqlml.score import trees

if TYPE_CHECKING:
    import pandas as pd


def test_every_backend_that_can_score_the_model_is_compared(
    people: pd.DataFrame, churn: np.ndarray
) -> None:
    """One that a query would only use when it is told to included."""
    rows = people[["age", "visits"]]
    found = {
        type(original): sqlml.verify(
            sqlml.convert(original, sample=rows), original.fit(rows, churn), rows
        )
        for original in (
            DecisionTreeClassifier(max_depth=3).fit(rows, churn),
            RandomForestClassifier(5, max_depth=4, random_state=0).fit(rows, churn),
            KNeighborsClassifier().fit(rows, churn),
        )
    }
    assert all(report.ok for report in found.values())
    assert found[DecisionTreeClassifier].backends == ("sql", "trees", "onnx")
    assert found[RandomForestClassifier].backends == ("sql", "trees", "onnx")
    assert found[KNeighborsClassifier].backends == ("onnx",)


def test_an_expression_that_scores_otherwise_is_found(
    people: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = people[["age", "visits"]]
    line = LinearRegression().fit(rows, 3 * people.age + people.visits)
    model = sqlml.convert(line, sample=rows)
    wrong = {**expressions.FUNCTIONS, "mul": lambda a, b: np.multiply(a, b) * (1 + 1e-7)}
    monkeypatch.setattr("sqlml.compile.evaluate.FUNCTIONS", wrong)
    report = sqlml.verify(model, line, rows)
    assert not report.ok
    assert report.worst_rows[0].output == "prediction (backend sql)"
    with pytest.raises(sqlml.SqlmlError, match=r"prediction \(backend sql\): the original says"):
        report.raise_if_different()


def test_a_kernel_that_scores_other_bits_is_found(
    people: pd.DataFrame, churn: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is well within the bound."""
    rows = people[["age", "visits"]]
    original = DecisionTreeClassifier(max_depth=4, random_state=0).fit(rows, churn)
    model = sqlml.convert(original, sample=rows)
    run = trees.Engine.run

    def wrong(engine: trees.Engine, columns: Any) -> Any:
        return [np.nextafter(t, 2).astype(t.dtype) for t in run(engine, columns)]

    monkeypatch.setattr(trees.Engine, "run", wrong)
    report = sqlml.verify(model, original, rows)
    assert not report.ok
    assert {w.output for w in report.worst_rows} == {"score (backend trees)"}
    assert report.label_mismatches == 0


def test_a_report_from_before_there_were_backends_is_read(
    people: pd.DataFrame, churn: np.ndarray
) -> None:
    rows = people[["age", "visits"]]
    original = DecisionTreeClassifier(max_depth=2).fit(rows, churn)
    text = sqlml.verify(sqlml.convert(original, sample=rows), original, rows).to_json()
    before = text.replace('"backends": ["sql", "trees", "onnx"], ', "")
    assert len(before) < len(text)
    assert ParityReport.from_json(before).backends == ("onnx",)
    assert ParityReport.from_json(text).backends == ("sql", "trees", "onnx")


def test_results_are_compared_bit_by_bit() -> None:
    nan = float("nan")
    one = pa.array([1.0, 0.0, nan, nan, None, None, 2.0])
    other = pa.array([1.0, -0.0, nan, 1.0, None, 1.0, np.nextafter(2.0, 3)])
    assert other_bits(one, other) == [1, 3, 5, 6]
    lists = [pa.array([[1.0, 2.0], None, [3.0, v]]) for v in (4.0, 5.0)]
    assert other_bits(*lists) == [2]
    structs = [
        pa.StructArray.from_arrays([pa.array([1, v]), pa.array(["a", "b"]), a], ["n", "s", "x"])
        for v, a in ((2, pa.array([1.0, 1.0])), (3, pa.array([1.0, 1.0])))
    ]
    assert other_bits(*structs) == [1]
    assert (
        other_bits(pa.nulls(3, pa.list_(pa.float64())), pa.nulls(3, pa.list_(pa.float64()))) == []
    )
