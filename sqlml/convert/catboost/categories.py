"""What CatBoost's trees ask of a row, categories among it, as columns of numbers.

CatBoost knows a category by a hash of 32 bits of its text. It asks whether it is one certain
category (one-hot), or for a statistic of the training's target: a number that a table has for
the hash of one category, or of several together with answers to other questions
(libs/model/static_ctr_provider.cpp, libs/model/ctr_data.h, online_ctr.h). The tables have hashes
only. Which value bears which hash CatBoost says of the sample's values; if these bear all the
hashes of the training, every value has its number, and a value that is not among them has the
number of what was never seen. (Unless its hash of 32 bits is by chance one of theirs.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.catboost.source import json_of
from sqlml.convert.categories import HALF, MOST_CELLS, Categories, looked_up, picked
from sqlml.convert.graph import DOUBLE
from sqlml.errors import NotConvertibleError, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.convert.catboost.source import Source
    from sqlml.convert.graph import Graph

    Array = np.ndarray[Any, Any]

_MAGIC = np.uint64(0x4906BA494954CB65)

_NO_HASH = 2**64 - 1
"""Stands in a table for a place without a hash."""


@dataclass(frozen=True, slots=True)
class Split:
    """A row goes right where its number in the column is above the border."""

    column: int
    border: float
    missing_below: bool = True
    """Whether NaN is not above it."""


@dataclass(frozen=True, slots=True)
class _Above:
    """The question whether a number is above a border: 1 or 0."""

    column: int
    border: float
    missing_above: bool


@dataclass(frozen=True, slots=True)
class _Is:
    """The question whether a feature is one certain category: 1 or 0."""

    feature: int
    """Among the categorical ones."""
    hash: int
    """Of 32 bits with a sign."""


@dataclass(frozen=True, slots=True)
class _Projection:
    """What a table's hashes are made of: categories, and answers to questions, in this order."""

    features: tuple[int, ...]
    """Among the categorical ones."""
    questions: tuple[_Above | _Is, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class _Table:
    """A number for each hash that the training saw, and one for all others."""

    hashes: Array
    numbers: Array
    other: float

    def of(self, hashes: Array) -> Array:
        """The number of each hash, and as one more the other one."""
        order = np.argsort(self.hashes)
        at = np.searchsorted(self.hashes, hashes, sorter=order).clip(max=len(order) - 1)
        found = self.hashes[order[at]] == hashes
        return np.append(np.where(found, self.numbers[order[at]], self.other), self.other)


class Columns:
    """The columns that splits ask for: the features, and behind them those of categories."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._floats = {f["feature_index"]: f for f in source.features("float_features")}
        self._ctrs = source.features("ctrs")
        # A split by a statistic bears its number among all borders and values that are asked for.
        before = [f.get("borders") or () for f in self._floats.values()]
        before += [f.get("values") or () for f in source.features("categorical_features")]
        self._first = sum(map(len, before))
        self._borders = [(i, b) for i, ctr in enumerate(self._ctrs) for b in ctr["borders"]]
        self._places: dict[_Is | int, int] = {}
        """By the question for a category, or the number of a statistic."""

    def split(self, content: Mapping[str, Any]) -> Split:
        """A split of the file. Raises `NotConvertibleError` for one that is not known."""
        kind = content["split_type"]
        if kind == "FloatFeature":
            above = self._above(content)
            return Split(above.column, above.border, not above.missing_above)
        if kind == "OneHotFeature":
            return Split(self._place(_Is(content["cat_feature_index"], content["value"])), HALF)
        if kind == "OnlineCtr":
            number, border = self._borders[content["split_index"] - self._first]
            if border == content["border"]:
                return Split(self._place(number), _single(border))
        raise NotConvertibleError(
            self._source.kind, f"a tree has a split of type {kind} in a form that is not known."
        )

    def tensors(self, g: Graph, model: Any, x: str, coded: Mapping[int, Categories]) -> list[str]:
        """The columns behind the features, [N, …] of doubles: one tensor, or none.

        `x`: [N, features] of doubles; `coded`: by the number of a feature, its categories.
        Raises `NotConvertibleError` where not all categories of the training are among these.
        """
        if not self._places:
            return []
        asked: dict[_Projection, dict[_Is | int, _Table]] = {}
        for key in self._places:
            projection, table = self._table(key)
            asked.setdefault(projection, {})[key] = table
        maker = _Maker(g, self._source, model, x, coded)
        made = g.concat([maker.columns(p, [*tables.values()]) for p, tables in asked.items()])
        stands = {key: i for i, key in enumerate(k for tables in asked.values() for k in tables)}
        return [g.columns(made, [stands[key] for key in self._places], len(stands))]

    def _place(self, key: _Is | int) -> int:
        return self._places.setdefault(key, len(self._source.names) + len(self._places))

    def _table(self, key: _Is | int) -> tuple[_Projection, _Table]:
        if isinstance(key, _Is):
            alone = np.zeros(1, np.uint64)
            hashes = _with(alone, np.array([key.hash]))
            return _Projection((key.feature,)), _Table(hashes, np.ones(1), 0.0)
        ctr = self._ctrs[key]
        table = _statistic(self._source.kind, ctr, self._source.content["ctr_data"])
        features: list[int] = []
        questions: list[_Above | _Is] = []
        for element in ctr["elements"]:
            kind = element["combination_element"]
            if kind == "cat_feature_value":
                features.append(int(element["cat_feature_index"]))
            elif kind == "cat_feature_exact_value":
                questions.append(_Is(element["cat_feature_index"], element["value"]))
            else:
                questions.append(self._above(element))
        return _Projection(tuple(features), tuple(questions)), table

    def _above(self, content: Mapping[str, Any]) -> _Above:
        feature = self._floats[content["float_feature_index"]]
        missing = feature["has_nans"] and feature["nan_value_treatment"] == "AsTrue"
        return _Above(feature["flat_feature_index"], _single(content["border"]), missing)


class _Maker:
    """The columns of a projection, in a graph."""

    def __init__(
        self, g: Graph, source: Source, model: Any, x: str, coded: Mapping[int, Categories]
    ) -> None:
        self._g, self._source, self._x = g, source, x
        self._flat = [f["flat_feature_index"] for f in source.features("categorical_features")]
        self._categories = [coded[i] for i in self._flat]
        hashes = _hashes(model, source, coded)
        self._hashes = [hashes[i] for i in self._flat]

    def columns(self, projection: _Projection, tables: Sequence[_Table]) -> str:
        """[N, tables]: the numbers of each row's hash."""
        sizes = [len(self._hashes[f]) for f in projection.features]
        sizes += [2 for _ in projection.questions]
        names = listed([self._source.names[self._flat[f]] for f in projection.features])
        if math.prod(sizes) * len(tables) > MOST_CELLS:
            raise NotConvertibleError(
                self._source.kind,
                f"the categories of {names} may be together in {math.prod(sizes):,} ways, and "
                f"have {len(tables)} statistics.",
                "Train with max_ctr_complexity=1, or with fewer categories.",
            )
        grid = np.indices(sizes).reshape(len(sizes), -1)
        hashes = np.zeros(grid.shape[1], np.uint64)
        for feature, codes in zip(projection.features, grid, strict=False):
            hashes = _with(hashes, self._hashes[feature][codes])
        for answers in grid[len(projection.features) :]:
            hashes = _with(hashes, answers)
        known = np.zeros(len(hashes), np.bool_)
        for table in tables:
            if lacking := int((~np.isin(table.hashes, hashes)).sum()):
                raise NotConvertibleError(
                    self._source.kind,
                    f"the sample lacks categories of {names}: of {len(table.hashes):,} "
                    f"{'combinations' if len(sizes) > 1 else 'values'} that the model knows by "
                    f"their hashes, {lacking:,} cannot be named.",
                    "Give a sample that has every category of the training: of each column "
                    f"that is categorical, X.drop_duplicates({names.partition(', ')[0]!r}) has.",
                )
            known |= np.isin(hashes, table.hashes)
        if len(sizes) == 1:
            place = self._categories[projection.features[0]]
        else:
            place = self._together(projection, sizes, grid[:, known])
            hashes = hashes[known]
        found = np.stack([table.of(hashes) for table in tables], axis=1)
        return picked(self._g, place, _also_missing(found))

    def _together(self, projection: _Projection, sizes: Sequence[int], grid: Array) -> Categories:
        """The combinations that a table knows as categories of one number each, [N, 1].

        A value that has no code is one more of its feature, and so in no combination.
        """
        g, total, factor = self._g, "", 1
        numbers = np.zeros(grid.shape[1], np.int64)
        parts = [self._code(f) for f in projection.features]
        parts += [self._answer(question) for question in projection.questions]
        for part, size, codes in zip(parts, sizes, grid, strict=True):
            scaled = g.node("Mul", part, g.const(float(factor))) if total else part
            total = g.node("Add", total, scaled) if total else scaled
            numbers += factor * codes
            factor *= size + 1
        return Categories(total, {int(n): i for i, n in enumerate(numbers)}, text=False)

    def _code(self, feature: int) -> str:
        """[N, 1]: the code of each value, and one more for what is none."""
        categories = self._categories[feature]
        codes = list(categories.codes.values())
        return looked_up(self._g, categories, codes, len(codes), len(codes))

    def _answer(self, question: _Above | _Is) -> str:
        """[N, 1]: 1.0 for yes and 0.0 for no."""
        g = self._g
        if isinstance(question, _Is):
            answers = _with(np.zeros(1, np.uint64), np.array([question.hash]))
            hashes = _with(np.zeros(1, np.uint64), self._hashes[question.feature])
            table = _Table(answers, np.ones(1), 0.0).of(hashes)
            return picked(g, self._categories[question.feature], _also_missing(table[:, None]))
        x = g.columns(self._x, [question.column], len(self._source.names))
        yes = g.node("Greater", x, g.const(question.border))
        if question.missing_above:
            yes = g.node("Or", yes, g.node("IsNaN", x))
        return g.node("Cast", yes, to=DOUBLE)


def _single(border: float) -> float:
    """A border; the file has the nine digits that tell one float32 from another."""
    return float(np.float32(border))


def _with(hashes: Array, more: Array) -> Array:
    """Hashes of what stood before, each with one thing more (CalcHash)."""
    wide = more.astype(np.int64).astype(np.uint64)
    made: Array = _MAGIC * (hashes + _MAGIC * wide)
    return made


def _hashes(model: Any, source: Source, coded: Mapping[int, Categories]) -> dict[int, Array]:
    """By the number of a feature, the hash of each category in the order of its codes.

    CatBoost says them of the values of a pool, and of a value in any feature the same.
    """
    import catboost
    import pandas as pd

    # As CatBoost does it, a whole number is taken for its text, and a boolean for 0 or 1.
    texts = {i: [v if isinstance(v, str) else str(int(v)) for v in coded[i].codes] for i in coded}
    every = [text for values in texts.values() for text in values]
    rows = pd.DataFrame(
        {
            i: pd.Series(every, dtype=object) if i in coded else np.zeros(len(every))
            for i in range(len(source.names))
        }
    ).set_axis(source.names, axis=1)
    content = json_of(model, catboost.Pool(rows, cat_features=source.categorical))
    said = content["features_info"]["cat_features_hash"]
    hashes = {entry["value"]: entry["hash"] for entry in said}
    return {
        i: np.array([hashes[text] for text in values], np.uint32).view(np.int32)
        for i, values in texts.items()
    }


def _statistic(kind: str, ctr: Mapping[str, Any], tables: Mapping[str, Any]) -> _Table:
    """What CatBoost computes of a table's counts, in float32 (model_ctr.h: Calc)."""
    content, name = tables[ctr["identifier"]], ctr["ctr_type"]
    entries = np.array(content["hash_map"], dtype=object).reshape(-1, content["hash_stride"])
    hashes = np.array([int(h) for h in entries[:, 0]], np.uint64)
    entries = entries[hashes != _NO_HASH, 1:].astype(np.float64)
    hashes = hashes[hashes != _NO_HASH]
    at = ctr["target_border_idx"]
    if name in ("Counter", "FeatureFreq"):
        good, every = entries[:, 0], np.full(len(entries), content["counter_denominator"])
        other = (0.0, content["counter_denominator"])
    elif name == "Buckets":
        good, every, other = entries[:, at], entries.sum(axis=1), (0.0, 0.0)
    elif name == "Borders":
        good, every, other = entries[:, at + 1 :].sum(axis=1), entries.sum(axis=1), (0.0, 0.0)
    elif name in ("BinarizedTargetMeanValue", "FloatTargetMeanValue"):
        good, every, other = entries[:, 0], entries[:, 1], (0.0, 0.0)
    else:
        raise NotConvertibleError(kind, f"a statistic is of type {name}, which is not known.")

    def calc(good: Any, every: Any) -> Array:
        single = np.float32
        above = np.asarray(good, single) + single(ctr["prior_numerator"])
        ratio = above / (np.asarray(every, single) + single(ctr["prior_denomerator"]))
        return (ratio + single(ctr["shift"])) * single(ctr["scale"])

    numbers = calc([*good, other[0]], [*every, other[1]]).astype(np.float64)
    return _Table(hashes, numbers[:-1], float(numbers[-1]))


def _also_missing(table: Array) -> Array:
    """A table whose last row is for what is no category, with one more for a missing value."""
    return np.concatenate([table, table[-1:]])
