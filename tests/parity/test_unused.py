"""An input on which no output depends rules nothing out, whatever the original says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from onnx import TensorProto, helper
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier, XGBRegressor

import sqlml
from sqlml.compile import prepare
from sqlml.compile.usage import inputs_given, used_inputs
from sqlml.convert import Answer
from sqlml.convert.weightless import without_weightless
from sqlml.model import ScoringModel, Tensor, outputs_of
from sqlml.parity import accepting
from sqlml.parity.backends import raw_results
from sqlml.score import Scorer
from sqlml.signature import Input, Signature

from .tampering import as_tensor, graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml import ParityReport

WIDE = 50


def without_weight(model: Any, features: list[int]) -> Any:
    """The fitted model, some of its weights set to zero."""
    model.coef_[:, features] = 0
    return model


def nulls_of(column: pa.Array) -> pa.Array:
    return pa.nulls(len(column), column.type)


def published(model: Any, sample: pd.DataFrame) -> tuple[ScoringModel, ParityReport]:
    """The model as `publish` would write it."""
    converted = sqlml.convert(model, sample=sample)
    report = sqlml.verify(converted, model, sample)
    report.raise_if_different()
    return accepting(converted, report.signature.inputs), report


@pytest.fixture(scope="module")
def wide() -> pd.DataFrame:
    values = np.random.default_rng(11).normal(size=(300, WIDE))
    return pd.DataFrame(values, columns=[f"x{i}" for i in range(WIDE)])


def l1(wide: pd.DataFrame) -> Any:
    model = LogisticRegression(max_iter=300).fit(wide, wide.x3 + wide.x7 > 0)
    return without_weight(model, [i for i in range(WIDE) if i % 5 != 3])


def l1_scaled(wide: pd.DataFrame) -> Any:
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(wide, wide.x3 + wide.x7 > 0)
    without_weight(model[-1], [i for i in range(WIDE) if i % 5 != 3])
    return model


def booster(wide: pd.DataFrame) -> Any:
    return XGBClassifier(n_estimators=5, max_depth=3).fit(wide, wide.x3 + wide.x7 > 0)


def tree_scaled(wide: pd.DataFrame) -> Any:
    model = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=3, random_state=0))
    return model.fit(wide, wide.x3 + wide.x7 > 0)


@pytest.mark.parametrize("make", [l1, l1_scaled, booster, tree_scaled])
def test_of_many_columns_only_those_that_are_used_are_given_and_may_rule_a_row_out(
    make: Callable[[pd.DataFrame], Any], wide: pd.DataFrame
) -> None:
    model, report = published(make(wide), wide)
    used = used_inputs(model)
    assert 0 < len(used) <= WIDE / 4
    fields = model.signature.inputs
    assert all(f.takes_everything for i, f in enumerate(fields) if i not in used)
    assert {f.name for i, f in enumerate(fields) if i in used} >= set(report.rejected)
    assert inputs_given(model) == tuple(sorted(used))
    for backend in report.backends:
        assert prepare(model, backend=backend).inputs == tuple(sorted(used)), backend
    columns = [pa.array(wide[f.name]) for f in fields]
    absent = [c if i in used else nulls_of(c) for i, c in enumerate(columns)]
    assert Scorer(model).score(absent) == Scorer(model).score(columns)
    assert Scorer(model).score(absent).null_count == 0


def test_every_backend_scores_rows_in_which_only_unused_inputs_are_missing(
    people: pd.DataFrame, churn: np.ndarray
) -> None:
    rows = people[["age", "code"]]
    original = GradientBoostingClassifier(n_estimators=2, max_depth=1).fit(rows, churn)
    model, _ = published(original, rows)
    assert used_inputs(model) == {0}
    with pytest.raises(ValueError, match="NaN"):
        original.predict(pd.DataFrame({"age": [30.0], "code": [np.nan]}))
    columns = [pa.array(rows.age), pa.array(rows.code)]
    straight = raw_results(model, columns)
    assert [*straight] == ["sql", "trees", "onnx"]
    for backend, found in raw_results(model, [columns[0], nulls_of(columns[1])]).items():
        assert found == straight[backend]
        assert found.null_count == 0


def test_an_encoded_column_whose_categories_have_no_weight_is_unused(
    people: pd.DataFrame, churn: np.ndarray
) -> None:
    """The encoder raises on unknown and missing values; nobody asks it."""
    rows = people[["plan", "code", "age"]]
    encoder = make_column_transformer((OneHotEncoder(), ["plan", "code"]), remainder="passthrough")
    original = make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(rows, churn)
    without_weight(original[-1], [0, 1, 2])
    model, report = published(original, rows)
    assert used_inputs(model) == {1, 2}
    assert model.signature.inputs[0].takes_everything
    assert model.signature.inputs[1].categories == (3, 5, 9)
    assert set(report.rejected) == {"code", "age"}
    scored = Scorer(model).score(
        [pa.array(["pro", None, "free", "pro"]), pa.array([3, 3, 3, 4]), pa.array([30.0] * 4)]
    )
    assert len(set(scored.to_pylist()[:3])) == 1
    assert [v is None for v in scored.to_pylist()] == [False, False, False, True]


def test_a_category_with_weight_keeps_its_column(people: pd.DataFrame, churn: np.ndarray) -> None:
    rows = people[["plan", "age"]]
    encoder = make_column_transformer((OneHotEncoder(), ["plan"]), remainder="passthrough")
    original = make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(rows, churn)
    without_weight(original[-1], [0, 1])
    model, _ = published(original, rows)
    assert used_inputs(model) == {0, 1}
    assert model.signature.inputs[0].categories == ("basic", "plus", "pro")


def test_a_model_without_any_weight_scores_every_row(people: pd.DataFrame) -> None:
    rows = people[["age", "visits"]]
    model, report = published(Lasso(1e6).fit(rows, people.age), rows)
    assert used_inputs(model) == frozenset()
    assert inputs_given(model) == (0,)
    assert report.rejected == {}
    scored = Scorer(model).score([pa.array([1.0, None]), pa.array([None, 3], pa.int64())])
    assert scored.to_pylist() == [people.age.mean()] * 2


# --- an original beside a graph that has no weight for the second of two inputs --------------


def weighted(second: float) -> ScoringModel:
    """prediction = 2 x + second * y."""
    proto = graph(
        [
            helper.make_node("Concat", ["in0", "in1"], ["both"], axis=1),
            helper.make_node("MatMul", ["both", "weights"], ["prediction"]),
        ],
        {"in0": TensorProto.DOUBLE, "in1": TensorProto.DOUBLE},
        {"prediction": (TensorProto.DOUBLE, ["N", 1])},
        [as_tensor([[2.0], [second]], "weights")],
    )
    tensors = (Tensor("prediction", "DOUBLE"),)
    inputs = tuple(Input(name, "DOUBLE", "DOUBLE") for name in ("x", "y"))
    signature = Signature(inputs, outputs_of("regression", tensors))
    content = without_weightless(proto.SerializeToString())
    return ScoringModel(content, signature, "regression", tensors)


ROWS = pd.DataFrame({"x": np.linspace(1.0, 5.0, 20), "y": np.linspace(7.0, 8.0, 20)})


def zero_times(rows: np.ndarray) -> Answer:
    return Answer(2 * rows[:, 0] + 0 * rows[:, 1])


def careful(rows: np.ndarray) -> Answer:
    if not np.isfinite(rows).all():
        raise ValueError("Input contains NaN or infinity.")
    return Answer(2 * rows[:, 0])


@pytest.mark.parametrize("says", [zero_times, careful])
def test_an_original_may_raise_or_say_nan_of_an_unused_input(stand_in: Any, says: Any) -> None:
    model = weighted(0.0)
    report = sqlml.verify(model, stand_in.Model(says), ROWS)
    assert report.ok
    assert report.signature.inputs[1].takes_everything
    assert "y" not in report.rejected
    found = Scorer(accepting(model, report.signature.inputs)).score(
        [pa.array([1.0, 1.0, 1.0]), pa.array([None, np.inf, np.nan])]
    )
    assert found.to_pylist() == [2.0, 2.0, 2.0]


def test_of_an_input_that_is_used_it_may_not(stand_in: Any) -> None:
    def says(rows: np.ndarray) -> Answer:
        return Answer(2 * rows[:, 0] + np.where(np.isinf(rows[:, 1]), np.nan, rows[:, 1] / 2))

    report = sqlml.verify(weighted(0.5), stand_in.Model(says), ROWS)
    assert not report.ok
    assert {w.kind for w in report.worst_rows} == {"infinite y"}


def test_where_the_original_answers_with_numbers_it_is_compared(stand_in: Any) -> None:
    """An original that does depend on the input, if only where the sample does not go."""

    def far(rows: np.ndarray) -> Answer:
        return Answer(2 * rows[:, 0] + (rows[:, 1] > 1000))

    report = sqlml.verify(weighted(0.0), stand_in.Model(far), ROWS)
    assert not report.ok
    assert {w.kind for w in report.worst_rows} <= {"far y", "infinite y"}

    def missing(rows: np.ndarray) -> Answer:
        return Answer(2 * rows[:, 0] + np.isnan(rows[:, 1]))

    report = sqlml.verify(weighted(0.0), stand_in.Model(missing), ROWS)
    assert {w.kind for w in report.worst_rows} == {"missing y"}


def test_a_graph_that_lets_nan_through_a_weight_of_zero_uses_the_input(stand_in: Any) -> None:
    """As one that another converter made."""
    model = weighted(0.0)
    plain = weighted(1.0).onnx.replace(np.float64(1.0).tobytes(), np.float64(0.0).tobytes())
    leaky = ScoringModel(plain, model.signature, model.task, model.tensors)
    report = sqlml.verify(leaky, stand_in.Model(careful), ROWS)
    assert report.ok
    assert report.rejected["y"] == ("missing values", "infinity")


def test_a_category_that_is_missing_in_a_sparse_matrix_is_used() -> None:
    """XGBoost takes its zeros for missing: one of two columns of a category always is."""
    rows = pd.DataFrame({"plan": ["a", "b", "c", "d"] * 50, "size": ["S", "M"] * 100})
    target = rows["plan"].map({"a": 1.0, "b": 5.0}).fillna(3.0)
    original = make_pipeline(OneHotEncoder(), XGBRegressor(n_estimators=3, max_depth=2))
    model, report = published(original.fit(rows, target), rows)
    assert 0 in used_inputs(model)
    assert {"onnx", "trees", "sql"} == set(report.backends)
