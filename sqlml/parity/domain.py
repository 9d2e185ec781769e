"""What each input takes, as the original showed it on the probing rows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from sqlml import types
from sqlml.parity.edges import CATEGORY, INFINITE, MISSING, UNSEEN
from sqlml.parity.original import Outcome, part
from sqlml.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.model import ScoringModel
    from sqlml.parity.edges import Edges
    from sqlml.signature import Input


def accepting(model: ScoringModel, inputs: Sequence[Input]) -> ScoringModel:
    """The model with other inputs in its signature: the same names, what they take found out."""
    signature = Signature(tuple(inputs), model.signature.outputs)
    return dataclasses.replace(model, signature=signature)


def probed(edges: Edges, outcomes: Sequence[Outcome]) -> tuple[list[Input], list[Outcome]]:
    """The inputs with what the original takes in them, and the outcomes to hold against it.

    The markers of `edges` are set to those that the original takes. Outcomes are left out
    where the scoring path has a right to another answer: where SQL or the wire cannot tell
    two inputs apart that the original treats differently, and where the original refuses a
    magnitude far out of the sample.
    """
    inputs, kept = [], [o for o in outcomes if o.group.column is None]
    for index, field in enumerate(edges.inputs):
        mine = [o for o in outcomes if o.group.column == index]
        found, held = _input(edges, index, field, mine)
        inputs.append(found)
        kept += held
    return inputs, kept


def taking_everything(field: Input) -> Input:
    """The input, as one that no value and no lack of one is refused in."""
    return dataclasses.replace(
        field,
        takes_missing=True,
        takes_infinite=True,
        largest=None,
        smallest=None,
        categories=None,
        below=None,
    )


def freed(
    inputs: Sequence[Input], outcomes: Sequence[Outcome], idle: frozenset[int]
) -> tuple[list[Input], list[Outcome]]:
    """The inputs, those that are idle taking everything, and the outcomes to hold against them.

    A query does not read what no output depends on. So where only an idle input was changed,
    an original that raises or says NaN (as of zero times infinity) is not contradicted.
    """
    held: list[Outcome] = []
    for outcome in outcomes:
        held += _with_numbers(outcome) if outcome.group.column in idle else [outcome]
    return [taking_everything(f) if i in idle else f for i, f in enumerate(inputs)], held


def _with_numbers(outcome: Outcome) -> list[Outcome]:
    """The rows of an outcome that the original answers, and not with NaN."""
    if outcome.answer is None:
        return []
    answer, rows = outcome.answer, outcome.group.rows
    said = [
        np.asarray(a)
        for a in (answer.prediction, answer.probabilities, answer.score)
        if a is not None
    ]
    nan = [np.isnan(a.reshape(len(rows), -1)).any(axis=1) for a in said if a.dtype.kind == "f"]
    places = np.flatnonzero(~np.any(nan, axis=0)) if nan else np.arange(len(rows))
    if len(places) == len(rows):
        return [outcome]
    group = dataclasses.replace(outcome.group, rows=rows.iloc[places].reset_index(drop=True))
    return [Outcome(group, part(answer, places))] if len(places) else []


def rejected(inputs: Sequence[Input]) -> dict[str, tuple[str, ...]]:
    """By input, what the original does not accept; inputs that take everything left out."""
    found = {}
    for field in inputs:
        what = []
        if not field.takes_missing:
            what.append("missing values")
        if not field.takes_infinite:
            what.append("infinity")
        if field.largest is not None:
            what.append(f"numbers above {field.largest:g}")
        if field.smallest is not None:
            what.append(f"numbers below {field.smallest:g}")
        if field.categories is not None:
            what.append("unknown values")
        if field.below is not None:
            what.append(f"numbers from {field.below:,} on, and below zero")
        if what:
            found[field.name] = tuple(what)
    return found


def _input(
    edges: Edges, index: int, field: Input, outcomes: Sequence[Outcome]
) -> tuple[Input, list[Outcome]]:
    by_kind: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        kind = outcome.group.kind.removesuffix(f" {field.name}")
        by_kind.setdefault(kind, []).append(outcome)

    missing = by_kind.pop(MISSING, [])
    answered = [o for o in missing if not o.error]
    had = edges.has_missing(index)
    takes_missing = _carries_missing(field) and (had or bool(answered))
    if _carries_missing(field):
        # One marker is what the author's data has; another need not score alike.
        missing = answered[:1] if answered else missing
        if answered:
            edges.markers[index] = answered[0].group.value
    else:
        missing = [o for o in missing if o.error]

    infinite = by_kind.pop(INFINITE, [])
    takes_infinite = field.takes_infinite
    if infinite:
        takes_infinite = not any(o.error for o in infinite)
        if not takes_infinite:
            infinite = [o for o in infinite if o.error]

    unseen = by_kind.get(UNSEEN, [])
    categories = None
    refused = field.below is None and bool(unseen) and all(o.error for o in unseen)
    if refused and _closed(edges, index, by_kind):
        categories = tuple(o.group.value for o in by_kind.get(CATEGORY, []) if not o.error)

    held = [*missing, *infinite]
    for others in by_kind.values():
        held += [o for o in others if o.group.must_score or not o.error]
    return (
        dataclasses.replace(
            field,
            takes_missing=takes_missing,
            takes_infinite=takes_infinite,
            categories=categories,
        ),
        held,
    )


def _closed(edges: Edges, index: int, by_kind: dict[str, list[Outcome]]) -> bool:
    """Whether all accepted values are listed: of integers, only some may have been tried."""
    return len(by_kind.get(CATEGORY, [])) >= len(edges.known_values(index))


def _carries_missing(field: Input) -> bool:
    """Whether the wire type has a value for "missing": NaN, or the missing string."""
    return (types.element_of(field.wire) or field.wire) in ("FLOAT", "DOUBLE", "STRING")
