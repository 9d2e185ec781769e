"""Recommendation: the products of users' and items' factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE, INT64
from sqlml.convert.links import row_sum
from sqlml.convert.sklearn.arithmetic import flat
from sqlml.convert.sklearn.frame import Result
from sqlml.convert.spark.frame import Frame, Part, accept, lookup, name_of, numbers
from sqlml.errors import NotConvertibleError
from sqlml.types import INTEGERS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sqlml.convert.graph import Graph

MOST_IDS = 500_000
"""Users or items: each is a row of a constant in the graph."""

_INT = np.iinfo(np.int32)
"""The numbers that ALSModel takes (its `checkIntegers`)."""


def _recommend(g: Graph, stage: Any, frame: Frame) -> Result:
    """ALSModel: the product of two rows of factors, in single precision as there. One that is not
    known gives NaN, and with coldStartStrategy `drop` no row, so that only known ones are accepted.
    """
    user = _factors(g, stage, frame, stage.getUserCol(), stage.userFactors)
    item = _factors(g, stage, frame, stage.getItemCol(), stage.itemFactors)
    product = row_sum(g, g.node("Mul", user, item))
    return Result("regression", g.cast(product, DOUBLE))


def _factors(g: Graph, stage: Any, frame: Frame, name: str, table: DataFrame) -> str:
    """[N, rank] of float32: the factors by the number that a column has."""
    part: Part = numbers(stage, frame, name)
    if part.type not in INTEGERS:
        raise NotConvertibleError(
            name_of(stage),
            f"the sample has a {part.type} in {name!r}, where it raises on what is not whole.",
            "Give a sample with whole numbers.",
        )
    if part.type == "BIGINT" and part.source is not None:
        g.ranges[part.source] = (_INT.min, _INT.max)
    found = table.toArrow()
    if len(found) > MOST_IDS:
        raise NotConvertibleError(
            name_of(stage), f"it knows {len(found):,} of {name!r}, and {MOST_IDS:,} are the most."
        )
    ids = found["id"].to_pylist()
    factors = np.array(found["features"].to_pylist(), dtype="f4").reshape(len(ids), -1)
    if stage.getColdStartStrategy() == "drop":
        accept(g, part.source, ids)
    unknown = np.full((1, factors.shape[1]), np.nan, dtype="f4")
    places = [float(place) for place in range(len(ids))]
    place = lookup(g, part.tensor, [float(i) for i in ids], places, float(len(ids)))
    rows = flat(g, g.cast(place, INT64))
    return g.node("Gather", g.const(np.concatenate([factors, unknown])), rows, axis=0)


TRANSFORMS: dict[str, Any] = {}
PREDICTORS = {"ALSModel": _recommend}
