"""What was measured, what the issue asks for, and whether it was reached."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS = "seconds"


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant on one case: the same quantity, several times."""

    workload: int
    case: str
    contestant: str
    quantity: str = SECONDS
    values: tuple[float, ...] = ()
    error: float | None = None
    """The largest difference from the original library's own scores."""
    note: str = ""
    """Why there are no values."""

    @property
    def median(self) -> float:
        return statistics.median(self.values)


class Figures:
    """The medians of one case, by contestant and quantity."""

    def __init__(self, results: Sequence[Result]) -> None:
        self._medians = {(r.contestant, r.quantity): r.median for r in results if r.values}

    def __call__(self, contestant: str, quantity: str = SECONDS) -> float:
        """Raises `KeyError` for what was not measured."""
        return self._medians[contestant, quantity]

    def best(self, contestants: Sequence[str]) -> float:
        """The fastest of those that were measured."""
        return min(self(name) for name in contestants if (name, SECONDS) in self._medians)


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that the measurements must show; computed from them, never given."""

    text: str
    beside: str
    """The contestant whose row shows it."""
    value: Callable[[Figures], float]
    bound: float
    at_least: bool = False
    cases: tuple[str, ...] = ()
    """Those that it is for; all where there are none."""
    quantity: str = SECONDS

    def of(self, results: Sequence[Result]) -> Verdict:
        """Judge the results of one case."""
        try:
            value = self.value(Figures(results))
        except (KeyError, ValueError, ZeroDivisionError):
            return Verdict(self, None)
        return Verdict(self, value)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what was measured."""

    target: Target
    value: float | None

    @property
    def word(self) -> str:
        if self.value is None:
            return "not measured"
        target = self.target
        met = self.value >= target.bound if target.at_least else self.value <= target.bound
        return "met" if met else "missed"

    def __str__(self) -> str:
        bound = f"{'≥' if self.target.at_least else '≤'} {self.target.bound:g}"
        found = "" if self.value is None else f"{self.value:.2f}, "
        return f"{self.target.text} {bound}: {found}{self.word}"


def times(bound: float, name: str, ours: str, *cases: str) -> Target:
    """The contestant takes at least `bound` times as long as ours."""
    text = f"{name} ÷ {ours}"
    return Target(text, name, lambda f: f(name) / f(ours), bound, True, cases)


def within(bound: float, floor: Sequence[str], ours: str, *cases: str) -> Target:
    """Ours takes at most `bound` times as long as the floors together."""
    text = f"{ours} ÷ {floor[0] if len(floor) == 1 else '(' + ' + '.join(floor) + ')'}"
    return Target(text, floor[0], lambda f: f(ours) / sum(map(f, floor)), bound, False, cases)


def times_best(bound: float, names: Sequence[str], ours: str, *cases: str) -> Target:
    """The fastest of these takes at least `bound` times as long as ours."""
    text = f"fastest other ÷ {ours}"
    return Target(text, ours, lambda f: f.best(names) / f(ours), bound, True, cases)


def near_best(bound: float, names: Sequence[str], ours: str) -> Target:
    """Ours takes at most `bound` times as long as the fastest of these."""
    return Target(f"{ours} ÷ best", ours, lambda f: f(ours) / f.best(names), bound)
