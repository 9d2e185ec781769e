"""Edge rows: what a query may bring and a sample need not have.

Every edge row is a row of the sample with one value replaced, so that the rest of it is
something the model was made for. The choice of rows is random with a fixed seed: the same
model and sample give the same rows.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sqlml import types
from sqlml.parity.original import Group
from sqlml.parity.rows import replaced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlml.parity.provenance import Facts
    from sqlml.sample import Column, Sample
    from sqlml.signature import Input

    Array = np.ndarray[Any, Any]

BASES = 5
"""Rows of the sample in which a value is tried."""

MOST_CATEGORIES = 2_000
"""Values of one column that are tried one by one."""

UNSEEN_TEXTS = ("", " ", "nan", "None", "NULL", "sqlml: unseen", "x" * 300, "\N{SEEDLING}")

BETWEEN = ("", "-", "_", "'", ".", "\t", "\n", "  ", "\u00a0", "\u200b", "\u3000", "\x1c", "\0")
"""What may stand between words: which of these part them is told by nobody but the original."""

WRITTEN = (
    "\u0130STANBUL I\u0131",  # a lower case of two characters
    "\u039f\u0394\u039f\u03a3 \u03a3 \u03a3\u0391",  # a sigma that ends a word, and others
    "STRA\u1e9eE stra\u00dfe",
    "CAFE\u0301 CAF\u00c9 na\u00efve \ufb01ne \u2460 \u00b2 \u216b",
    "\u0661\u0662 1\u066b5 1e5 a1 _a_ a__b",
    "\u6771\u4eac\u90fd \u3068\u3046 \ud55c\uad6d\uc5b4 \u0e44\u0e17\u0e22",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u05e9\u05b8\u05c1 \u0645\u064e",  # marks within words
    "\U0001f600a\U0001f469\u200d\U0001f469b \U00010400\U00010428",
    "a b c, x.y; don't (2) $5 #tag @me",
)

DENORMALS = (5e-324, -1e-310, 1e-40, -1e-45)
"""Of double and of float32: a runtime may take them for zero."""

MISSING, INFINITE, UNSEEN, CATEGORY = "missing", "infinite", "unseen value of", "category of"


@dataclass(frozen=True, slots=True)
class Edges:
    """What edge rows are made of: the sample, the model's inputs and what it compares with."""

    sample: Sample
    inputs: tuple[Input, ...]
    facts: Facts
    markers: dict[int, Any] = field(default_factory=dict)
    """By input, what stands for a missing value where that is not the sample's own marker."""
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def column(self, index: int) -> Column:
        """The sample's column of an input."""
        name = self.inputs[index].name
        return next(c for c in self.sample.columns if c.name == name)

    def marker(self, index: int) -> Any:
        """What a missing value of the input is to the original."""
        return self.markers.get(index, self.column(index).missing)

    def probes(self) -> list[Group]:
        """The rows from which it is seen what each input takes."""
        # Kinds before columns: what is refused alike stands together, and one call tells it.
        numbers = range(len(self.inputs))
        return [
            *(g for i in numbers for g in self._missing(i)),
            *(g for i in numbers for g in self._infinite(i)),
            *(g for i in numbers for g in self._categories(i)),
            *(g for i in numbers for g in self._unseen(i)),
            *(g for i in numbers for g in self._zeros(i)),
            *(g for i in numbers for g in self._large(i)),
        ]

    def missing_together(self, taking: Sequence[int], most: int = 60) -> Iterator[Group]:
        """Rows in which several inputs are missing: pairs of neighbours, and all of them."""
        step = max(1, len(taking) // most)
        pairs = list(itertools.pairwise(taking))[::step]
        for chosen in [*pairs, tuple(taking)]:
            if len(chosen) > 1:
                names = [self.inputs[i].name for i in chosen]
                bases = self.bases()
                changes = {
                    name: [self._changed(base, i, self.marker(i)) for base in bases]
                    for name, i in zip(names, chosen, strict=True)
                }
                rows = replaced(self.sample.frame, bases, changes)
                shown = " and ".join(names) if len(names) == 2 else "every input that may be"
                yield Group(f"{MISSING} {shown}", rows)

    def group(
        self, kind: str, index: int, values: Sequence[Any], count: int = BASES, **facts: Any
    ) -> Group:
        """Each value, in a few rows of the sample."""
        bases = self.bases(index, count)
        changed = [self._changed(base, index, v) for v in values for base in bases]
        rows = replaced(
            self.sample.frame,
            list(bases) * len(values),
            {self.inputs[index].name: changed},
        )
        value = values[0] if len(values) == 1 else None
        return Group(f"{kind} {self.inputs[index].name}", rows, index, value, **facts)

    def _changed(self, base: int, index: int, value: Any) -> Any:
        """The value for an input in a row; of an ARRAY, the row's own with the value in it."""
        field = self.inputs[index]
        if field.width is None:
            return value
        own = np.asarray(self.sample.frame[field.name].iloc[base])
        array = own.astype(np.result_type(own, np.asarray(value)))
        array[self.random.integers(field.width)] = value
        return array

    def element(self, index: int) -> str:
        """The type of the input, or of its elements."""
        kind = self.inputs[index].type
        return types.element_of(kind) or kind

    def limits(self, index: int) -> tuple[int, int]:
        """The least and the greatest value of an integer input, as the sample's column has it."""
        return _limits(self._dtype(index), self.element(index))

    def _holds(self, index: int, value: Any) -> bool:
        """Whether the sample's column can hold the value."""
        if self.element(index) not in types.INTEGERS:
            return True
        least, most = self.limits(index)
        return bool(least <= value <= most)

    def numbers(self, index: int) -> Array:
        """All numbers of an input in the sample, as doubles."""
        values = self.sample.frame[self.inputs[index].name]
        if self.inputs[index].width is not None:
            return np.stack([np.asarray(v, dtype="float64") for v in values]).ravel()
        return values.to_numpy(dtype="float64")

    def has_missing(self, index: int) -> bool:
        """Whether the sample itself has a missing value in the input."""
        if self.inputs[index].width is not None:
            return bool(np.isnan(self.numbers(index)).any())
        return bool(self.sample.frame[self.inputs[index].name].isna().any())

    def bases(self, index: int | None = None, count: int = BASES) -> list[int]:
        """Some rows of the sample, those in which the input is missing left out."""
        places = np.arange(len(self.sample))
        if index is not None:
            there = self.sample.frame[self.inputs[index].name].notna().to_numpy()
            places = places[there] if there.any() else places
        chosen = self.random.choice(places, size=min(count, len(places)), replace=False)
        return [int(i) for i in chosen]

    def known_values(self, index: int) -> list[Any]:
        """The values of a column that the sample has and those that the graph names."""
        field, column = self.inputs[index], self.column(index)
        if field.below is not None:
            # Each entry is looked up alike: the first, the last and those of the sample show it.
            inside = sorted({0, field.below - 1, *self.numbers(index).tolist()})
            return [int(v) for v in inside if v < field.below][:MOST_CATEGORIES]
        if field.width is not None:
            return list(field.categories or ())
        seen = [_plain(v) for v in self.sample.frame[column.name].dropna().unique()]
        if column.categorical:
            kind = self.sample.frame[column.name].dtype
            seen += [_plain(v) for v in kind.categories if v not in seen]  # type: ignore[union-attr]
        named = (_as_type(k, field.type) for k in self.facts.keys.get(index, ()))
        held = [k for k in named if k is not None and self._holds(index, k)]
        values = dict.fromkeys([*seen, *held, *(field.categories or ())])
        return sorted(values, key=lambda v: (str(type(v)), v))

    def discrete(self, index: int) -> bool:
        """Whether the input may stand for categories, whose unknown values may be refused."""
        if self.inputs[index].width is not None:
            return self.inputs[index].below is not None
        kind = self.inputs[index].type
        return kind not in ("FLOAT", "DOUBLE") or bool(self.facts.keys.get(index))

    def _missing(self, index: int) -> Iterator[Group]:
        column = self.column(index)
        yield self.group(MISSING, index, [column.missing])
        had = self.has_missing(index)
        plain_objects = self.sample.frame[column.name].dtype == object
        if column.type == "STRING" and plain_objects and not had and column.missing is not None:
            # The author's data may know either; the sample does not tell.
            yield self.group(MISSING, index, [None])

    def _infinite(self, index: int) -> Iterator[Group]:
        if self.element(index) in ("FLOAT", "DOUBLE"):
            yield self.group(INFINITE, index, [np.inf])
            yield self.group(INFINITE, index, [-np.inf])

    def _categories(self, index: int) -> Iterator[Group]:
        if self.discrete(index):
            for value in self.known_values(index)[:MOST_CATEGORIES]:
                yield self.group(CATEGORY, index, [value], count=2)

    def _unseen(self, index: int) -> Iterator[Group]:
        if self.discrete(index):
            known = set(self.known_values(index))
            for value in self._strange(index, known):
                if value not in known:
                    yield self.group(UNSEEN, index, [value])

    def _strange(self, index: int, known: set[Any]) -> Iterable[Any]:
        kind = self.element(index)
        if index in self.facts.texts:
            return (*UNSEEN_TEXTS, *self._sentences(index))
        if kind == "STRING":
            return UNSEEN_TEXTS
        if kind == "BOOLEAN":
            return (False, True)
        if not known:
            return ()
        below = self.inputs[index].below
        if below is not None:
            beyond = (-1, below, below + 1, 2**31, 2**62, -(2**62))
            return tuple(v for v in beyond if self._holds(index, v))
        low, high = min(known), max(known)
        if kind in ("FLOAT", "DOUBLE"):
            return (0.0, low - 1.0, high + 1.0, low + 0.37 * (high - low))
        gaps = (v for v in range(int(low), int(min(high, low + 10_000))) if v not in known)
        values = (0, -1, low - 1, high + 1, next(gaps, high + 2))
        return tuple(dict.fromkeys(v for v in values if self._holds(index, v)))

    def _sentences(self, index: int) -> list[str]:
        """The sample's texts in other letters and with other characters between the words."""
        column = self.sample.frame[self.inputs[index].name]
        texts = [str(column.iloc[i]) for i in self.bases(index)]
        words = [word for text in texts for word in text.split()] or ["word"]
        return [
            *(change(text) for text in texts for change in (str.upper, str.title, str.swapcase)),
            *(between.join(words[:40]) for between in BETWEEN),
            " ".join(words * 50),
            *WRITTEN,
        ]

    def _zeros(self, index: int) -> Iterator[Group]:
        kind = self.element(index)
        if kind in ("FLOAT", "DOUBLE"):
            yield self.group("zero", index, [0.0, -0.0])
        elif kind in types.INTEGERS and 0 not in self._unknown_zero(index):
            yield self.group("zero", index, [0])

    def _unknown_zero(self, index: int) -> tuple[int, ...]:
        """Zero, where it is tried as an unseen value already."""
        return (0,) if 0 not in self.known_values(index) else ()

    def _large(self, index: int) -> Iterator[Group]:
        kind, values = self.element(index), []
        if kind in ("FLOAT", "DOUBLE"):
            numbers = self.numbers(index)
            finite = np.abs(numbers[np.isfinite(numbers)])
            largest = float(finite.max()) if len(finite) else 1.0
            far = 1e3 * max(largest, 1.0)
            values = [*DENORMALS, 1e-30, far, -far]
            traces = [t for e in self.facts.ensembles for t in e.columns if t is not None]
            if any(t.input == index for t in traces):  # elsewhere distances turn into ties
                values += [1e38, -1e38]
        elif kind in types.INTEGERS:
            # The first integer that float32 does not have.
            values = [v for v in (2**24 + 1, -(2**24) - 1) if self._holds(index, v)]
        for value in values:
            yield self.group("far", index, [value], must_score=False)

    def _dtype(self, index: int) -> Any:
        return self.sample.frame[self.inputs[index].name].dtype


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _as_type(key: Any, kind: str) -> Any:
    """A graph's constant as a value of the column; None for what cannot be one."""
    if kind == "STRING":
        return key if isinstance(key, str) else None
    if isinstance(key, str):
        return None
    if kind == "BOOLEAN":
        return bool(key) if key in (0, 1) else None
    if kind in types.INTEGERS:
        return int(key) if np.isfinite(key) and int(key) == key else None
    return float(key)


def _limits(dtype: Any, kind: str) -> tuple[int, int]:
    """The least and the greatest value that both an integer column and its SQL type hold.

    >>> _limits(np.dtype("uint16"), "INT")
    (0, 65535)
    """
    sql = np.iinfo(types.SCALARS[kind].arrow)
    numpy = getattr(dtype, "numpy_dtype", dtype)
    if isinstance(dtype, pd.CategoricalDtype) or numpy.kind not in "iu":
        return int(sql.min), int(sql.max)
    own = np.iinfo(numpy)
    return max(int(own.min), int(sql.min)), min(int(own.max), int(sql.max))


def changed_rows(
    frame: pd.DataFrame, bases: Sequence[int], changes: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """The rows `bases` of the frame, each with its own changes."""
    columns = {}
    for name in dict.fromkeys(name for change in changes for name in change):
        values = frame[name].iloc[list(bases)].tolist()
        columns[name] = [c.get(name, v) for c, v in zip(changes, values, strict=True)]
    return replaced(frame, bases, columns)
