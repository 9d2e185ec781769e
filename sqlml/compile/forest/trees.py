"""The tree ensembles of an ONNX graph in one form, whichever operator they are written in.

https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html and its forerunners
TreeEnsembleRegressor and TreeEnsembleClassifier, as ONNX Runtime 1.31 computes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper, numpy_helper

from sqlml.errors import NotCompilableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto

    Int = NDArray[np.int64]

LEQ, LT, GTE, GT, EQ, NEQ, MEMBER = range(7)
"""`nodes_modes` of TreeEnsemble."""

_MODES = {
    "BRANCH_LEQ": LEQ,
    "BRANCH_LT": LT,
    "BRANCH_GTE": GTE,
    "BRANCH_GT": GT,
    "BRANCH_EQ": EQ,
    "BRANCH_NEQ": NEQ,
    "LEAF": -1,
}
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")

OPERATORS = ("TreeEnsemble", "TreeEnsembleRegressor", "TreeEnsembleClassifier")


@dataclass(frozen=True, eq=False, slots=True)
class Ensemble:
    """Trees over the columns of a matrix. A child or root of `~i` is leaf `i`."""

    operator: str
    input: str
    outputs: tuple[str, ...]
    """The scores; before them the labels of a classifier."""
    dtype: np.dtype[Any]
    """In which thresholds are compared and leaves are added."""
    result: np.dtype[Any]
    """Of the scores."""
    width: int
    """How many scores a row has."""
    aggregate: str
    base: NDArray[Any] | None
    labels: NDArray[Any] | None
    """A classifier's classes."""
    roots: Int
    feature: Int
    mode: Int
    split: NDArray[Any]
    true: Int
    false: Int
    missing: NDArray[np.bool_]
    """Whether NaN goes where the test is true."""
    members: Mapping[int, NDArray[Any]]
    """Node → the set of a MEMBER."""
    votes_at: Int
    """Leaf `i` has the votes from votes_at[i] to votes_at[i + 1]."""
    target: Int
    weight: NDArray[Any]


def parse(node: NodeProto, element: np.dtype[Any]) -> Ensemble:
    """The ensemble of a node whose input has elements of that type.

    Raises `NotCompilableError` for what cannot be told apart from ONNX Runtime's own reading.
    """
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    for name, value in given.items():
        if hasattr(value, "dims"):
            given[name] = numpy_helper.to_array(value)
    made = _of_version_5 if node.op_type == "TreeEnsemble" else _of_version_3
    ensemble = made(node, given, element)
    _check(ensemble)
    return ensemble


def refused(operator: str, reason: str) -> NotCompilableError:
    return NotCompilableError(f"{operator} has no form for the tree kernel: {reason}")


def _of_version_5(node: NodeProto, given: dict[str, Any], element: np.dtype[Any]) -> Ensemble:
    _no_transform(node, _TRANSFORMS[given.get("post_transform", 0)])
    mode = np.asarray(given["nodes_modes"], np.int64)
    true, false = _ints(given["nodes_truenodeids"]), _ints(given["nodes_falsenodeids"])
    true_leaf, false_leaf = _ints(given["nodes_trueleafs"]), _ints(given["nodes_falseleafs"])
    roots = _ints(given["tree_roots"])
    if len(roots) and not 0 <= roots.min() <= roots.max() < len(mode):
        raise refused(node.op_type, "a root is not a node.")
    # A node whose two branches are one leaf is how this operator writes a tree of one leaf.
    alone = (true_leaf[roots] != 0) & (false_leaf[roots] != 0) & (true[roots] == false[roots])
    target = _ints(given["leaf_targetids"])
    return Ensemble(
        node.op_type,
        node.input[0],
        tuple(node.output),
        element,
        element,
        given.get("n_targets", 0),
        _AGGREGATES[given.get("aggregate_function", 1)],
        None,
        None,
        np.where(alone, ~true[roots], roots),
        _ints(given["nodes_featureids"]),
        mode,
        np.asarray(given["nodes_splits"], element),
        np.where(true_leaf != 0, ~true, true),
        np.where(false_leaf != 0, ~false, false),
        _missing(given, len(mode)),
        _members(mode, given.get("membership_values")),
        np.arange(len(target) + 1),
        target,
        np.asarray(given["leaf_weights"], element),
    )


