"""How large a number the original takes, and how small, where it refuses others.

A tree after a scaler narrows its numbers to float32 and raises on those that overflow, a logarithm
of a negative number is NaN to the step behind it, which raises: the graph would score them. Such
numbers are out of any sample, so that a rung of a ladder is near enough a limit.
"""

from __future__ import annotations

import bisect
import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from sqlml import types

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlml.parity.edges import Edges
    from sqlml.parity.original import Original
    from sqlml.signature import Input

# From the ends of double and of float32 down to what is nearly zero.
LADDER = (
    1.7e308, 1e300, 1e100, 3e38, 1e38, 1e30, 1e20, 1e18, 1e15, 1e12, 1e10, 1e9, 1e8, 1e7, 1e6,
    1e5, 30_000.0, 1e4, 3_000.0, 1e3, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.9, 0.5, 0.1, 1e-3,
    1e-6, 1e-30,
)  # fmt: skip

MAGNITUDE = "magnitude"

_EXACT = 2**53
"""Whole numbers up to it are doubles."""


def limited(inputs: Sequence[Input], edges: Edges, original: Original) -> list[Input]:
    """The inputs, with `largest` and `smallest` where the original refuses numbers beyond.

    Only where numbers reach the graph as floats. A number that overflows on its way to a float32
    arrives there as an infinity. Limits that an input has already are its ends.
    """
    asked = [i for i, field in enumerate(inputs) if _is_asked(field)]
    ends = {i: _ends(edges, i) for i in asked}
    groups = [edges.group(MAGNITUDE, i, [end]) for i in asked for end in ends[i]]
    outcomes = original.outcomes(groups)
    refused = {(o.group.column, o.group.value) for o in outcomes if o.error}
    found = list(inputs)
    for i in asked:
        lowest, highest = ends[i]
        numbers = edges.numbers(i)
        known = numbers[np.isfinite(numbers)] if np.isfinite(numbers).any() else np.zeros(1)
        if (i, highest) in refused:
            largest = _limit(edges, i, original, _rungs(highest, float(known.max())), 1.0)
            found[i] = dataclasses.replace(found[i], largest=largest)
        if (i, lowest) in refused:
            smallest = _limit(edges, i, original, _rungs(-lowest, -float(known.min())), -1.0)
            found[i] = dataclasses.replace(found[i], smallest=smallest)
    return found


def _is_asked(field: Input) -> bool:
    is_number = field.type in ("FLOAT", "DOUBLE", *types.INTEGERS)
    return is_number and field.wire in ("FLOAT", "DOUBLE") and field.categories is None


def _ends(edges: Edges, index: int) -> tuple[float, float]:
    """The least and the greatest number that the input and the graph's tensor can have."""
    field = edges.inputs[index]
    least: float
    most: float
    if field.type in types.INTEGERS:
        least, most = edges.limits(index)
        least, most = max(least, -_EXACT), min(most, _EXACT)
    else:
        most = LADDER[0] if (field.type, field.wire) == ("DOUBLE", "DOUBLE") else 3e38
        least = -most
    return (
        least if field.smallest is None else max(least, field.smallest),
        most if field.largest is None else min(most, field.largest),
    )


def _rungs(end: float, known: float) -> Iterator[float]:
    """Down from below an end to a number of the sample, which is the last rung."""
    yield from (rung for rung in LADDER if known < rung < end)
    if known < 0:
        yield 0.0
        yield from (-rung for rung in reversed(LADDER) if known < -rung)
    yield known


def _limit(
    edges: Edges, index: int, original: Original, rungs: Iterator[float], sign: float
) -> float:
    """The first rung that the original takes, else the sample's own number."""
    whole = edges.inputs[index].type in types.INTEGERS
    *tried, known = [int(sign * rung) if whole else sign * rung for rung in rungs]

    def is_taken(number: float) -> bool:
        (outcome,) = original.outcomes([edges.group(MAGNITUDE, index, [number])])
        return not outcome.error

    # What is nearer to the sample is taken where something farther off is.
    place = bisect.bisect_left(tried, True, key=is_taken)
    return float(tried[place] if place < len(tried) else known)
