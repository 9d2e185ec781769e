"""Two sets of scores, row by row and output by output, against the bound."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from sqlml.errors import ParityError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from sqlml.convert import Answer
    from sqlml.model import ScoringModel

    Array = np.ndarray[Any, Any]

TINY = 1e-30
"""The least magnitude to which an error is relative: an output may be zero everywhere."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the original says, or that it refused; one entry per row."""

    answer: Answer
    refused: Array
    """[N] bool: the original raised, and what `answer` has there means nothing."""
    on_sample: Array
    """[N] bool: rows of the sample itself, which give the magnitudes."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One output compared."""

    output: str
    expected: Callable[[int], Any]
    found: Callable[[int], Any]
    absolute: Array
    """[N]: infinite where one side has a value and the other has none."""
    severity: Array
    """[N]: the error in units of what is allowed; above 1 is a mismatch."""
    relative: Array
    is_label: bool = False


def differences(
    model: ScoringModel, expected: Expected, found: Mapping[str, pa.Array], bound: float
) -> list[Difference]:
    """Every output of the model, compared with the original's answer.

    `found` has the outputs of the table form, by name. Labels may differ where the original
    is within the bound of a tie; NaN equals NaN and infinity itself; a NULL stands for rows
    which the original refuses, or for which it says NaN. Raises `ParityError` where the two
    do not even have the same outputs.
    """
    answer = expected.answer
    if model.task == "classification":
        return _classification(model, expected, found, bound)
    if model.task == "regression":
        targets = _matrix(answer.prediction)
        _same_width("prediction", targets.shape[1], len(found))
        return [
            _numbers(name, targets[:, i], found[name], expected, bound)
            for i, name in enumerate(found)
        ]
    if model.task == "other":
        return _others(model, expected, found, bound)
    tie = _near_zero(answer.score, expected, bound) if model.task == "outlier_detection" else None
    compared = [_labels(answer.prediction, found["prediction"], expected, tie)]
    if "score" in found and answer.score is not None:
        score = _matrix(answer.score)[:, 0]
        compared.append(_numbers("score", score, found["score"], expected, bound))
    return compared


def _others(
    model: ScoringModel, expected: Expected, found: Mapping[str, pa.Array], bound: float
) -> list[Difference]:
    """Every column of every output: floats within the bound, anything else equal."""
    says = np.asarray(expected.answer.prediction)
    _same_width("the outputs", says.shape[1], sum(t.width or 1 for t in model.tensors))
    compared: list[Difference] = []
    for tensor in model.tensors:
        for place in range(tensor.width or 1):
            column, values = says[:, len(compared)], found[tensor.name]
            name = tensor.name
            if tensor.width is not None:
                name, values = f"{name}[{place}]", pc.list_element(values, place)
            if tensor.type in ("FLOAT", "DOUBLE"):
                compared.append(_numbers(name, column, values, expected, bound))
            else:
                exact = _labels(column, values, expected, None)
                compared.append(dataclasses.replace(exact, output=name))
    return compared


def _classification(
    model: ScoringModel, expected: Expected, found: Mapping[str, pa.Array], bound: float
) -> list[Difference]:
    answer = expected.answer
    if answer.probabilities is None or "probabilities" not in found:
        if "probabilities" in found:
            raise ParityError(
                "The original gives no probabilities, the converted model does: they cannot be "
                "compared. Convert it without."
            )
        tie = _near_zero(answer.score, expected, bound)
        return [_labels(answer.prediction, found["prediction"], expected, tie)]
    proba = np.asarray(answer.probabilities, dtype=np.float64)
    _same_width("probabilities", proba.shape[1], len(model.labels))
    compared = [_labels(answer.prediction, found["prediction"], expected, _tied(proba, bound))]
    null = found["probabilities"].is_null().to_numpy(zero_copy_only=False)
    values = np.full(proba.shape, np.nan)
    values[~null] = _map_values(found["probabilities"], null).reshape(-1, len(model.labels))
    for i, label in enumerate(model.labels):
        name = f"probabilities[{label!r}]"
        compared.append(
            _close(name, proba[:, i], values[:, i], null, expected, bound, probability=True)
        )
    # The probability of the label that was found: on a tie it may be the other one's.
    at = {label: i for i, label in enumerate(model.labels)}
    index = np.array([at.get(v, 0) for v in found["prediction"].to_pylist()], dtype=int)
    of_label = proba[np.arange(len(proba)), index]
    compared.append(
        _numbers("probability", of_label, found["probability"], expected, bound, probability=True)
    )
    return compared


