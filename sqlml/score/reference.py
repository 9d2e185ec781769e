"""ONNX's own reference evaluator, as a second opinion: slow, and written apart from any runtime.

No query is scored with it; `parity` asks it about the rows on which two scores differ.
"""

from __future__ import annotations

import re
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

        self._evaluator = ReferenceEvaluator(program, new_ops=[_tokenizer()])
        self._outputs = [t.name for t in model.tensors]

    def run(self, columns: Sequence[Vector]) -> Sequence[Vector]:
        names = self._evaluator.input_names
        feed = {
            name: c if c.ndim > 1 else c.reshape(-1, 1)
            for name, c in zip(names, columns, strict=True)
        }
        return [np.asarray(out) for out in self._evaluator.run(self._outputs, feed)]


def _tokenizer() -> Any:
    """ONNX Runtime's Tokenizer, as far as `convert.texts` uses it."""
    from onnx.reference.op_run import OpRun

    class Tokenizer(OpRun):  # type: ignore[misc, unused-ignore]
        op_domain = "com.microsoft"

        def _run(self, texts: Vector, **options: Any) -> tuple[Vector]:
            pattern = options.get("tokenexp")
            found = [re.findall(pattern, t) if pattern else list(t) for t in texts.tolist()]
            longest = max(map(len, found), default=0)
            padded = [[*row, *[""] * (longest - len(row))] for row in found]
            return (np.array(padded, dtype=object).reshape(len(texts), longest),)

    return Tokenizer
