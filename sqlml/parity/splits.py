"""Edge rows at the splits of trees: on each threshold, one ulp beside it, and missing there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml import types
from sqlml.parity.edges import MISSING, changed_rows
from sqlml.parity.original import Group
from sqlml.parity.reach import FAR, Arrival, arrivals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx
    import pyarrow as pa

    from sqlml.model import ScoringModel
    from sqlml.parity.edges import Edges
    from sqlml.parity.provenance import Trace

    Array = np.ndarray[Any, Any]

EXTRA_BASES = 3
"""Rows of the sample for a threshold beside the one that arrives at its node."""


@dataclass(frozen=True, slots=True)
class _Place:
    """One split to be tried, in one row."""

    input: int
    base: int
    changes: Mapping[int, float]
    values: tuple[Any, ...]
    """Of the split's own input: on the threshold and beside it."""


def split_groups(
    model: ScoringModel,
    proto: onnx.ModelProto,
    edges: Edges,
    columns: Sequence[pa.Array],
    budget: int,
) -> Iterator[Group]:
    """The rows at the splits of the graph, at most about `budget` of them.

    `model` has the signature with what the inputs take; `columns` is the sample in Arrow.
    Where there are more splits, each different threshold is taken before nodes that repeat
    it, evenly spaced; thresholds left out are then put into rows together.
    """
    places = _places(model, proto, edges, columns)
    chosen, left = _chosen(places, budget)
    by_input: dict[int, list[_Place]] = {}
    for place in chosen:
        by_input.setdefault(place.input, []).append(place)
    for index, group in sorted(by_input.items()):
        yield _on_thresholds(edges, index, group)
        if model.signature.inputs[index].takes_missing:
            yield _missing_there(edges, index, group)
    if left:
        yield _together(edges, left, budget // 4)


def _places(
    model: ScoringModel, proto: onnx.ModelProto, edges: Edges, columns: Sequence[pa.Array]
) -> list[_Place]:
    """Every split whose input is known, each in a row that arrives there, then in others."""
    inputs = model.signature.inputs
    order = edges.random.permutation(len(edges.sample))
    places: dict[tuple[Any, ...], _Place] = {}

    def add(index: int, arrival: Arrival, values: tuple[Any, ...]) -> None:
        if edges.element(index) in types.INTEGERS:
            least, most = edges.limits(index)
            values = tuple(v for v in values if least <= v <= most)
        key = (index, arrival.base, tuple(sorted(arrival.changes.items())), values)
        # Without values too: a split that tells missing from all numbers has none beside it.
        if values or inputs[index].takes_missing:
            places.setdefault(key, _Place(index, arrival.base, arrival.changes, values))

    thresholds: dict[tuple[int, tuple[Any, ...]], None] = {}
    for ensemble in edges.facts.ensembles:
        found = arrivals(model, proto, ensemble, columns, order)
        beside: dict[tuple[Trace, Any], tuple[Any, ...]] = {}
        for node, arrival in enumerate(found):
            trace = ensemble.trace(node)
            if trace is None:
                continue
            threshold = ensemble.threshold[node]
            if (trace, threshold) not in beside:
                beside[trace, threshold] = _beside(trace, threshold, inputs[trace.input])
            values = beside[trace, threshold]
            add(trace.input, arrival, values)
            thresholds[trace.input, values] = None
    for index, constants in sorted(edges.facts.thresholds.items()):
        for constant in sorted(constants):
            thresholds[index, _near(np.array([constant]), inputs[index])] = None
    for index, values in thresholds:
        for base in edges.bases(index, EXTRA_BASES):
            add(index, Arrival(base, {}), values)
    return list(places.values())


def _beside(trace: Trace, threshold: Any, field: Any) -> tuple[Any, ...]:
    """The input's values at which a column meets a threshold, and the nearest on both sides.

    >>> import numpy as np
    >>> from sqlml.parity.provenance import Trace
    >>> from sqlml.signature import Input
    >>> _beside(Trace(0), np.float64(2.5), Input("n", "BIGINT", "BIGINT"))
    (2, 3)
    """
    exact, single = np.float64(threshold), np.float32(threshold)
    with np.errstate(over="ignore"):
        singles = [single, np.nextafter(single, -np.inf), np.nextafter(single, np.inf)]
    values = [exact, *singles]
    values += [np.nextafter(exact, -np.inf), np.nextafter(exact, np.inf)]
    if threshold.dtype == np.float32:
        # The doubles furthest from the threshold that still round to it: a column that is
        # narrowed before the comparison is equal to it there, an unnarrowed one is not.
        for neighbour in singles[1:]:
            middle = (np.float64(single) + np.float64(neighbour)) / 2
            values.append(np.nextafter(middle, exact))
    return _near(trace.back(np.array(values, dtype=np.float64)), field, exact=not trace.undo)


def _near(values: Array, field: Any, exact: bool = False) -> tuple[Any, ...]:
    """The numbers as values of the column, with neighbours where rounding blurs them."""
    values = values[np.abs(values) < FAR]  # NaN is not
    if not len(values):
        return ()
    kind = field.type
    if kind == "BOOLEAN":
        found: list[Any] = [False, True]
    elif kind in types.INTEGERS:
        around = {int(np.floor(values[0])), int(np.ceil(values[0]))}
        if len(around) == 1:
            around |= {v + step for v in around for step in (-1, 1)}
        found = sorted(around)
    elif kind in ("FLOAT", "DOUBLE"):
        numpy = np.dtype(types.SCALARS[kind].arrow)
        with np.errstate(over="ignore"):
            narrow = values.astype(numpy)
        if not exact:
            first = narrow[:1]
            for _ in range(2):
                first = np.concatenate(
                    [np.nextafter(first, -np.inf), first, np.nextafter(first, np.inf)]
                ).astype(numpy)
            narrow = np.concatenate([narrow, first])
        found = np.unique(narrow[np.isfinite(narrow)]).tolist()
    else:
        return ()
    if field.categories is not None:
        found = [v for v in found if v in field.categories]
    return tuple(found)


def _chosen(places: Sequence[_Place], budget: int) -> tuple[list[_Place], list[_Place]]:
    """The places for the budget, and those with thresholds that none of them has."""
    seen: set[tuple[int, tuple[Any, ...]]] = set()
    first: list[_Place] = []
    again: list[_Place] = []
    for place in places:
        known = (place.input, place.values) in seen
        (again if known else first).append(place)
        seen.add((place.input, place.values))
    chosen = _evenly(first, budget)
    chosen += _evenly(again, budget - sum(_cost(p) for p in chosen))
    have = {(p.input, p.values) for p in chosen}
    return chosen, [p for p in first if (p.input, p.values) not in have]


def _cost(place: _Place) -> int:
    return len(place.values) + 1


def _evenly(places: Sequence[_Place], budget: int) -> list[_Place]:
    total = sum(_cost(p) for p in places)
    if total <= budget:
        return list(places)
    count = max(0, int(len(places) * budget / total))
    return [places[int(i)] for i in np.linspace(0, len(places) - 1, count)]


def _on_thresholds(edges: Edges, index: int, places: Sequence[_Place]) -> Group:
    name = edges.inputs[index].name
    bases = [p.base for p in places for _ in p.values]
    changes = [_by_name(edges, p.changes, index) | {name: v} for p in places for v in p.values]
    rows = changed_rows(edges.sample.frame, bases, changes)
    return Group(f"threshold of {name}", rows, index, divisible=True)


def _missing_there(edges: Edges, index: int, places: Sequence[_Place]) -> Group:
    name, marker = edges.inputs[index].name, edges.marker(index)
    unique = {(p.base, tuple(sorted(p.changes.items()))): p for p in places}
    bases = [p.base for p in unique.values()]
    changes = [_by_name(edges, p.changes, index) | {name: marker} for p in unique.values()]
    rows = changed_rows(edges.sample.frame, bases, changes)
    return Group(f"{MISSING} {name}", rows, index, divisible=True)


def _together(edges: Edges, places: Sequence[_Place], most: int) -> Group:
    """Rows in which every input stands on some threshold: many thresholds in few rows."""
    queues: dict[str, list[Any]] = {}
    for place in places:
        queues.setdefault(edges.inputs[place.input].name, []).extend(place.values)
    count = min(most, max(len(q) for q in queues.values()))
    bases = edges.random.integers(len(edges.sample), size=count).tolist()
    changes = [{n: q[i % len(q)] for n, q in queues.items()} for i in range(count)]
    rows = changed_rows(edges.sample.frame, bases, changes)
    return Group("thresholds of several inputs", rows, divisible=True)


def _by_name(edges: Edges, changes: Mapping[int, float], index: int) -> dict[str, Any]:
    """The changes on the way to a node, as values of their columns."""
    found: dict[str, Any] = {}
    for other, number in changes.items():
        field = edges.inputs[other]
        value: Any = number
        if field.type in types.INTEGERS:
            least, most = edges.limits(other)
            value = min(max(round(number), least), most)
        elif field.type == "BOOLEAN":
            value = number > 0.5
        if other != index and (field.categories is None or value in field.categories):
            found[field.name] = value
    return found
