"""The design matrix of a statistical model: the columns themselves, or those of a formula.

A formula is read from what patsy remembers of the training: the factors of each term, and the
contrasts of the categorical ones (patsy/build.py, _build_subterm).
"""

from __future__ import annotations

import ast
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.booster import check_columns
from sqlml.convert.sklearn.arithmetic import affine
from sqlml.convert.sklearn.encode import lookup
from sqlml.convert.sklearn.frame import Part
from sqlml.errors import NotConvertibleError, SampleError, did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert.graph import Graph
    from sqlml.sample import Sample
    from sqlml.signature import Category


@dataclass(slots=True)
class Design:
    """The columns that coefficients are for."""

    columns: list[str | None] = field(default_factory=list)
    """[N, 1] each; None for the intercept's column of ones."""
    categories: dict[int, tuple[Category, ...]] = field(default_factory=dict)
    """Input → the only values that the original takes."""

    def product(self, g: Graph, kind: str, coefficients: np.ndarray[Any, Any]) -> str:
        """[N, K]: the columns times the coefficients, [columns, K]."""
        if len(self.columns) != len(coefficients):
            raise NotConvertibleError(
                kind, f"it has {len(coefficients)} coefficients for {len(self.columns)} columns."
            )
        there = np.array([column is not None for column in self.columns])
        matrix = g.concat([column for column in self.columns if column is not None])
        shift = coefficients[~there].sum(axis=0)
        return affine(g, matrix, coefficients[there].T, shift)


def columns_design(
    g: Graph, kind: str, sample: Sample, names: Sequence[str] | None, count: int
) -> Design:
    """The sample's columns, which are the design: the constant is one of them, if there is one.

    `names`: those of the training, which statsmodels compares by position only.
    """
    check_columns(kind, sample, names, count)
    return Design(list(g.inputs))


def formula_design(g: Graph, kind: str, sample: Sample, spec: Any) -> Design:
    """The columns that a formula makes of the sample's, as patsy's DesignInfo has them.

    Known are numbers, categories with any contrast, and products of them. Raises
    `NotConvertibleError` with the name of a term that is something else, and `SampleError`
    where the sample's columns are not those of the formula.
    """
    if sample.as_array:
        raise SampleError(f"{kind} was trained with a formula: give the sample as a DataFrame.")
    design, reader = Design(), _Reader(g, kind, sample)
    for term, subterms in spec.term_codings.items():
        for subterm in subterms:
            each = [
                reader.factor(term, spec.factor_infos[f], subterm.contrast_matrices.get(f), design)
                for f in subterm.factors
            ]
            # The first factor's columns change fastest.
            for chosen in itertools.product(*reversed(each)):
                design.columns.append(_times(g, chosen[::-1]))
    if not reader.read:
        raise NotConvertibleError(kind, "it has no inputs.")
    unused = [c.name for c in sample.columns if c.name not in reader.read]
    if unused:
        raise SampleError(
            f"The formula of {kind} does not use {listed(unused)}: leave it out of the sample."
        )
    return design


def _times(g: Graph, columns: Sequence[str]) -> str | None:
    product = None
    for column in columns:
        product = column if product is None else g.node("Mul", product, column)
    return product


class _Reader:
    """Factors as tensors; `read` are the names of the columns they read."""

    def __init__(self, g: Graph, kind: str, sample: Sample) -> None:
        self.g, self.kind, self.sample = g, kind, sample
        self.read: set[str] = set()

    def factor(self, term: Any, info: Any, contrast: Any, design: Design) -> list[str]:
        """The columns of one factor of a term: a number, or the contrasts of a category."""
        code = info.factor.name()
        name = variable(code)
        if name is None:
            raise NotConvertibleError(
                self.kind,
                f"term {term.name()} of its formula computes {code}.",
                "Known are columns, C(column), Q('column') and products of them: compute the "
                "column in SQL before PREDICT, and train on it.",
            )
        place = self._place(name)
        column = self.sample.columns[place]
        if column.categorical:
            raise NotConvertibleError(
                self.kind, f"column {name!r} is categorical.", "Train on its text."
            )
        text = column.type == "STRING"
        part = Part(f"in{place}", 1, "STRING" if text else "DOUBLE", missing=column.missing)
        if info.type == "numerical":
            if text:
                raise SampleError(
                    f"Column {name!r} of the sample is STRING: {self.kind} was trained on numbers."
                )
            return [part.tensor]
        known = tuple(_category(value, column.type) for value in info.categories)
        if text:  # which patsy, that calls float() to find missing values, takes for one
            known = (*known, "nan")
        before = design.categories.get(place, known)
        design.categories[place] = tuple(value for value in before if value in known)
        # A missing value has no contrast: patsy drops the row, and predict gives NaN.
        nan = float("nan")
        weights = np.asarray(contrast.matrix, dtype=np.float64)
        return [
            lookup(self.g, part, info.categories, weights[:, j], nan, contrast)
            for j in range(weights.shape[1])
        ]

    def _place(self, name: str) -> int:
        names = [column.name for column in self.sample.columns]
        if name not in names:
            raise SampleError(
                f"The formula of {self.kind} uses {name!r}: not among the columns of the sample, "
                f"{listed(names)}.{did_you_mean(name, names)}"
            )
        self.read.add(name)
        return names.index(name)


def variable(code: str) -> str | None:
    """The column that a factor is, alone or in patsy's C and Q; None for other code.

    >>> variable("age"), variable("C(plan, Treatment('basic'))"), variable("Q('home.dest')")
    ('age', 'plan', 'home.dest')
    >>> variable("np.log(age)")
    """
    node = ast.parse(code, mode="eval").body
    if _calls(node, "C"):
        node = node.args[0]  # type: ignore[attr-defined]
    if _calls(node, "Q"):
        (inner,) = node.args[:1]  # type: ignore[attr-defined]
        return str(inner.value) if isinstance(inner, ast.Constant) else None
    return node.id if isinstance(node, ast.Name) else None


def _calls(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == name
        and bool(node.args)
    )


def _category(value: Any, sql: str) -> Category:
    """A category of patsy's as a signature has it."""
    plain = value.item() if isinstance(value, np.generic) else value
    if sql == "BOOLEAN":
        return bool(plain)
    if sql in ("TINYINT", "SMALLINT", "INT", "BIGINT"):
        return int(plain)
    return float(plain) if sql in ("FLOAT", "DOUBLE") else str(plain)
