"""The trees of a CatBoost model, whose splits are numbers of columns and borders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.ensemble import Tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.convert.catboost.categories import Columns
    from sqlml.convert.catboost.source import Source


def trees_of(source: Source, columns: Columns) -> list[Tree]:
    """The trees, in the order in which they are added."""
    of_any_shape = not source.content.get("oblivious_trees")
    make = _free if of_any_shape else _oblivious
    return [make(tree, columns) for tree in source.trees]


def _oblivious(content: Mapping[str, Any], columns: Columns) -> Tree:
    """A tree that asks the same in every node of a level: split k is bit k of the leaf's number."""
    splits = [columns.split(split) for split in content["splits"] or []]
    depth = len(splits)
    inner, leaves = 2**depth - 1, 2**depth
    number = np.arange(inner)
    level = np.floor(np.log2(number + 1)).astype(np.int64)
    # The leaves stand in the order of the way to them, whose first turn is the lowest bit.
    way = np.arange(leaves)
    place = sum(
        (((way >> (depth - 1 - k)) & 1) << k for k in range(depth)), np.zeros(leaves, np.int64)
    )
    value = np.array(content["leaf_values"], np.float64).reshape(leaves, -1)

    def of_nodes(values: Sequence[Any], dtype: Any, filler: Any) -> Any:
        asked = np.array(values, dtype)[level] if depth else np.zeros(0, dtype)
        return np.concatenate([asked, np.full(leaves, filler, dtype)])

    none = np.full(leaves, -1)
    return Tree(
        of_nodes([split.column for split in splits], np.int64, 0),
        of_nodes([split.border for split in splits], np.float64, 0.0),
        np.concatenate([2 * number + 1, none]),
        np.concatenate([2 * number + 2, none]),
        of_nodes([split.missing_below for split in splits], np.bool_, False),
        np.concatenate([np.zeros((inner, value.shape[1])), value[place]]),
    )


def _free(content: Mapping[str, Any], columns: Columns) -> Tree:
    """A tree of any shape (grow_policy Depthwise or Lossguide), as nested nodes."""
    feature: list[int] = []
    borders: list[float] = []
    below: list[bool] = []
    children: list[list[int]] = []
    values: list[Any] = []

    def add(node: Mapping[str, Any]) -> int:
        at = len(feature)
        split = None if "value" in node else columns.split(node["split"])
        feature.append(split.column if split else 0)
        borders.append(split.border if split else 0.0)
        below.append(split.missing_below if split else False)
        children.append([-1, -1])
        values.append(None if split else np.atleast_1d(np.array(node["value"], np.float64)))
        if split:
            children[at] = [add(node["left"]), add(node["right"])]
        return at

    add(content)
    width = len(next(value for value in values if value is not None))
    filled = [np.zeros(width) if value is None else value for value in values]
    left, right = np.array(children, np.int64).T
    return Tree(
        np.array(feature, np.int64),
        np.array(borders, np.float64),
        left,
        right,
        np.array(below, np.bool_),
        np.stack(filled),
    )
