"""A second opinion on rows that differ: the conversion is at fault, or what ran the graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sqlml.parity.compare import Difference, Expected, differences
from sqlml.parity.original import part
from sqlml.score import Scorer
from sqlml.score.outputs import derive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.model import ScoringModel


def second_opinion(
    model: ScoringModel,
    expected: Expected,
    columns: Sequence[pa.Array],
    rows: Sequence[int],
    bound: float,
) -> Mapping[str, Difference]:
    """The original against ONNX's reference evaluator on a few rows, by output.

    Nothing where the evaluator cannot run the graph: it has not all operators.
    """
    at = np.array(rows, dtype=np.int64)
    try:
        raw = Scorer(model, "reference").score([c.take(pa.array(at)) for c in columns])
    except Exception:  # an operator may raise anything
        return {}
    asked = Expected(part(expected.answer, at), expected.refused[at], np.ones(len(at), bool))
    return {d.output: d for d in differences(model, asked, derive(model, raw), bound)}


def opinion(found: Any, reference: Difference | None, place: int, bound: float) -> str:
    """Whom the reference evaluator bears out, for a message; empty where it says nothing.

    `found`: what the scoring path said; `place`: the row's among those that were asked about.
    """
    if reference is None or found is None or reference.found(place) is None:
        return ""
    if reference.severity[place] <= 1:
        return "agrees with the original: what ran the graph is at fault"
    says = reference.found(place)
    if _same(says, found, bound):
        return "agrees with the converted model: the conversion is at fault"
    return f"agrees with neither, it says {says!r}"


def _same(says: Any, found: Any, bound: float) -> bool:
    if isinstance(says, float) and isinstance(found, float):
        both_nan = math.isnan(says) and math.isnan(found)
        return both_nan or math.isclose(says, found, rel_tol=10 * bound, abs_tol=bound)
    return bool(says == found)
