"""Trees → the ONNX nodes of their sum, the same to the last bit as adding leaf by leaf.

One `TreeEnsemble` (ai.onnx.ml 5) adds the leaves and nothing else: links, averages and
labels are plain nodes after it, since onnxruntime treats `post_transform` unevenly
(https://github.com/microsoft/onnxruntime/issues/26596). What is known of it, tried on 1.31:

* Its output has its input's type. The older TreeEnsembleRegressor always gives float32,
  whatever its attributes hold.
* Without threads the leaves are added in the order of the trees, in the input's type, for
  one row as for any number of rows; so the base value is the first tree, of one leaf.
* A leaf votes for one output only: a tree with K values a leaf becomes K trees. Where all
  leaves below a node hold one value for an output, the node is a leaf in that copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Mode = Literal["BRANCH_LEQ", "BRANCH_LT"]
Width = Literal["float32", "float64"]


# The numbers of the operator's `nodes_modes` and `aggregate_function`,
# https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html
_MODES: dict[Mode, int] = {"BRANCH_LEQ": 0, "BRANCH_LT": 1}
_SUM = 1


@dataclass(frozen=True, eq=False, slots=True)
class Tree:
    """One tree as flat arrays with an entry for each node; node 0 is the root."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    """Where a row goes for which `x <= threshold` (or `<`) holds; -1 at a leaf."""
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    """Whether NaN goes left."""
    value: NDArray[np.float64]
    """[nodes, outputs]; read at leaves only."""


def ensemble_nodes(
    trees: Sequence[Tree],
    *,
    mode: Mode,
    precision: Width,
    input: str,
    output: str,
    n_outputs: int = 1,
    aggregate: Literal["SUM", "AVERAGE"] = "SUM",
    base: Sequence[float] = (),
    outputs_of_tree: Sequence[int] | None = None,
) -> list[Any]:
    """The ONNX nodes from `input` [N, features] to `output` [N, n_outputs], the raw sums.

    The input is of the type `precision`, thresholds and sums are computed in it, and it is
    the type of the output. `base` (one number for each output, or none) is added first.
    `outputs_of_tree`: for trees with one value a leaf, the output that each adds to.
    AVERAGE divides the sum, base included, by the number of trees.
    The graph needs ai.onnx.ml in version 5, as `graph.OPSETS` has it.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    dtype = np.dtype(precision)
    summed = output if aggregate == "SUM" else f"{output}_sum"
    nodes = [_tree_ensemble(_rows(trees, base, outputs_of_tree), mode, dtype, n_outputs)]
    nodes[0].input.append(input)
    nodes[0].output.append(summed)
    nodes[0].name = summed
    if aggregate == "AVERAGE":
        count = np.array(len(trees), dtype)
        nodes += [
            helper.make_node(
                "Constant", [], [f"{output}_trees"], value=numpy_helper.from_array(count)
            ),
            helper.make_node("Div", [summed, f"{output}_trees"], [output]),
        ]
    return nodes


