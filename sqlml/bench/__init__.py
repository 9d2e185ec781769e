"""`sqlml bench`: every contestant on the same rows, in turns, and the table of ratios.

data, train     rows and models from a seed
contestants     who answers a query in Spark, with which settings; kernels: who needs none
measure, fresh  everybody right first, then in turns; new processes for first queries
workloads       the table: data, model, query, contestants, what must be shown
report, chart   tables, CSV, PNG
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from sqlml.bench.report import Row
    from sqlml.bench.results import Result
    from sqlml.bench.stage import Stage
    from sqlml.bench.workloads import Workload


def run(
    workloads: Sequence[int] = (),
    *,
    directory: str | os.PathLike[str] = "sqlml-bench",
    rows_scale: float = 1.0,
    repeat: int = 5,
    seed: int = 7,
    console: Console | None = None,
) -> list[Row]:
    """Measure the workloads of these numbers, all where there are none, and return the rows.

    `directory` gets `bench.csv` and `bench.png`, in which other workloads of an earlier run keep
    their place; data, models and registry live there while it runs. `rows_scale` multiplies the
    rows that are scored. What goes on is told on `console`, by default stderr. A contestant that
    cannot take part has a row that says why.

    >>> rows = run([1], rows_scale=0.01)                                # doctest: +SKIP
    """
    # Before OpenMP is loaded: threads that spin while they wait slow everybody.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from rich.console import Console

    from sqlml.bench import chart, report
    from sqlml.bench.measure import reason
    from sqlml.bench.stage import Stage, work_in
    from sqlml.bench.workloads import WORKLOADS

    home = Path(directory).resolve()
    tell = console or Console(stderr=True, highlight=False, soft_wrap=True)
    stage = Stage(home, seed=seed, rows_scale=rows_scale, repeat=repeat, console=tell)
    results: list[Result] = []
    kept = report.read_csv(home / "bench.csv")
    with work_in(home):
        try:
            for workload in WORKLOADS:
                if workloads and workload.number not in workloads:
                    continue
                stage.say(f"workload {workload.number}: {workload.title}")
                results += _measure(stage, workload)
                kept = [row for row in kept if row.workload != workload.number]
                # A run takes an hour: what it has found is there when it is interrupted.
                report.write_csv([*kept, *report.rows(results, rows_scale)], home / "bench.csv")
        finally:
            stage.stop_spark()
    made = report.rows(results, rows_scale)
    try:
        chart.draw(report.read_csv(home / "bench.csv"), home / "bench.png")
    except ImportError as error:
        stage.say(f"no chart: {reason(error)}")
    return made


def _measure(stage: Stage, workload: Workload) -> list[Result]:
    """A workload's results. One that fails has a row that says why, and the next one runs."""
    from sqlml.bench.measure import reason
    from sqlml.bench.report import FAILED
    from sqlml.bench.results import Result

    measured: list[Result] = []
    try:
        for case in workload.cases(stage):
            stage.say(case.name)
            measured += workload.measure(stage, workload, case)
    except Exception as error:  # of whatever library: what it says is its result
        stage.say(reason(error))
        measured.append(Result(workload.number, FAILED, FAILED, note=reason(error)))
    return [*measured, *(workload.summary(measured) if workload.summary else ())]
