"""verify: the original's scores against the scoring path's, on the sample and on edge rows."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import platform
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pyarrow as pa

from sqlml.convert import RefusedRowsError, labelled, opened, sample_of
from sqlml.errors import NotConvertibleError, ParityError, SampleError, SqlmlError, listed
from sqlml.model import BOUNDS
from sqlml.parity.backends import FUNCTION, idle_inputs, other_bits, raw_results
from sqlml.parity.compare import Difference, Expected, differences
from sqlml.parity.domain import accepting, freed, probed, rejected
from sqlml.parity.edges import Edges
from sqlml.parity.limits import limited
from sqlml.parity.opinion import opinion, second_opinion
from sqlml.parity.original import Group, Original, Outcome, by_dtypes, whole
from sqlml.parity.provenance import facts_of
from sqlml.parity.report import ParityReport, WorstRow
from sqlml.parity.rows import arrow_columns
from sqlml.parity.smallest import smallest
from sqlml.parity.splits import split_groups
from sqlml.sample import Sample
from sqlml.score import Scorer
from sqlml.score.outputs import derive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from sqlml.model import ScoringModel

EDGE_ROWS = 20_000
"""Rows at the thresholds of trees, at most."""

PATIENCE = 120.0
"""Seconds that the original may take for them, as far as the sample tells."""

WORST_ROWS = 10
"""Rows that a report shows."""

ORDERED_ROWS = 500
"""Rows of the sample that are scored in two orders."""

_LIBRARIES = (
    "sqlml", "numpy", "pandas", "pyarrow", "onnx", "onnxruntime", "scikit-learn", "scipy",
    "xgboost", "lightgbm", "catboost", "skl2onnx", "torch", "keras", "tensorflow",
    "statsmodels", "patsy",
)  # fmt: skip


def verify(scoring_model: ScoringModel, model: Any, sample: Any) -> ParityReport:
    """Compare a converted model with its original, and find out what its inputs take.

    Both score the sample and edge rows made from it: missing values in each column, unseen
    and empty strings, infinities, zero, values on and beside every threshold that the graph
    has. Labels must agree where the original is not within rounding of a tie, and numbers
    within 1e-5 where the graph computes in float32, within 1e-9 in float64. That holds for
    every backend that can score the model, and the tree kernel gives ONNX Runtime's bits.

    `sample`: what `sqlml.convert` was given. `report.signature` is the model's, with what
    the original accepts in each input; where it raises, the scoring path must give NULL. An
    input on which no output depends takes everything, whatever the original says of it.
    Nothing is raised for a difference: `report.ok` tells, `report.raise_if_different()`
    raises `ParityError`. Raises `SampleError` where the original refuses the sample itself.

    >>> import numpy as np, sqlml
    >>> from sklearn.linear_model import LinearRegression
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> original = LinearRegression().fit(X, 2 * X[:, 0] + 1)
    >>> report = verify(sqlml.convert(original, sample=X), original, X)
    >>> report.ok, report.rejected
    (True, {'x0': ('missing values', 'infinity')})
    """
    model = opened(model)
    rows = sample if isinstance(sample, Sample) else sample_of(model, sample)
    if scoring_model.metadata.get("labels") == "stated":
        model = labelled(model, scoring_model.labels)
    original = Original(model, rows)
    known, seconds = _on_sample(original)

    inputs = scoring_model.signature.inputs
    absent = [i.name for i in inputs if i.name not in rows.frame]
    if absent:
        raise SampleError(f"The sample lacks inputs of the model: {listed(absent)}.")
    proto = onnx.load_from_string(scoring_model.onnx)
    edges = Edges(rows, inputs, facts_of(proto))
    found, outcomes = probed(edges, original.outcomes(edges.probes()))
    found = limited(found, edges, original)
    accepted = accepting(scoring_model, found)

    edges = Edges(rows, tuple(found), edges.facts, edges.markers)
    columns = arrow_columns(rows.frame, found)
    few = [c[:ORDERED_ROWS] for c in columns]
    _check_running(accepted, few)
    idle = idle_inputs(scoring_model, few)
    taking = [i for i, field in enumerate(found) if field.takes_missing and i not in idle]
    budget = EDGE_ROWS if not seconds else int(min(EDGE_ROWS, PATIENCE / seconds * len(rows)))
    later = [
        *edges.missing_together(taking),
        *split_groups(accepted, proto, edges, columns, budget),
    ]
    outcomes = [known, *outcomes, *original.outcomes(later)]
    found, outcomes = freed(found, outcomes, idle)
    scoring = accepting(scoring_model, found)
    return _report(scoring, original, outcomes, _unsteady(scoring, few))


def _check_running(model: ScoringModel, columns: Sequence[pa.Array]) -> None:
    """That the graph runs at all, on a whole sample and on one row."""
    with _running(model, "it cannot be run"):
        for rows in (columns, [c[:1] for c in columns]):
            Scorer(model).score(rows)


@contextlib.contextmanager
def _running(model: ScoringModel, failed: str) -> Iterator[None]:
    """Say of what a runtime raises that the model is at fault."""
    try:
        yield
    except Exception as error:  # onnxruntime raises several unrelated types
        reason = " ".join(str(error).removeprefix("[MODEL_REJECTED] ").split())
        raise NotConvertibleError(
            str(model.metadata.get("estimator", "the model")), f"{failed}: {reason[:300]}."
        ) from error


def _on_sample(original: Original) -> tuple[Outcome, float]:
    """The original's answer on the sample, and the seconds that it took."""
    frame = original.sample.frame
    start = time.monotonic()
    try:
        answer = original.answer(frame)
    except SqlmlError:
        raise
    except RefusedRowsError as error:
        raise SampleError(
            f"The original model says nothing of {int(error.refused.sum()):,} of the sample's "
            f"{len(frame):,} rows: {error} Leave these rows out of the sample."
        ) from error
    except Exception as error:  # an original may raise anything
        raise SampleError(
            f"The original model refuses the sample: {type(error).__name__}: {error} "
            "Give rows in the form in which the model was trained."
        ) from error
    return Outcome(Group("sample", frame), answer), time.monotonic() - start


