"""Where scores differ, ONNX's reference evaluator says on whose side it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.tree import DecisionTreeRegressor

import sqlml
from sqlml.convert import converter_of
from sqlml.errors import ParityError
from sqlml.parity.compare import Expected
from sqlml.parity.opinion import opinion, second_opinion
from sqlml.parity.report import ParityReport

from .tampering import move_threshold, tampered


@pytest.fixture
def rows():
    return pd.DataFrame({"v": np.linspace(0.0, 10.0, 101)})


@pytest.fixture
def tree(rows):
    return DecisionTreeRegressor(max_depth=3).fit(rows, np.floor(rows.v))


def test_a_wrong_conversion_is_told_from_a_wrong_runtime(tree, rows):
    """The evaluator runs the converted graph, and says of it what the runtime says."""
    wrong = tampered(sqlml.convert(tree, sample=rows), move_threshold(0, lambda t: t + 2))
    report = sqlml.verify(wrong, tree, rows)
    differing = [w for w in report.worst_rows if w.error > 0]
    assert differing
    assert {w.opinion for w in differing} == {
        "agrees with the converted model: the conversion is at fault"
    }
    with pytest.raises(ParityError, match="reference evaluator agrees with the converted model"):
        report.raise_if_different()
    assert ParityReport.from_json(report.to_json()) == report


def test_a_runtime_that_differs_from_the_evaluator_is_at_fault(tree, rows):
    model = sqlml.convert(tree, sample=rows)
    answer = converter_of(tree).answer(tree, rows)
    expected = Expected(answer, np.zeros(len(rows), bool), np.ones(len(rows), bool))
    asked = second_opinion(model, expected, [pa.array(rows.v)], [7, 90], 1e-9)
    said = float(answer.prediction[90]) + 1.0
    assert "what ran the graph is at fault" in opinion(said, asked["prediction"], 1, 1e-9)


def test_rows_that_agree_are_not_asked_about(tree, rows):
    report = sqlml.verify(sqlml.convert(tree, sample=rows), tree, rows)
    assert report.ok
    assert {w.opinion for w in report.worst_rows} <= {""}
