"""Rows with some values replaced, in the dtypes in which an author would have had them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from sqlml import types

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.signature import Input


def replaced(
    frame: pd.DataFrame, bases: Sequence[int], changes: Mapping[str, Sequence[Any]]
) -> pd.DataFrame:
    """The rows `bases` of the frame, with whole columns given anew.

    An integer column that gets a missing value becomes one of float64, a boolean one of
    objects, as pandas has them; categories that a pandas column lacks are added at its end.

    >>> frame = pd.DataFrame({"n": [1, 2], "plan": ["a", "b"]})
    >>> replaced(frame, [0, 0], {"n": [7, float("nan")]})
         n plan
    0  7.0    a
    1  NaN    a
    """
    rows = frame.iloc[np.asarray(bases, dtype=int)].reset_index(drop=True)
    for name, values in changes.items():
        rows[name] = _series(values, frame[name].dtype)
    # A copy lays columns of one type together again; concatenating is many times faster then.
    return rows.copy()


def _series(values: Sequence[Any], dtype: Any) -> pd.Series[Any]:
    items = list(values)
    if isinstance(dtype, np.dtype) and dtype.kind == "O" and _are_arrays(items):
        arrays = pd.Series([None] * len(items), dtype=object)
        for place, item in enumerate(items):
            arrays.iat[place] = item
        return arrays
    absent = [bool(pd.isna(v)) for v in items]
    if isinstance(dtype, pd.CategoricalDtype):
        known = dtype.categories
        new = dict.fromkeys(v for v, a in zip(items, absent, strict=True) if not a)
        added = [v for v in new if v not in known]
        categories: Any = known.append(pd.Index(added)) if added else known
        return pd.Series(pd.Categorical(items, categories=categories, ordered=dtype.ordered))
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        items = [pd.NA if a else v for v, a in zip(items, absent, strict=True)]
        return pd.Series(pd.array(items, dtype=cast("Any", dtype)))
    if dtype.kind in "iu" and any(absent):
        return pd.Series(items, dtype="float64")
    if dtype.kind == "b" and any(absent):
        return pd.Series(items, dtype=object)
    series: pd.Series[Any] = pd.Series(items, dtype=dtype)
    return series


def _are_arrays(items: Sequence[Any]) -> bool:
    return any(isinstance(v, np.ndarray | list | tuple) for v in items)


def arrow_columns(frame: pd.DataFrame, inputs: Sequence[Input]) -> list[pa.Array]:
    """The rows as SQL has them: one array per input, of its SQL type, NULL for missing."""
    return [_arrow(frame[i.name], i) for i in inputs]


def _arrow(values: pd.Series[Any], field: Input) -> pa.Array:
    element = types.element_of(field.type)
    if element is not None:
        kind = pa.list_(pa.type_for_alias(types.SCALARS[element].arrow))
        if element in types.INTEGERS:
            rows = [[None if e != e else int(e) for e in np.asarray(v)] for v in values]
            return pa.array(rows, type=kind)
        # NaN stays NaN: a NULL among the elements means the same.
        return pa.array([np.asarray(v) for v in values], type=kind, from_pandas=False)
    kind = pa.type_for_alias(types.SCALARS[field.type].arrow)
    absent = values.isna().to_numpy(dtype=bool)
    if field.type == "STRING":
        texts = [None if a else str(v) for v, a in zip(values, absent, strict=True)]
        return pa.array(texts, type=kind)
    if field.type in types.INTEGERS:
        # By way of Python's integers: an int64 does not survive the way through a float.
        whole = [None if a else int(v) for v, a in zip(values, absent, strict=True)]
        return pa.array(whole, type=kind)
    if field.type == "BOOLEAN":
        return pa.array(
            [None if a else bool(v) for v, a in zip(values, absent, strict=True)], type=kind
        )
    numbers = np.where(absent, np.nan, values.to_numpy(dtype=object)).astype("float64")
    return pa.array(numbers, mask=absent, from_pandas=False).cast(kind, safe=False)
