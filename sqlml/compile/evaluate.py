"""Formulas computed with NumPy: what their text means to Spark, without Spark.

So a model's expression is compared with the original before anybody queries it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sqlml import types
from sqlml.compile.expressions import FUNCTIONS
from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.compile.expressions import Expr
    from sqlml.compile.formula import Field, Formula

    Array = np.ndarray[Any, Any]

BLOCK = 4_096
"""Rows at a time: what is computed of them stays in the processor's cache."""

# Spark has these in double only, and divides in double; the text rounds the result.
_IN_DOUBLE = frozenset(("div", "exp", "log", "sqrt", "pow", "tanh"))


def evaluate(formula: Formula, columns: Sequence[pa.Array]) -> pa.Array:
    """The raw result of each row, in the form that `Scorer.score` gives it.

    `columns`: one array per input of the model, of its wire type; those that the formula does
    not read are not looked at. A row that the model does not take is NULL.

    >>> import numpy as np, sqlml
    >>> from sklearn.linear_model import LinearRegression
    >>> from sqlml.compile.formula import formula
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> model = sqlml.convert(LinearRegression().fit(X, 2 * X[:, 0] + 1), sample=X)
    >>> found = evaluate(formula(model), [pa.array([3.0, None])])
    >>> [v and round(v, 9) for v in found.to_pylist()]
    [7.0, None]
    """
    order = _order((*formula.outputs, formula.taken))
    rows = len(columns[0])
    starts = range(0, rows, BLOCK) if rows else [0]
    parts = [_block(formula, order, [c.slice(at, BLOCK) for c in columns]) for at in starts]
    return pa.concat_arrays(parts)


def _order(outputs: Sequence[Expr]) -> list[Expr]:
    """Every expression after those in it."""
    order: list[Expr] = []
    seen: set[Expr] = set()
    work = [(x, False) for x in reversed(outputs)]
    while work:
        x, done = work.pop()
        if done:
            order.append(x)
        elif x not in seen:
            seen.add(x)
            work += [(x, True), *((a, False) for a in x.args)]
    return order


def _block(formula: Formula, order: Sequence[Expr], columns: Sequence[pa.Array]) -> pa.Array:
    rows = len(columns[0])
    left = Counter(argument for x in order for argument in x.args)
    left.update((*formula.outputs, formula.taken))  # these stay
    values: dict[Expr, Any] = {}
    with np.errstate(all="ignore"):
        for x in order:
            values[x] = _value(x, [values[a] for a in x.args], columns)
            for argument in x.args:
                left[argument] -= 1
                if not left[argument]:
                    del values[argument]
    refused = ~np.broadcast_to(values[formula.taken], rows)
    arrays = [_array(f, [values[c] for c in f.cells], rows, refused) for f in formula.fields]
    if len(arrays) == 1:
        return arrays[0]
    names = [field.output.name for field in formula.fields]
    return pa.StructArray.from_arrays(arrays, names, mask=pa.array(refused))


def _value(x: Expr, args: Sequence[Any], columns: Sequence[pa.Array]) -> Any:
    """The expression in every row of the block, or the one value of a literal."""
    if x.op == "literal":
        return x.value
    if x.op == "input":
        return _given(columns[x.value], x.dtype)
    if x.op == "present":
        return columns[x.args[0].value].is_valid().to_numpy(zero_copy_only=False)
    if x.op == "lookup":
        return _looked_up(x, args[0])
    if x.op == "cast":
        return args[0].astype(x.dtype)
    if x.op in _IN_DOUBLE:
        wide = [np.asarray(a, np.float64) for a in args]
        return (_power if x.op == "pow" else FUNCTIONS[x.op])(*wide).astype(x.dtype)
    return FUNCTIONS[x.op](*args)


def _given(column: pa.Array, dtype: str) -> Array:
    """A column without NULL: what stands for it, or anything, where `present` tells."""
    fill: Any = {"str": MISSING_STRING, "bool": False, "float32": np.nan, "float64": np.nan}
    if column.null_count:
        column = column.fill_null(fill.get(dtype, 0))
    values: Array = column.to_numpy(zero_copy_only=False)
    return values


def _looked_up(x: Expr, keys: Array) -> Array:
    table, kind = x.value, x.args[0].dtype
    entries = table.entries
    absent = [v for k, v in entries.items() if k != k]
    if kind != "str":  # a key as the text has it, rounded to the type of what is looked up
        entries = {np.dtype(kind).type(k).item(): v for k, v in entries.items() if k == k}
    found = [entries.get(key, table.default) for key in keys.tolist()]
    values = np.array(found, object if x.dtype == "str" else x.dtype)
    if absent:
        values[np.isnan(keys)] = absent[0]
    return values


def _power(base: Array, exponent: Array) -> Array:
    """Java's: C says 1 for 1 to the power of NaN, and of ±1 to that of infinity."""
    undefined = np.isnan(exponent) | ((np.abs(base) == 1) & np.isinf(exponent))
    return np.where(undefined, np.nan, np.power(base, exponent))


def _array(field: Field, cells: Sequence[Any], rows: int, refused: Array) -> pa.Array:
    """One raw result in Arrow, NULL where the row is refused."""
    element = field.output.type.removeprefix("ARRAY<").removesuffix(">")
    kind = pa.type_for_alias(types.SCALARS[element].arrow)
    wide = [np.broadcast_to(cell, rows) for cell in cells]
    if element == field.output.type:
        return pa.array(wide[0], type=kind, mask=refused, from_pandas=False)
    flat = pa.array(np.stack(wide, axis=1).reshape(-1), type=kind, from_pandas=False)
    offsets = pa.array(np.arange(0, (rows + 1) * len(wide), len(wide), dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, flat, type=pa.list_(kind), mask=pa.array(refused))
