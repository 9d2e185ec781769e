"""Clusters and mixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.links import row_sum
from sqlml.convert.sklearn.arithmetic import argmax
from sqlml.convert.sklearn.frame import Result
from sqlml.convert.spark.frame import Frame, floats, name_of, row, scalar
from sqlml.convert.spark.linear import matrix
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph

_EPSILON = 2.0**-52
"""Of org.apache.spark.ml.impl.Utils: what each component of a mixture has at least."""


def _k_means(g: Graph, stage: Any, frame: Frame) -> Result:
    """The first of the nearest centres; one at no known distance is not near."""
    if stage.getDistanceMeasure() != "euclidean":
        raise NotConvertibleError(
            name_of(stage),
            "it raises on rows of zeros, which have no cosine distance.",
            "Train with distanceMeasure='euclidean'.",
        )
    x = matrix(stage, frame)
    columns = []
    for centre in stage.clusterCenters():
        apart = g.node("Sub", x, row(g, centre))
        columns.append(row_sum(g, g.node("Mul", apart, apart)))
    distances = g.concat(columns)
    unknown = g.node("IsNaN", distances)
    distances = g.node("Where", unknown, scalar(g, np.inf), distances)
    nearest = g.node("ArgMin", distances, axis=1, keepdims=0, select_last_index=0)
    return Result("clustering", nearest)


def _mixture(g: Graph, stage: Any, frame: Frame) -> Result:
    """GaussianMixtureModel.computeProbabilities: the component of the greatest share."""
    x = matrix(stage, frame)
    columns = []
    for weight, component in zip(stage.weights, stage.gaussians, strict=True):
        density = g.node("Exp", _log_density(g, x, floats(component.mean), floats(component.cov)))
        weighted = g.node("Mul", density, scalar(g, weight))
        columns.append(g.node("Add", weighted, scalar(g, _EPSILON)))
    shares = g.concat(columns)
    unknown = g.node("IsNaN", shares)
    return Result("clustering", argmax(g, g.node("Where", unknown, scalar(g, 0.0), shares)))


def _log_density(g: Graph, x: str, mean: Any, covariance: Any) -> str:
    """[N, 1]: MultivariateGaussian.logpdf, through the covariance's eigenvectors; those of
    nearly no variance are left out.
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _EPSILON * values.max() * len(values)
    root = np.where(kept, 1.0 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
    scaled = g.node("MatMul", g.node("Sub", x, row(g, mean)), g.const(vectors * root))
    halved = g.node("Mul", scaled, scalar(g, -0.5))
    height = -0.5 * (len(mean) * np.log(2.0 * np.pi) + np.log(values[kept]).sum())
    return g.node("Add", row_sum(g, g.node("Mul", scaled, halved)), scalar(g, height))


TRANSFORMS: dict[str, Any] = {}
PREDICTORS = {"KMeansModel": _k_means, "GaussianMixtureModel": _mixture}
