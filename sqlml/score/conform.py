"""From Arrow columns to what an engine takes, and which rows the model takes at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sqlml import types
from sqlml.errors import InputTypeError, quoted
from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from sqlml.signature import Input

    Vector = np.ndarray[Any, Any]


def sql_type_of(kind: pa.DataType) -> str:
    """Spark SQL's word for an Arrow type, as far as the type table goes."""
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
    wire = pa.type_for_alias(types.SCALARS[field.wire].arrow)
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
    rules its row out, as NaN does, and infinity and unknown categories where the original
    raises on them. The mask is None where every row is taken.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_floating(column.type):
        values = column.to_numpy(zero_copy_only=False)
        missing = np.isnan(values)
        refused = missing if not field.takes_missing else np.zeros(len(values), bool)
        if not field.takes_infinite:
            refused = refused | np.isinf(values)
        if field.largest is not None:
            refused = refused | (np.isfinite(values) & (np.abs(values) > field.largest))
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
    if field.categories is not None:
        known = pc.is_in(column, value_set=pa.array(field.categories).cast(column.type))
        refused = refused | ~(known.to_numpy(zero_copy_only=False) | missing)
    return values, refused if refused.any() else None
