"""What the original refuses is recorded, and scores NULL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import sqlml
from sqlml.convert import Answer
from sqlml.parity import accepting
from sqlml.parity.backends import raw_results
from sqlml.score import Scorer

if TYPE_CHECKING:
    from sqlml import ParityReport

X = np.linspace(1.0, 5.0, 20).reshape(-1, 1)


def inputs(report: ParityReport) -> dict[str, Any]:
    return {i.name: i for i in report.signature.inputs}


def test_missing_values_and_infinities_that_the_original_refuses_score_null(
    people: pd.DataFrame, churn: np.ndarray
) -> None:
    rows = people[["age", "visits"]]
    original = LogisticRegression().fit(rows, churn)
    model = sqlml.convert(original, sample=rows)
    report = sqlml.verify(model, original, rows)
    assert report.ok
    assert report.rejected == {
        "age": ("missing values", "infinity"),
        "visits": ("missing values",),
    }
    scored = Scorer(accepting(model, report.signature.inputs)).score(
        [pa.array([30.0, None, float("nan"), float("inf"), 30.0]), pa.array([3, 3, 3, 3, None])]
    )
    assert [v is None for v in scored.to_pylist()] == [False, True, True, True, True]


def test_missing_values_that_the_original_takes_are_scored(people: pd.DataFrame) -> None:
    rows = people[["age", "visits"]]
    original = HistGradientBoostingRegressor(max_iter=5).fit(rows, people.age)
    report = sqlml.verify(sqlml.convert(original, sample=rows), original, rows)
    assert report.ok
    assert all(i.takes_missing and i.takes_infinite for i in report.signature.inputs)


def test_numbers_that_overflow_where_the_original_refuses_them_score_null(
    people: pd.DataFrame, churn: np.ndarray
) -> None:
    """A tree narrows what the scaler gives to float32, and raises where that overflows."""
    rows = people[["age", "visits"]]
    original = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=3))
    original.fit(rows, churn)
    model = sqlml.convert(original, sample=rows)
    report = sqlml.verify(model, original, rows)
    assert report.ok
    assert report.rejected["age"] == ("infinity", "numbers above 3e+38", "numbers below -3e+38")
    values = [30.0, 1e37, -1e37, 1e300, -1e300]
    given = [pa.array(values), pa.array([3] * 5)]
    scored = Scorer(accepting(model, report.signature.inputs)).score(given)
    assert [v is None for v in scored.to_pylist()] == [False, False, False, True, True]
    with pytest.raises(ValueError, match="too large"):
        original.predict(pd.DataFrame({"age": [1e300], "visits": [3]}))
    scaled = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, churn)
    found = inputs(sqlml.verify(sqlml.convert(scaled, sample=rows), scaled, rows))
    assert not found["age"].has_limits


def test_numbers_of_which_a_step_makes_nan_for_one_that_raises_score_null() -> None:
    """A logarithm takes one half of the numbers, and its NaN is refused behind it."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"income": rng.uniform(5, 9, 60), "pages": rng.integers(0, 9, 60)})
    original = make_pipeline(FunctionTransformer(np.log1p), LinearRegression())
    original.fit(rows, rows.sum(axis=1))
    model = sqlml.convert(original, sample=rows)
    report = sqlml.verify(model, original, rows)
    assert report.ok
    assert inputs(report)["income"].smallest == np.nextafter(-1.0, 0.0)
    assert inputs(report)["pages"].smallest == 0
    given = [pa.array([6.0, -0.95, -7.0, -1.0, 6.0, -np.inf]), pa.array([3, 3, 3, 3, -1, 3])]
    accepted = accepting(model, report.signature.inputs)
    for raw in raw_results(accepted, given).values():
        assert [v is None for v in raw.to_pylist()] == [False, False, True, True, True, True]


