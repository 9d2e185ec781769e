"""One helper that says whether scores are the framework's own."""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sqlml.compile.usage import used_inputs

from .case import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml import ScoringModel

    from .case import Case

BOUNDS = {"float32": 1e-5, "float64": 1e-9}
"""Relative to the output's largest magnitude; of a probability, that is one."""


def assert_parity(scores: pd.DataFrame, case: Case, model: ScoringModel) -> None:
    """The scores (a column per output, None for NULL) are the framework's own.

    Labels are equal, but where the framework itself holds two for equally probable.
    """
    expected, bound = expected_of(case, model), BOUNDS[model.precision]
    assert len(scores) == len(expected.prediction)
    if expected.labels:
        _assert_labels(scores, expected, bound)
        return
    answers = expected.prediction if expected.prediction.ndim == 2 else expected.prediction[:, None]
    scales = _magnitude(case.fitted.on_sample.prediction)
    names = [o.name for o in model.signature.outputs if o.name != "score"]
    assert answers.shape[1] == len(names)
    for i, name in enumerate(names):
        if name in scores:
            _assert_close(name, scores[name], answers[:, i], scales[i], bound)
    if "score" in scores:
        assert expected.score is not None
        scale = _magnitude(case.fitted.on_sample.score)[0]
        _assert_close("score", scores["score"], expected.score, scale, bound)


def assert_same(scores: pd.DataFrame, others: pd.DataFrame) -> None:
    """Every column that both have is the same, to the last bit."""
    for name in scores.columns.intersection(others.columns):
        different = [
            (row, a, b)
            for row, (a, b) in enumerate(zip(scores[name], others[name], strict=True))
            if not _same(a, b)
        ]
        assert not different, f"{name}: {_some(different)}"


def assert_same_as_one(scores: pd.DataFrame, by_backend: Mapping[str, pd.DataFrame]) -> None:
    """The same as one of the backends, to the last bit: the scalar form chooses by itself."""
    differences = []
    for backend, others in by_backend.items():
        try:
            return assert_same(scores, others)
        except AssertionError as error:
            differences.append(f"not as {backend}: {error}")
    raise AssertionError("; ".join(differences))


def expected_of(case: Case, model: ScoringModel) -> Answer:
    """The framework's answers. An input on which no output depends does not rule a row out:

    where the framework refuses a row, it is asked again with a value of the sample there.
    """
    return _expected(case, frozenset(range(len(model.signature.inputs))) - used_inputs(model))


@functools.cache
def _expected(case: Case, unused: frozenset[int]) -> Answer:
    fitted = case.fitted
    if not unused:
        return fitted.expected
    rows, sample = fitted.rows.copy(), pd.DataFrame(fitted.sample)
    for place in unused:
        at = place if isinstance(fitted.sample, np.ndarray) else sample.columns[place]
        label = rows.columns[place] if isinstance(fitted.sample, np.ndarray) else at
        rows[label] = pd.Series([sample[at].iloc[0]] * len(rows), rows.index, rows[label].dtype)
    again = dataclasses.replace(fitted, rows=rows).expected
    refused = np.array([p is None for p in fitted.expected.prediction.reshape(len(rows), -1)[:, 0]])

    def merged(name: str) -> Any:
        first, second = getattr(fitted.expected, name), getattr(again, name)
        if first is None or second is None:
            return first
        at_rows = refused.reshape(-1, *[1] * (first.ndim - 1))
        return np.where(at_rows, second, first)

    return Answer(merged("prediction"), again.labels, merged("probabilities"), merged("score"))


def _assert_labels(scores: pd.DataFrame, expected: Answer, bound: float) -> None:
    at = {label: i for i, label in enumerate(expected.labels)}
    kind, proba = type(expected.labels[0]), expected.probabilities
    different = []
    for row, found in enumerate(scores["prediction"]):
        label = expected.prediction[row]
        if label is None or found is None:
            if label is not None or found is not None:
                different.append((row, found, label))
            continue
        assert type(found) is kind
        if found == label:
            continue
        if proba is None or abs(proba[row, at[found]] - proba[row, at[label]]) > bound:
            different.append((row, found, label))
    assert not different, f"prediction: {_some(different)}"
    if proba is None:
        assert list(scores) == ["prediction"]
        return
    if "probability" in scores:
        of_label = [
            None if found is None else proba[row, at[found]]
            for row, found in enumerate(scores["prediction"])
        ]
        _assert_close("probability", scores["probability"], of_label, 1.0, bound)
    if "probabilities" in scores:
        for label, i in at.items():
            column = [None if m is None else m[label] for m in scores["probabilities"]]
            _assert_close(f"probabilities[{label!r}]", column, proba[:, i], 1.0, bound)


def _assert_close(
    name: str, found: Sequence[Any], expected: Sequence[Any], scale: float, bound: float
) -> None:
    different = [
        (row, a, b)
        for row, (a, b) in enumerate(zip(found, expected, strict=True))
        if not _close(a, b, scale, bound)
    ]
    assert not different, f"{name}: {_some(different)}"


def _close(found: Any, expected: Any, scale: float, bound: float) -> bool:
    if found is None or expected is None:
        return found is expected
    if not math.isfinite(expected):
        return _same(float(found), float(expected))
    return abs(found - expected) <= bound * max(scale, abs(expected))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[k], b[k]) for k in a)
    return bool(a == b) or (a is not None and b is not None and a != a and b != b)


def _magnitude(values: Any) -> np.ndarray:
    numbers = np.asarray(values, dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of NaN
        return np.atleast_1d(np.nanmax(np.abs(numbers), axis=0))


def _some(different: list[tuple[int, Any, Any]]) -> str:
    rows = ", ".join(f"row {r}: {a!r}, not {b!r}" for r, a, b in different[:3])
    return f"{len(different)} rows differ: {rows}"
