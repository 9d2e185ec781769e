"""Kernels between a row and kept rows, in double, and the steps that are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.links import row_sum
from sqlml.convert.sklearn.arithmetic import affine
from sqlml.convert.sklearn.frame import ELEMENT, Result, Table, dense, name_of
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel with its parameters; those that it does not have are of no account."""

    name: str
    gamma: float
    coef0: float
    degree: float


def kernel_of(step: Any, features: int) -> Kernel:
    """The kernel of a step that calls sklearn.metrics.pairwise, with its defaults there."""
    if callable(step.kernel) or step.kernel_params:
        raise NotConvertibleError(name_of(step), "its kernel is its author's own.")
    gamma = 1 / features if step.gamma is None else step.gamma
    coef0 = 1 if step.coef0 is None else step.coef0
    degree = 3 if step.degree is None else step.degree
    return Kernel(step.kernel, float(gamma), float(coef0), float(degree))


def between(g: Graph, step: Any, x: str, vectors: Any, kernel: Kernel) -> str:
    """[N, vectors]: the kernel between each row of `x` and each vector."""
    vectors = np.asarray(vectors.toarray() if hasattr(vectors, "toarray") else vectors, "float64")
    if kernel.name == "linear":
        return affine(g, x, vectors, 0.0)
    if kernel.name == "rbf":
        # |x - v|² by the binomial formula; around their mean little is cancelled.
        mean = vectors.mean(axis=0)
        x = g.node("Sub", x, g.const(mean))
        vectors = vectors - mean
        squares = row_sum(g, g.node("Mul", x, x))
        cross = affine(g, x, -2 * vectors, (vectors**2).sum(axis=1))
        distance = g.node("Max", g.node("Add", cross, squares), g.const(np.array([0.0])))
        return g.node("Exp", g.node("Mul", distance, g.const(np.array([-kernel.gamma]))))
    if kernel.name in ("poly", "polynomial", "sigmoid"):
        inner = affine(g, x, kernel.gamma * vectors, np.full(len(vectors), kernel.coef0))
        if kernel.name == "sigmoid":
            return g.node("Tanh", inner)
        return g.node("Pow", inner, g.const(np.array([kernel.degree])))
    raise NotConvertibleError(
        name_of(step), f"its kernel {kernel.name!r} has no form in ONNX.",
        "Use 'linear', 'rbf', 'poly' or 'sigmoid'.",
    )  # fmt: skip


def _nystroem(g: Graph, step: Any, table: Table) -> Table:
    x = table.matrix(g, step, "DOUBLE")
    embedded = between(g, step, x, step.components_, kernel_of(step, table.width))
    made = affine(g, embedded, step.normalization_, 0.0)
    return dense(g.cast(made, ELEMENT[table.kind]), len(step.normalization_), table.kind)


def _ridge(g: Graph, step: Any, table: Table) -> Result:
    x = table.matrix(g, step, "DOUBLE")
    dual = np.asarray(step.dual_coef_, dtype="float64").reshape(len(step.dual_coef_), -1)
    embedded = between(g, step, x, step.X_fit_, kernel_of(step, table.width))
    return Result("regression", affine(g, embedded, dual.T, 0.0), dual.shape[1])


def _random_fourier(g: Graph, step: Any, table: Table) -> Table:
    """sqrt(2 / components) · cos(x · weights + offset), as RBFSampler samples an RBF kernel."""
    x = table.matrix(g, step, "DOUBLE")
    turned = g.node("Cos", affine(g, x, step.random_weights_.T, step.random_offset_))
    count = step.random_weights_.shape[1]
    made = g.node("Mul", turned, g.const(np.array([(2.0 / count) ** 0.5])))
    return dense(g.cast(made, ELEMENT[table.kind]), count, table.kind)


TRANSFORMS = {"Nystroem": _nystroem, "RBFSampler": _random_fourier}
PREDICTORS = {"KernelRidge": _ridge}
