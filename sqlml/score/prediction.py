"""What Spark calls in a Python worker: raw results for PREDICT, predictions for one function."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sqlml.errors import InputCountError
from sqlml.model import ScoringModel
from sqlml.score.cache import loaded
from sqlml.score.kernel import KernelMissing
from sqlml.score.outputs import derive
from sqlml.score.scorer import Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to load: which is known before it is fetched."""

    key: str
    """Of the model, and of what was compiled of it."""
    backend: str
    """A key of `ENGINES`."""
    fetch: Callable[[str], Any]
    """Brings "metadata", the text of `ScoringModel.to_json`, or the program of a backend."""
    inputs: tuple[int, ...] | None = None
    """The inputs that are given; None: all."""


def raw(task: tuple[Any, ...], columns: Sequence[pa.Array]) -> pa.Array:
    """The raw result of each row; `columns` are the inputs, of their wire types."""
    return _scorer(Task(*task)).score(columns)


def predict(
    task: tuple[Any, ...], columns: Sequence[pa.Array], named: Mapping[str, pa.Array]
) -> pa.Array:
    """The prediction of each row, or a struct of the outputs where there are several.

    `columns` are the inputs by position, `named` the rest of them by name.
    Raises `InputCountError`, and `InputTypeError` for a type that does not widen.
    """
    scorer = _scorer(Task(*task))
    inputs = [i.name for i in scorer.model.signature.inputs]
    rest = inputs[len(columns) :]
    if len(columns) + len(named) != len(inputs) or set(rest) != set(named):
        raise InputCountError("of this function", inputs, len(columns) + len(named))
    scores = scorer.score([*columns, *(named[name] for name in rest)])
    outputs = derive(scorer.model, scores)
    predicted = scorer.model.signature.predicted
    if predicted is not None:
        return outputs[predicted.name]
    null = next(iter(outputs.values())).is_null()
    return pa.StructArray.from_arrays(list(outputs.values()), list(outputs), mask=null)


def predict_pandas(
    task: tuple[Any, ...],
    columns: Sequence[pd.Series[Any]],
    named: Mapping[str, pd.Series[Any]],
) -> Any:
    """What `predict` returns, from pandas and in pandas."""
    arrays = [from_pandas(c) for c in columns]
    return to_pandas(predict(task, arrays, {n: from_pandas(c) for n, c in named.items()}))


def _scorer(task: Task) -> Scorer:
    def load() -> Scorer:
        # The graph's bytes are fetched only where ONNX Runtime runs them.
        model = ScoringModel.from_json(task.fetch("metadata"), b"")
        try:
            return Scorer(model, task.backend, task.fetch(task.backend), task.inputs)
        except KernelMissing as error:
            warnings.warn(f"{error} ONNX Runtime scores instead.", RuntimeWarning, stacklevel=2)
            return Scorer(model, "onnx", task.fetch("onnx"), task.inputs)

    return loaded(task.key, load)


def from_pandas(column: pd.Series[Any]) -> pa.Array:
    """A column as Spark hands it to a pandas UDF.

    Integers with NULLs arrive there as floats: whole ones are taken for integers again, of the
    narrowest type that holds them, which widens to whatever the column's own type does.
    """
    array = pa.Array.from_pandas(column)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array.null_count and pa.types.is_float64(array.type):
        for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64()):
            with contextlib.suppress(pa.ArrowInvalid):  # a fraction, or too large
                return array.cast(kind)
    return array


def to_pandas(array: pa.Array) -> Any:
    """A result as pandas, a struct as a DataFrame; integers and booleans keep their NULLs."""
    import pandas as pd

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    if pa.types.is_struct(array.type):
        fields = zip(array.type.names, array.flatten(), strict=True)
        return pd.DataFrame({n: f.to_pandas(types_mapper=nullable.get) for n, f in fields})
    return array.to_pandas(types_mapper=nullable.get)
