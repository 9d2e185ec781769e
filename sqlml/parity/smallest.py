"""The smallest difference of inputs that shows a difference of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sqlml.parity.edges import changed_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Array = np.ndarray[Any, Any]

MOST_COLUMNS = 200
"""That a row may differ in from the nearest one that agrees."""

_CUTS = 60
"""Values between two that are tried at once."""


def smallest(
    sample: pd.DataFrame,
    agrees: Array,
    row: Mapping[str, Any],
    differs: Callable[[pd.DataFrame], Array],
) -> dict[str, tuple[Any, Any]]:
    """By column, a value with which the row agrees, and the nearest one with which it does not.

    Of the sample's rows that agree, the one that has most in common with `row` is changed into it
    as little as it takes. `agrees`: [N] bool; `differs`: [K] bool of K rows. Empty where no row
    of the sample agrees, or the row does not differ by itself.
    """
    if not agrees.any():
        return {}
    alike = sum(_same(sample[name], value).astype(int) for name, value in row.items())
    base = int(np.where(agrees, alike, -1).argmax())
    wanted = {
        name: value for name, value in row.items() if not _same(sample[name].iloc[[base]], value)[0]
    }

    def differing(changes: list[dict[str, Any]]) -> Array:
        return differs(changed_rows(sample, [base] * len(changes), changes))

    if not 0 < len(wanted) <= MOST_COLUMNS or not differing([wanted])[0]:
        return {}
    alone = differing([{name: value} for name, value in wanted.items()])
    if alone.any():
        name = [*wanted][int(alone.argmax())]
        wanted = {name: wanted[name]}
    for name in [*wanted]:
        fewer = {other: value for other, value in wanted.items() if other != name}
        if fewer and differing([fewer])[0]:
            wanted = fewer
    found = {}
    for name in wanted:
        agreeing = _plain(sample[name].iloc[base])
        found[name] = _nearest(name, agreeing, wanted, sample[name].dtype, differing)
        wanted[name] = found[name][1]
    return found


def _nearest(
    name: str,
    agreeing: Any,
    wanted: Mapping[str, Any],
    dtype: Any,
    differing: Callable[[list[dict[str, Any]]], Array],
) -> tuple[Any, Any]:
    """The two nearest numbers of which one agrees and the other does not; no numbers as given."""
    other = wanted[name]
    scale = _scale(dtype)
    if scale is None or not (_is_number(agreeing) and _is_number(other)):
        return agreeing, other
    number, value = scale
    low, high = number(agreeing), number(other)
    while abs(high - low) > 1:
        count = min(_CUTS, abs(high - low) - 1)
        steps = [low + (high - low) * (i + 1) // (count + 1) for i in range(count)]
        wrong = differing([{**wanted, name: value(step)} for step in steps])
        ends = [low, *steps, high]
        first = int(np.append(wrong, True).argmax())  # the first that differs, or the end
        low, high = ends[first], ends[first + 1]
    return value(low), value(high)


def _scale(dtype: Any) -> tuple[Callable[[Any], int], Callable[[int], Any]] | None:
    """Numbers of a column's type in a row, one after the other; None for other types."""
    plain = getattr(dtype, "numpy_dtype", dtype)
    kind = getattr(plain, "kind", "O")
    if kind in "iu":
        return int, int
    if kind != "f" or plain.itemsize not in (4, 8):
        return None
    whole, sign = (np.int32, 2**31) if plain.itemsize == 4 else (np.int64, 2**63)

    def number(value: Any) -> int:
        bits = int(plain.type(value).view(whole))
        return bits if bits >= 0 else -(bits + sign)

    def value(number: int) -> Any:
        return whole(number if number >= 0 else -number - sign).view(plain.type).item()

    return number, value


def _same(values: pd.Series[Any], value: Any) -> Array:
    """[N]: whether each value is this one; a missing one is as any other."""
    if np.ndim(value):
        return np.array([np.array_equal(v, value) for v in values])
    if pd.isna(value):
        return values.isna().to_numpy()
    there = values.notna().to_numpy()
    return np.array([t and bool(v == value) for t, v in zip(there, values, strict=True)])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and not np.ndim(value) else value
