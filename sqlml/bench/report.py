"""What a run gives its reader: tables on the screen, and the same figures as files."""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.bench.results import SECONDS, Result, Verdict
from sqlml.bench.workloads import SWEEP, WORKLOADS, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

FAILED = "all"
"""The case of a workload that could not begin."""
OURS = ("sqlml", "sqlml trees")
"""What the ratios are to: the first of these that was measured."""


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant on one case, as it is shown and written."""

    workload: int
    title: str
    case: str
    contestant: str
    quantity: str
    median: float | None
    low: float | None
    high: float | None
    repetitions: int
    ratio: float | None
    """The contestant's median by ours."""
    targets: tuple[str, ...]
    """What the issue asks for, with what was found, and met or missed."""
    largest_error: float | None
    note: str
    rows_scale: float = 1.0


def rows(results: Sequence[Result], rows_scale: float = 1.0) -> list[Row]:
    """Every result with its ratio and its targets.

    >>> made = [Result(1, "x", "sqlml", values=(1.0, 2.0, 3.0)), Result(1, "x", "a", values=(6.0,))]
    >>> sorted((row.contestant, row.median, row.ratio) for row in rows(made))
    [('a', 6.0, 3.0), ('sqlml', 2.0, 1.0)]
    """
    return [
        dataclasses.replace(row, rows_scale=rows_scale)
        for workload in WORKLOADS
        for case, of_case in _by_case(results, workload)
        for row in _rows(workload, case, of_case)
    ]


def _rows(workload: Workload, case: str, results: Sequence[Result]) -> Iterator[Row]:
    verdicts = [
        target.of(results)
        for target in workload.targets
        if (case in target.cases if target.cases else case != SWEEP)
    ]
    medians = {(r.contestant, r.quantity): r.median for r in results if r.values}
    for result in results:
        ours = next((m for o in OURS if (m := medians.get((o, result.quantity)))), None)
        median = medians.get((result.contestant, result.quantity))
        yield Row(
            workload.number,
            workload.title,
            case,
            result.contestant,
            result.quantity,
            median,
            min(result.values, default=None),
            max(result.values, default=None),
            len(result.values),
            None if ours is None or median is None else median / ours,
            tuple(str(verdict) for verdict in verdicts if _stands_at(verdict, result)),
            result.error,
            result.note,
        )


def _by_case(results: Sequence[Result], workload: Workload) -> Iterator[tuple[str, list[Result]]]:
    of_workload = [r for r in results if r.workload == workload.number]
    order = [c.name for c in workload.contestants]
    for case in dict.fromkeys(r.case for r in of_workload):
        of_case = [r for r in of_workload if r.case == case]
        if order:
            of_case.sort(key=lambda r: order.index(r.contestant) if r.contestant in order else -1)
        yield case, of_case


def _stands_at(verdict: Verdict, result: Result) -> bool:
    target = verdict.target
    return (target.beside, target.quantity) == (result.contestant, result.quantity)


def show(made: Sequence[Row], console: Console | None = None) -> None:
    """The tables: one a case, and one for all cases of a sweep."""
    from rich.console import Console

    console = console or Console(highlight=False, markup=False)
    sweeps = {workload.number for workload in WORKLOADS if workload.summary}
    for title, of_workload in _grouped(made, lambda row: f"{row.workload}. {row.title}"):
        console.print(f"\n{title}", style="bold")
        single = of_workload
        if of_workload[0].workload in sweeps:
            single = [row for row in of_workload if row.case in (SWEEP, FAILED)]
            names = list(dict.fromkeys(row.contestant for row in of_workload if row not in single))
            cells = [row for row in of_workload if row not in single]
            lines = [_line(case, rows, names) for case, rows in _grouped(cells, lambda r: r.case)]
            console.print(_table(("seconds, medians", *names, "must show"), lines), "")
        for case, of_case in _grouped(single, lambda row: row.case):
            header = (case, "median", "min … max", "÷ sqlml", "must show")
            console.print(_table(header, [_cells(row) for row in of_case]), "")


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def _line(case: str, of_case: Sequence[Row], names: Sequence[str]) -> list[str]:
    """A case of a sweep; who refuses the model has a dash, and the file says why."""
    medians = {row.contestant: row.median for row in of_case}
    targets = [target for row in of_case for target in row.targets]
    return [case, *(_number(medians.get(name)) or "-" for name in names), "; ".join(targets)]


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    name = row.contestant if row.quantity == SECONDS else f"{row.contestant}, {row.quantity}"
    if row.median is None:
        return name, "-", "", "", row.note
    spread = f"{_number(row.low)} … {_number(row.high)}" if row.repetitions > 1 else ""
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return name, _number(row.median), spread, ratio, "\n".join(row.targets)


def _number(value: float | None) -> str:
    """Three digits that matter.

    >>> [_number(v) for v in (0.01234, 1.5, 123456.0)]
    ['0.0123', '1.50', '123,456']
    """
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def _grouped(made: Sequence[Row], key: Any) -> Iterator[tuple[str, list[Row]]]:
    for name in dict.fromkeys(map(key, made)):
        yield name, [row for row in made if key(row) == name]


def as_dicts(made: Sequence[Row]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(row) for row in made]


_NUMBERS = ("workload", "median", "low", "high", "repetitions", "ratio", "largest_error",
            "rows_scale")  # fmt: skip
_WHOLE = ("workload", "repetitions")
_BETWEEN = "; "


def write_csv(made: Sequence[Row], file: Path) -> None:
    """The rows, in the order of the workloads."""
    names = [field.name for field in dataclasses.fields(Row)]
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        for row in as_dicts(sorted(made, key=lambda row: row.workload)):
            writer.writerow({**row, "targets": _BETWEEN.join(row["targets"])})


def read_csv(file: Path) -> list[Row]:
    """What `write_csv` wrote; nothing where there is no file."""
    if not file.exists():
        return []
    with file.open(newline="") as stream:
        return [_row(facts) for facts in csv.DictReader(stream)]


def _row(facts: dict[str, str]) -> Row:
    found: dict[str, Any] = dict(facts)
    for name in _NUMBERS:
        kind = int if name in _WHOLE else float
        found[name] = kind(facts[name]) if facts[name] else None
    found["targets"] = tuple(facts["targets"].split(_BETWEEN)) if facts["targets"] else ()
    return Row(**found)
