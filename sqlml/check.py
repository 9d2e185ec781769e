"""Check: what publishing a model would meet, said before anything is published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.compile import ensemble_size, prepare, used_inputs
from sqlml.convert import convert, labelled, opened
from sqlml.convert.trying import Step, steps_of
from sqlml.errors import NotConvertibleError
from sqlml.publish import ordered_sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlml.model import Label, ScoringModel


@dataclass(frozen=True, slots=True)
class Expected:
    """What a query would get, as far as it is known before the scores are compared."""

    task: str
    backend: str
    backend_reason: str
    onnx_bytes: int
    trees: int
    splits: int
    inputs: int
    inputs_used: int


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """What `check` found: each step, and what the whole would be."""

    steps: tuple[Step, ...]
    refused: str
    """The error with which `publish` would end; empty where the model converts."""
    expected: Expected | None
    """None where it does not."""

    @property
    def ok(self) -> bool:
        return not self.refused

    def __str__(self) -> str:
        if self.expected is None:
            return self.refused
        e = self.expected
        trees = f", {e.trees:,} trees with {e.splits:,} splits" if e.trees else ""
        return (
            f"Converts: {e.task}, {e.onnx_bytes:,} bytes of ONNX{trees}, "
            f"{e.inputs_used} of {e.inputs} inputs used.\n"
            f"Expected backend {e.backend}: {e.backend_reason}.\n"
            "Not compared with the original yet: sqlml publish does that before it writes."
        )


def check(model: Any, *, sample: Any, labels: Iterable[Label] | None = None) -> CheckedModel:
    """Which steps of a trained model convert, which do not and why, and what would score it.

    `model`, `sample` and `labels`: what `sqlml.publish` takes. Nothing is written, and no scores
    are compared: that is a part of `publish`. Raises `SampleError`, `ModelRejectedError` and
    `ArgumentError` as `publish` does, and `NotConvertibleError` only for a model of no known
    framework.

    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0]])
    >>> print(check(LinearRegression().fit(X, X.sum(axis=1)), sample=X))
    Converts: regression, ... bytes of ONNX, 2 of 2 inputs used.
    Expected backend sql: an expression over 2 inputs, ...
    Not compared with the original yet: sqlml publish does that before it writes.
    """
    model = opened(model)
    rows = ordered_sample(model, sample)
    model = labelled(model, labels)
    steps = steps_of(model, rows)
    try:
        scoring = convert(model, sample=rows)
    except NotConvertibleError as error:
        return CheckedModel(steps, str(error), None)
    return CheckedModel(steps, "", _expected(scoring))


def _expected(scoring: ScoringModel) -> Expected:
    prepared = prepare(scoring)
    trees, splits = ensemble_size(scoring)
    return Expected(
        task=scoring.task,
        backend=prepared.backend,
        backend_reason=prepared.reason,
        onnx_bytes=len(scoring.onnx),
        trees=trees,
        splits=splits,
        inputs=len(scoring.signature.inputs),
        inputs_used=len(used_inputs(scoring)),
    )
