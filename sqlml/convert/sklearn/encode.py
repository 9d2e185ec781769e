"""Encoders of categories: strings, numbers, missing and unseen values, as scikit-learn does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import numpy_helper

from sqlml.convert.graph import DOUBLE
from sqlml.convert.sklearn.frame import Part, Table, dense, name_of
from sqlml.errors import NotConvertibleError
from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert.graph import Graph


def lookup(
    g: Graph, part: Part, keys: Sequence[Any], values: Any, default: Any, step: object
) -> str:
    """[N, 1]: each value's entry in a table, `default` where it is not among the keys.

    None and NaN among the keys are two different things, as they are to scikit-learn;
    which of them a missing string is, was seen in the sample.
    """
    values = np.asarray(values)
    read = [_key(part, key, step) for key in keys]
    kept = [i for i, key in enumerate(read) if key is not None]
    names = [read[i] for i in kept] or [_nothing(part)]
    entries = values[kept] if kept else np.asarray([default], dtype=values.dtype)
    tensor, kind = part.tensor, object
    if part.kind != "STRING":
        tensor, kind = g.cast(part.tensor, DOUBLE), np.float64
    return g.node(
        "LabelEncoder",
        tensor,
        domain="ai.onnx.ml",
        keys_tensor=numpy_helper.from_array(np.array(names, dtype=kind), "keys"),
        values_tensor=numpy_helper.from_array(entries, "values"),
        default_tensor=numpy_helper.from_array(np.array([default], dtype=entries.dtype), "default"),
    )


def _key(part: Part, key: Any, step: object) -> str | float | None:
    """A category as the graph's tensor holds it; None for one that no row can hold."""
    missing = is_missing(key)
    if part.kind != "STRING":
        if missing:  # of booleans that are objects, None may be the missing one
            return float("nan") if (key is None) == (part.missing is None) else None
        if isinstance(key, str):
            raise NotConvertibleError(
                name_of(step), "it was trained on strings where the sample has numbers.",
                "Give a sample of the training data.",
            )  # fmt: skip
        return float(key)
    if missing:
        return MISSING_STRING if (key is None) == (part.missing is None) else None
    if not isinstance(key, str):
        raise NotConvertibleError(
            name_of(step), f"it was trained on {type(key).__name__} where the sample has strings.",
            "Give a sample of the training data.",
        )  # fmt: skip
    return str(key)


def _nothing(part: Part) -> str | float:
    return "" if part.kind == "STRING" else 0.0


def is_missing(value: Any) -> bool:
    """None, NaN or pandas.NA."""
    return value is None or type(value).__name__ == "NAType" or value != value


def _accept(g: Graph, part: Part, keys: Sequence[Any]) -> None:
    """Note that the step raises on every other value of a model input."""
    if part.source is not None:
        known = tuple(k for k in keys if not is_missing(k))
        before = g.accepted.get(part.source, known)
        g.accepted[part.source] = tuple(k for k in before if k in known)


def _one_hot(g: Graph, step: Any, table: Table) -> Table:
    parts: list[Part] = []
    kind = "FLOAT" if step.dtype == np.float32 else "DOUBLE"
    for i, part in enumerate(table.split(g)):
        categories = step.categories_[i]
        places, unseen = _places(step, i)
        if step.handle_unknown == "error":
            _accept(g, part, categories)
        width = int(step._n_features_outs[i])
        if width == 0:
            continue
        place = lookup(g, part, categories, places, unseen, step)
        columns = g.const(np.arange(width).reshape(1, -1), "int64")
        encoded = g.node("Cast", g.node("Equal", place, columns), to=1 if kind == "FLOAT" else 11)
        parts.append(Part(encoded, width, kind))  # type: ignore[arg-type]
    if not parts:
        raise NotConvertibleError(name_of(step), "it gives no columns.")
    return Table(tuple(parts), None, bool(step.sparse_output))


def _places(step: Any, i: int) -> tuple[Any, int]:
    """The output column of each category (-1: none), and that of an unseen value."""
    places = np.arange(len(step.categories_[i]))
    unseen = -1
    if step._infrequent_enabled:
        mapping = step._default_to_infrequent_mappings[i]
        if mapping is not None:
            if step.handle_unknown in ("infrequent_if_exist", "warn"):
                unseen = int(mapping[step._infrequent_indices[i][0]])
            places = np.asarray(mapping)
    drop = step._drop_idx_after_grouping
    if drop is not None and drop[i] is not None:
        at = int(drop[i])

        def dropped(place: Any) -> Any:
            return np.where(place == at, -1, np.where(place > at, place - 1, place))

        places, unseen = dropped(places), int(dropped(np.int64(unseen)))
    return places.astype("int64"), unseen


def _ordinal(g: Graph, step: Any, table: Table) -> Table:
    parts: list[Part] = []
    for i, part in enumerate(table.split(g)):
        categories = step.categories_[i]
        codes = np.arange(len(categories), dtype="float64")
        if step._infrequent_enabled and step._default_to_infrequent_mappings[i] is not None:
            # A missing category stands last and is never grouped.
            grouped = np.asarray(step._default_to_infrequent_mappings[i])
            codes[: len(grouped)] = grouped
        absent = step._missing_indices.get(i)
        if absent is not None:
            codes[absent] = step.encoded_missing_value
        unseen = float("nan")
        if step.handle_unknown == "error":
            _accept(g, part, categories)
        else:
            unseen = float(step.unknown_value)
        code = lookup(g, part, categories, codes, unseen, step)
        parts += dense(code, 1).parts
    return Table(tuple(parts))


def _target(g: Graph, step: Any, table: Table) -> Table:
    parts: list[Part] = []
    multiclass = step.target_type_ == "multiclass"
    means = np.atleast_1d(step.target_mean_)
    per_column = len(means) if multiclass else 1
    for i, part in enumerate(table.split(g)):
        for k in range(per_column):
            encoding = np.asarray(step.encodings_[i * per_column + k], dtype="float64")
            code = lookup(g, part, step.categories_[i], encoding, float(means[k]), step)
            parts += dense(code, 1).parts
    return Table(tuple(parts))


TRANSFORMS = {"OneHotEncoder": _one_hot, "OrdinalEncoder": _ordinal, "TargetEncoder": _target}
PREDICTORS: dict[str, Any] = {}