def test_numbers_whose_exponential_overflows_score_null_where_the_original_raises() -> None:
    rows = pd.DataFrame({"x": np.linspace(-2, 2, 60).astype("float32")})
    original = make_pipeline(FunctionTransformer(np.exp), LinearRegression()).fit(rows, rows["x"])
    model = sqlml.convert(original, sample=rows)
    report = sqlml.verify(model, original, rows)
    assert report.ok
    assert report.rejected["x"] == ("missing values", "infinity", "numbers above 88.7228")
    accepted = accepting(model, report.signature.inputs)
    for raw in raw_results(accepted, [pa.array([1.0, 100.0, 80.0, -1e30], pa.float32())]).values():
        assert [v is None for v in raw.to_pylist()] == [False, True, False, False]


def test_a_limit_is_found_where_something_larger_still_is_taken_for_missing() -> None:
    """Of the largest doubles a distance is infinity less infinity, and NaN to the tree."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.uniform(1, 3, 60)})
    near = KMeans(3, n_init=1, random_state=0)
    original = make_pipeline(near, DecisionTreeRegressor(max_depth=3)).fit(rows, rows["x"])
    original.predict(pd.DataFrame({"x": [1.79e308]}))
    report = sqlml.verify(sqlml.convert(original, sample=rows), original, rows)
    assert report.ok
    assert inputs(report)["x"].largest == 3e38
    with pytest.raises(ValueError, match="too large"):
        original.predict(pd.DataFrame({"x": [1e39]}))


def test_no_row_is_scored_of_which_only_the_product_is_refused() -> None:
    """Each factor alone is taken up to the end of float32, both together are not."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.uniform(0.5, 1, (60, 2)), columns=["x", "y"])
    products = PolynomialFeatures(interaction_only=True)
    original = make_pipeline(products, DecisionTreeRegressor(max_depth=3)).fit(rows, rows["x"])
    model = sqlml.convert(original, sample=rows)
    report = sqlml.verify(model, original, rows)
    assert report.ok
    accepted = accepting(model, report.signature.inputs)
    given = [pa.array([1.0, 1e15, 1e15, 1e30]), pa.array([1.0, 1.0, 1e15, 1e30])]
    for raw in raw_results(accepted, given).values():
        assert [v is None for v in raw.to_pylist()] == [False, False, False, True]
    with pytest.raises(ValueError, match="too large"):
        original.predict(pd.DataFrame({"x": [1e30], "y": [1e30]}))


def test_limits_near_the_data_stay_where_one_beyond_it_is_at_fault() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(60, 2)), columns=["x", "y"])
    power = make_column_transformer((FunctionTransformer(np.exp), ["x"]), remainder="passthrough")
    original = make_pipeline(power, PCA(2, random_state=0), LinearRegression()).fit(rows, rows["x"])
    report = sqlml.verify(sqlml.convert(original, sample=rows), original, rows)
    assert report.ok
    assert 709 < inputs(report)["x"].largest < 710
    assert inputs(report)["x"].smallest < -1e300
    assert inputs(report)["y"].largest > 1e300
    for side in ("smallest", "largest"):
        ends = {name: [getattr(field, side)] for name, field in inputs(report).items()}
        original.predict(pd.DataFrame(ends))


def test_unknown_categories_that_the_original_refuses_score_null(
    people: pd.DataFrame, churn: np.ndarray
) -> None:
    """Of strings and of integers, known values that the sample lacks included."""
    encoder = make_column_transformer((OneHotEncoder(), ["plan", "code"]))
    original = make_pipeline(encoder, LogisticRegression()).fit(people[["plan", "code"]], churn)
    sample = people.loc[people.plan != "pro", ["plan", "code"]]
    model = sqlml.convert(original, sample=sample)
    report = sqlml.verify(model, original, sample)
    assert report.ok
    assert inputs(report)["plan"].categories == ("basic", "plus", "pro")
    assert inputs(report)["code"].categories == (3, 5, 9)
    assert report.rejected["plan"] == ("missing values", "unknown values")
    scored = Scorer(accepting(model, report.signature.inputs)).score(
        [pa.array(["pro", "free", None, "", "pro"]), pa.array([9, 9, 9, 9, 4])]
    )
    assert [v is None for v in scored.to_pylist()] == [False, True, True, True, True]