def floor32(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The greatest float32 that is not above each number.

    For a float32 `x`, `x <= t` and `x <= floor32(t)` are the same.

    >>> import numpy as np
    >>> bool(np.float64(floor32(np.array([0.1]))[0]) <= 0.1 < np.float64(np.float32(0.1)))
    True
    """
    import numpy as np

    with np.errstate(over="ignore"):
        near = np.asarray(thresholds, np.float64).astype(np.float32)
    below = np.nextafter(near, np.float32(-np.inf))
    return np.where(near.astype(np.float64) > thresholds, below, near).astype(np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class _Voting:
    """A tree with one value a leaf, and the output it adds to."""

    tree: Tree
    output: int
    value: NDArray[np.float64]
    leaf: NDArray[np.bool_]


def _rows(
    trees: Sequence[Tree], base: Sequence[float], outputs_of_tree: Sequence[int] | None
) -> list[_Voting]:
    """Every tree with one value a leaf, in the order of addition."""
    voting = [
        _voting(_one_leaf(float(value)), output, 0)
        for output, value in enumerate(base)
        if value != 0
    ]
    for i, tree in enumerate(trees):
        if outputs_of_tree is not None:
            voting.append(_voting(tree, outputs_of_tree[i], 0))
        else:
            voting += [_voting(tree, k, k) for k in range(tree.value.shape[1])]
    # Adding nothing changes no sum; a forest of many classes has many such trees.
    adding = [v for v in voting if not (v.leaf[0] and v.value[0] == 0)]
    return adding or [_voting(_one_leaf(0.0), 0, 0)]


def _one_leaf(value: float) -> Tree:
    import numpy as np

    none = np.array([-1])
    return Tree(
        np.zeros(1, np.int64),
        np.zeros(1),
        none,
        none,
        np.zeros(1, np.bool_),
        np.array([[value]]),
    )


def _voting(tree: Tree, output: int, column: int) -> _Voting:
    """The tree for one column of its values, cut where that column no longer changes."""
    import numpy as np

    value = np.array(tree.value[:, column], np.float64)
    leaf = np.array(tree.left) < 0
    for level in reversed(_levels(tree)):
        inner = level[~leaf[level]]
        left, right = tree.left[inner], tree.right[inner]
        same = leaf[left] & leaf[right] & (value[left] == value[right])
        value[inner[same]] = value[left[same]]
        leaf[inner[same]] = True
    return _Voting(tree, output, value, leaf)


def _levels(tree: Tree) -> list[NDArray[np.int64]]:
    """The nodes at each depth that can be reached from the root."""
    import numpy as np

    levels = []
    level = np.array([0])
    while len(level):
        levels.append(level)
        inner = level[tree.left[level] >= 0]
        level = np.stack([tree.left[inner], tree.right[inner]], axis=1).ravel()
    return levels


def _tree_ensemble(rows: Sequence[_Voting], mode: Mode, dtype: np.dtype[Any], width: int) -> Any:
    """The operator, its input and output yet to be named."""
    import numpy as np
    from onnx import helper, numpy_helper

    parts: dict[str, list[NDArray[Any]]] = {
        key: []
        for key in (
            "nodes_featureids",
            "nodes_splits",
            "nodes_truenodeids",
            "nodes_trueleafs",
            "nodes_falsenodeids",
            "nodes_falseleafs",
            "nodes_missing_value_tracks_true",
            "leaf_targetids",
            "leaf_weights",
        )
    }
    roots = []
    first_node = first_leaf = 0
    for row in rows:
        tree = row.tree
        # Only what is reached: leaves, and inner nodes in breadth-first order.
        inner_levels, leaf_levels = [], []
        level = np.array([0])
        while len(level):
            is_leaf = row.leaf[level]
            leaf_levels.append(level[is_leaf])
            inner = level[~is_leaf]
            inner_levels.append(inner)
            level = np.stack([tree.left[inner], tree.right[inner]], axis=1).ravel()
        inner, leaves = np.concatenate(inner_levels), np.concatenate(leaf_levels)
        number = np.empty(len(tree.left), np.int64)
        number[inner] = first_node + np.arange(len(inner))
        number[leaves] = first_leaf + np.arange(len(leaves))
        alone = len(inner) == 0
        # A tree of one leaf is a node whose two branches are that leaf.
        left = leaves if alone else tree.left[inner]
        right = leaves if alone else tree.right[inner]
        split = np.zeros(1) if alone else tree.threshold[inner]
        feature = np.zeros(1, np.int64) if alone else tree.feature[inner]
        missing = np.zeros(1, np.int64) if alone else tree.missing_left[inner]
        parts["nodes_featureids"].append(feature)
        parts["nodes_splits"].append(split)
        parts["nodes_truenodeids"].append(number[left])
        parts["nodes_trueleafs"].append(row.leaf[left])
        parts["nodes_falsenodeids"].append(number[right])
        parts["nodes_falseleafs"].append(row.leaf[right])
        parts["nodes_missing_value_tracks_true"].append(missing)
        parts["leaf_targetids"].append(np.full(len(leaves), row.output))
        parts["leaf_weights"].append(row.value[leaves])
        roots.append(first_node)
        first_node += max(len(inner), 1)
        first_leaf += len(leaves)

    joined = {key: np.concatenate(arrays) for key, arrays in parts.items()}
    tensors = {
        "nodes_splits": joined.pop("nodes_splits").astype(dtype),
        "nodes_modes": np.full(first_node, _MODES[mode], np.uint8),
        "leaf_weights": joined.pop("leaf_weights").astype(dtype),
    }
    return helper.make_node(
        "TreeEnsemble",
        [],
        [],
        domain="ai.onnx.ml",
        n_targets=width,
        aggregate_function=_SUM,
        post_transform=0,
        tree_roots=roots,
        **{key: array.astype(np.int64).tolist() for key, array in joined.items()},
        **{key: numpy_helper.from_array(array, key) for key, array in tensors.items()},
    )
