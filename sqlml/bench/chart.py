"""The chart of the README: how many times as long as ours each contestant takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sqlml.bench.results import SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlml.bench.report import Row

COLUMNS = 3
_SWEEP = 5
_OURS, _FLOOR, _OTHER = "#0b7285", "#adb5bd", "#e8590c"


def draw(made: Sequence[Row], file: Path) -> None:
    """A panel a case, a bar a contestant; one panel for the sweep. PNG."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    timed = [row for row in made if row.ratio is not None and _is_time(row)]
    panels: dict[tuple[int, str, str], list[Row]] = {}
    for row in timed:
        if row.workload != _SWEEP:
            panels.setdefault((row.workload, row.case, row.quantity), []).append(row)
    sweep = [row for row in timed if row.workload == _SWEEP]
    count = len(panels) + bool(sweep)
    lines = max(1, math.ceil(count / COLUMNS))
    width = min(COLUMNS, max(count, 1))
    figure, axes = plt.subplots(lines, width, figsize=(5.2 * width, 2.9 * lines), squeeze=False)
    places = list(axes.flat)
    for axis, ((number, case, quantity), rows) in zip(places, panels.items(), strict=False):
        _bars(axis, rows)
        what = case if quantity == SECONDS else f"{case}: {quantity.removesuffix(', s')}"
        axis.set_title(f"{number}. {what}", fontsize=10, loc="left")
    if sweep:
        _lines(places[len(panels)], sweep)
    for axis in places[count:]:
        axis.set_axis_off()
    figure.suptitle("Seconds ÷ sqlml's: bars to the right of the line are slower", fontsize=12)
    figure.tight_layout(rect=(0, 0, 1, 0.99))
    figure.savefig(file, dpi=120)
    plt.close(figure)


def _is_time(row: Row) -> bool:
    return row.quantity == SECONDS or row.quantity.endswith(", s")


def _bars(axis: Any, rows: Sequence[Row]) -> None:
    ratios = [row.ratio or 1.0 for row in rows]
    names = [row.contestant for row in rows]
    axis.barh(names, ratios, color=[_colour(name) for name in names], height=0.7)
    axis.set_xscale("log")
    axis.set_xlim(min(0.5, *ratios) * 0.8, max(2.0, *ratios) * 1.8)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.invert_yaxis()
    for place, row in enumerate(rows):
        text = f" {row.ratio:.2g} ({row.median:.2g} s)"
        axis.text(row.ratio, place, text, va="center", fontsize=7)
    axis.tick_params(labelsize=8)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}\N{MULTIPLICATION SIGN}")
    axis.xaxis.set_minor_formatter(lambda *_: "")
    axis.spines[["top", "right"]].set_visible(False)


def _lines(axis: Any, rows: Sequence[Row]) -> None:
    """Seconds over the number of trees at the greatest depth, by backend."""
    cells = [(*_size(row), row) for row in rows]
    depth = max(cell[1] for cell in cells)
    names = dict.fromkeys(row.contestant for row in rows)
    for name in names:
        points = [(t, r.median) for t, d, r in cells if (d, r.contestant) == (depth, name)]
        style = {"linewidth": 2.5, "color": _OURS} if name == "sqlml" else {"linestyle": "--"}
        axis.plot(*zip(*sorted(points), strict=True), marker=".", label=name, **style)
    axis.set_xscale("log")
    axis.set_yscale("log")
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_formatter(lambda value, _: f"{value:g}")
        scale.set_minor_formatter(lambda *_: "")
    axis.set_title(f"{_SWEEP}. XGBoost, depth {depth}: seconds by trees", fontsize=10, loc="left")
    axis.legend(fontsize=7)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _size(row: Row) -> tuple[int, int]:
    trees, _, depth = row.case.partition(" x depth ")
    return int(trees), int(depth)


def _colour(name: str) -> str:
    if name.startswith("sqlml"):
        return _OURS
    return _FLOOR if name in FLOORS else _OTHER


FLOORS = ("scan floor", "identity Arrow UDF", "bare kernel", "plain query")
