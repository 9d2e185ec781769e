"""How large a number the original takes, and how small, where it refuses others.

A tree after a scaler narrows its numbers to float32 and raises on those that overflow, a logarithm
of a negative number is NaN to the step behind it, which raises: the graph would score them.
"""

from __future__ import annotations

import bisect
import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from sqlml import types
from sqlml.parity.original import Group
from sqlml.parity.rows import replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from sqlml.parity.edges import Edges
    from sqlml.parity.original import Original
    from sqlml.signature import Input

    Number = int | float

# From the ends of double and of float32 down to what is nearly zero.
LADDER = (
    1.7e308, 1e308, 1e307, 1e305, 1e300, 1e200, 1e150, 1e100, 1e75, 1e50, 3e38, 1e38, 3e37, 1e37,
    1e35, 1e30, 1e20, 1e18, 1e15, 1e12, 1e10, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 100.0, 10.0, 1.0,
    0.1, 1e-3, 1e-6, 1e-30,
)  # fmt: skip

BORDERS = tuple(2**bits + near for bits in (63, 53, 31, 24, 15) for near in (1, 0, -1))
"""Whole numbers between which a limit often lies: the ends of types."""

NEAR = 1e30
"""Up to it a limit is found to the last bit; what is beyond is no data, and a rung will do."""

MIDDLE = {"FLOAT": 1e30, "DOUBLE": 1e200}
"""An original may take for missing what overflows twice (infinity less infinity), and refuse what
overflows once."""

MAGNITUDE = "magnitude"

CORNERS = 12
"""Rows in which all inputs are at their limits."""


def limited(inputs: Sequence[Input], edges: Edges, original: Original) -> list[Input]:
    """The inputs, with `largest` and `smallest` where the original refuses numbers beyond.

    Only where numbers reach the graph as floats. A number that overflows on its way to a float32
    arrives there as an infinity. Limits that an input has already are its ends. Those of several
    inputs are such that the original takes all of them in one row.
    """
    asked = [i for i, field in enumerate(inputs) if _is_asked(field)]
    probes = {i: _probes(edges, i) for i in asked}
    groups = [edges.group(MAGNITUDE, i, [end]) for i in asked for end in probes[i]]
    outcomes = original.outcomes(groups)
    refused = {(o.group.column, o.group.value) for o in outcomes if o.error}
    found = list(inputs)
    largest = smallest = None
    for i in asked:
        least, most = _known(edges, i)
        above = [v for v in probes[i] if v > most and (i, v) in refused]
        below = [v for v in probes[i] if v < least and (i, v) in refused]
        if above:
            largest = _limit(edges, i, original, most, min(above), largest)
            found[i] = dataclasses.replace(found[i], largest=largest)
        if below:
            smallest = _limit(edges, i, original, least, max(below), smallest)
            found[i] = dataclasses.replace(found[i], smallest=smallest)
    return _together(found, asked, edges, original) if len(asked) > 1 else found


def _is_asked(field: Input) -> bool:
    is_number = field.type in ("FLOAT", "DOUBLE", *types.INTEGERS)
    return is_number and field.wire in ("FLOAT", "DOUBLE") and field.categories is None


def _ends(edges: Edges, index: int) -> tuple[Number, Number]:
    """The least and the greatest number that the input and the graph's tensor can have."""
    field = edges.inputs[index]
    own = field.smallest, field.largest
    if field.type in types.INTEGERS:
        whole = edges.limits(index)
        least, most = (w if o is None else int(o) for w, o in zip(whole, own, strict=True))
        return max(least, whole[0]), min(most, whole[1])
    single = (field.type, field.wire) != ("DOUBLE", "DOUBLE")
    end = float(np.finfo(np.float32 if single else np.float64).max)
    low, high = own
    return -end if low is None else max(-end, low), end if high is None else min(end, high)


def _probes(edges: Edges, index: int) -> list[Number]:
    """The ends, and what lies between them and the data."""
    low, high = _ends(edges, index)
    middle = MIDDLE[edges.inputs[index].wire]
    return [low, high, *(m for m in (-middle, middle) if low < m < high)]


def _known(edges: Edges, index: int) -> tuple[Number, Number]:
    """The least and the greatest number of the sample."""
    numbers = edges.numbers(index)
    known = numbers[np.isfinite(numbers)] if np.isfinite(numbers).any() else np.zeros(1)
    if edges.inputs[index].type in types.INTEGERS:
        return int(known.min()), int(known.max())
    return float(known.min()), float(known.max())


