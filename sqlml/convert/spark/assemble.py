"""Stages that put columns together, choose among them and multiply them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.spark.frame import (
    Frame,
    Part,
    bits,
    features,
    floats,
    given,
    name_of,
    numbers,
    row,
    scalar,
    vector,
)
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert.graph import Graph

MOST_TERMS = 1_000
"""Of a polynomial: each is a few nodes of the graph."""


def _assemble(g: Graph, stage: Any, frame: Frame) -> Frame:
    """VectorAssembler. Whatever handleInvalid says of missing values: `error` and `skip` refuse
    such a row, which is found out when the model is verified; `keep` makes NaN of them.
    """
    parts = [numbers(stage, frame, name) for name in stage.getInputCols()]
    tensor = g.concat([part.tensor for part in parts])
    elements = tuple(element for part in parts for element in part.elements)
    return {stage.getOutputCol(): Part(tensor, elements, vector=True)}


def _interact(g: Graph, stage: Any, frame: Frame) -> Frame:
    """Interaction: all products of one element of each column, the last column's changing first.

    An index is encoded before, as its metadata has it; in a vector it would count only where the
    row's vector is dense.
    """
    product, width = "", 1
    for name in reversed(stage.getInputCols()):
        part = numbers(stage, frame, name)
        slots = [element.slots for element in part.elements]
        if None in slots or (part.vector and any(slots)):
            raise NotConvertibleError(
                name_of(stage),
                f"whether its input {name!r} holds categories, metadata alone tells.",
                "Encode categories first (StringIndexer, OneHotEncoder).",
            )
        columns, count = _encoded(g, part)
        held = [g.columns(columns, [i], count) for i in range(count)]
        if not product:
            product, width = columns, count
            continue
        times = _times if part.vector or count > 1 else _product
        product, width = g.concat([times(g, column, product) for column in held]), width * count
        if width > MOST_TERMS:
            raise NotConvertibleError(name_of(stage), f"it has more than {MOST_TERMS:,} terms.")
    return {stage.getOutputCol(): vector(product, width)}


def _encoded(g: Graph, part: Part) -> tuple[str, int]:
    """The elements that an input of an interaction has, and their number."""
    count = 0 if part.vector else part.elements[0].slots or 0
    if count < 2:
        return part.tensor, part.width
    places = g.const(np.arange(count, dtype="f8").reshape(1, -1))
    return bits(g, g.node("Equal", part.tensor, places)), count


def _product(g: Graph, one: str, other: str) -> str:
    return g.node("Mul", one, other)


def _cosines(g: Graph, stage: Any, frame: Frame) -> Frame:
    """DCT: the orthonormal transform of the second kind, or its inverse. Where an element is
    infinite, JTransforms gives no numbers.
    """
    part = features(stage, frame, stage.getInputCol())
    places = np.arange(part.width)
    angles = np.pi * np.outer(2 * places + 1, places) / (2 * part.width)
    waves = np.cos(angles) * np.sqrt(np.where(places == 0, 1.0, 2.0) / part.width)
    waves = waves.T if stage.getInverse() else waves
    x = g.node("Where", g.node("IsInf", part.tensor), scalar(g, np.nan), part.tensor)
    product = g.node("MatMul", x, g.const(np.ascontiguousarray(waves)))
    return {stage.getOutputCol(): vector(product, part.width)}


def _chosen(g: Graph, stage: Any, frame: Frame, source: str, indices: Sequence[int]) -> Frame:
    part = features(stage, frame, source)
    chosen = [int(i) for i in indices]
    # Their metadata is not followed.
    elements = [dataclasses.replace(part.elements[i], slots=None) for i in chosen]
    tensor = g.columns(part.tensor, chosen, part.width)
    return {stage.getOutputCol(): Part(tensor, tuple(elements), vector=True)}


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
    "Interaction": _interact,
    "DCT": _cosines,
    "VectorSlicer": _slice,
    "ElementwiseProduct": _scale_each,
    "PCAModel": _project,
    "PolynomialExpansion": _expand,
    "ChiSqSelectorModel": _select,
    "UnivariateFeatureSelectorModel": _select,
    "VarianceThresholdSelectorModel": _select,
}
PREDICTORS: dict[str, Any] = {}
