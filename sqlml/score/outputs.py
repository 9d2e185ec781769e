"""From raw results to output columns, in Arrow.

The twin of `spark/outputs.py`, which says the same in SQL for Catalyst; tests hold them
together. The predicted label is the first of the most probable ones, as in
numpy.argmax(predict_proba), unless the graph gives the label itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sqlml import types
from sqlml.model import label_type

if TYPE_CHECKING:
    from sqlml.model import ScoringModel

    Vector = np.ndarray[Any, Any]


def derive(model: ScoringModel, raw: pa.Array) -> dict[str, pa.Array]:
    """The outputs of the table form, by name, from what `Scorer.score` returned."""
    names = [r.name for r in model.raw]
    fields = (
        {names[0]: raw}
        if len(names) == 1
        else dict(zip(names, raw.flatten(), strict=True))  # flatten applies the struct's NULLs
    )
    if model.task == "classification":
        return _classification(model, fields)
    outputs = model.signature.outputs
    if model.task == "regression" and len(outputs) > 1:
        targets = _matrix(fields["prediction"], len(outputs))
        null = _nulls(fields["prediction"])
        return {
            o.name: pa.array(targets[:, i], mask=null, from_pandas=False)
            for i, o in enumerate(outputs)
        }
    return fields


def _classification(model: ScoringModel, fields: dict[str, pa.Array]) -> dict[str, pa.Array]:
    kind = pa.type_for_alias(types.SCALARS[label_type(model.labels)].arrow)
    labels = pa.array(model.labels, type=kind)
    null = _nulls(next(iter(fields.values())))
    if "probability_1" in fields:
        second = fields["probability_1"].fill_null(0.0).to_numpy(zero_copy_only=False)
        proba = np.column_stack([1.0 - second, second])
        index = (second > 0.5).astype(np.int64)  # False for NaN, like argmax
    elif "probabilities" in fields:
        proba = _matrix(fields["probabilities"], len(labels))
        index = proba.argmax(axis=1)
    else:
        proba = None
    if "label" in fields:
        index = fields["label"].fill_null(0).to_numpy(zero_copy_only=False)
    prediction = labels.take(pa.array(index, mask=null))
    if proba is None:
        return {"prediction": prediction}
    rows, width = proba.shape
    return {
        "prediction": prediction,
        "probability": pa.array(proba[np.arange(rows), index], mask=null, from_pandas=False),
        "probabilities": pa.MapArray.from_arrays(
            pa.array(np.arange(0, (rows + 1) * width, width, dtype=np.int32)),
            labels.take(pa.array(np.tile(np.arange(width), rows))),
            pa.array(proba.reshape(-1), from_pandas=False),
            mask=pa.array(null),
        ),
    }


def _nulls(array: pa.Array) -> Vector:
    nulls: Vector = array.is_null().to_numpy(zero_copy_only=False)
    return nulls


def _matrix(lists: pa.Array, width: int) -> Vector:
    """Lists of `width` numbers as [N, width]; the rows of NULLs are zero."""
    matrix = np.zeros((len(lists), width))
    values = lists.flatten()  # passes NULL lists over
    matrix[~_nulls(lists)] = values.to_numpy(zero_copy_only=False).reshape(-1, width)
    return matrix
