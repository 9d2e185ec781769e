"""What stands in the place of missing values: constants, predictions, neighbours' means."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import numpy_helper

from sqlml.convert.graph import BOOL, DOUBLE
from sqlml.convert.links import row_sum
from sqlml.convert.sklearn.arithmetic import affine
from sqlml.convert.sklearn.encode import is_missing
from sqlml.convert.sklearn.frame import ELEMENT, Part, Table, dense, name_of
from sqlml.convert.sklearn.steps import predict
from sqlml.errors import NotConvertibleError
from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


MOST_ROUNDS = 1_000
"""Predictions that an IterativeImputer makes for a row, each of which is part of the graph."""


def _absent(g: Graph, part: Part, marker: Any) -> str | None:
    """[N, 1] bool: where the column holds the missing marker; None where it never does."""
    if part.kind == "STRING":
        if is_missing(marker):
            # X != X, which holds for NaN but not for None; pandas.NA stands for all of them.
            every = type(marker).__name__ == "NAType" or not part.missing_seen
            if not every and (marker is None) != (part.missing is None):
                return None
            text = MISSING_STRING
        elif isinstance(marker, str):
            text = marker
        else:
            return None
        found = g.node(
            "LabelEncoder",
            part.tensor,
            domain="ai.onnx.ml",
            keys_tensor=numpy_helper.from_array(np.array([text], dtype=object), "keys"),
            values_tensor=numpy_helper.from_array(np.array([1], dtype="int64"), "values"),
            default_tensor=numpy_helper.from_array(np.array([0], dtype="int64"), "default"),
        )
        return g.cast(found, BOOL)
    if marker is None or isinstance(marker, str):
        return None
    if is_missing(marker):
        return g.node("IsNaN", part.tensor)
    return g.node("Equal", part.tensor, g.const(np.array([float(marker)]), _dtype(part)))


def _dtype(part: Part) -> str:
    return "float32" if part.kind == "FLOAT" else "float64"


def _simple(g: Graph, step: Any, table: Table) -> Table:
    columns = table.split(g)
    parts: list[Part] = []
    for part, fill in zip(columns, step.statistics_, strict=True):
        if is_missing(fill) and fill is not None:  # None may be the most frequent text
            if step.keep_empty_features:
                raise NotConvertibleError(name_of(step), "a column was empty in training.")
            continue
        parts.append(_filled(g, step, part, fill))
    if step.add_indicator and step.indicator_ is not None:
        parts += _indicators(g, step.indicator_, columns)
    return Table(tuple(parts), None, table.sparse)


def _filled(g: Graph, step: Any, part: Part, fill: Any) -> Part:
    absent = _absent(g, part, step.missing_values)
    if absent is None:
        return part
    if isinstance(fill, str) != (part.kind == "STRING"):
        raise NotConvertibleError(
            name_of(step), f"it fills a column of the sample's type with {fill!r}.",
            "Give a sample of the training data.",
        )  # fmt: skip
    if part.kind == "STRING":
        value = g.const(np.array([fill], dtype=object))
    else:
        value = g.const(np.array([float(fill)]), _dtype(part))
    chosen = g.node("Where", absent, value, part.tensor)
    return dataclasses.replace(part, tensor=chosen, imputed=True)


def _indicators(g: Graph, indicator: Any, columns: list[Part]) -> list[Part]:
    parts: list[Part] = []
    for index in indicator.features_:
        part = columns[int(index)]
        absent = _absent(g, part, indicator.missing_values)
        if absent is None:
            raise NotConvertibleError(name_of(indicator), "a column never holds its marker.")
        kind = part.kind if part.kind == "FLOAT" else "DOUBLE"
        parts += dense(g.node("Cast", absent, to=ELEMENT.get(kind, DOUBLE)), 1, kind).parts
    return parts


def _indicator(g: Graph, step: Any, table: Table) -> Table:
    return Table(tuple(_indicators(g, step, table.split(g))))


def _iterative(g: Graph, step: Any, table: Table) -> Table:
    """Each missing number is predicted from the other columns, round by round.

    A row without any number is one more round's as in a batch with others; alone, scikit-learn
    would leave it as it was filled first.
    """
    if step.sample_posterior:
        raise NotConvertibleError(name_of(step), "it draws random numbers (sample_posterior).")
    if len(step.imputation_sequence_) > MOST_ROUNDS:
        raise NotConvertibleError(
            name_of(step), f"it has {len(step.imputation_sequence_)} rounds, all columns together.",
            f"Train with max_iter of {MOST_ROUNDS} divided by the columns at most.",
        )  # fmt: skip
    given = [dataclasses.replace(p, kind="DOUBLE", tensor=g.cast(p.tensor, DOUBLE))
             for p in table.split(g)]  # fmt: skip
    first = step.initial_imputer_
    kept = [not is_missing(fill) or first.keep_empty_features for fill in first.statistics_]
    absent = [
        _absent(g, p, step.missing_values) for p, keep in zip(given, kept, strict=True) if keep
    ]
    columns = list(_simple(g, first, Table(tuple(given))).parts)
    for feature, neighbours, estimator in step.imputation_sequence_:
        others = Table(tuple(columns[int(i)] for i in neighbours))
        guess = predict(g, estimator, others).prediction
        assert guess is not None
        for op, bound in (("Max", step._min_value), ("Min", step._max_value)):
            guess = g.node(op, guess, g.const(np.array([float(bound[feature])])))
        where = absent[feature]
        if where is not None:
            filled = g.node("Where", where, guess, columns[feature].tensor)
            columns[feature] = dataclasses.replace(columns[feature], tensor=filled)
    if step.add_indicator and step.indicator_ is not None:
        columns += _indicators(g, step.indicator_, given)
    return Table(tuple(columns))


def _neighbours(g: Graph, step: Any, table: Table) -> Table:
    """The mean of the nearest rows of the training that have the number.

    The distance is over the columns that both rows have, scaled to all of them (J. K. Dixon,
    Pattern Recognition with Partly Missing Data, 1979). Around the columns' means, in which the
    products cancel little.
    """
    if step.metric != "nan_euclidean" or step.weights != "uniform":
        raise NotConvertibleError(
            name_of(step), "it has its own metric or weights.",
            "Use metric='nan_euclidean' and weights='uniform'.",
        )  # fmt: skip
    if not is_missing(step.missing_values) or not step._valid_mask.all():
        raise NotConvertibleError(
            name_of(step), "it takes a number for a missing one, or a column was empty in training."
        )
    x = table.matrix(g, step, "DOUBLE")
    gone = g.node("IsNaN", x)
    known = ~step._mask_fit_X
    rows = np.where(known, np.asarray(step._fit_X, dtype="float64"), np.nan)
    means = np.nanmean(rows, axis=0)
    squares = _nan_distances(g, x, gone, np.where(known, rows - means, 0.0), known, means)
    parts = []
    for i, part in enumerate(table.split(g)):
        donors = np.flatnonzero(known[:, i])
        near = g.columns(squares, [int(d) for d in donors], len(rows))
        count = g.const([min(step.n_neighbors, len(donors))], "int64")
        distances, places = g.nodes_of("TopK", [near, count], 2, axis=1, largest=0, sorted=1)
        values = g.node("Gather", g.const(rows[donors, i]), places, axis=0)
        counted = g.node("Cast", g.node("Not", g.node("IsInf", distances)), to=DOUBLE)
        number = row_sum(g, counted)
        mean = g.node("Div", row_sum(g, g.node("Mul", values, counted)), number)
        alone = g.node("Equal", number, g.const(np.array([0.0])))
        guess = g.node("Where", alone, g.const(means[i : i + 1]), mean)
        own = g.cast(part.tensor, DOUBLE)
        filled = g.node("Where", g.columns(gone, [i], table.width), guess, own)
        parts.append(dataclasses.replace(part, tensor=filled, kind="DOUBLE", imputed=True))
    if step.add_indicator and step.indicator_ is not None:
        parts += _indicators(g, step.indicator_, table.split(g))
    return Table(tuple(parts))


def _nan_distances(g: Graph, x: str, gone: str, rows: Any, known: Any, means: Any) -> str:
    """[N, rows]: the square of each distance; infinite where no column is in both."""
    here = g.cast(g.node("Not", gone), DOUBLE)
    centred = g.node("Where", gone, g.const(np.array([0.0])), g.node("Sub", x, g.const(means)))
    both = affine(g, here, known, 0.0)
    own = affine(g, g.node("Mul", centred, centred), known, 0.0)
    cross = g.node("Add", affine(g, centred, -2 * rows, 0.0), affine(g, here, rows**2, 0.0))
    total = g.node("Max", g.node("Add", own, cross), g.const(np.array([0.0])))
    scaled = g.node("Div", g.node("Mul", total, g.const(np.array([float(len(means))]))), both)
    none = g.node("Equal", both, g.const(np.array([0.0])))
    return g.node("Where", none, g.const(np.array([np.inf])), scaled)


TRANSFORMS = {
    "KNNImputer": _neighbours,
    "SimpleImputer": _simple,
    "MissingIndicator": _indicator,
    "IterativeImputer": _iterative,
}
PREDICTORS: dict[str, Any] = {}
