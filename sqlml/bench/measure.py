"""Measuring: every contestant ready and right first, then all of them in turns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlml.bench import workers
from sqlml.bench.contestants import CannotCompeteError
from sqlml.bench.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np

    from sqlml.bench.case import Case
    from sqlml.bench.contestants import Contestant, Rows
    from sqlml.bench.stage import Stage
    from sqlml.bench.workloads import Workload

    Vector = np.ndarray[Any, Any]

CHECKED = 2_000
"""Rows of each case whose scores are compared with the original's."""
CLOSE = 1e-4
"""As near as floats of other libraries come; relative to scores above 1."""
APART = 1e-3
"""The share of rows that may be further apart: a double narrowed to float beside a threshold."""


def in_spark(stage: Stage, workload: Workload, case: Case) -> Iterator[Result]:
    """The case's query, asked of each contestant."""
    truth = _Truth(stage, case)
    asks: dict[str, Callable[[], Any]] = {}
    errors: dict[str, float | None] = {}
    for contestant in workload.contestants:
        try:
            asks[contestant.name], errors[contestant.name] = _ready(stage, case, contestant, truth)
        except Exception as error:  # of whatever library: what it says is its result
            yield out(stage, workload, case, contestant.name, error)
    yield from timed(stage, workload, case, asks, errors)


def timed(
    stage: Stage,
    workload: Workload,
    case: Case,
    asks: Mapping[str, Callable[[], Any]],
    errors: Mapping[str, float | None],
) -> Iterator[Result]:
    """Seconds of each, in turns, and what else the workload looks at."""
    for name, taken in _in_turns(stage.repeat, asks).items():
        if isinstance(taken, Exception):
            yield out(stage, workload, case, name, taken)
            continue
        yield Result(workload.number, case.name, name, values=tuple(taken), error=errors[name])
        for quantity, observe in workload.observed:
            try:
                found = Result(
                    workload.number, case.name, name, quantity, (observe(stage, asks[name]),)
                )
            except Exception as error:  # of whatever library, as above
                found = Result(workload.number, case.name, name, quantity, note=reason(error))
            yield found


def _in_turns(
    repeat: int, asks: Mapping[str, Callable[[], Any]]
) -> dict[str, list[float] | Exception]:
    """Each begins a round in its turn; a first round is not counted. Who fails drops out."""
    taken: dict[str, list[float] | Exception] = {name: [] for name in asks}
    for repetition in range(repeat + 1):
        names = [name for name in asks if not isinstance(taken[name], Exception)]
        first = repetition % max(len(names), 1)
        for name in names[first:] + names[:first]:
            seconds = _seconds(asks[name])
            if isinstance(seconds, Exception):
                taken[name] = seconds
            elif repetition:
                taken[name] += [seconds]  # type: ignore[operator]
    return taken


def _seconds(ask: Callable[[], Any]) -> float | Exception:
    start = time.perf_counter()
    try:
        ask()
    except Exception as error:  # of whatever library: what it says is its result
        return error
    return time.perf_counter() - start


def reason(error: Exception) -> str:
    """Why a contestant has no result, in a line."""
    if isinstance(error, ModuleNotFoundError) and not (error.name or "sqlml").startswith("sqlml"):
        return f"{error.name} is not installed; pip install 'sqlml[bench]'"
    text = str(error).strip() or type(error).__name__
    return text if isinstance(error, CannotCompeteError) else text.splitlines()[0][:300]


def out(stage: Stage, workload: Workload, case: Case, name: str, error: Exception) -> Result:
    """The result of one that cannot take part."""
    note = reason(error)
    stage.say(f"{name}: {note}")
    return Result(workload.number, case.name, name, note=note)


def _ready(
    stage: Stage, case: Case, contestant: Contestant, truth: _Truth
) -> tuple[Callable[[], Any], float | None]:
    """What to call once a query, and how far the contestant's scores are from the original's."""
    rows = contestant.ready(stage, case)
    if contestant.alone:
        return rows, None
    error = None if contestant.floor else truth.difference(rows)
    return (lambda: case.query(rows())), error


class _Truth:
    """What the model's own library says of some rows, in this process and without Spark."""

    def __init__(self, stage: Stage, case: Case) -> None:
        rows = stage.spark.sql(f"SELECT * FROM ({case.data}) WHERE id < {CHECKED}").toPandas()
        predict = workers.native(case.model, case.inputs, named=case.named)
        scores = predict([rows[name].to_numpy() for name in case.inputs])
        self._scores: Any = rows[["id"]].assign(truth=scores).set_index("id")["truth"]

    def difference(self, rows: Rows) -> float:
        """The largest; raises `CannotCompeteError` for a contestant that scores otherwise."""
        scored = (
            rows().selectExpr("id", "double(score) AS score").where(f"id < {CHECKED}").toPandas()
        )
        found: Any = scored.set_index("id")["score"].reindex(self._scores.index)
        if len(scored) != len(self._scores) or found.isna().any():
            raise CannotCompeteError(
                f"{len(scored)} rows scored, {found.isna().sum()} of {len(self._scores)} have none"
            )
        error = (found - self._scores).abs()
        apart = (error > CLOSE * self._scores.abs().clip(lower=1)).mean()
        if apart > APART:
            raise CannotCompeteError(
                f"wrong scores: {apart:.1%} of the rows, up to {error.max():.2g}"
            )
        return float(error.max()) if len(error) else 0.0
