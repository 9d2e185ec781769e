"""Pipelines, column transformers and other steps that hold steps."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE
from sqlml.convert.sklearn.arithmetic import UFUNCS
from sqlml.convert.sklearn.frame import ELEMENT, Part, Result, Table, dense, name_of
from sqlml.convert.sklearn.steps import predict, transform
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph

_NOTHING = (None, "passthrough")


def _pipeline_transform(g: Graph, step: Any, table: Table) -> Table:
    for _, inner in step.steps:
        if inner not in _NOTHING:
            table = transform(g, inner, table)
    return table


def _pipeline_predict(g: Graph, step: Any, table: Table) -> Result:
    for _, inner in step.steps[:-1]:
        if inner not in _NOTHING:
            table = transform(g, inner, table)
    if step.steps[-1][1] in _NOTHING:
        raise NotConvertibleError(name_of(step), "its last step is no model.")
    return predict(g, step.steps[-1][1], table)


def _column_transformer(g: Graph, step: Any, table: Table) -> Table:
    found = _positions(step, table)
    outcome: list[Table] = []
    for name, inner, _ in step.transformers_:
        indices = [found[int(i)] for i in step._transformer_to_input_indices[name]]
        if inner == "drop" or not indices:
            continue
        chosen = table.select(g, indices)
        if inner not in _NOTHING:
            chosen = transform(g, inner, chosen)
        outcome.append(_weighted(g, chosen, (step.transformer_weights or {}).get(name)))
    return _side_by_side(outcome, sparse=bool(step.sparse_output_), step=step)


def _positions(step: Any, table: Table) -> list[int]:
    """Where the columns of the training data stand in the table: by name where names are there."""
    names = getattr(step, "feature_names_in_", None)
    if names is None or table.names is None:
        if table.width != step.n_features_in_:
            raise NotConvertibleError(
                name_of(step), f"it takes {step.n_features_in_} columns, found {table.width}."
            )
        return list(range(table.width))
    where = {name: i for i, name in enumerate(table.names)}
    used = {i for v in step._transformer_to_input_indices.values() for i in v}
    absent = [n for i, n in enumerate(names) if n not in where and i in used]
    if absent:
        raise NotConvertibleError(
            name_of(step), f"the sample has no column {absent[0]!r}.", "Give all of its columns."
        )
    return [where.get(name, -1) for name in names]


def _side_by_side(tables: list[Table], *, sparse: bool, step: Any) -> Table:
    parts = tuple(part for table in tables for part in table.parts)
    if not parts:
        raise NotConvertibleError(name_of(step), "it gives no columns.")
    return Table(parts, None, sparse)


def _weighted(g: Graph, table: Table, weight: float | None) -> Table:
    if weight is None:
        return table
    scaled = tuple(
        Part(g.node("Mul", p.tensor, _scalar(g, weight, p)), p.width, p.kind) for p in table.parts
    )
    return Table(scaled, None, table.sparse)


def _scalar(g: Graph, value: float, like: Part) -> str:
    return g.const(np.array(value), "float64" if ELEMENT[like.kind] == DOUBLE else "float32")


def _feature_union(g: Graph, step: Any, table: Table) -> Table:
    outcome = [
        _weighted(
            g,
            table if inner == "passthrough" else transform(g, inner, table),
            (step.transformer_weights or {}).get(name),
        )
        for name, inner in step.transformer_list
        if inner not in (None, "drop")
    ]
    return _side_by_side(outcome, sparse=any(t.sparse for t in outcome), step=step)


def _function(g: Graph, step: Any, table: Table) -> Table:
    if step.func is None:
        return table
    return apply_function(g, step, step.func, step.kw_args, table)


def apply_function(g: Graph, step: Any, func: Any, kw_args: Any, table: Table) -> Table:
    """A NumPy function on every number of a table; other code has no form in ONNX."""
    name = getattr(func, "__name__", repr(func))
    known = isinstance(func, np.ufunc) and not kw_args
    if not known or name not in UFUNCS:
        raise NotConvertibleError(
            f"{name_of(step)}({name})",
            "it runs Python code.",
            f"Use a NumPy function of one argument ({', '.join(sorted(UFUNCS))}), or compute "
            "the column in SQL before PREDICT.",
        )
    for integer in sorted({part.integer for part in table.parts if part.integer}):
        computed = func(np.ones(1, integer)).dtype
        widest = integer == "int64" and name in ("absolute", "negative")
        if computed != np.float64 and not widest and name != "sign":
            raise NotConvertibleError(
                f"{name_of(step)}({name})",
                f"of a column of {integer} it makes {computed}, which overflows or is not exact.",
                "Train it on doubles, as of X.astype('float64').",
            )
    kind = table.kind
    matrix = g.cast(table.matrix(g, step), DOUBLE)
    result = g.cast(UFUNCS[name](g, matrix), ELEMENT[kind])
    made = dense(result, table.width, kind)
    return dataclasses.replace(made, names=table.names, sparse=table.sparse)


def _transformed_target(g: Graph, step: Any, table: Table) -> Result:
    inner = predict(g, step.regressor_, table)
    back = step.transformer_
    assert inner.prediction is not None
    answer = dense(inner.prediction, inner.width)
    if name_of(back) == "FunctionTransformer":
        if back.inverse_func is not None:
            answer = apply_function(g, step, back.inverse_func, back.inv_kw_args, answer)
    elif name_of(back) in _INVERSES:
        answer = _INVERSES[name_of(back)](g, back, answer)
    else:
        raise NotConvertibleError(
            f"{name_of(step)}({name_of(back)})",
            "the inverse of its transformer has no form here.",
            f"Use one of {', '.join(_INVERSES)}, or func and inverse_func.",
        )
    return Result("regression", answer.matrix(g, step), inner.width)


def _unscale(scale: str, shift: str, divide: bool = False) -> Any:
    """The inverse of a scaler as it computes it: times scale, plus shift, where it has them."""

    def inverse(g: Graph, step: Any, table: Table) -> Table:
        x = table.matrix(g, step, "DOUBLE")
        by: Any = getattr(step, scale, None)
        plus: Any = getattr(step, shift, None)
        if divide:  # MinMaxScaler: (x - min_) / scale_
            x = g.node("Sub", x, g.const(np.atleast_2d(plus), "float64"))
            return dense(g.node("Div", x, g.const(np.atleast_2d(by), "float64")), table.width)
        if by is not None:
            x = g.node("Mul", x, g.const(np.atleast_2d(by), "float64"))
        if plus is not None:
            x = g.node("Add", x, g.const(np.atleast_2d(plus), "float64"))
        return dense(x, table.width)

    return inverse


_INVERSES = {
    "StandardScaler": _unscale("scale_", "mean_"),
    "RobustScaler": _unscale("scale_", "center_"),
    "MaxAbsScaler": _unscale("scale_", ""),
    "MinMaxScaler": _unscale("scale_", "min_", divide=True),
}


def _best(g: Graph, step: Any, table: Table) -> Result:
    return predict(g, step.best_estimator_, table)


def _best_transform(g: Graph, step: Any, table: Table) -> Table:
    return transform(g, step.best_estimator_, table)


def _select(g: Graph, step: Any, table: Table) -> Table:
    return table.select(g, np.flatnonzero(step.get_support()).tolist())


def _select_predict(g: Graph, step: Any, table: Table) -> Result:
    return predict(g, step.estimator_, _select(g, step, table))


_SEARCHES = (
    "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV",
)  # fmt: skip
_SELECTORS = (
    "GenericUnivariateSelect", "RFE", "RFECV", "SelectFdr", "SelectFpr", "SelectFromModel",
    "SelectFwe", "SelectKBest", "SelectPercentile", "SequentialFeatureSelector",
    "VarianceThreshold",
)  # fmt: skip

TRANSFORMS = {
    "Pipeline": _pipeline_transform,
    "ColumnTransformer": _column_transformer,
    "FeatureUnion": _feature_union,
    "FunctionTransformer": _function,
    **dict.fromkeys(_SEARCHES, _best_transform),
    **dict.fromkeys(_SELECTORS, _select),
}
PREDICTORS = {
    "Pipeline": _pipeline_predict,
    "TransformedTargetRegressor": _transformed_target,
    "RFE": _select_predict,
    "RFECV": _select_predict,
    **dict.fromkeys(_SEARCHES, _best),
}
