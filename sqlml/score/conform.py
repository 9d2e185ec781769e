"""From Arrow columns to what an engine takes, and which rows the model takes at all."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sqlml import types
from sqlml.errors import InputTypeError, quoted
from sqlml.score.texts import prepared
from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from sqlml.signature import Input

    Vector = np.ndarray[Any, Any]


def arrow_type(sql: str) -> pa.DataType:
    """The Arrow type of a Spark SQL type of the type table, or of an array of one."""
    element = types.element_of(sql)
    if element is not None:
        return pa.list_(arrow_type(element))
    return pa.type_for_alias(types.SCALARS[sql].arrow)


def sql_type_of(kind: pa.DataType) -> str:
    """Spark SQL's word for an Arrow type, as far as the type table goes."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"ARRAY<{sql_type_of(kind.value_type)}>"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_null(kind):
        return "VOID"
    row = types.BY_ARROW.get(str(kind))
    return row.sql if row else str(kind).upper()


def on_the_wire(column: pa.Array, field: Input, model: str = "") -> pa.Array:
    """The column in the input's wire type, NULLs kept.

    Raises `InputTypeError` where its type does not widen to the input's. In the table and
    scalar forms of PREDICT the cast was made by Spark, and this passes the column on.
    """
    wire = arrow_type(field.wire)
    if column.type == wire:
        return column
    found = sql_type_of(column.type)
    if not (types.widens(found, field.type) or found == field.wire):
        cast = f"CAST({quoted(field.name)} AS {field.type})"
        raise InputTypeError(model, field.name, field.type, found, cast)
    if pa.types.is_decimal(column.type):
        # Arrow's direct cast may be an ulp off; parsing rounds correctly, as Java does.
        column = column.cast(pa.string())
        return column.cast(pa.float64()).cast(wire, safe=False)
    if pa.types.is_boolean(column.type) and pa.types.is_floating(wire):
        column = column.cast(pa.int8())
    return column.cast(wire, safe=False)


def conform(column: pa.Array, field: Input) -> tuple[Vector, Vector | None]:
    """A wire column as the engine's [N] array, and a mask of the rows it rules out.

    A NULL becomes NaN or the missing string where the model takes missing values; else it
    rules its row out, as NaN does, and infinity, unknown categories and what is no index where
    the original raises on them. The mask is None where every row is taken. An ARRAY is
    [N, width]; its elements count as the values of a column do.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if field.width is not None:
        return _matrix(column, field, field.width)
    is_float = pa.types.is_floating(column.type)
    if is_float:
        values = column.to_numpy(zero_copy_only=False)
        missing = np.isnan(values)
        refused = missing if not field.takes_missing else np.zeros(len(values), bool)
        if not field.takes_infinite:
            refused = refused | np.isinf(values)
        if field.largest is not None:
            refused = refused | (np.isfinite(values) & (values > field.largest))
        if field.smallest is not None:
            refused = refused | (np.isfinite(values) & (values < field.smallest))
    else:
        missing = (
            column.is_null().to_numpy(zero_copy_only=False)
            if column.null_count
            else np.zeros(len(column), bool)
        )
        refused = missing if not field.takes_missing else np.zeros(len(column), bool)
        fill: Any = {"BOOLEAN": False, "STRING": MISSING_STRING}.get(field.wire, 0)
        values = (column.fill_null(fill) if column.null_count else column).to_numpy(
            zero_copy_only=False
        )
        if field.prepared:
            values = prepared(values, field.prepared)
            untold = np.array([value is None for value in values], dtype=bool)
            values[untold] = ""
            refused = refused | untold
    if field.categories is not None:
        # To a hash -0.0 is not 0.0; a sum with 0.0 is never -0.0.
        sought = pc.add(column, pa.scalar(0.0, column.type)) if is_float else column
        known = pc.is_in(sought, value_set=pa.array(field.categories).cast(column.type))
        refused = refused | ~(known.to_numpy(zero_copy_only=False) | missing)
    if field.below is not None:
        refused = refused | (values < 0) | (values >= field.below)
    return values, refused if refused.any() else None


def _matrix(column: pa.Array, field: Input, width: int) -> tuple[Vector, Vector | None]:
    """Arrays as rows of one array; those of another length are ruled out, as NULL is."""
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    fits = lengths == width
    whole = column if fits.all() else column.filter(pa.array(fits))
    element = dataclasses.replace(field, wire=field.wire[6:-1], width=None)
    flat, ruled_out = conform(whole.flatten(), element)
    values = np.zeros((len(column), width), flat.dtype)
    values[fits] = flat.reshape(-1, width)
    refused = ~fits
    if ruled_out is not None:
        refused[fits] = ruled_out.reshape(-1, width).any(axis=1)
    return values, refused if refused.any() else None
