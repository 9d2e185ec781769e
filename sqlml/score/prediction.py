"""What Spark calls in a Python worker: raw results for PREDICT, predictions for one function.

`key` identifies a model, as in `scorer`; `fetch` brings its metadata and its ONNX bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sqlml.errors import InputCountError
from sqlml.model import ScoringModel
from sqlml.score.cache import scorer
from sqlml.score.outputs import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from sqlml.score.scorer import Scorer

    Fetch = Callable[[], tuple[str, bytes]]


def raw(key: str, fetch: Fetch, columns: Sequence[pa.Array]) -> pa.Array:
    """The raw result of each row; `columns` are the inputs, of their wire types."""
    return _loaded(key, fetch).score(columns)


def predict(
    key: str, fetch: Fetch, columns: Sequence[pa.Array], named: Mapping[str, pa.Array]
) -> pa.Array:
    """The prediction of each row, or a struct of the outputs where there are several.

    `columns` are the inputs by position, `named` the rest of them by name.
    Raises `InputCountError`, and `InputTypeError` for a type that does not widen.
    """
    loaded = _loaded(key, fetch)
    inputs = [i.name for i in loaded.model.signature.inputs]
    rest = inputs[len(columns) :]
    if len(columns) + len(named) != len(inputs) or set(rest) != set(named):
        raise InputCountError("of this function", inputs, len(columns) + len(named))
    scores = loaded.score([*columns, *(named[name] for name in rest)])
    outputs = derive(loaded.model, scores)
    predicted = loaded.model.signature.predicted
    if predicted is not None:
        return outputs[predicted.name]
    null = next(iter(outputs.values())).is_null()
    return pa.StructArray.from_arrays(list(outputs.values()), list(outputs), mask=null)


def predict_pandas(
    key: str, fetch: Fetch, columns: Sequence[pd.Series[Any]], named: Mapping[str, pd.Series[Any]]
) -> Any:
    """What `predict` returns, from pandas and in pandas."""
    arrays = [from_pandas(c) for c in columns]
    return to_pandas(predict(key, fetch, arrays, {n: from_pandas(c) for n, c in named.items()}))


def _loaded(key: str, fetch: Fetch) -> Scorer:
    return scorer(key, lambda: ScoringModel.from_json(*fetch()))


def from_pandas(column: pd.Series[Any]) -> pa.Array:
    """A column as Spark hands it to a pandas UDF.

    Integers with NULLs arrive there as floats: whole ones are taken for integers again,
    which widen to whatever a float does.
    """
    array = pa.Array.from_pandas(column)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array.null_count and pa.types.is_float64(array.type):
        try:
            return array.cast(pa.int64())
        except pa.ArrowInvalid:  # a fraction, or too large: floats they are
            return array
    return array


def to_pandas(array: pa.Array) -> Any:
    """A result as pandas, a struct as a DataFrame; integers and booleans keep their NULLs."""
    import pandas as pd

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    if pa.types.is_struct(array.type):
        fields = zip(array.type.names, array.flatten(), strict=True)
        return pd.DataFrame({n: f.to_pandas(types_mapper=nullable.get) for n, f in fields})
    return array.to_pandas(types_mapper=nullable.get)