def _report(
    model: ScoringModel,
    original: Original,
    outcomes: Sequence[Outcome],
    unsteady: Sequence[int],
) -> ParityReport:
    """`unsteady`: rows of the sample whose scores depend on the rows beside them."""
    sizes = [len(o.group.rows) for o in outcomes]
    of_row = np.repeat(np.arange(len(outcomes)), sizes)
    in_group = np.concatenate([np.arange(n) for n in sizes])
    bound = BOUNDS[model.precision]
    expected = _expected(outcomes)
    columns = _columns(model, outcomes)
    with _running(model, "it cannot be run on values that the original refuses one by one"):
        results = raw_results(model, columns)
    compared = _compared(model, expected, results, bound)
    compared.append(_all_or_nothing(len(of_row), unsteady, "score", _ANY_BATCH))

    severity = np.max([d.severity for d in compared], axis=0)
    wrong = severity > 1
    numbers = [d for d in compared if not d.is_label]
    labels = [d for d in compared if d.is_label]
    shown = [int(r) for r in np.argsort(-severity, kind="stable")[:WORST_ROWS] if severity[r] > 0]
    worst = [_worst_row(compared, outcomes[of_row[row]], row, int(in_group[row])) for row in shown]
    if differing := [row for row in shown if wrong[row]]:  # these come first
        asked = second_opinion(model, expected, columns, differing, bound)
        worst[: len(differing)] = [
            _with_opinion(w, asked, place, bound) for place, w in enumerate(worst[: len(differing)])
        ]
        agrees = ~(wrong | expected.refused)[: sizes[0]]
        worst[0] = _with_smallest(worst[0], model, original, outcomes[0], agrees)
    inputs = model.signature.inputs
    return ParityReport(
        rows=len(of_row),
        sample_rows=sizes[0],
        edge_rows=len(of_row) - sizes[0],
        mismatches=int(wrong.sum()),
        label_mismatches=int(np.any([d.severity > 1 for d in labels], axis=0).sum())
        if labels
        else 0,
        max_abs_error=_largest_finite([d.absolute for d in numbers]),
        max_rel_error=_largest_finite([d.relative for d in numbers]),
        bound=bound,
        precision=model.precision,
        signature=model.signature,
        worst_rows=tuple(worst),
        rejected=rejected(inputs),
        backends=tuple(backend for backend in results if backend != FUNCTION),
        versions=_versions(),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _compared(
    model: ScoringModel, expected: Expected, results: Mapping[str, pa.Array], bound: float
) -> list[Difference]:
    """What the backends say against the original's answer, and trees to the bit."""
    reference = results["onnx"]
    outputs = derive(model, reference)
    if not outputs:
        raise ParityError("The converted model has no outputs.")
    compared = differences(model, expected, outputs, bound)
    for backend in ("trees", FUNCTION):
        if backend in results:
            other, output = other_bits(results[backend], reference), f"score (backend {backend})"
            compared.append(_all_or_nothing(len(reference), other, output, _SAME_BITS))
    if "sql" in results:
        by_sql = differences(model, expected, derive(model, results["sql"]), bound)
        compared += [dataclasses.replace(d, output=f"{d.output} (backend sql)") for d in by_sql]
    return compared


def _expected(outcomes: Sequence[Outcome]) -> Expected:
    """The answers one below the other; refused rows bear the sample's first answer."""
    sample = outcomes[0].answer
    assert sample is not None
    parts = []
    for outcome in outcomes:
        if outcome.answer is not None:
            parts.append(outcome.answer)
        else:
            first = np.zeros(len(outcome.group.rows), dtype=int)
            parts.append(
                type(sample)(
                    np.asarray(sample.prediction)[first],
                    None if sample.probabilities is None else sample.probabilities[first],
                    None if sample.score is None else sample.score[first],
                )
            )
    of_row = np.repeat(np.arange(len(outcomes)), [len(o.group.rows) for o in outcomes])
    refused = np.array([o.answer is None for o in outcomes])[of_row]
    return Expected(whole(parts), refused, of_row == 0)


def _columns(model: ScoringModel, outcomes: Sequence[Outcome]) -> list[pa.Array]:
    """All rows as the scoring path takes them, one array per input."""
    inputs = model.signature.inputs
    groups = [o.group for o in outcomes]
    starts = dict(
        zip(map(id, groups), np.cumsum([0, *(len(g.rows) for g in groups)]), strict=False)
    )
    parts, places = [], []
    for rows, bucket in by_dtypes(groups):
        parts.append(arrow_columns(rows, inputs))
        places += [starts[id(g)] + np.arange(len(g.rows)) for g in bucket]
    order = pa.array(np.argsort(np.concatenate(places)))
    return [pa.concat_arrays(arrays).take(order) for arrays in zip(*parts, strict=True)]


def _unsteady(model: ScoringModel, columns: Sequence[pa.Array]) -> list[int]:
    """Rows that score other bits in another order or alone."""
    scorer = Scorer(model)

    def bits(chosen: Sequence[pa.Array]) -> list[str]:
        return [repr(v) for v in scorer.score(chosen).to_pylist()]

    straight = bits(columns)
    count = len(straight)
    order = np.random.default_rng(0).permutation(count)
    turned = bits([c.take(pa.array(order)) for c in columns])
    found = {int(row) for place, row in enumerate(order) if turned[place] != straight[row]}
    alone = range(0, count, max(1, count // 20))
    found |= {row for row in alone if bits([c.slice(row, 1) for c in columns])[0] != straight[row]}
    return sorted(found)


_ANY_BATCH = ("the same in any batch", "other bits in another batch")
_SAME_BITS = ("the same as of ONNX Runtime", "other bits")


def _all_or_nothing(
    rows: int, wrong: Sequence[int], output: str, said: tuple[str, str]
) -> Difference:
    """A promise about bits, as one more thing compared: what it says, and what breaks it."""
    error = np.zeros(rows)
    error[list(wrong)] = np.inf
    return Difference(output, lambda _: said[0], lambda _: said[1], error, error, error)


def _worst_row(
    compared: Sequence[Difference], outcome: Outcome, row: int, in_group: int
) -> WorstRow:
    worst = max(compared, key=lambda d: float(d.severity[row]))
    record = outcome.group.rows.iloc[[in_group]].to_dict("records")[0]
    return WorstRow(
        kind=outcome.group.kind,
        inputs={str(k): v.tolist() if hasattr(v, "tolist") else v for k, v in record.items()},
        output=worst.output,
        expected=f"raises {outcome.error}" if outcome.error else worst.expected(row),
        found=worst.found(row),
        error=float(worst.absolute[row]),
    )


def _with_opinion(
    worst: WorstRow, asked: Mapping[str, Difference], place: int, bound: float
) -> WorstRow:
    of_output = asked.get(worst.output.partition(" (backend ")[0])
    return dataclasses.replace(worst, opinion=opinion(worst.found, of_output, place, bound))


def _with_smallest(
    worst: WorstRow,
    model: ScoringModel,
    original: Original,
    sample: Outcome,
    agrees: np.ndarray[Any, Any],
) -> WorstRow:
    """`agrees`: the rows of the sample on which the two models agree."""
    bound = BOUNDS[model.precision]

    def differs(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
        tried = original.outcomes([Group("tried", rows, divisible=True)])
        together = [sample, *tried]  # the sample tells the magnitudes
        results = raw_results(model, _columns(model, together))
        compared = _compared(model, _expected(together), results, bound)
        wrong: np.ndarray[Any, Any] = np.max([d.severity for d in compared], axis=0) > 1
        return wrong[len(sample.group.rows) :]

    found = smallest(sample.group.rows, agrees, worst.inputs, differs)
    return dataclasses.replace(worst, smallest=found)


def _largest_finite(errors: Sequence[np.ndarray[Any, Any]]) -> float:
    finite = [e[np.isfinite(e)] for e in errors]
    return max((float(e.max()) for e in finite if len(e)), default=0.0)


def _versions() -> dict[str, str]:
    """Python's and every library's that had a part in this process."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        module = {"scikit-learn": "sklearn"}.get(name, name)
        if module in sys.modules:
            found[name] = importlib.metadata.version(name)
    return found
