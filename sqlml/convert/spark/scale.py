"""Scalers, imputation, buckets and thresholds of numbers."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.links import row_sum
from sqlml.convert.spark.frame import (
    Element,
    Frame,
    Part,
    bits,
    features,
    floats,
    given,
    name_of,
    negative_zero,
    numbers,
    pairs,
    row,
    scalar,
    vector,
)
from sqlml.errors import NotConvertibleError
from sqlml.types import INTEGERS

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


def _inverse(values: Any) -> np.ndarray[Any, Any]:
    """What Spark multiplies by instead of dividing: 0 where a feature does not vary."""
    found = floats(values)
    inverse: np.ndarray[Any, Any] = np.divide(
        1.0, found, out=np.zeros_like(found), where=found != 0
    )
    return inverse


def _scaled(g: Graph, stage: Any, frame: Frame, shift: Any, factor: Any) -> Frame:
    """StandardScalerModel.getTransformFunc: minus the shift, times the factor, where given."""
    part = features(stage, frame, stage.getInputCol())
    x = part.tensor
    if shift is not None:
        x = g.node("Sub", x, row(g, shift))
    if factor is not None:
        x = g.node("Mul", x, row(g, factor))
    return {stage.getOutputCol(): vector(x, part.width)}


def _standard(g: Graph, stage: Any, frame: Frame) -> Frame:
    shift = stage.mean if stage.getWithMean() else None
    return _scaled(g, stage, frame, shift, _inverse(stage.std) if stage.getWithStd() else None)


def _robust(g: Graph, stage: Any, frame: Frame) -> Frame:
    shift = stage.median if stage.getWithCentering() else None
    factor = _inverse(stage.range) if stage.getWithScaling() else None
    return _scaled(g, stage, frame, shift, factor)


def _max_abs(g: Graph, stage: Any, frame: Frame) -> Frame:
    largest = floats(stage.maxAbs)
    return _scaled(g, stage, frame, None, 1.0 / np.where(largest == 0, 1.0, largest))


def _min_max(g: Graph, stage: Any, frame: Frame) -> Frame:
    """MinMaxScalerModel.transform: NaN stays, a feature that did not vary becomes the middle."""
    part = features(stage, frame, stage.getInputCol())
    low, high = float(stage.getMin()), float(stage.getMax())
    least = floats(stage.originalMin)
    extent = floats(stage.originalMax) - least
    factor = np.divide(high - low, extent, out=np.zeros_like(extent), where=extent != 0)
    product = g.node("Mul", g.node("Sub", part.tensor, row(g, least)), row(g, factor))
    x = g.node("Add", product, scalar(g, low))
    if not factor.all():
        number = g.node("Not", g.node("IsNaN", part.tensor))
        constant = g.node("And", number, g.const((factor == 0).reshape(1, -1)))
        x = g.node("Where", constant, scalar(g, (low + high) / 2), x)
    return {stage.getOutputCol(): vector(x, part.width)}


def _normalise(g: Graph, stage: Any, frame: Frame) -> Frame:
    part = features(stage, frame, stage.getInputCol())
    x, p = part.tensor, float(stage.getP())
    if p == 1.0:
        norm = row_sum(g, g.node("Abs", x))
    elif p == 2.0:
        norm = g.node("Sqrt", row_sum(g, g.node("Mul", x, x)))
    else:
        raise NotConvertibleError(
            name_of(stage), f"its norm p={p:g} has no form here.", "Use p=1 or p=2."
        )
    empty = g.node("Equal", norm, scalar(g, 0.0))
    factor = g.node("Div", scalar(g, 1.0), g.node("Where", empty, scalar(g, 1.0), norm))
    return {stage.getOutputCol(): vector(g.node("Mul", x, factor), part.width)}


def _impute(g: Graph, stage: Any, frame: Frame) -> Frame:
    """ImputerModel: NULL is imputed as the marker is, and the result has the column's own type."""
    found = stage.surrogateDF.first().asDict()
    marker = float(stage.getMissingValue())
    made: Frame = {}
    for source, target in pairs(stage):
        part = numbers(stage, frame, source)
        value = float(found[source])
        if part.type in INTEGERS:
            value = float(math.trunc(value))
        elif part.type == "FLOAT":
            value = float(np.float32(value))
        x = part.tensor
        absent = g.node("IsNaN", x)
        if not math.isnan(marker):
            absent = g.node("Or", absent, g.node("Equal", x, scalar(g, marker)))
        filled = g.node("Where", absent, scalar(g, value), x)
        elements = tuple(dataclasses.replace(e, source=None) for e in part.elements)
        made[target] = dataclasses.replace(part, tensor=filled, elements=elements)
    return made


def _bucket(g: Graph, stage: Any, frame: Frame) -> Frame:
    """Bucketizer (its `binarySearchForBuckets`): how many splits a number reaches.

    Java's search sorts -0.0 below a split at 0.0.
    """
    columns = pairs(stage)
    several = stage.isSet("inputCols")
    every = stage.getSplitsArray() if several else [stage.getSplits()]
    made: Frame = {}
    for (source, target), splits in zip(columns, every, strict=True):
        if splits[0] != -math.inf or splits[-1] != math.inf:
            raise NotConvertibleError(
                name_of(stage),
                f"it raises on numbers of {source!r} outside of {splits[0]:g} to {splits[-1]:g}.",
                "Let the splits begin with -inf and end with inf.",
            )
        part = numbers(stage, frame, source)
        x = part.tensor
        inner = np.array(splits[1:-1], dtype="f8")
        place = scalar(g, 0.0)
        if len(inner):
            reached = g.node("GreaterOrEqual", x, g.const(inner.reshape(1, -1)))
            zero = (inner == 0) & ~np.signbit(inner)
            if zero.any():
                below = g.node("And", negative_zero(g, x), g.const(zero.reshape(1, -1)))
                reached = g.node("And", reached, g.node("Not", below))
            place = row_sum(g, bits(g, reached))
        # NaN has a bucket of its own with `keep`; NULL, all that a whole number can be, stays.
        keep = stage.getHandleInvalid() == "keep" and part.type not in INTEGERS
        missing = float(len(splits) - 1) if keep else math.nan
        bucket = g.node("Where", g.node("IsNaN", x), scalar(g, missing), place)
        made[target] = Part(bucket, (Element("indices"),))
    return made


def _binarise(g: Graph, stage: Any, frame: Frame) -> Frame:
    """Binarizer: NaN is not above a threshold, but in a vector it is above a negative one."""
    columns = pairs(stage)
    limits = given(stage, "thresholds") if stage.isSet("inputCols") else None
    made: Frame = {}
    for i, (source, target) in enumerate(columns):
        part = numbers(stage, frame, source)
        limit = float(limits[i] if limits else stage.getThreshold())
        if part.vector and limit < 0:
            above = g.node("Not", g.node("LessOrEqual", part.tensor, scalar(g, limit)))
        else:
            above = g.node("Greater", part.tensor, scalar(g, limit))
        elements = (Element("bits"),) * part.width
        made[target] = Part(bits(g, above), elements, vector=part.vector)
    return made


TRANSFORMS = {
    "StandardScalerModel": _standard,
    "RobustScalerModel": _robust,
    "MaxAbsScalerModel": _max_abs,
    "MinMaxScalerModel": _min_max,
    "Normalizer": _normalise,
    "ImputerModel": _impute,
    "Bucketizer": _bucket,
    "Binarizer": _binarise,
}
PREDICTORS: dict[str, Any] = {}
