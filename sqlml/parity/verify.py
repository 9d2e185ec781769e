"""verify: the original's scores against the scoring path's, on the sample and on edge rows."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pyarrow as pa

from sqlml.convert import input_names
from sqlml.errors import SampleError
from sqlml.parity.compare import compare, magnitudes
from sqlml.parity.domain import accepting, probed, rejected
from sqlml.parity.edges import Edges
from sqlml.parity.original import Group, Original, Outcome
from sqlml.parity.provenance import facts_of
from sqlml.parity.report import BOUNDS, ParityReport, WorstRow
from sqlml.parity.rows import arrow_columns
from sqlml.parity.splits import split_groups
from sqlml.sample import Sample, read_sample
from sqlml.score import Scorer
from sqlml.score.outputs import derive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from sqlml.model import ScoringModel

    Array = np.ndarray[Any, Any]

EDGE_ROWS = 12_000
"""Rows at splits, about; small models have fewer."""
WORST_ROWS = 10
"""Rows that a report shows."""
ORDERED_ROWS = 500
"""Rows of the sample that are scored in two orders."""

_LIBRARIES = (
    "sqlml", "numpy", "pandas", "pyarrow", "onnx", "onnxruntime",
    "scikit-learn", "skl2onnx", "xgboost", "lightgbm",
)  # fmt: skip


def verify(scoring_model: ScoringModel, model: Any, sample: Any) -> ParityReport:
    """Whether the converted model scores like the original, and where it does not.

    Rows: the sample, and edge rows made from it: missing values in each column, unseen and
    empty strings, ±infinity, zero, and for every split of a tree a row that arrives there
    with the threshold and the numbers one ulp beside it. Labels must agree unless the
    original is within rounding of a tie; probabilities within 1e-5 for a graph that
    computes in float32 and 1e-9 in float64; other numbers within the same bounds relative
    to the output's largest magnitude. An input on which the original raises is recorded
    as not accepting it (`report.signature`), and must score NULL.
    Raises `SampleError` where the original refuses the sample itself.

    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sqlml.convert import convert
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> line = LinearRegression().fit(X, 2 * X[:, 0] + 1)
    >>> verify(convert(line, sample=X), line, X).ok
    True
    """
    rows = sample if isinstance(sample, Sample) else read_sample(sample, input_names(model))
    original = Original(model, rows)
    (plain,) = original.outcomes([Group("sample", rows.frame)])
    if plain.answer is None:
        raise SampleError(f"The model itself refuses the sample: {plain.error}")
    proto = onnx.load_from_string(scoring_model.onnx)
    made = Edges(rows, scoring_model.signature.inputs, facts_of(proto))
    inputs, probes = probed(made, original.outcomes(made.probes()))
    judged = accepting(scoring_model, inputs)
    taking = [i for i, field in enumerate(inputs) if field.takes_missing]
    columns = arrow_columns(rows.frame, judged.signature.inputs)
    groups = [
        *made.missing_together(taking),
        *split_groups(judged, proto, made, columns, EDGE_ROWS),
    ]
    outcomes = [plain, *probes, *original.outcomes(groups)]
    found = _scores(judged, outcomes)
    tally = _Tally(judged, magnitudes(plain.answer))
    for outcome, scores in zip(outcomes, found, strict=True):
        tally.add(outcome, scores)
    tally.add_order(_place_dependent(judged, rows), rows.frame)
    total = sum(len(o.group.rows) for o in outcomes)
    return ParityReport(
        rows=total,
        sample_rows=len(rows),
        edge_rows=total - len(rows),
        mismatches=tally.mismatches,
        label_mismatches=tally.label_mismatches,
        max_abs_error=tally.absolute,
        max_rel_error=tally.relative,
        bound=BOUNDS[judged.precision],
        precision=judged.precision,
        signature=judged.signature,
        worst_rows=tuple(sorted(tally.worst, key=lambda w: -w.error)[:WORST_ROWS]),
        rejected=rejected(inputs),
        versions=_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@dataclass(slots=True)
class _Tally:
    """The differences, added up."""

    model: ScoringModel
    scale: Mapping[str, Array]
    mismatches: int = 0
    label_mismatches: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    worst: list[WorstRow] = field(default_factory=list)

    def add(self, outcome: Outcome, scores: Mapping[str, pa.Array]) -> None:
        """One group of rows: what the original said of it, and what the scoring path did."""
        if outcome.answer is None:
            self._add_refused(outcome, scores)
            return
        bound = BOUNDS[self.model.precision]
        rows = len(outcome.group.rows)
        wrong = np.zeros(rows, bool)
        for compared in compare(self.model, outcome.answer, scores, self.scale):
            over = compared.relative > bound
            wrong |= over
            self.label_mismatches += int(over.sum()) if compared.label else 0
            within = compared.absolute[np.isfinite(compared.absolute)]
            if not compared.label and len(within):
                held = compared.relative[np.isfinite(compared.relative)]
                self.absolute = max(self.absolute, float(within.max()))
                self.relative = max(self.relative, float(held.max(initial=0.0)))
            for k in np.flatnonzero(over)[np.argsort(-compared.relative[over])][:WORST_ROWS]:
                self._note(
                    outcome.group.kind,
                    outcome.group.rows.iloc[k],
                    compared.output,
                    compared.expected[k],
                    compared.found[k],
                    float(compared.relative[k]),
                )
        self.mismatches += int(wrong.sum())

    def _add_refused(self, outcome: Outcome, scores: Mapping[str, pa.Array]) -> None:
        """The original raised: no row may get a score."""
        if not outcome.group.must_score:
            return
        name, values = next(iter(scores.items()))
        scored = np.flatnonzero(~values.is_null().to_numpy(zero_copy_only=False))
        self.mismatches += len(scored)
        for k in scored[:WORST_ROWS]:
            said = f"raises {outcome.error}"
            row = outcome.group.rows.iloc[k]
            self._note(outcome.group.kind, row, name, said, values[k].as_py(), np.inf)

    def add_order(self, dependent: Sequence[int], frame: pd.DataFrame) -> None:
        """Rows whose bits depend on the other rows of their batch."""
        self.mismatches += len(dependent)
        for k in list(dependent)[:WORST_ROWS]:
            what = ("the same in any batch", "other bits in another batch")
            self._note("order of rows", frame.iloc[k], "score", *what, np.inf)

    def _note(
        self, kind: str, row: pd.Series[Any], output: str, expected: Any, found: Any, error: float
    ) -> None:
        inputs = {str(name): _plain(value) for name, value in row.items()}
        self.worst.append(WorstRow(kind, inputs, output, expected, found, error))


def _scores(model: ScoringModel, outcomes: Sequence[Outcome]) -> list[dict[str, pa.Array]]:
    """The scoring path's outputs on the rows of each outcome, in one pass over all."""
    inputs = model.signature.inputs
    parts = [arrow_columns(o.group.rows, inputs) for o in outcomes]
    columns = [pa.concat_arrays([p[i] for p in parts]) for i in range(len(inputs))]
    outputs = derive(model, Scorer(model).score(columns))
    found, start = [], 0
    for outcome in outcomes:
        size = len(outcome.group.rows)
        found.append({name: array.slice(start, size) for name, array in outputs.items()})
        start += size
    return found


def _place_dependent(model: ScoringModel, sample: Sample) -> list[int]:
    """Rows of the sample that score other bits in another order or alone."""
    columns = [
        c.slice(0, ORDERED_ROWS) for c in arrow_columns(sample.frame, model.signature.inputs)
    ]
    scorer = Scorer(model)
    count = len(columns[0])
    straight = [repr(v) for v in scorer.score(columns).to_pylist()]
    order = np.random.default_rng(0).permutation(count)
    turned = [repr(v) for v in scorer.score([c.take(pa.array(order)) for c in columns]).to_pylist()]
    differing = {int(k) for place, k in enumerate(order) if turned[place] != straight[k]}
    for k in range(0, count, max(1, count // 20)):
        alone = repr(scorer.score([c.slice(k, 1) for c in columns]).to_pylist()[0])
        if alone != straight[k]:
            differing.add(k)
    return sorted(differing)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _versions() -> dict[str, str]:
    """The libraries that had a part in it, those that are installed."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
