"""Where scores differ, ONNX's reference evaluator says on whose side it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

import sqlml
from sqlml.convert import converter_of
from sqlml.errors import ParityError
from sqlml.parity.compare import Expected
from sqlml.parity.opinion import opinion, second_opinion
from sqlml.parity.report import ParityReport

from .tampering import forget_category, move_threshold, splits, tampered


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


def test_the_smallest_change_that_shows_a_difference_is_two_adjacent_numbers(tree, rows):
    """A threshold that moved from t up to t + 2 shows itself between t and the next number."""
    model = sqlml.convert(tree, sample=rows)
    threshold = float(splits(model)[0])
    report = sqlml.verify(tampered(model, move_threshold(0, lambda t: t + 2)), tree, rows)
    ((agreeing, differing),) = report.worst_rows[0].smallest.values()
    ends = {threshold, np.float32(threshold + 2)}
    assert any(min(agreeing, differing) <= end <= max(agreeing, differing) for end in ends)
    assert np.nextafter(agreeing, differing) == differing
    with pytest.raises(ParityError, match=rf"v {agreeing!r} agrees, {differing!r} does not"):
        report.raise_if_different()


def test_what_has_no_part_in_a_difference_is_left_out_of_it(rows):
    """Three columns, of which the forgotten category of one is what differs."""
    table = rows.assign(plan=np.where(rows.v > 5, "pro", "basic"), idle=-rows.v)
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["plan"]), remainder="passthrough"),
        LinearRegression(),
    ).fit(table, (table.plan == "pro") * 7.0 + table.v)
    wrong = tampered(sqlml.convert(model, sample=table), forget_category("pro"))
    report = sqlml.verify(wrong, model, table)
    assert report.worst_rows[0].smallest == {"plan": ("basic", "pro")}


def test_where_all_rows_differ_no_change_shows_it(tree, rows):
    other = DecisionTreeRegressor(max_depth=3).fit(rows, np.floor(rows.v) + 100)
    report = sqlml.verify(sqlml.convert(tree, sample=rows), other, rows)
    assert report.worst_rows[0].smallest == {}
