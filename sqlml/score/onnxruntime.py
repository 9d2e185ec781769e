"""The engine for every graph: ONNX Runtime, one thread."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.errors import ModelRejectedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.model import ScoringModel

    Vector = np.ndarray[Any, Any]

# Kernels choose another order of summation for very few rows (a matrix product of one
# row is a dot product). Padding to a multiple keeps the bits of a row the same whatever
# batch it comes in.
ROW_BLOCK = 16

# MatMulScaleFusion keeps the factor beside a matrix product as a float32, for doubles too:
# errors of 1e-7 were measured with onnxruntime 1.31, none without it.
_INEXACT = ["MatMulScaleFusion"]


def session(onnx: bytes) -> Any:
    """An InferenceSession with Spark's manner: a task is one thread, and none of ours spins.

    Raises `ModelRejectedError` for what ONNX Runtime does not load.
    """
    # A model must not choose its own session settings.
    os.environ.pop("ORT_LOAD_CONFIG_FROM_MODEL", None)
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what is an error is raised too
    try:
        return ort.InferenceSession(
            onnx,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=_INEXACT,
        )
    except Exception as error:  # onnxruntime raises several unrelated types here
        raise ModelRejectedError(f"ONNX Runtime cannot load the model: {error}") from error


# A text is a row of counts, most of them zero, and its characters or words a row of strings.
# So many numbers, or characters, at once are 16 MB of floats and 128 MB of short strings.
_MOST_NUMBERS = 2**22
_MOST_ROWS = 512


def _rows_at_once(terms: int, tensors: Sequence[Vector]) -> int:
    """How many rows of texts are taken apart at once, a multiple of `ROW_BLOCK`."""
    texts = [t for t in tensors if t.dtype == object]
    longest = max((len(text) for t in texts for text in t.ravel()), default=1)
    rows = min(_MOST_ROWS, _MOST_NUMBERS // max(terms, longest))
    return max(ROW_BLOCK, rows // ROW_BLOCK * ROW_BLOCK)


class Graph:
    """An InferenceSession as every row is scored in it."""

    def __init__(self, onnx: bytes, outputs: Sequence[str], terms: int = 0) -> None:
        """`terms`: the most columns of counts that a text becomes; 0 where none is taken apart."""
        self._session = session(onnx)
        self._inputs = [i.name for i in self._session.get_inputs()]
        self._outputs = list(outputs)
        self._terms = terms

    def run(self, tensors: Sequence[Vector]) -> Sequence[Vector]:
        """The outputs for N >= 1 rows; `tensors` are the inputs in the graph's order."""
        if not self._terms:
            return self._run(tensors)
        size = _rows_at_once(self._terms, tensors)
        starts = range(0, len(tensors[0]), size)
        parts = [self._run([t[i : i + size] for t in tensors]) for i in starts]
        return [np.concatenate(outs) for outs in zip(*parts, strict=True)]

    def _run(self, tensors: Sequence[Vector]) -> Sequence[Vector]:
        rows = len(tensors[0])
        padding = -rows % ROW_BLOCK
        feed = {}
        for name, tensor in zip(self._inputs, tensors, strict=True):
            padded = np.concatenate([tensor, tensor[:1].repeat(padding, 0)]) if padding else tensor
            feed[name] = padded
        return [out[:rows] for out in self._session.run(self._outputs, feed)]


class Engine(Graph):
    """The model's whole graph."""

    def __init__(self, model: ScoringModel, program: bytes) -> None:
        terms = max((i.terms for i in model.signature.inputs), default=0)
        super().__init__(program, [t.name for t in model.tensors], terms)

    def run(self, columns: Sequence[Vector]) -> Sequence[Vector]:
        return super().run([as_matrix(column) for column in columns])


def as_matrix(column: Vector) -> Vector:
    """An input as a graph takes it: [N, 1], or [N, width] of an ARRAY."""
    return column if column.ndim == 2 else column.reshape(-1, 1)
