"""The original model, called quietly, and found out about where it raises."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sqlml.convert import RefusedRowsError, converter_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlml.convert import Answer
    from sqlml.sample import Sample

    Array = np.ndarray[Any, Any]

# A group of rows on which the original raises is halved until the pieces are this small a
# part of it: rows beside the one that is refused are still compared, in bounded time.
SMALLEST_PART = 1 / 64


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that were made for one purpose, in the dtypes in which an author would have them."""

    kind: str
    """For the report: "sample", "missing age", "threshold of age" …"""
    rows: pd.DataFrame
    column: int | None = None
    """The input that was changed."""
    value: Any = None
    """What it was changed to, where that is one value."""
    divisible: bool = False
    """Rows may be refused one by one; else the group is taken or refused as a whole."""
    must_score: bool = True
    """A raising original is a difference. False for magnitudes far out of the sample, which
    a signature cannot rule out and which the original may well refuse."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the original made of a group: an answer, or the error it raised."""

    group: Group
    answer: Answer | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Original:
    """A trained model and the form in which it takes rows."""

    model: Any
    sample: Sample
    _answer: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_answer", converter_of(self.model).answer)

    def answer(self, rows: pd.DataFrame) -> Answer:
        """The model's own answer; whatever it raises comes through, its warnings don't."""
        with quiet():
            found: Answer = self._answer(self.model, self.sample.container(rows))
        return found

    def outcomes(self, groups: Sequence[Group]) -> list[Outcome]:
        """Every group's outcome, in few calls. A divisible group may come back in parts.

        Groups share a call where their dtypes are equal: a dtype is something that a model
        may decide by (a column of booleans with a missing value is one of objects).
        """
        together = by_dtypes([g for g in groups if len(g.rows)])
        return [o for frame, bucket in together for o in self._together(bucket, frame)]

    def _together(self, groups: Sequence[Group], rows: pd.DataFrame) -> Iterator[Outcome]:
        """`rows`: those of the groups, one below the other."""
        try:
            answer = self.answer(rows)
        except RefusedRowsError as error:
            yield from _row_by_row(groups, error)
            return
        except Exception as error:  # an original may raise anything
            if len(groups) > 1:
                half = len(groups) // 2
                size = sum(len(g.rows) for g in groups[:half])
                yield from self._together(groups[:half], _reset(rows.iloc[:size]))
                yield from self._together(groups[half:], _reset(rows.iloc[size:]))
            elif groups[0].divisible and len(rows) > 1:
                smallest = max(1, int(len(rows) * SMALLEST_PART))
                yield from self._apart(groups[0], smallest)
            else:
                yield Outcome(groups[0], None, f"{type(error).__name__}: {error}")
            return
        start = 0
        for group in groups:
            yield Outcome(group, part(answer, slice(start, start := start + len(group.rows))))

    def _apart(self, group: Group, smallest: int) -> Iterator[Outcome]:
        """Halves, and halves of those that are refused, down to the smallest part."""
        half = len(group.rows) // 2
        for rows in (group.rows.iloc[:half], group.rows.iloc[half:]):
            piece = dataclasses.replace(group, rows=_reset(rows), divisible=False)
            for outcome in self._together([piece], piece.rows):
                if outcome.error and len(rows) > smallest:
                    yield from self._apart(piece, smallest)
                else:
                    yield outcome


def _row_by_row(groups: Sequence[Group], said: RefusedRowsError) -> Iterator[Outcome]:
    """The outcomes of groups, where it is known of each row whether it was refused."""
    start = 0
    for group in groups:
        places = np.arange(start, start := start + len(group.rows))
        refused = said.refused[places]
        if refused.any() and not group.divisible:
            refused = np.ones_like(refused)
        kept, dropped = _some(group, ~refused), _some(group, refused)
        if kept is not None and said.answer is not None:
            yield Outcome(kept, part(said.answer, places[~refused]))
        if dropped is not None:
            yield Outcome(dropped, None, str(said))


def _some(group: Group, chosen: Array) -> Group | None:
    """The group with some of its rows; None for no rows."""
    if chosen.all() or not chosen.any():
        return group if chosen.any() else None
    return dataclasses.replace(group, rows=_reset(group.rows[chosen]), divisible=False)


def by_dtypes(groups: Sequence[Group]) -> list[tuple[pd.DataFrame, list[Group]]]:
    """The groups whose rows have equal dtypes, and those rows, one below the other."""
    alike: dict[tuple[Any, ...], list[Group]] = {}
    for group in groups:
        alike.setdefault(tuple(group.rows.dtypes), []).append(group)
    return [
        (pd.concat([g.rows for g in bucket], ignore_index=True), bucket)
        for bucket in alike.values()
    ]


def _reset(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.reset_index(drop=True)


def part(answer: Answer, rows: slice | Array) -> Answer:
    """The answer for some of the rows."""
    proba, score = answer.probabilities, answer.score
    return type(answer)(
        np.asarray(answer.prediction)[rows],
        None if proba is None else np.asarray(proba)[rows],
        None if score is None else np.asarray(score)[rows],
    )


def whole(answers: Iterable[Answer]) -> Answer:
    """The answers, one below the other."""
    parts = list(answers)

    def stacked(name: str) -> Any:
        found = [np.asarray(getattr(a, name)) for a in parts if getattr(a, name) is not None]
        return np.concatenate(found) if found else None

    return type(parts[0])(stacked("prediction"), stacked("probabilities"), stacked("score"))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings and no progress text: edge rows are meant to be unusual."""
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
