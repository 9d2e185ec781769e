"""A tree ensemble in ONNX is the sum of its leaves, in order, to the last bit."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from sqlml.convert.ensemble import Tree, ensemble_nodes, floor32
from sqlml.convert.graph import OPSETS

from .agreement import session

AWKWARD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 5e-324, 1.0, -1.0, 1e38, 1e300]


def grown(rng, depth, outputs=1):
    """A random tree; some branches end early, some leaves are zero."""
    nodes = []

    def grow(depth):
        at = len(nodes)
        value = rng.normal(size=outputs) * rng.integers(0, 2, outputs)
        threshold = rng.choice([rng.normal(), 0.0, 1.0])
        nodes.append([rng.integers(4), threshold, -1, -1, rng.random() < 0.5, value])
        if depth and rng.random() < 0.9:
            nodes[at][2] = grow(depth - 1)
            nodes[at][3] = grow(depth - 1)
        return at

    grow(depth)
    return Tree(*(np.array(column) for column in zip(*nodes, strict=True)))


def leaf(*values):
    none = np.array([-1])
    return Tree(np.array([0]), np.zeros(1), none, none, np.array([False]), np.array([values]))


def chain(depth):
    """A tree that is one long branch to the left."""
    inner = np.arange(depth)
    leaves = np.full(depth + 1, -1)
    return Tree(
        np.zeros(2 * depth + 1, np.int64),
        np.r_[-inner, leaves].astype(float),
        np.r_[inner + 1, leaves],
        np.r_[inner + depth + 1, leaves],
        np.ones(2 * depth + 1, bool),
        np.arange(2 * depth + 1.0)[:, None],
    )


def run(rows, trees, *, mode="BRANCH_LEQ", **options):
    precision = str(rows.dtype)
    nodes = ensemble_nodes(trees, mode=mode, precision=precision, input="X", output="Y", **options)
    element = helper.np_dtype_to_tensor_dtype(rows.dtype)
    graph = helper.make_graph(
        nodes,
        "sum",
        [helper.make_tensor_value_info("X", element, ["N", rows.shape[1]])],
        [helper.make_tensor_value_info("Y", element, ["N", None])],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    scored = session(model.SerializeToString())
    return lambda some: scored.run(None, {"X": some})[0]


def added(rows, trees, mode, outputs, base=(), outputs_of_tree=None):
    """The sum as it is meant, in the width of the rows."""
    number = rows.dtype.type
    sums = np.zeros((len(rows), outputs), number)
    if len(base):
        sums += np.array(base, number)
    for row, total in zip(rows, sums, strict=True):
        for i, tree in enumerate(trees):
            at = 0
            while tree.left[at] >= 0:
                x, t = row[tree.feature[at]], number(tree.threshold[at])
                below = x <= t if mode == "BRANCH_LEQ" else x < t
                goes_left = tree.missing_left[at] if np.isnan(x) else below
                at = tree.left[at] if goes_left else tree.right[at]
            if outputs_of_tree is None:
                total += tree.value[at].astype(number)
            else:
                total[outputs_of_tree[i]] += number(tree.value[at, 0])
    return sums


def awkward_rows(dtype, n=130):
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(n, 4))
    rows = np.where(rng.random(rows.shape) < 0.4, rng.choice(AWKWARD, rows.shape), rows)
    with np.errstate(over="ignore"):
        return rows.astype(dtype)


@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("count", "outputs"), [(1, 1), (7, 2), (100, 1), (90, 3)])
def test_the_sum_is_exact_for_one_row_and_for_many(mode, dtype, count, outputs):
    rng = np.random.default_rng(count)
    trees = [grown(rng, depth=int(rng.integers(0, 7)), outputs=outputs) for _ in range(count)]
    rows = awkward_rows(dtype)
    base = rng.normal(size=outputs)
    score = run(rows, trees, mode=mode, n_outputs=outputs, base=base)
    expected = added(rows, trees, mode, outputs, base)
    for size in (len(rows), 1, 2, 51, 129):
        parts = [score(rows[i : i + size]) for i in range(0, len(rows), size)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert score(rows).dtype == dtype


def test_a_tree_adds_to_the_output_it_belongs_to():
    rng = np.random.default_rng(0)
    trees = [grown(rng, 4) for _ in range(12)]
    outputs = [i % 3 for i in range(12)]
    rows = awkward_rows("float64")
    found = run(rows, trees, n_outputs=3, outputs_of_tree=outputs)(rows)
    expected = added(rows, trees, "BRANCH_LEQ", 3, outputs_of_tree=outputs)
    np.testing.assert_array_equal(found, expected)


def test_an_average_divides_the_sum():
    rows = awkward_rows("float64")
    trees = [leaf(0.1, 1.0), leaf(0.2, 0.0), leaf(0.4, 1.0)]
    found = run(rows, trees, n_outputs=2, aggregate="AVERAGE")(rows)
    np.testing.assert_array_equal(found[0], [(0.1 + 0.2 + 0.4) / 3, 2 / 3])


@pytest.mark.parametrize("trees", [[], [leaf(0.0)], [leaf(0.0), leaf(0.0)]], ids=len)
def test_an_ensemble_without_a_word_says_zero(trees):
    rows = awkward_rows("float64")
    assert not run(rows, trees)(rows).any()


def test_a_tree_of_one_leaf_gives_its_value_for_missing_values_too():
    rows = np.full((3, 4), np.nan)
    assert run(rows, [leaf(2.5)])(rows).tolist() == [[2.5]] * 3


@pytest.mark.parametrize("depth", [40, 2000])
def test_a_deep_tree(depth):
    rows = np.array([[1.0], [0.0], [-0.0], [-39.5], [-1e9], [np.nan], [np.inf], [-np.inf]])
    tree = chain(depth)
    found = run(rows, [tree])(rows)
    np.testing.assert_array_equal(found, added(rows, [tree], "BRANCH_LEQ", 1))


def test_equal_leaves_below_a_node_are_one_leaf():
    tree = chain(3)
    same = Tree(*(getattr(tree, f) for f in list(Tree.__slots__)[:5]), np.full((7, 1), 4.0))
    (node,) = ensemble_nodes([same], mode="BRANCH_LT", precision="float64", input="X", output="Y")
    assert len(next(a for a in node.attribute if a.name == "leaf_targetids").ints) == 1


def test_thresholds_narrowed_to_float32_divide_float32_values_as_before():
    rng = np.random.default_rng(0)
    x = np.r_[rng.normal(size=4000), AWKWARD, 3.5e38, -3.5e38]
    with np.errstate(over="ignore"):
        rows = x.astype(np.float32)
    thresholds = np.concatenate([rows.astype(float), np.nextafter(rows, 9.0, dtype=float), x])
    thresholds = thresholds[~np.isnan(thresholds)]
    for t in thresholds[:: len(thresholds) // 200]:
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(rows <= t, rows <= floor32(np.array([t])))