def test_a_known_zero_is_known_with_either_sign() -> None:
    rows = pd.DataFrame({"paid": [0.0, 1.0, 2.0] * 20})
    original = make_pipeline(OneHotEncoder(), LinearRegression()).fit(rows, rows["paid"])
    model = sqlml.convert(original, sample=rows)
    report = sqlml.verify(model, original, rows)
    assert report.ok
    accepted = accepting(model, report.signature.inputs)
    for raw in raw_results(accepted, [pa.array([0.0, -0.0, 1.0, 3.0])]).values():
        assert [v is None for v in raw.to_pylist()] == [False, False, False, True]


def test_unknown_categories_that_the_original_takes_are_scored(
    people: pd.DataFrame, churn: np.ndarray
) -> None:
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["plan", "member"]))
    rows = people[["plan", "member"]]
    original = make_pipeline(encoder, LogisticRegression()).fit(rows, churn)
    report = sqlml.verify(sqlml.convert(original, sample=rows), original, rows)
    assert report.ok
    assert inputs(report)["plan"].categories is None


def test_none_and_nan_are_told_apart_as_the_sample_has_them(churn: np.ndarray) -> None:
    """scikit-learn holds them for two categories; SQL has one NULL."""
    rows = pd.DataFrame({"plan": np.where(np.arange(len(churn)) % 3 == 0, None, "basic")})
    rows["other"] = ["x", "y"] * (len(rows) // 2)
    original = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(rows, churn)
    report = sqlml.verify(sqlml.convert(original, sample=rows), original, rows)
    assert report.ok
    assert inputs(report)["plan"].takes_missing
    assert not inputs(report)["other"].takes_missing


def test_an_array_of_numbers_is_a_sample(people: pd.DataFrame, churn: np.ndarray) -> None:
    rows = people[["age", "visits"]].to_numpy()
    original = make_pipeline(SimpleImputer(), LogisticRegression()).fit(rows, churn)
    report = sqlml.verify(sqlml.convert(original, sample=rows), original, rows)
    assert report.ok
    assert [i.takes_missing for i in report.signature.inputs] == [True, True]


def test_an_original_that_refuses_zero_cannot_be_published(stand_in: Any) -> None:
    """A signature has no way to say it."""

    def says(rows: np.ndarray) -> Answer:
        if (rows == 0).any():
            raise ValueError("The data must be strictly positive.")
        return Answer(2 * rows[:, 0])

    report = sqlml.verify(stand_in.doubling(), stand_in.Model(says), frame())
    assert not report.ok
    assert report.worst_rows[0].kind == "zero x"
    with pytest.raises(sqlml.SqlmlError, match="raises ValueError: The data must be strictly"):
        report.raise_if_different()


def test_an_original_may_refuse_magnitudes_far_out_of_the_sample(stand_in: Any) -> None:
    def says(rows: np.ndarray) -> Answer:
        if np.nanmax(np.abs(rows)) > 1000:
            raise ValueError("too large")
        return Answer(2 * rows[:, 0])

    assert sqlml.verify(stand_in.doubling(), stand_in.Model(says), frame()).ok


def test_the_rows_beside_a_refused_one_are_still_compared(stand_in: Any) -> None:
    """An original that raises on missing values, and one that is wrong at infinity."""

    def says(rows: np.ndarray) -> Answer:
        if np.isnan(rows).any():
            raise ValueError("Input contains NaN.")
        return Answer(np.where(np.isinf(rows[:, 0]), 7.0, 2 * rows[:, 0]))

    report = sqlml.verify(stand_in.doubling(), stand_in.Model(says), frame())
    assert not report.ok
    assert {w.kind for w in report.worst_rows} == {"infinite x"}
    assert report.rejected == {"x": ("missing values",)}


def frame() -> pd.DataFrame:
    return pd.DataFrame(X, columns=["x"])
