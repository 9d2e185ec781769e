"""Scorer: a loaded model over batches of Arrow columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sqlml import golden, types
from sqlml.score import engines
from sqlml.score.conform import arrow_type, conform, on_the_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.model import ScoringModel
    from sqlml.signature import Input, Output

    Vector = np.ndarray[Any, Any]


class Scorer:
    """One model, loaded once, scoring batch after batch.

    >>> import numpy as np, pyarrow as pa, sqlml
    >>> from sklearn.linear_model import LinearRegression
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> model = sqlml.convert(LinearRegression().fit(X, 2 * X[:, 0] + 1), sample=X)
    >>> [v and round(v, 9) for v in Scorer(model).score([pa.array([3.0, None])]).to_pylist()]
    [7.0, None]
    """

    def __init__(
        self,
        model: ScoringModel,
        backend: str = "onnx",
        program: bytes | None = None,
        inputs: Sequence[int] | None = None,
    ) -> None:
        """`program`: what the backend runs, by default the model's ONNX bytes. `inputs`: the
        numbers of those that are given to `score`, where the model does not need the others.
        """
        self.model = model
        self.program = model.onnx if program is None else program
        self._engine = engines.load(model, backend, self.program)
        every = range(len(model.signature.inputs))
        self._inputs = list(every if inputs is None else inputs)
        self._absent = [i for i in every if i not in self._inputs]
        golden.check(model, self._inputs, self.score)

    def score(self, columns: Sequence[pa.Array]) -> pa.Array:
        """The raw result of each row: `model.raw`, a struct where that is several fields.

        `columns`: one array per input, in the signature's order, of a type that widens to
        the input's (`InputTypeError` otherwise). A row that the original model would
        refuse is NULL. A row's result depends on nothing but that row.
        """
        fields = self.model.signature.inputs
        given: dict[int, Vector] = {}
        refused = None
        for index, column in zip(self._inputs, columns, strict=True):
            values, mask = conform(on_the_wire(column, fields[index]), fields[index])
            given[index] = values
            if mask is not None:
                refused = mask if refused is None else refused | mask
        rows = len(columns[0])
        given |= {index: _nothing(fields[index], rows) for index in self._absent}
        vectors = [given[index] for index in range(len(fields))]
        tensors: Sequence[Vector]
        if rows == 0 or (refused is not None and refused.all()):
            return pa.nulls(rows, self.arrow_type)
        if refused is not None:
            # Ruled-out rows are not computed: what is in them may be out of the model's range.
            tensors = self._engine.run([v[~refused] for v in vectors])
            where = np.full(rows, -1)
            where[~refused] = np.arange(rows - int(refused.sum()))
            tensors = [t[where] for t in tensors]
        else:
            tensors = self._engine.run(vectors)
        raws = self.model.raw
        arrays = [_raw_array(t, r, refused) for t, r in zip(tensors, raws, strict=True)]
        if len(arrays) == 1:
            return arrays[0]
        mask = None if refused is None else pa.array(refused)
        return pa.StructArray.from_arrays(arrays, [r.name for r in raws], mask=mask)

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of what `score` returns."""
        kinds = [(r.name, arrow_type(r.type)) for r in self.model.raw]
        return kinds[0][1] if len(kinds) == 1 else pa.struct(kinds)


def _nothing(field: Input, rows: int) -> Vector:
    """What stands for an input that has no part in the result."""
    if field.wire == "STRING":
        return np.full(rows, "", dtype=object)
    element = types.element_of(field.wire)
    if element is not None:
        return np.zeros((rows, field.width or 0), dtype=types.SCALARS[element].arrow)
    return np.zeros(rows, dtype=types.SCALARS[field.wire].arrow)


def _raw_array(tensor: Vector, raw: Output, refused: Vector | None) -> pa.Array:
    """One tensor as an Arrow array; ruled-out rows are NULL."""
    kind = arrow_type(raw.type)
    rows = len(tensor)
    if raw.name == "probability_1":
        tensor = tensor[:, 1]
    if not pa.types.is_list(kind):
        values = tensor.reshape(rows)
        return pa.array(values, type=kind, mask=refused, from_pandas=False)
    width = tensor.shape[1]
    flat = pa.array(tensor.reshape(-1), type=kind.value_type, from_pandas=False)
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    mask = None if refused is None else pa.array(refused)
    return pa.ListArray.from_arrays(pa.array(offsets), flat, type=kind, mask=mask)
