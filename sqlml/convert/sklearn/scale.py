"""Scalers and other arithmetic on columns, in the width that scikit-learn computes in."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from sqlml.convert.graph import DOUBLE
from sqlml.convert.links import row_sum
from sqlml.convert.sklearn.arithmetic import affine, expm1, log1p
from sqlml.convert.sklearn.frame import ELEMENT, Kind, Part, Table, dense, name_of, one_value
from sqlml.convert.sklearn.upstream import transform_upstream
from sqlml.convert.special import normal_quantile
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


def _arithmetic(g: Graph, step: Any, table: Table, *stages: tuple[str, Any]) -> Table:
    """Operations with one fitted number a column.

    float32 data stay float32: NumPy computes each operation in double and rounds its result.
    """
    element = ELEMENT[table.kind]
    x = table.matrix(g, step)
    for op, values in stages:
        if values is None:
            continue
        row = g.const(one_value(values, table.width).copy())
        x = g.cast(g.node(op, g.cast(x, DOUBLE), row), element)
    return dense(x, table.width, table.kind)


def _standard(g: Graph, step: Any, table: Table) -> Table:
    mean = step.mean_ if step.with_mean else None
    scale = step.scale_ if step.with_std else None
    if table.kind == "FLOAT":  # it narrows the fitted numbers first
        mean, scale = (None if v is None else np.float32(v) for v in (mean, scale))
    if table.sparse:
        return _sparse_scaled(g, step, table, scale)
    return _arithmetic(g, step, table, ("Sub", mean), ("Div", scale))


def _sparse_scaled(g: Graph, step: Any, table: Table, scale: Any) -> Table:
    """Sparse columns are multiplied by the inverse, dense ones divided."""
    factor = None if scale is None else 1 / np.asarray(scale, dtype="float64")
    scaled = _arithmetic(g, step, table, ("Mul", factor))
    return Table(scaled.parts, None, sparse=True)


def _robust(g: Graph, step: Any, table: Table) -> Table:
    center = step.center_ if step.with_centering else None
    scale = step.scale_ if step.with_scaling else None
    if table.sparse:
        return _sparse_scaled(g, step, table, scale)
    return _arithmetic(g, step, table, ("Sub", center), ("Div", scale))


def _max_abs(g: Graph, step: Any, table: Table) -> Table:
    if table.sparse:
        scaled = _sparse_scaled(g, step, table, step.scale_)
    else:
        scaled = _arithmetic(g, step, table, ("Div", step.scale_))
    return _clipped(g, scaled, -1.0, 1.0) if getattr(step, "clip", False) else scaled


def _min_max(g: Graph, step: Any, table: Table) -> Table:
    scaled = _arithmetic(g, step, table, ("Mul", step.scale_), ("Add", step.min_))
    return _clipped(g, scaled, *step.feature_range) if step.clip else scaled


def _clipped(g: Graph, table: Table, low: float, high: float) -> Table:
    """NaN stays NaN: comparisons with it are false."""
    (part,) = table.parts
    dtype = "float64" if part.kind == "DOUBLE" else "float32"
    x = part.tensor
    for op, bound in (("Less", low), ("Greater", high)):
        limit = g.const(np.array([bound]), dtype)
        x = g.node("Where", g.node(op, x, limit), limit, x)
    return Table((type(part)(x, part.width, part.kind),), None, table.sparse)


def _normalizer(g: Graph, step: Any, table: Table) -> Table:
    """Rows divided by their norm, but for those of nearly zero; of sparse ones, of zero."""
    # float32 stays what it is, and may overflow; a sparse matrix is added up in double.
    single = table.kind == "FLOAT" and not table.sparse
    kind: Kind = "FLOAT" if single else "DOUBLE"
    dtype = "float32" if single else "float64"
    x = table.matrix(g, step, kind)
    if step.norm == "l1":
        norm = row_sum(g, g.node("Abs", x))
    elif step.norm == "l2":
        norm = g.node("Sqrt", row_sum(g, g.node("Mul", x, x)))
    else:
        norm = g.node("ReduceMax", g.node("Abs", x), g.const([1], "int64"), keepdims=1)
    least = np.nextafter(0.0, 1.0) if table.sparse else 10 * np.finfo(dtype).eps
    nothing = g.node("Less", norm, g.const(np.array([least]), dtype))
    norm = g.node("Where", nothing, g.const(np.array([1.0]), dtype), norm)
    scaled = g.cast(g.node("Div", x, norm), ELEMENT[table.kind])
    return Table(dense(scaled, table.width, table.kind).parts, None, table.sparse)


def _binarizer(g: Graph, step: Any, table: Table) -> Table:
    x = table.matrix(g, step, "DOUBLE")
    above = g.node("Greater", x, g.const(np.array([float(step.threshold)])))
    binary = g.node("Cast", above, to=ELEMENT[table.kind])
    return Table(dense(binary, table.width, table.kind).parts, None, table.sparse)


def _bins(g: Graph, step: Any, table: Table) -> Table:
    """KBinsDiscretizer: how many inner edges are not above the value."""
    outcome: list[Part] = []
    onehot = step.encode != "ordinal"
    for part, edges in zip(table.split(g), step.bin_edges_, strict=True):
        inner = np.asarray(edges[1:-1], dtype="float64").reshape(1, -1)
        x = g.cast(part.tensor, DOUBLE)
        if inner.size:
            reached = g.node("Cast", g.node("GreaterOrEqual", x, g.const(inner)), to=DOUBLE)
            code = row_sum(g, reached)
        else:
            code = g.node("Mul", x, g.const(np.array([0.0])))
        if onehot:
            places = g.const(np.arange(len(edges) - 1, dtype="float64").reshape(1, -1))
            code = g.node("Cast", g.node("Equal", code, places), to=DOUBLE)
        outcome += dense(g.cast(code, ELEMENT[part.kind]), len(edges) - 1 if onehot else 1,
                         part.kind).parts  # fmt: skip
    return Table(tuple(outcome), None, sparse=step.encode == "onehot")


_BORDER = 1e-7
"""sklearn.preprocessing: so near to an end of its quantiles a number is at the end."""


def _quantile(g: Graph, step: Any, table: Table) -> Table:
    """Shares of the training data below a number, or the normal quantiles of these shares."""
    if step.output_distribution != "normal":
        return transform_upstream(g, step, table)
    uniform = copy.copy(step)
    uniform.output_distribution = "uniform"
    shares = transform_upstream(g, uniform, table).matrix(g, step)
    element = ELEMENT[table.kind]
    dtype = "float32" if table.kind == "FLOAT" else "float64"
    x = table.matrix(g, step)
    border = g.const(np.array([_BORDER]), dtype)
    ends = [g.const(step.quantiles_[[at]].copy(), dtype) for at in (0, -1)]
    low = g.node("Less", g.node("Sub", x, border), ends[0])
    high = g.node("Greater", g.node("Add", x, border), ends[1])
    # In the original each step is stored in the type of the data.
    p = g.node("Where", high, g.const(np.array([1.0])), g.cast(g.cast(shares, element), DOUBLE))
    p = g.node("Where", low, g.const(np.array([0.0])), p)
    scores = normal_quantile(g, p)
    furthest = ndtri([_BORDER - np.spacing(1), 1 - (_BORDER - np.spacing(1))])
    for op, end in zip(("Less", "Greater"), furthest, strict=True):
        limit = g.const(np.array([end]))
        scores = g.node("Where", g.node(op, scores, limit), limit, scores)
    return dense(g.cast(scores, element), table.width, table.kind)


def _polynomial(g: Graph, step: Any, table: Table) -> Table:
    """Products of columns, one for each row of `powers_`."""
    x = table.matrix(g, step, "DOUBLE")
    product: str | None = None
    powers = step.powers_
    most = int(powers.max(initial=0))
    # Each monomial of degree d is d factors, taken by position from (1, x1, …, xn).
    widened = g.concat([g.rows_like([1.0], x), x])
    degree = int(powers.sum(axis=1).max(initial=0))
    factors = np.zeros((len(powers), degree), dtype="int64")
    for row, exponents in enumerate(powers):
        places = np.repeat(np.arange(len(exponents)) + 1, exponents)
        factors[row, : len(places)] = places
    if most == 0:
        return dense(g.rows_like(np.ones(len(powers)), x), len(powers))
    for place in range(degree):
        chosen = g.node("Gather", widened, g.const(factors[:, place], "int64"), axis=1)
        product = chosen if product is None else g.node("Mul", product, chosen)
    assert product is not None
    return dense(g.cast(product, ELEMENT[table.kind]), len(powers), table.kind)


def _pca(g: Graph, step: Any, table: Table) -> Table:
    x = table.matrix(g, step, "DOUBLE")
    components = np.asarray(step.components_, dtype="float64")
    shift = np.zeros(len(components))
    if getattr(step, "mean_", None) is not None:
        shift = -(np.asarray(step.mean_, dtype="float64") @ components.T)
    product = affine(g, x, components, shift)
    if getattr(step, "whiten", False):
        scale = np.sqrt(step.explained_variance_)
        floor = np.finfo(scale.dtype).eps
        scale = np.where(scale < floor, floor, scale).reshape(1, -1)
        product = g.node("Div", product, g.const(scale, "float64"))
    return dense(g.cast(product, ELEMENT[table.kind]), len(components), table.kind)


def _linear_map(g: Graph, step: Any, table: Table) -> Table:
    """Components times a row, its mean taken off where there is one."""
    components, mean = _components(step, table.width)
    product = affine(g, table.matrix(g, step, "DOUBLE"), components, -(components @ mean))
    return dense(g.cast(product, ELEMENT[table.kind]), len(components), table.kind)


def _components(step: Any, width: int) -> tuple[Any, Any]:
    """[components, width], and the mean of each column."""
    kind, mean = name_of(step), np.zeros(width)
    if kind == "FeatureAgglomeration":
        if step.pooling_func is not np.mean:
            raise NotConvertibleError(kind, "it pools by another function than numpy.mean.")
        members = step.labels_ == np.arange(step.n_clusters_)[:, None]
        return members / members.sum(axis=1, keepdims=True), mean
    components = step.components_
    components = components.toarray() if hasattr(components, "toarray") else components
    components = np.asarray(components, dtype="float64")
    if kind == "FactorAnalysis":  # Barber, Bayesian Reasoning and Machine Learning, 21.2.33
        scaled = components / step.noise_variance_
        covariance = np.linalg.inv(np.eye(len(components)) + scaled @ components.T)
        return covariance.T @ scaled, step.mean_
    if kind == "FastICA" and step.whiten:
        mean = step.mean_
    return components, mean


def _power(g: Graph, step: Any, table: Table) -> Table:
    """Yeo-Johnson or Box-Cox with one exponent a column."""
    x = table.matrix(g, step, "DOUBLE")
    lambdas = one_value(step.lambdas_, table.width)
    if step.method == "box-cox":
        y = _raised(g, g.node("Log", x), lambdas)
    else:
        zero = g.const(np.array([0.0]))
        above = log1p(g, g.node("Max", x, zero))
        below = log1p(g, g.node("Max", g.node("Neg", x), zero))
        lower = g.node("Neg", _raised(g, below, 2.0 - lambdas))
        y = g.node("Where", g.node("Less", x, zero), lower, _raised(g, above, lambdas))
        y = g.node("Where", g.node("IsNaN", x), x, y)
    powered = dense(g.cast(y, ELEMENT[table.kind]), table.width, table.kind)
    return _standard(g, step._scaler, powered) if step.standardize else powered


def _raised(g: Graph, log: str, exponents: Any) -> str:
    """(exp(log · exponent) - 1) / exponent, which is the log itself for an exponent of 0."""
    none = np.abs(exponents) < np.finfo(np.float64).eps
    safe = np.where(none, 1.0, exponents)
    raised = g.node("Div", expm1(g, g.node("Mul", log, g.const(safe))), g.const(safe))
    return g.node("Where", g.const(none.copy()), log, raised)


TRANSFORMS = {
    "PowerTransformer": _power,
    "StandardScaler": _standard,
    "RobustScaler": _robust,
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "Normalizer": _normalizer,
    "Binarizer": _binarizer,
    "KBinsDiscretizer": _bins,
    "QuantileTransformer": _quantile,
    "PolynomialFeatures": _polynomial,
    "PCA": _pca,
    "IncrementalPCA": _pca,
    "TruncatedSVD": _pca,
    "FactorAnalysis": _linear_map,
    "FastICA": _linear_map,
    "FeatureAgglomeration": _linear_map,
    "SparseRandomProjection": _linear_map,
}
PREDICTORS: dict[str, Any] = {}
