"""A row's score depends on that row alone: not on its batch, its neighbours or its order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sqlml
from sqlml.errors import InputTypeError
from sqlml.score import Scorer, cache
from sqlml.score.conform import conform, on_the_wire
from sqlml.score.outputs import derive
from sqlml.signature import Input


def rows(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(n, 12)), columns=[f"c{i}" for i in range(12)])
    frame["kind"] = rng.choice(["a", "b", "c"], n)
    return frame


def models():
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = rows()
    numbers = [c for c in frame if c != "kind"]
    target = (frame[numbers].sum(axis=1) > 0).map({True: "up", False: "down"})

    def pipeline(model):
        return make_pipeline(
            make_column_transformer(
                (StandardScaler(), numbers), (OneHotEncoder(), ["kind"]), sparse_threshold=0
            ),
            model,
        )

    yield "logistic", pipeline(LogisticRegression()).fit(frame, target)
    yield "mlp", pipeline(MLPClassifier((16,), max_iter=50)).fit(frame, target)
    yield "thirds", pipeline(LogisticRegression()).fit(frame, frame.index % 3)
    yield "boosting", pipeline(HistGradientBoostingClassifier(max_iter=20)).fit(frame, target)
    yield "forest", pipeline(RandomForestRegressor(60)).fit(frame, frame["c0"] * 3)


@pytest.fixture(scope="module", params=["logistic", "mlp", "thirds", "boosting", "forest"])
def loaded(request) -> Scorer:
    return Scorer(sqlml.convert(dict(models())[request.param], sample=rows()))


def columns(frame: pd.DataFrame) -> list[pa.Array]:
    return [pa.array(frame[c], from_pandas=True) for c in frame]


def bits(scored: pa.Array) -> list:
    return scored.to_pylist()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 17, 64, 130, 299])
def test_a_score_is_the_same_bits_in_any_batch_size(loaded, size):
    frame = rows()
    whole = bits(loaded.score(columns(frame)))
    parts = [
        value
        for start in range(0, len(frame), size)
        for value in bits(loaded.score(columns(frame.iloc[start : start + size])))
    ]
    assert parts == whole


def test_a_score_is_the_same_bits_in_any_order(loaded):
    frame = rows()
    whole = bits(loaded.score(columns(frame)))
    order = np.random.default_rng(0).permutation(len(frame))
    shuffled = bits(loaded.score(columns(frame.iloc[order])))
    assert shuffled == [whole[i] for i in order]


def test_a_score_is_the_same_bits_beside_nulls(loaded):
    frame = rows()
    whole = bits(loaded.score(columns(frame)))
    holes = frame.copy()
    holes.loc[::3, "c5"] = np.nan
    holes.loc[1::7, "kind"] = None
    found = bits(loaded.score(columns(holes)))
    missing = holes[["c5", "kind"]].isna().any(axis=1)
    assert [f for f, m in zip(found, missing, strict=True) if not m] == [
        w for w, m in zip(whole, missing, strict=True) if not m
    ]
    assert all(f is None for f, m in zip(found, missing, strict=True) if m)


def test_no_rows_and_rows_that_are_all_ruled_out(loaded):
    frame = rows()
    assert loaded.score(columns(frame.iloc[:0])).type == loaded.arrow_type
    nothing = loaded.score([pa.nulls(3, a.type) for a in columns(frame)])
    assert nothing.null_count == 3
    assert all(a.null_count == 3 for a in derive(loaded.model, nothing).values())


def test_a_type_that_would_lose_information_is_refused(loaded):
    given = columns(rows())
    given[0] = pa.array(["x"] * 300)
    with pytest.raises(InputTypeError, match="is DOUBLE, found STRING"):
        loaded.score(given)


def test_decimals_round_as_java_rounds_them():
    from decimal import Decimal

    from sqlml.score.conform import on_the_wire

    values = [Decimal("0.1"), Decimal("2.675"), None, Decimal("123456789.123456789")]
    found = on_the_wire(pa.array(values), Input("x", "DOUBLE", "DOUBLE"))
    assert found.to_pylist() == [0.1, 2.675, None, 123456789.123456789]


def test_a_model_is_loaded_once_in_a_process():
    model = sqlml.convert(dict(models())["logistic"], sample=rows())
    calls = []

    def load():
        calls.append(1)
        return Scorer(model)

    assert cache.loaded("a key", load) is cache.loaded("a key", load)
    assert len(calls) == 1


def test_models_used_longest_ago_make_room(monkeypatch):
    model = sqlml.convert(dict(models())["logistic"], sample=rows())
    monkeypatch.setattr(cache, "MAX_BYTES", int(len(model.onnx) * 2.5))
    monkeypatch.setattr(cache, "_loaded", type(cache._loaded)())
    for key in "abcad":
        cache.loaded(key, lambda: Scorer(model))
    assert list(cache._loaded) == ["a", "d"]


def test_without_the_kernel_onnx_runtime_serves_with_one_warning(monkeypatch):
    from sqlml.compile import prepare
    from sqlml.score import kernel, prediction

    model = sqlml.convert(dict(models())["forest"], sample=rows())
    made = prepare(model, backend="trees", plain=True)
    parts = {"metadata": model.to_json(), "trees": made.program, "onnx": model.onnx}
    given = columns(rows(50))
    scored = prediction.raw(("with", "trees", parts.get, None), given)
    monkeypatch.setattr(kernel, "LIBRARY", "none.bin")
    kernel.library.cache_clear()
    try:
        task = ("without", "trees", parts.get, None)
        with pytest.warns(RuntimeWarning, match="ONNX Runtime scores instead") as warned:
            served = [prediction.raw(task, given) for _ in range(2)]
    finally:
        kernel.library.cache_clear()
    assert len(warned) == 1
    assert all(s.equals(scored) for s in served)


ROWS_OF_ARRAYS = [[1.0, 2.0], None, [1.0], [1.0, 2.0, 3.0], [None, 2.0], [5.0, float("nan")], []]


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.large_list(pa.float32())])
@pytest.mark.parametrize("takes_missing", [True, False])
def test_an_array_of_another_length_rules_its_row_out(kind, takes_missing):
    field = Input("v", "ARRAY<DOUBLE>", "ARRAY<DOUBLE>", takes_missing, width=2)
    # A slice: what stands before its first row is not the first row's.
    column = pa.array([[9.0, 9.0], *ROWS_OF_ARRAYS], kind).slice(1)
    values, refused = conform(on_the_wire(column, field), field)
    assert values.shape == (len(ROWS_OF_ARRAYS), 2)
    missing = not takes_missing
    assert refused.tolist() == [False, True, True, True, missing, missing, True]
    assert values[0].tolist() == [1.0, 2.0]
    assert np.isnan(values[4:6]).sum() == 2


def test_an_array_that_is_no_array_of_numbers_is_refused():
    field = Input("v", "ARRAY<DOUBLE>", "ARRAY<DOUBLE>", width=2)
    with pytest.raises(InputTypeError, match=r"CAST\(v AS ARRAY<DOUBLE>\)"):
        on_the_wire(pa.array([["a", "b"]]), field)
    with pytest.raises(InputTypeError, match="is ARRAY<DOUBLE>, found DOUBLE"):
        on_the_wire(pa.array([1.0]), field)


def test_what_is_no_index_rules_its_row_out():
    """An embedding of three entries: NULL, what is below zero, and what is beyond."""
    field = Input("code", "BIGINT", "BIGINT", below=3)
    _, refused = conform(pa.array([0, 2, None, -1, 3, 2**62]), field)
    assert refused.tolist() == [False, False, True, True, True, True]

    field = Input("codes", "ARRAY<BIGINT>", "ARRAY<BIGINT>", below=3, width=2)
    _, refused = conform(pa.array([[0, 2], [0, 3], [-1, 1], [1, None]]), field)
    assert refused.tolist() == [False, True, True, True]
