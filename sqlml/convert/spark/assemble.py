"""Stages that put columns together, choose among them and multiply them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.spark.frame import (
    Frame,
    Part,
    features,
    floats,
    given,
    numbers,
    row,
    scalar,
    vector,
)
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert.graph import Graph
    from sqlml.convert.spark.frame import Holds

MOST_TERMS = 1_000
"""Of a polynomial: each is a few nodes of the graph."""


def _assemble(g: Graph, stage: Any, frame: Frame) -> Frame:
    """VectorAssembler. Whatever handleInvalid says of missing values: `error` and `skip` refuse
    such a row, which is found out when the model is verified; `keep` makes NaN of them.
    """
    parts = [numbers(stage, frame, name) for name in stage.getInputCols()]
    tensor = g.concat([part.tensor for part in parts])
    width = sum(part.width for part in parts)
    return {stage.getOutputCol(): vector(tensor, width, _together(parts))}


def _together(parts: Sequence[Part]) -> Holds:
    kinds = {part.holds for part in parts}
    if "numbers" in kinds:
        return "numbers"
    return "indices" if "indices" in kinds else "bits"


def _chosen(g: Graph, stage: Any, frame: Frame, source: str, indices: Sequence[int]) -> Frame:
    part = features(stage, frame, source)
    tensor = g.columns(part.tensor, [int(i) for i in indices], part.width)
    return {stage.getOutputCol(): vector(tensor, len(indices), part.holds)}


def _slice(g: Graph, stage: Any, frame: Frame) -> Frame:
    if given(stage, "names"):
        raise NotConvertibleError(
            "VectorSlicer",
            "it chooses by names, which the columns' metadata alone tells.",
            "Choose by indices.",
        )
    return _chosen(g, stage, frame, stage.getInputCol(), stage.getIndices())


def _select(g: Graph, stage: Any, frame: Frame) -> Frame:
    """The selectors give the features that they kept in their own order."""
    return _chosen(g, stage, frame, stage.getFeaturesCol(), sorted(stage.selectedFeatures))


def _scale_each(g: Graph, stage: Any, frame: Frame) -> Frame:
    part = features(stage, frame, stage.getInputCol())
    product = g.node("Mul", part.tensor, row(g, stage.getScalingVec()))
    return {stage.getOutputCol(): vector(product, part.width)}


def _project(g: Graph, stage: Any, frame: Frame) -> Frame:
    """PCAModel: the vector times the principal components, without centring."""
    part = features(stage, frame, stage.getInputCol())
    components = floats(stage.pc)
    product = g.node("MatMul", part.tensor, g.const(np.ascontiguousarray(components)))
    return {stage.getOutputCol(): vector(product, components.shape[1])}


def _expand(g: Graph, stage: Any, frame: Frame) -> Frame:
    """PolynomialExpansion: the order and the products of its `expandDense`."""
    part = features(stage, frame, stage.getInputCol())
    columns = [g.columns(part.tensor, [i], part.width) for i in range(part.width)]
    terms: list[str | None] = []
    _monomials(g, columns, int(stage.getDegree()), None, terms)
    found = [term for term in terms if term is not None]  # the very first is 1, left out
    return {stage.getOutputCol(): vector(g.concat(found), len(found))}


def _monomials(
    g: Graph, columns: Sequence[str], degree: int, product: str | None, terms: list[str | None]
) -> None:
    """The last column's powers one after the other, each times all terms of the others."""
    if len(terms) > MOST_TERMS:
        raise NotConvertibleError(
            "PolynomialExpansion",
            f"it has more than {MOST_TERMS:,} terms.",
            "Choose a lower degree, or fewer columns.",
        )
    if degree == 0 or not columns:
        terms.append(product)
        return
    last = columns[-1]
    for power in range(degree + 1):
        _monomials(g, columns[:-1], degree - power, product, terms)
        product = last if product is None else _times(g, product, last)


def _times(g: Graph, product: str, factor: str) -> str:
    """What is zero stays zero, whatever it is multiplied by: Spark leaves such terms out."""
    zero = g.node("Equal", product, scalar(g, 0.0))
    return g.node("Where", zero, product, g.node("Mul", product, factor))


TRANSFORMS = {
    "VectorAssembler": _assemble,
    "VectorSlicer": _slice,
    "ElementwiseProduct": _scale_each,
    "PCAModel": _project,
    "PolynomialExpansion": _expand,
    "ChiSqSelectorModel": _select,
    "UnivariateFeatureSelectorModel": _select,
    "VarianceThresholdSelectorModel": _select,
}
PREDICTORS: dict[str, Any] = {}
