"""ONNX's own reference evaluator, as a second opinion: slow, and written apart from any runtime.

No query is scored with it; `parity` asks it about the rows on which two scores differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.model import ScoringModel

    Vector = np.ndarray[Any, Any]


class Engine:
    """The model's whole graph. An operator that the evaluator lacks raises when it is loaded."""

    def __init__(self, model: ScoringModel, program: bytes) -> None:
        from onnx.reference import ReferenceEvaluator

        self._evaluator = ReferenceEvaluator(program)
        self._outputs = [t.name for t in model.tensors]

    def run(self, columns: Sequence[Vector]) -> Sequence[Vector]:
        names = self._evaluator.input_names
        feed = {
            name: c if c.ndim > 1 else c.reshape(-1, 1)
            for name, c in zip(names, columns, strict=True)
        }
        return [np.asarray(out) for out in self._evaluator.run(self._outputs, feed)]
