"""Trees without the branches that no row of a query can take."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sqlml.compile.forest.graph import Cut
from sqlml.compile.formula import numpy_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.compile.facts import Fact
    from sqlml.model import ScoringModel

    Array = np.ndarray[Any, Any]

LEAST = 0.05
"""The share of splits that must be decided: a program of its own has to be made and sent."""

MOST_BYTES = 8 * 1024 * 1024
"""Of the graph; to prune a larger one takes longer than most queries."""


def pruned(model: ScoringModel, facts: Mapping[int, Fact]) -> ScoringModel:
    """The model for rows of which the facts hold, by input number: the same scores, fewer splits.

    The model itself where that would save little.
    """
    if not facts or len(model.onnx) > MOST_BYTES:
        return model
    proto = onnx.load_from_string(model.onnx)
    cut = Cut(proto)
    fields = model.signature.inputs
    known = {
        cut.inputs[i]: (numpy_name(fields[i].wire), fact)
        for i, fact in facts.items()
        if fields[i].width is None
    }
    total = gone = 0
    for node in cut.ensembles:
        if node.op_type == "TreeEnsemble":
            trees = _Trees(node)
            decided = trees.decided(cut, known)
            total += len(decided)
            gone += int(np.count_nonzero(decided))
            trees.cut(decided)
    if not total or gone < LEAST * total:
        return model
    return dataclasses.replace(model, onnx=proto.SerializeToString(deterministic=True))


# The numbers of nodes_modes that are decided here; equality and membership are left alone.
_LEQ, _LT, _GTE, _GT = range(4)


class _Trees:
    """The arrays of one TreeEnsemble (ai.onnx.ml 5); to change them changes the node."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self.node = node
        self.given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.feature = np.asarray(self.given["nodes_featureids"])
        self.split = numpy_helper.to_array(self.given["nodes_splits"]).ravel()
        self.mode = numpy_helper.to_array(self.given["nodes_modes"]).ravel()
        tracks = self.given.get("nodes_missing_value_tracks_true") or [0] * len(self.feature)
        self.missing_true = np.asarray(tracks) == 1
        # A child is a node, or a leaf counted from -1 downwards.
        self.children = {
            side: np.where(
                np.asarray(self.given[f"nodes_{side}leafs"]) == 1,
                -1 - np.asarray(self.given[f"nodes_{side}nodeids"]),
                np.asarray(self.given[f"nodes_{side}nodeids"]),
            )
            for side in ("true", "false")
        }
        self.roots = np.asarray(self.given["tree_roots"])

    def decided(self, cut: Cut, known: Mapping[str, tuple[str, Fact]]) -> Array:
        """For each split 1 where all rows take the true branch, -1 where none does, else 0."""
        found = np.zeros(len(self.feature), np.int64)
        columns = cut.columns(self.node.input[0], int(self.feature.max(initial=-1)) + 1)
        for feature in np.unique(self.feature):
            column = columns[feature]
            if column.source in known:
                wire, fact = known[column.source]
                casts = (wire, *column.casts, self.split.dtype.name)
                mine = np.flatnonzero(self.feature == feature)
                found[mine] = self._by_fact(mine, fact, casts)
        return found

    def _by_fact(self, nodes: Array, fact: Fact, casts: Sequence[str]) -> Array:
        low, high = (_arrived(bound, casts) for bound in _bounds(fact))
        split, mode = self.split[nodes], self.mode[nodes]
        below = {
            _LEQ: (high <= split, low > split),
            _LT: (high < split, low >= split),
            _GTE: (low >= split, high < split),
            _GT: (low > split, high <= split),
        }
        found = np.zeros(len(nodes), np.int64)
        can_miss = fact.may_be_nan or not fact.not_null
        missing_true = self.missing_true[nodes]
        for kind, (always, never) in below.items():
            mine = mode == kind
            found[mine & always & (missing_true | (not can_miss))] = 1
            found[mine & never & (~missing_true | (not can_miss))] = -1
        return found

    def cut(self, decided: Array) -> None:
        """Lead past decided splits, and leave out what is reached no more."""
        chosen = np.where(decided > 0, self.children["true"], self.children["false"])

        def past(places: Array) -> Array:
            while True:
                idle = (places >= 0) & (decided[np.maximum(places, 0)] != 0)
                if not idle.any():
                    return places
                places = np.where(idle, chosen[np.maximum(places, 0)], places)

        yes, no = past(self.children["true"]), past(self.children["false"])
        roots = past(self.roots)
        reached = np.zeros(len(decided), np.bool_)
        level = roots[roots >= 0]
        while len(level):
            reached[level] = True
            level = np.concatenate([yes[level], no[level]])
            level = level[level >= 0]
        kept = np.flatnonzero(reached)
        # A tree of one leaf is a node whose two branches are that leaf.
        alone = np.flatnonzero(roots < 0)
        number = np.full(len(decided), -1)
        number[kept] = np.arange(len(kept))
        first = np.concatenate([kept, self.roots[alone]])
        ends = [np.concatenate([side[kept], roots[alone]]) for side in (yes, no)]
        self.roots = np.where(roots >= 0, number[np.maximum(roots, 0)], 0)
        self.roots[alone] = len(kept) + np.arange(len(alone))
        self._write(first, ends, number)

    def _write(self, nodes: Array, ends: Sequence[Array], number: Array) -> None:
        leaves = np.unique(np.concatenate([-1 - end[end < 0] for end in ends]))
        leaf_number = np.full(int(leaves.max()) + 1, -1)
        leaf_number[leaves] = np.arange(len(leaves))
        made: dict[str, Any] = {"tree_roots": self.roots}
        for side, end in zip(("true", "false"), ends, strict=True):
            is_leaf = end < 0
            at_leaf = leaf_number[np.where(is_leaf, -1 - end, leaves[0])]
            made[f"nodes_{side}leafs"] = is_leaf.astype(np.int64)
            made[f"nodes_{side}nodeids"] = np.where(is_leaf, at_leaf, number[np.maximum(end, 0)])
        for name in ("nodes_featureids", "nodes_missing_value_tracks_true"):
            if self.given.get(name):
                made[name] = np.asarray(self.given[name])[nodes]
        made["leaf_targetids"] = np.asarray(self.given["leaf_targetids"])[leaves]
        tensors = {"nodes_splits": nodes, "nodes_modes": nodes, "leaf_weights": leaves}
        for attribute in self.node.attribute:
            if attribute.name in made:
                del attribute.ints[:]
                attribute.ints.extend(made[attribute.name].tolist())
            elif attribute.name in tensors:
                values = numpy_helper.to_array(attribute.t).ravel()[tensors[attribute.name]]
                attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))


def _bounds(fact: Fact) -> tuple[float, float]:
    """The least and the greatest value that are possible, numbers only."""
    numbers = [v for v in fact.values or () if not isinstance(v, str)]
    low = min(numbers) if numbers else fact.low
    high = max(numbers) if numbers else fact.high
    return (-np.inf if low is None else low, np.inf if high is None else high)


def _arrived(bound: float, casts: Sequence[str]) -> Any:
    """A bound as it arrives at the trees; each cast keeps the order."""
    value = np.asarray(bound)
    with np.errstate(over="ignore"):
        for cast in casts:
            value = value.astype(cast)
    return value[()]
