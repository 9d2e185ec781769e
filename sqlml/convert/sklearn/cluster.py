"""Clusters, mixtures and the outlier detector built on a covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.links import row_sum
from sqlml.convert.sklearn.arithmetic import affine, argmax
from sqlml.convert.sklearn.frame import Result, Table, dense, name_of
from sqlml.convert.sklearn.linear import outliers
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


def _distances(g: Graph, step: Any, table: Table, centres: Any) -> tuple[str, str]:
    """[N, clusters] and [N, 1], which together are the squared distances.

    The second is what a row has in common for all clusters.
    """
    x = table.matrix(g, step, "DOUBLE")
    centres = centres.toarray() if hasattr(centres, "toarray") else centres
    centres = np.asarray(centres, dtype="float64")
    if not len(centres):
        raise NotConvertibleError(name_of(step), "its training found no clusters.")
    mean = centres.mean(axis=0)
    shifted = g.node("Sub", x, g.const(mean))
    centres = centres - mean
    cross = affine(g, shifted, -2 * centres, (centres**2).sum(axis=1))
    return cross, row_sum(g, g.node("Mul", shifted, shifted))


def _k_means(g: Graph, step: Any, table: Table) -> Result:
    """The nearest centre, told without the square of the row, as scikit-learn does here.

    Far from all centres that would swallow what tells them apart.
    """
    distances, _ = _distances(g, step, table, step.cluster_centers_)
    return Result("clustering", _first_least(g, distances))


def _nearest_centre(g: Graph, step: Any, table: Table) -> Result:
    return Result("clustering", _nearest(g, step, table, step.cluster_centers_))


def _nearest(g: Graph, step: Any, table: Table, centres: Any) -> str:
    """[N] int64: the number of the nearest centre, by sklearn's pairwise_distances_argmin."""
    return _first_least(g, g.node("Add", *_distances(g, step, table, centres)))


def _first_least(g: Graph, distances: str) -> str:
    """[N] int64: the first of the least."""
    return g.node("ArgMin", distances, axis=1, keepdims=0, select_last_index=0)


def _birch(g: Graph, step: Any, table: Table) -> Result:
    """The cluster to which the nearest of many small clusters belongs."""
    labels = g.const(np.asarray(step.subcluster_labels_, dtype="int64"))
    place = _nearest(g, step, table, step.subcluster_centers_)
    return Result("clustering", g.node("Gather", labels, place, axis=0))


def _k_means_transform(g: Graph, step: Any, table: Table) -> Table:
    distances = g.node("Add", *_distances(g, step, table, step.cluster_centers_))
    squares = g.node("Max", distances, g.const(np.array([0.0])))
    return dense(g.node("Sqrt", squares), len(step.cluster_centers_))


def _mixture(g: Graph, step: Any, table: Table) -> Result:
    """The likeliest component, and the log-likelihood of the row."""
    x = table.matrix(g, step, "DOUBLE")
    kind = step.covariance_type
    features = step.means_.shape[1]
    columns = []
    for k, mean in enumerate(step.means_):
        root = step.precisions_cholesky_
        root = root if kind == "tied" else root[k]
        centred = g.node("Sub", x, g.const(np.asarray(mean, dtype="float64")))
        if kind in ("full", "tied"):
            scaled = g.node("MatMul", centred, g.const(np.ascontiguousarray(root, "float64")))
            log_det = np.log(np.diag(root)).sum()
        else:
            factors = np.broadcast_to(np.asarray(root, dtype="float64"), (features,)).copy()
            scaled = g.node("Mul", centred, g.const(factors))
            log_det = np.log(factors).sum()
        halved = g.node("Mul", scaled, g.const(np.array([-0.5])))
        half = row_sum(g, g.node("Mul", scaled, halved))
        shift = log_det - 0.5 * features * np.log(2 * np.pi) + _log_share(step, k, features)
        columns.append(g.node("Add", half, g.const(np.array([float(shift)]))))
    weighted = g.concat(columns)
    top = g.node("ReduceMax", weighted, g.const([1], "int64"), keepdims=1)
    mass = row_sum(g, g.node("Exp", g.node("Sub", weighted, top)))
    score = g.node("Add", g.node("Log", mass), top)
    score = g.node("Where", g.node("IsInf", top), top, score)
    return Result("clustering", argmax(g, weighted), score=score)


def _log_share(step: Any, k: int, features: int) -> float:
    """What a component's log-density is shifted by: its weight, and in the Bayesian mixture
    the expectation over its precision (sklearn/mixture/_bayesian_mixture.py).
    """
    share = float(step._estimate_log_weights()[k])
    if name_of(step) != "BayesianGaussianMixture":
        return share
    from scipy.special import digamma

    tied = np.ndim(step.degrees_of_freedom_) == 0
    freedom = float(step.degrees_of_freedom_ if tied else step.degrees_of_freedom_[k])
    log_lambda = features * np.log(2.0) + float(
        np.sum(digamma(0.5 * (freedom - np.arange(features))))
    )
    precision = float(step.mean_precision_[k])
    expected = 0.5 * (log_lambda - features / precision)
    return float(share - 0.5 * features * np.log(freedom) + expected)


def _elliptic(g: Graph, step: Any, table: Table) -> Result:
    """The Mahalanobis distance against the one of the contamination's quantile."""
    x = table.matrix(g, step, "DOUBLE")
    centred = g.node("Sub", x, g.const(np.asarray(step.location_, dtype="float64")))
    turned = g.node("MatMul", centred, g.const(np.asarray(step.get_precision(), dtype="float64")))
    distance = row_sum(g, g.node("Mul", turned, centred))
    return outliers(
        g, g.node("Sub", g.node("Neg", distance), g.const(np.array([float(step.offset_)])))
    )


TRANSFORMS = {"KMeans": _k_means_transform, "MiniBatchKMeans": _k_means_transform}
PREDICTORS = {
    "KMeans": _k_means,
    "MiniBatchKMeans": _k_means,
    "MeanShift": _nearest_centre,
    "AffinityPropagation": _nearest_centre,
    "Birch": _birch,
    "GaussianMixture": _mixture,
    "BayesianGaussianMixture": _mixture,
    "EllipticEnvelope": _elliptic,
}
