"""Golden rows: what ONNX Runtime said when a model was verified, asked again of another release.

A release of the runtime may compute another score (microsoft/onnxruntime #28557: a forest). A
machine whose runtime is not the one of the comparison therefore scores the golden rows first.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sqlml.errors import ModelRejectedError
from sqlml.model import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlml.model import ScoringModel

    Vector = np.ndarray[Any, Any]
    Score = Callable[[Sequence[pa.Array]], pa.Array]

MOST_ROWS = 64

MOST_VALUES = 16_384
"""Inputs times rows: 128 kB of doubles, which travel with the model."""

_RUNTIME, _RESULT = "onnxruntime", "result"


def golden(model: ScoringModel, columns: Sequence[pa.Array], score: Score) -> bytes:
    """Some of the rows and their raw results, as an Arrow stream that names the runtime.

    `columns`: one array per input, as `score` takes them. Of inputs that take a missing value,
    each is missing in one row.
    """
    most = max(1, min(MOST_ROWS, MOST_VALUES // len(columns)))
    rows = np.unique(np.linspace(0, len(columns[0]) - 1, most).astype(int))
    taking = [i for i, field in enumerate(model.signature.inputs) if field.takes_missing]
    given = [column.take(pa.array(rows)) for column in columns]
    for row, index in zip(range(len(rows) // 2), taking, strict=False):
        missing = pa.array(np.arange(len(rows)) == row)
        given[index] = pa.array(
            [None if m else v for v, m in zip(given[index].to_pylist(), missing, strict=True)],
            type=given[index].type,
        )
    return _stream(given, score(given), version(_RUNTIME))


def with_inputs(stream: bytes, change: Callable[[int, pa.Array], pa.Array]) -> bytes:
    """The same rows for a model whose inputs are made from this one's; b"" stays b""."""
    if not stream:
        return stream
    given, result, runtime = _read(stream)
    return _stream([change(i, column) for i, column in enumerate(given)], result, runtime)


def check(model: ScoringModel, inputs: Sequence[int], score: Score) -> None:
    """Score the golden rows, where this machine's runtime is not the one that scored them.

    `inputs`: the numbers of those that `score` takes. Raises `ModelRejectedError` where a score
    is another one.
    """
    if not model.golden:
        return
    given, expected, runtime = _read(model.golden)
    here = version(_RUNTIME)
    if here == runtime:
        return
    row = _first_difference(score([given[i] for i in inputs]), expected, BOUNDS[model.precision])
    if row is not None:
        raise ModelRejectedError(
            f"onnxruntime {here} on this machine does not score like {runtime}, with which the "
            f"model was verified (golden row {row}). Install onnxruntime=={runtime}, or publish "
            f"the model again with {here}."
        )


def _stream(given: Sequence[pa.Array], result: pa.Array, runtime: str) -> bytes:
    names = [*map(str, range(len(given))), _RESULT]
    table = pa.table([*given, result], names=names)
    table = table.replace_schema_metadata({_RUNTIME: runtime})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _read(stream: bytes) -> tuple[list[pa.Array], pa.Array, str]:
    with pa.ipc.open_stream(stream) as reader:
        table = reader.read_all().combine_chunks()
    *given, result = [_whole(column) for column in table.columns]
    return given, result, table.schema.metadata[_RUNTIME.encode()].decode()


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _first_difference(found: pa.Array, expected: pa.Array, bound: float) -> int | None:
    for a, b in zip(_fields(found), _fields(expected), strict=True):
        scale = np.nanmax(np.abs(b), initial=0, where=np.isfinite(b))
        with np.errstate(invalid="ignore"):
            near = np.abs(a - b) <= bound * np.maximum(scale, np.abs(b))
        alike = near | (a == b) | (np.isnan(a) & np.isnan(b))
        if not alike.all():
            return int(np.flatnonzero(~alike.all(axis=1))[0])
    return None if found.is_null().equals(expected.is_null()) else 0


def _fields(array: pa.Array) -> list[Vector]:
    """Each field of a raw result as [N, width] doubles, NaN where it is NULL."""
    parts = array.flatten() if pa.types.is_struct(array.type) else [array]
    return [
        np.array([np.atleast_1d(np.nan if v is None else v) for v in _filled(part)], np.float64)
        for part in parts
    ]


def _filled(part: pa.Array) -> list[Any]:
    values = part.to_pylist()
    width = next((len(v) for v in values if isinstance(v, list)), None)
    return values if width is None else [[np.nan] * width if v is None else v for v in values]
