"""Indexing and encoding of categories: text, numbers, missing and unseen values."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.spark.frame import (
    Element,
    Frame,
    Part,
    accept,
    bits,
    features,
    given,
    lookup,
    name_of,
    negative_zero,
    numbers,
    pairs,
    scalar,
    vector,
)
from sqlml.errors import NotConvertibleError
from sqlml.types import INTEGERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlml.convert.graph import Graph

_OWN_FORM = "Give a sample in the form in which the pipeline was trained."
_UNSEEN, _NULL = 2147483647.0, -1.0
"""TargetEncoder.UNSEEN_CATEGORY and NULL_CATEGORY."""
_EXACT = 2**53
"""Whole numbers up to here are all doubles."""
_WHOLE, _DOUBLE = re.compile(r"0|-?[1-9][0-9]*"), re.compile(r"-?[0-9]+\.[0-9]+(E-?[0-9]+)?")
"""How Java writes numbers."""


def _index(g: Graph, stage: Any, frame: Frame) -> Frame:
    """StringIndexerModel: a value's place among the labels, by its text.

    handleInvalid `keep` puts missing and unseen values behind the last label; `error` and
    `skip` refuse such a row, so that only the labels are accepted in a model input.
    """
    made: Frame = {}
    for (source, target), labels in zip(pairs(stage), stage.labelsArray, strict=True):
        if source not in frame:
            continue  # the column of the labels, which are not there when rows are scored
        part = frame[source]
        if part.vector or not labels:
            raise NotConvertibleError(name_of(stage), f"it has no labels for {source!r}.")
        keys = _keys(stage, part, list(labels))
        x = part.tensor
        if part.type == "DOUBLE" and part.holds == "numbers" and 0.0 in keys:
            # The text of -0.0 is another one than that of 0.0.
            x = g.node("Where", negative_zero(g, x), scalar(g, float("nan")), x)
        keep = stage.getHandleInvalid() == "keep"
        if not keep:
            accept(g, part.source, keys)
        unknown = float(len(labels)) if keep else float("nan")
        places = np.arange(len(keys), dtype="f8")
        place = lookup(g, x, keys, places.tolist(), unknown)
        made[target] = Part(place, (Element("indices", slots=len(labels) + int(keep)),))
    return made


def _keys(stage: Any, part: Part, labels: list[str]) -> list[Any]:
    """The labels as the column holds them: Spark indexes the texts of numbers."""
    if part.kind == "STRING":
        return labels
    if part.type in INTEGERS and all(_WHOLE.fullmatch(text) for text in labels):
        found = [int(text) for text in labels]
        if max(map(abs, found)) <= _EXACT:
            return [float(value) for value in found]
    if part.type == "DOUBLE" and all(_DOUBLE.fullmatch(text) for text in labels):
        values = [float(text) for text in labels]
        if "-0.0" not in labels and len(set(values)) == len(values):
            return values
    raise NotConvertibleError(
        name_of(stage),
        f"its labels ({', '.join(map(repr, labels[:3]))} …) are not texts of a {part.type}, "
        "which the sample has there.",
        _OWN_FORM,
    )


def _one_hot(g: Graph, stage: Any, frame: Frame) -> Frame:
    """OneHotEncoderModel (its `encoder`): dropLast leaves out the last category, of which an
    invalid value is one more with handleInvalid `keep`.
    """
    keep = stage.getHandleInvalid() == "keep"
    made: Frame = {}
    for (source, target), size in zip(pairs(stage), stage.categorySizes, strict=True):
        part = numbers(stage, frame, source)
        size = int(size)
        if not keep and part.type in INTEGERS:
            accept(g, part.source, range(size))
        width = size + int(keep) - int(stage.getDropLast())
        if width < 1:
            raise NotConvertibleError(name_of(stage), f"it gives no columns for {source!r}.")
        encoded = [bits(g, _is_category(g, part, min(width, size)))]
        if width > size:
            low = g.node("GreaterOrEqual", part.tensor, scalar(g, 0.0))
            high = g.node("Less", part.tensor, scalar(g, float(size)))
            encoded.append(bits(g, g.node("Not", g.node("And", low, high))))
        columns = g.concat(encoded)
        if part.source is not None:  # there NULL may come, and stays what it is
            absent = g.node("IsNaN", part.tensor)
            columns = g.node("Where", absent, scalar(g, float("nan")), columns)
        made[target] = Part(columns, (Element("bits", slots=0),) * width, vector=True)
    return made


def _is_category(g: Graph, part: Part, count: int) -> str:
    """[N, count]: which category it is; Spark cuts the fraction off."""
    places = np.arange(count, dtype="f8").reshape(1, -1)
    if part.holds != "numbers" or part.type in INTEGERS:
        return g.node("Equal", part.tensor, g.const(places))
    low = g.node("GreaterOrEqual", part.tensor, g.const(places))
    return g.node("And", low, g.node("Less", part.tensor, g.const(places + 1)))


def _target_encode(g: Graph, stage: Any, frame: Frame) -> Frame:
    """TargetEncoderModel: a category's mean of the target, by its index, drawn to the mean of all;
    what is unseen has the latter with handleInvalid `keep`, and else raises.
    """
    keep = stage.getHandleInvalid() == "keep"
    made: Frame = {}
    for (source, target), stats in zip(pairs(stage), stage._java_obj.stats(), strict=True):
        part = numbers(stage, frame, source)
        table = _drawn(stage, {float(e._1()): (e._2()._1(), e._2()._2()) for e in _items(stats)})
        overall, missing = table.pop(_UNSEEN), table.pop(_NULL, None)
        if not keep:
            accept(g, part.source, list(table))
        unknown = overall if keep else math.nan
        x = lookup(g, part.tensor, list(table), list(table.values()), unknown)
        if missing is not None:
            x = g.node("Where", g.node("IsNaN", part.tensor), scalar(g, missing), x)
        made[target] = Part(x)
    return made


def _drawn(stage: Any, stats: dict[float, tuple[float, float]]) -> dict[float, float]:
    """By category, from the rows that it has and their mean or sum, what it is encoded as."""
    binary = stage.getTargetType() == "binary"
    mean = {c: total / rows if binary else total for c, (rows, total) in stats.items()}
    share = {c: rows / (rows + stage.getSmoothing()) for c, (rows, _) in stats.items()}
    return {c: share[c] * mean[c] + (1 - share[c]) * mean[_UNSEEN] for c in stats}


def _items(scala: Any) -> Iterator[Any]:
    """The entries of a Scala map."""
    entries = scala.iterator()
    while entries.hasNext():
        yield entries.next()


def _index_vector(g: Graph, stage: Any, frame: Frame) -> Frame:
    """VectorIndexerModel: the features with few values become places among these."""
    part = features(stage, frame, stage.getInputCol())
    maps = {int(i): dict(found) for i, found in stage.categoryMaps.items()}
    keep = stage.getHandleInvalid() == "keep"
    columns = []
    for i in range(part.width):
        x = g.columns(part.tensor, [i], part.width)
        if i in maps:
            if 0.0 not in maps[i]:
                raise NotConvertibleError(
                    name_of(stage),
                    "what it makes of a 0 depends on whether the row's vector is sparse, where 0 "
                    f"is none of the values of feature {i}.",
                    "Use StringIndexer, or lower maxCategories.",
                )
            known = sorted(maps[i].items())
            unknown = float(len(known)) if keep else float("nan")
            keys, places = [float(k) for k, _ in known], [float(v) for _, v in known]
            if not keep:
                _accept_element(g, stage, part, i, keys)
            x = lookup(g, x, keys, places, unknown)
        columns.append(x)
    return {stage.getOutputCol(): vector(g.concat(columns), part.width)}


def _accept_element(g: Graph, stage: Any, part: Part, place: int, keys: Sequence[float]) -> None:
    """Of what is computed from inputs, the values that are refused must be known ones, which are
    tried when the model is verified.
    """
    element = part.elements[place]
    if element.holds == "numbers" and element.source is None:
        raise NotConvertibleError(
            name_of(stage),
            f"it {'raises on' if stage.getHandleInvalid() == 'error' else 'drops'} values of "
            f"feature {place} that training did not have, which SQL cannot rule out in what is "
            "computed, or in an ARRAY.",
            "Use handleInvalid='keep', or let it follow the VectorAssembler.",
        )
    accept(g, element.source, keys)


def decoded(stage: Any, classes: int) -> tuple[str, ...]:
    """IndexToString: the labels of a prediction."""
    labels = given(stage, "labels")
    if not labels:
        raise NotConvertibleError(
            name_of(stage),
            "it has no labels of its own.",
            "Give them: IndexToString(labels=indexer.labels, …).",
        )
    if len(labels) < classes or len(set(labels[:classes])) < classes:
        raise NotConvertibleError(
            name_of(stage), f"its {len(labels)} labels do not name the model's {classes} classes."
        )
    return tuple(str(label) for label in labels[:classes])


TRANSFORMS = {
    "StringIndexerModel": _index,
    "OneHotEncoderModel": _one_hot,
    "TargetEncoderModel": _target_encode,
    "VectorIndexerModel": _index_vector,
}
PREDICTORS: dict[str, Any] = {}
