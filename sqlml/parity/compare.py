"""The original's answers against the scoring path's, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sqlml.parity.report import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.convert import Answer
    from sqlml.model import ScoringModel

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """One output on some rows: what each said, and how far apart they are."""

    output: str
    expected: Sequence[Any]
    found: Sequence[Any]
    absolute: Array
    relative: Array
    """The difference as it is held against the bound."""
    label: bool = False


def magnitudes(answer: Answer) -> dict[str, Array]:
    """The largest finite magnitude of each numeric output on the sample, by output."""
    found = {}
    if np.asarray(answer.prediction).dtype.kind in "fiu":
        found["prediction"] = _largest(_matrix(answer.prediction))
    if answer.score is not None:
        found["score"] = _largest(_matrix(answer.score))
    return found


def compare(
    model: ScoringModel, answer: Answer, found: Mapping[str, pa.Array], scale: Mapping[str, Array]
) -> list[Compared]:
    """Each output of the model on the rows of one answer; `scale` as of `magnitudes`."""
    if model.task == "regression":
        expected = _matrix(answer.prediction)
        outputs = [o.name for o in model.signature.outputs]
        return [
            _numbers(name, expected[:, k], found[name], float(scale["prediction"][k]))
            for k, name in enumerate(outputs)
        ]
    compared = [_labels(model, answer, found["prediction"], scale)]
    if answer.probabilities is not None and "probabilities" in found:
        proba = np.asarray(answer.probabilities, dtype=np.float64)
        values = found["probabilities"]
        for k, label in enumerate(model.labels):
            key = pa.scalar(label, values.type.key_type)
            column = pc.map_lookup(values, query_key=key, occurrence="first")
            compared.append(_numbers(f"probabilities[{label!r}]", proba[:, k], column, None))
    if answer.score is not None and "score" in found:
        expected = np.ravel(answer.score)
        compared.append(_numbers("score", expected, found["score"], float(scale["score"][0])))
    return compared


def _labels(
    model: ScoringModel, answer: Answer, found: pa.Array, scale: Mapping[str, Array]
) -> Compared:
    expected = np.asarray(answer.prediction).tolist()
    given = found.to_pylist()
    bound = BOUNDS[model.precision]
    tie = np.zeros(len(given), bool)
    if answer.probabilities is not None and np.shape(answer.probabilities)[1] > 1:
        two = np.sort(np.asarray(answer.probabilities, dtype=np.float64), axis=1)[:, -2:]
        tie = two[:, 1] - two[:, 0] <= 2 * bound
    elif answer.score is not None:
        tie = np.abs(np.ravel(answer.score)) <= bound * max(1.0, float(scale["score"][0]))
    differs = np.array([e != g for e, g in zip(expected, given, strict=True)], dtype=bool)
    absent = np.array([g is None for g in given], dtype=bool)
    error = np.where(differs & (absent | ~tie), np.inf, 0.0)
    return Compared("prediction", expected, given, np.zeros(len(given)), error, label=True)


def _numbers(output: str, expected: Array, found: pa.Array, scale: float | None) -> Compared:
    """Numbers, relative to the sample's magnitude or to the original's own where that is larger."""
    wanted = np.asarray(expected, dtype=np.float64)
    null = found.is_null().to_numpy(zero_copy_only=False)
    given = found.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    with np.errstate(all="ignore"):
        absolute = np.abs(wanted - given)
        same = (wanted == given) | (np.isnan(wanted) & np.isnan(given))
        absolute = np.where(same, 0.0, np.where(np.isnan(absolute), np.inf, absolute))
        unit = 1.0 if scale is None else np.maximum(np.abs(wanted), scale)
        relative = np.where(same, 0.0, absolute / np.where(np.isfinite(unit), unit, 1.0))
    absolute, relative = np.where(null, np.inf, absolute), np.where(null, np.inf, relative)
    # A row on which both give nothing: NULL in SQL is what NaN is to the original.
    agreed = null & np.isnan(wanted)
    absolute[agreed], relative[agreed] = 0.0, 0.0
    return Compared(output, wanted.tolist(), found.to_pylist(), absolute, relative)


def _matrix(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    return array.reshape(len(array), -1)


def _largest(values: Array) -> Array:
    finite = np.where(np.isfinite(values), np.abs(values), 0.0)
    return np.asarray(np.maximum(finite.max(axis=0), np.finfo(np.float64).tiny))