def _limit(
    edges: Edges,
    index: int,
    original: Original,
    taken: Number,
    refused: Number,
    guess: Number | None,
) -> Number:
    """The last number on the way from a taken one to a refused one that the original takes.

    `guess`: the limit of another input, which is often that of this one too.
    """

    def is_refused(number: Number) -> bool:
        (outcome,) = original.outcomes([edges.group(MAGNITUDE, index, [number])])
        return bool(outcome.error)

    # What is nearer to the sample is taken where something farther off is.
    rungs = _rungs(taken, refused)
    place = bisect.bisect_left(rungs, True, key=is_refused)
    taken, refused = [taken, *rungs][place], [*rungs, refused][place]
    if abs(taken) >= NEAR:
        return taken
    at, number = _numbering(edges.inputs[index].type)
    between = range(at(taken), at(refused), 1 if refused > taken else -1)[1:]
    if guess is not None and at(guess) in between and not is_refused(guess):
        after = at(guess) + between.step
        if after not in between or is_refused(number(after)):
            return guess
    place = bisect.bisect_left(between, True, key=lambda n: is_refused(number(n)))
    return number(between[place - 1]) if place else taken


def _rungs(taken: Number, refused: Number) -> list[Number]:
    """The rungs between two numbers, from the first to the second."""
    whole = isinstance(refused, int)
    steps = [*(int(r) for r in LADDER), *BORDERS] if whole else LADDER
    low, high = sorted([taken, refused])
    every = {0, *steps, *(-step for step in steps)}
    return sorted((s for s in every if low < s < high), reverse=refused < taken)


def _numbering(kind: str) -> tuple[Callable[[Number], int], Callable[[int], Number]]:
    """The place of a number among all of its type, and the number at a place."""
    if kind in types.INTEGERS:
        return int, int
    floats, bits = (np.float32, np.int32) if kind == "FLOAT" else (np.float64, np.int64)

    def at(number: Number) -> int:
        place = int(floats(abs(number)).view(bits))
        return place if number >= 0 else -place

    def number(place: int) -> float:
        return float(np.copysign(bits(abs(place)).view(floats), place))

    return at, number


def _together(
    inputs: list[Input], asked: Sequence[int], edges: Edges, original: Original
) -> list[Input]:
    """The inputs, with limits so low that the original takes all of them in one row.

    Each alone, they may be the last before a sum or a product of them overflows.
    """

    def capped(cap: float) -> dict[int, tuple[Number, Number]]:
        """By input, the least and the greatest number that it is to take."""
        found: dict[int, tuple[Number, Number]] = {}
        for i in asked:
            field, (low, high), (least, most) = inputs[i], _ends(edges, i), _known(edges, i)
            low = low if field.smallest is None else field.smallest
            high = high if field.largest is None else field.largest
            found[i] = max(low, min(least, -cap)), min(high, max(most, cap))
        return found

    def is_taken(cap: float) -> bool:
        group = Group(MAGNITUDE, _corners(edges, capped(cap)))
        return not any(outcome.error for outcome in original.outcomes([group]))

    if is_taken(np.inf):
        return inputs
    place = bisect.bisect_left(LADDER, True, key=is_taken)
    if place == len(LADDER):
        return inputs
    found = list(inputs)
    for i, (smallest, largest) in capped(LADDER[place]).items():
        low, high = _ends(edges, i)
        found[i] = dataclasses.replace(
            found[i],
            smallest=smallest if smallest > low else found[i].smallest,
            largest=largest if largest < high else found[i].largest,
        )
    return found


def _corners(edges: Edges, ends: Mapping[int, tuple[Number, Number]]) -> pd.DataFrame:
    """Rows of the sample in which each input is at one of its two ends: any of the two."""
    sides = np.random.default_rng(0).integers(0, 2, (CORNERS, len(ends)))
    sides[0], sides[1], sides[2] = 0, 1, np.arange(len(ends)) % 2
    changes = {}
    for column, (i, both) in enumerate(ends.items()):
        whole = edges.inputs[i].type in types.INTEGERS
        values = [both[side] for side in sides[:, column]]
        changes[edges.inputs[i].name] = [int(v) for v in values] if whole else values
    bases = edges.bases()
    return replaced(edges.sample.frame, [bases[n % len(bases)] for n in range(CORNERS)], changes)
