"""Clusters and mixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.links import row_sum
from sqlml.convert.sklearn.arithmetic import argmax, column, flat
from sqlml.convert.sklearn.frame import Result
from sqlml.convert.spark.frame import Frame, floats, name_of, row, scalar
from sqlml.convert.spark.linear import matrix
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert.graph import Graph

_EPSILON = 2.0**-52
"""Of org.apache.spark.ml.impl.Utils: what each component of a mixture has at least."""


_MODEL = "org$apache$spark$ml$clustering$BisectingKMeansModel$$parentModel"
"""Where a BisectingKMeansModel keeps the tree: in a private field, as Scala names it."""


def _k_means(g: Graph, stage: Any, frame: Frame) -> Result:
    """The first of the nearest centres."""
    _check_euclidean(stage)
    return Result("clustering", _nearest(g, matrix(stage, frame), stage.clusterCenters()))


def _check_euclidean(stage: Any) -> None:
    if stage.getDistanceMeasure() != "euclidean":
        raise NotConvertibleError(
            name_of(stage),
            "it raises on rows of zeros, which have no cosine distance.",
            "Train with distanceMeasure='euclidean'.",
        )


def _nearest(g: Graph, x: str, centres: Sequence[Any]) -> str:
    """[N] int64: the first of the nearest; one at no known distance is not near."""
    columns = []
    for centre in centres:
        apart = g.node("Sub", x, row(g, centre))
        columns.append(row_sum(g, g.node("Mul", apart, apart)))
    distances = g.concat(columns)
    unknown = g.node("IsNaN", distances)
    distances = g.node("Where", unknown, scalar(g, np.inf), distances)
    return g.node("ArgMin", distances, axis=1, keepdims=0, select_last_index=0)


def _bisecting(g: Graph, stage: Any, frame: Frame) -> Result:
    """BisectingKMeansModel: from the root on, the nearer child (ClusteringTreeNode.predict)."""
    _check_euclidean(stage)
    java = stage._java_obj
    model = java.getClass().getDeclaredField(_MODEL)
    model.setAccessible(True)
    root = model.get(java).root()
    if not list(root.children()):
        raise NotConvertibleError(name_of(stage), "it has one cluster only.")
    return Result("clustering", flat(g, _leaf(g, matrix(stage, frame), root)))


def _leaf(g: Graph, x: str, node: Any) -> str:
    """[N, 1] int64: the number of the leaf that a row reaches below a node."""
    children = list(node.children())
    if not children:
        return g.const([int(node.index())], "int64")
    centres = [list(child.center().toArray()) for child in children]
    near = column(g, _nearest(g, x, centres))
    found = _leaf(g, x, children[0])
    for place, child in enumerate(children[1:], start=1):
        chosen = g.node("Equal", near, g.const([place], "int64"))
        found = g.node("Where", chosen, _leaf(g, x, child), found)
    return found


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
PREDICTORS = {
    "KMeansModel": _k_means,
    "BisectingKMeansModel": _bisecting,
    "GaussianMixtureModel": _mixture,
}
