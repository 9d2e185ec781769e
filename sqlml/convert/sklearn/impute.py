"""SimpleImputer and MissingIndicator, on numbers and on strings."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import numpy_helper

from sqlml.convert.graph import BOOL, DOUBLE
from sqlml.convert.sklearn.encode import is_missing
from sqlml.convert.sklearn.frame import ELEMENT, Part, Table, dense, name_of
from sqlml.errors import NotConvertibleError
from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from sqlml.convert.graph import Graph


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
        if is_missing(fill):
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


TRANSFORMS = {"SimpleImputer": _simple, "MissingIndicator": _indicator}
PREDICTORS: dict[str, Any] = {}
