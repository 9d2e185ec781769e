"""A graph that is built to see which steps convert, past the first that does not.

A step that is refused gives zeros in the place of its answer, so that what comes after it is
tried too. Nothing is scored by such a graph.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import INT64, STRING, Graph
from sqlml.convert.sklearn.frame import Part, Result, Table, name_of
from sqlml.convert.trying import WHOLE, Step
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T", Table, Result)


def _members(step: Any) -> list[tuple[Any, ...]]:
    final = getattr(step, "final_estimator_", None)
    return [*step.named_estimators_.items(), ("final_estimator", final)]


# Class → the names that an author gave to the steps inside.
_NAMES: dict[str, Callable[[Any], list[tuple[Any, ...]]]] = {
    "Pipeline": lambda step: step.steps,
    "ColumnTransformer": lambda step: step.transformers_,
    "FeatureUnion": lambda step: step.transformer_list,
    **dict.fromkeys(
        ("VotingClassifier", "VotingRegressor", "StackingClassifier", "StackingRegressor"),
        _members,
    ),
}

_AFTER = "it was not tried: what the steps before it give is not known."


class Trial(Graph):
    """A graph under construction that notes down what became of each step."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[Step] = []
        self._names: dict[int, str] = {}
        self._within: tuple[str, ...] = ()
        self._invented: set[str] = set()
        """Columns of zeros in the place of what a refused step gives."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """In the order of computation; members that are alike, such as a bag's, are one."""
        return tuple(dict.fromkeys(self._steps))

    def transformed(
        self, how: Callable[[Graph, Any, Table], Table], step: Any, table: Table
    ) -> Table:
        """The nodes of `step.transform`, or zeros."""
        return self._tried(how, step, table, self._no_columns)

    def predicted(
        self, how: Callable[[Graph, Any, Table], Result], step: Any, table: Table
    ) -> Result:
        """The nodes of `step.predict`, or zeros."""
        return self._tried(how, step, table, self._no_answer)

    def _tried(
        self,
        how: Callable[[Graph, Any, Table], T],
        step: Any,
        table: Table,
        instead: Callable[[Any, Table], T],
    ) -> T:
        names = _NAMES.get(name_of(step))
        if names is not None:
            self._names |= {id(inner): str(name) for name, inner, *_ in names(step)}
        outside: tuple[str, ...] = self._within
        own = self._names.get(id(step), "estimator")
        inside = (*outside, own) if self._steps else ()
        at = len(self._steps)
        self._steps.append(Step(" / ".join(inside) or WHOLE, name_of(step)))
        reasons: list[str] = []
        for known in self._guesses(_filled(step, table)):
            self._within = inside
            try:
                return how(self, step, known)
            except NotConvertibleError as error:
                reasons.append(error.reason)
            except Exception:  # a step may stumble upon the zeros of a refused one
                if all(other.converts for other in self._steps):
                    raise
            finally:
                self._within = outside
        self._steps[at] = dataclasses.replace(self._steps[at], reason=[*reasons, _AFTER][0])
        return instead(step, table)

    def _guesses(self, table: Table) -> Iterator[Table]:
        """The table; then with texts in the place of a refused step's zeros, which it may give."""
        yield table
        texts = tuple(
            dataclasses.replace(part, tensor=self.cast(part.tensor, STRING), kind="STRING")
            if part.tensor in self._invented
            else part
            for part in table.parts
        )
        if texts != table.parts:
            yield dataclasses.replace(table, parts=texts)

    def _no_columns(self, step: Any, table: Table) -> Table:
        try:
            width = len(step.get_feature_names_out())
        except Exception:  # an author's own class may raise anything; the next step knows
            width = 0
        zeros = self._zeros(max(width, 1), table)
        self._invented.add(zeros)
        return Table((Part(zeros, width),))

    def _no_answer(self, step: Any, table: Table) -> Result:
        classes = getattr(step, "classes_", None)
        if classes is None and hasattr(step, "fit_predict"):
            flat = self.node("Reshape", self._zeros(1, table), self.const([-1], "int64"))
            return Result("clustering", self.cast(flat, INT64))
        if classes is None:
            return Result("regression", self._zeros(1, table))
        count = len(classes)
        return Result(
            "classification",
            probabilities=self._zeros(count, table),
            classes=tuple(classes),
            decision=self._zeros(1 if count == 2 else count, table),
        )

    def _zeros(self, width: int, table: Table) -> str:
        return self.rows_like(np.zeros(width), table.parts[0].tensor)


def _filled(step: Any, table: Table) -> Table:
    """The table with as many columns of zeros, in the place of unknown ones, as the step takes."""
    unknown = next((i for i, part in enumerate(table.parts) if not part.width), None)
    wanted = getattr(step, "n_features_in_", None)
    if unknown is None or wanted is None:
        return table
    parts = [part for i, part in enumerate(table.parts) if part.width or i == unknown]
    missing = max(int(wanted) - table.width, 1)
    where = parts.index(table.parts[unknown])
    parts[where] = dataclasses.replace(parts[where], width=missing)
    return dataclasses.replace(table, parts=tuple(parts), names=None)