def _map_values(maps: pa.Array, null: Array) -> Array:
    values = maps.filter(~null) if null.any() else maps
    items: Array = values.items.to_numpy(zero_copy_only=False)
    return items


def _labels(answered: Any, found: pa.Array, expected: Expected, tie: Array | None) -> Difference:
    """Labels or cluster numbers: equal, or not."""
    says = np.asarray(answered).reshape(len(expected.refused)).tolist()
    scored = found.to_pylist()
    refused = expected.refused.tolist()
    wrong = np.array(
        [
            s is not None if r else s is None or s != e
            for e, s, r in zip(says, scored, refused, strict=True)
        ],
        dtype=bool,
    )
    if tie is not None:
        null = found.is_null().to_numpy(zero_copy_only=False)
        wrong &= ~(tie & ~null & ~expected.refused)
    error = np.where(wrong, np.inf, 0.0)
    return Difference(
        "prediction", says.__getitem__, scored.__getitem__, error, error, error, is_label=True
    )


def _numbers(
    name: str,
    says: Array,
    found: pa.Array,
    expected: Expected,
    bound: float,
    probability: bool = False,
) -> Difference:
    null = found.is_null().to_numpy(zero_copy_only=False)
    values = found.to_numpy(zero_copy_only=False).astype(np.float64)
    return _close(name, says, values, null, expected, bound, probability)


def _close(
    name: str,
    says: Array,
    values: Array,
    null: Array,
    expected: Expected,
    bound: float,
    probability: bool = False,
) -> Difference:
    """Numbers: a probability's error counts as it is, another's against the magnitude."""
    says = np.asarray(says, dtype=np.float64)
    allowed = np.ones(len(says)) if probability else _magnitude(says, expected)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(values - says)
        same = (values == says) | (np.isnan(says) & (null | np.isnan(values)))
        error = np.where(same, 0.0, error)
        # Of NaN and a number, or NULL and a number, no difference can be taken.
        error = np.where(np.isnan(error) | (null & ~same), np.inf, error)
        error = np.where(expected.refused, np.where(null, 0.0, np.inf), error)
        relative = error / allowed

    def scored(row: int) -> float | None:
        return None if null[row] else float(values[row])

    return Difference(name, lambda row: float(says[row]), scored, error, relative / bound, relative)


def _magnitude(says: Array, expected: Expected) -> Array:
    """The output's largest magnitude on the sample; on rows beyond it, the value's own."""
    finite = np.isfinite(says) & ~expected.refused
    sample = np.abs(says[finite & expected.on_sample])
    largest = max(float(sample.max()) if len(sample) else 0.0, TINY)
    return np.maximum(np.where(finite, np.abs(says), 0.0), largest)


def _tied(proba: Array, bound: float) -> Array:
    """Rows whose two largest probabilities are equal as far as can be told."""
    if proba.shape[1] < 2:
        return np.zeros(len(proba), dtype=bool)
    top = np.sort(proba, axis=1)[:, -2:]
    # NaN is equal to nothing: no label follows from it.
    # Each of the two may be off by the bound.
    near: Array = ~(top[:, 1] - top[:, 0] > 2 * bound)
    return near


def _near_zero(score: Any, expected: Expected, bound: float) -> Array | None:
    """Rows on which a decision value is too near to zero to tell the label."""
    if score is None:
        return None
    values = np.asarray(score, dtype=np.float64)
    if values.ndim == 2 and values.shape[1] > 1:
        top = np.sort(values, axis=1)[:, -2:]
        tied: Array = ~(top[:, 1] - top[:, 0] > 2 * bound * _magnitude(top[:, 1], expected))
        return tied
    values = values.reshape(-1)
    near: Array = ~(np.abs(values) > bound * _magnitude(values, expected))
    return near


def _matrix(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    return array.reshape(len(array), -1)


def _same_width(output: str, original: int, converted: int) -> None:
    if original != converted:
        raise ParityError(
            f"The original gives {original} columns of {output}, the converted model {converted}."
        )
