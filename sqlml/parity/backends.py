"""What each backend says: the ways a query may compute a score, and which inputs they ignore."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sqlml.compile import BACKENDS, Prepared, prepare, prepare_for_python
from sqlml.compile.codes import as_numbers
from sqlml.compile.evaluate import evaluate
from sqlml.compile.usage import used_inputs
from sqlml.errors import NotCompilableError
from sqlml.parity.domain import accepting, taking_everything
from sqlml.score import Scorer
from sqlml.score.conform import on_the_wire
from sqlml.score.kernel import KernelMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.model import ScoringModel

    Array = np.ndarray[Any, Any]

FUNCTION = "of register"


def raw_results(model: ScoringModel, columns: Sequence[pa.Array]) -> dict[str, pa.Array]:
    """The raw result of each row, by each backend that has a form for the model.

    Those that a query would only use when it is told to are among them: they too must be
    right. The tree kernel is left out where this machine has none. `FUNCTION` is what
    `register` runs, where that is not what PREDICT runs.
    """
    found: dict[str, pa.Array] = {}
    for backend in BACKENDS:
        try:
            found[backend] = _raw_result(model, prepare(model, backend=backend), columns)
        except (NotCompilableError, KernelMissing):
            continue
    if prepare(model, backend="onnx").texts:
        with contextlib.suppress(KernelMissing):
            found[FUNCTION] = _raw_result(model, prepare_for_python(model, plain=True), columns)
    return found


def _raw_result(model: ScoringModel, prepared: Prepared, columns: Sequence[pa.Array]) -> pa.Array:
    fields = model.signature.inputs
    if prepared.formula is not None:
        wire = [on_the_wire(c, f) for c, f in zip(columns, fields, strict=True)]
        return evaluate(prepared.formula, wire)
    given = [
        as_numbers(columns[i], fields[i], prepared.texts[i]) if i in prepared.texts else columns[i]
        for i in prepared.inputs
    ]
    scorer = Scorer(prepared.model, prepared.backend, prepared.program, prepared.inputs)
    return scorer.score(given)


def idle_inputs(model: ScoringModel, columns: Sequence[pa.Array]) -> frozenset[int]:
    """The inputs, by number, on which no output depends: not even on whether they are there.

    `columns`: rows on which that is seen as well; the graph alone tells it already.
    """
    inputs = model.signature.inputs
    idle = frozenset(range(len(inputs))) - used_inputs(model)
    if not idle:
        return idle
    scorer = Scorer(accepting(model, [taking_everything(i) for i in inputs]))
    absent = [pa.nulls(len(c), c.type) if i in idle else c for i, c in enumerate(columns)]
    changed = other_bits(scorer.score(columns), scorer.score(absent))
    return frozenset() if changed else idle


def other_bits(one: pa.Array, other: pa.Array) -> list[int]:
    """The rows in which two raw results are not the same to the last bit."""
    nulls = [a.is_null().to_numpy(zero_copy_only=False) for a in (one, other)]
    different = nulls[0] != nulls[1]
    both = np.flatnonzero(~(nulls[0] | nulls[1]))
    if len(both):
        words = [_words(a.take(pa.array(both))) for a in (one, other)]
        different[both] = (words[0] != words[1]).any(axis=1)
    return [int(row) for row in np.flatnonzero(different)]


def _words(raw: pa.Array) -> Array:
    """Results without NULL as [N, K] integers that are equal where the bits are; NaN is one."""
    rows = len(raw)
    if pa.types.is_struct(raw.type):
        return np.concatenate([_words(field) for field in raw.flatten()], axis=1)
    values = raw.flatten() if pa.types.is_list(raw.type) else raw
    numbers = values.to_numpy(zero_copy_only=False).reshape(rows, -1)
    if numbers.dtype.kind == "f":
        wide = np.where(np.isnan(numbers), np.nan, numbers.astype(np.float64))
        return np.asarray(wide.view(np.int64))
    if numbers.dtype.kind == "O":
        return np.array([[hash(v) for v in row] for row in numbers])
    return np.asarray(numbers, dtype=np.int64)