def _of_version_3(node: NodeProto, given: dict[str, Any], element: np.dtype[Any]) -> Ensemble:
    transform = given.get("post_transform", b"NONE").decode()
    _no_transform(node, transform)
    # Integers are compared with float32 thresholds as float32.
    dtype = np.dtype(np.float64 if element == np.float64 else np.float32)
    classifier = node.op_type == "TreeEnsembleClassifier"
    vote = "class" if classifier else "target"
    labels = None
    if classifier:
        strings = [s.decode() for s in given.get("classlabels_strings", ())]
        numbers = np.asarray(given.get("classlabels_int64s", ()), np.int64)
        labels = np.array(strings, object) if strings else numbers
    mode = np.array([_MODES[m.decode()] for m in given["nodes_modes"]], np.int64)
    tree, number = _ints(given["nodes_treeids"]), _ints(given["nodes_nodeids"])
    first = np.flatnonzero(np.diff(tree, prepend=-1 if not len(tree) else tree[0] - 1))
    if len(np.unique(tree[first])) < len(first):
        raise refused(node.op_type, "the nodes of a tree do not stand together.")
    find = _finder(node.op_type, tree, number)
    leaf = mode < 0
    inner = np.flatnonzero(~leaf)
    true, false = np.zeros(len(mode), np.int64), np.zeros(len(mode), np.int64)
    for name, child in (("nodes_truenodeids", true), ("nodes_falsenodeids", false)):
        to = find(tree[inner], _ints(given[name])[inner])
        child[inner] = np.where(leaf[to], ~to, to)
    voter = find(_ints(given[f"{vote}_treeids"]), _ints(given[f"{vote}_nodeids"]))
    order = np.argsort(voter, kind="stable")
    order = order[leaf[voter[order]]]  # of inner nodes they are passed over
    count = np.bincount(voter[order], minlength=len(mode))
    if np.any(count[leaf] == 0):
        raise refused(node.op_type, "a leaf has no weight.")
    base = _floats(given, "base_values", dtype)
    return Ensemble(
        node.op_type,
        node.input[0],
        tuple(node.output),
        dtype,
        np.dtype(np.float32),
        len(labels) if labels is not None else given.get("n_targets", 0),
        given.get("aggregate_function", b"SUM").decode(),
        base if len(base) else None,
        labels,
        np.where(leaf[first], ~first, first),
        _ints(given["nodes_featureids"]),
        mode,
        _floats(given, "nodes_values", dtype),
        true,
        false,
        _missing(given, len(mode)),
        {},
        np.concatenate([[0], np.cumsum(count)]),
        _ints(given[f"{vote}_ids"])[order],
        _floats(given, f"{vote}_weights", dtype)[order],
    )


def _no_transform(node: NodeProto, transform: str) -> None:
    if transform != "NONE":
        reason = f"its post_transform {transform} rounds as ONNX Runtime alone does."
        raise refused(node.op_type, reason)


def _ints(values: Any) -> Int:
    return np.asarray(values, np.int64)


def _floats(given: Mapping[str, Any], name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An attribute of floats, or its twin of doubles."""
    single = np.asarray(given.get(name, ()), np.float32)
    return np.asarray(given.get(f"{name}_as_tensor", single), dtype)


def _missing(given: Mapping[str, Any], nodes: int) -> NDArray[np.bool_]:
    tracks = _ints(given.get("nodes_missing_value_tracks_true", ()))[:nodes]
    missing = np.zeros(nodes, np.bool_)
    missing[: len(tracks)] = tracks == 1
    return missing


def _members(mode: Int, values: NDArray[Any] | None) -> dict[int, NDArray[Any]]:
    """The sets of the MEMBER nodes in their order, which NaN divides."""
    nodes = np.flatnonzero(mode == MEMBER)
    if not len(nodes):
        return {}
    found = np.asarray(() if values is None else values)
    sets = np.split(found, np.flatnonzero(np.isnan(found)) + 1)
    sets = [s[~np.isnan(s)] for s in sets]
    if len(sets) < len(nodes) or any(len(s) == 0 for s in sets[: len(nodes)]):
        raise refused("TreeEnsemble", "a node's set has no members.")
    return dict(zip(nodes.tolist(), sets, strict=False))


def _finder(operator: str, tree: Int, number: Int) -> Any:
    """A function from (tree, number) of nodes to where they stand."""
    if (len(tree) and min(tree.min(), number.min()) < 0) or number.max(initial=0) >= 1 << 31:
        raise refused(operator, "a node's number is out of range.")
    key = (tree << 31) + number
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    if np.any(ordered[1:] == ordered[:-1]):
        raise refused(operator, "two nodes have one number.")

    def find(trees: Int, numbers: Int) -> Int:
        wanted = (trees << 31) + numbers
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        if np.any(ordered[at] != wanted):
            raise refused(operator, "a branch ends nowhere.")
        return order[at]

    return find


def _check(e: Ensemble) -> None:
    nodes, leaves = len(e.mode), len(e.votes_at) - 1
    arrays: Sequence[Any] = (e.feature, e.split, e.true, e.false, e.missing)
    if any(len(a) != nodes for a in arrays) or len(e.target) != len(e.weight):
        raise refused(e.operator, "its attributes are of different lengths.")
    if not len(e.roots):
        raise refused(e.operator, "it has no trees.")
    for child in (e.true, e.false):
        if len(child) and not -leaves <= child.min() <= child.max() < nodes:
            raise refused(e.operator, "a branch ends nowhere.")
    if e.aggregate not in _AGGREGATES or not 0 < e.width < 1 << 16:
        raise refused(e.operator, f"aggregate {e.aggregate} of {e.width} scores.")
    if len(e.target) and not 0 <= e.target.min() <= e.target.max() < e.width:
        raise refused(e.operator, "a leaf votes for what is not there.")
    if np.isnan(e.weight).any() or (e.base is not None and np.isnan(e.base).any()):
        raise refused(e.operator, "a leaf is NaN.")
    if len(e.feature) and e.feature.min() < 0:
        raise refused(e.operator, "a feature has a negative number.")
