"""How large a number the original takes, where it refuses the largest.

A tree after a scaler narrows its numbers to float32 and raises on those that overflow; the
graph would score them. Such numbers are far out of any sample, so that a rung of a ladder is
near enough a limit.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.parity.edges import Edges
    from sqlml.parity.original import Group, Original
    from sqlml.signature import Input

# The ends of double and of float32, and a way down.
LADDER = (1.7e308, 1e300, 1e100, 1e38, 1e30, 1e20, 1e15, 1e10)


def limited(inputs: Sequence[Input], edges: Edges, original: Original) -> list[Input]:
    """The inputs, with `largest` where the original refuses larger numbers.

    Only where a double reaches the graph: a number that overflows on its way to a float32
    arrives as an infinity.
    """
    asked = [i for i, f in enumerate(inputs) if f.type == "DOUBLE" and f.wire == "DOUBLE"]
    outcomes = original.outcomes([g for i in asked for g in _groups(edges, i, LADDER[0])])
    refused = {o.group.column for o in outcomes if o.error}
    return [
        dataclasses.replace(field, largest=_largest(edges, i, original)) if i in refused else field
        for i, field in enumerate(inputs)
    ]


def _largest(edges: Edges, index: int, original: Original) -> float:
    """The highest rung below the first at which both signs are taken, else the sample's own."""
    for rung in LADDER[1:]:
        outcomes = original.outcomes(_groups(edges, index, rung))
        if not any(o.error for o in outcomes):
            return rung
    values = edges.sample.frame[edges.inputs[index].name].to_numpy(dtype="float64")
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _groups(edges: Edges, index: int, magnitude: float) -> list[Group]:
    return [edges.group("magnitude", index, [sign * magnitude]) for sign in (1.0, -1.0)]
