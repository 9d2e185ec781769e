"""Trees whose leaves are linear functions of the features, as sums of trees with one value a leaf.

A row gets Σ (constant + Σ slope · x) over the trees, which is Σ constant + Σ (Σ slope) · x: one
tree for the constants of a tree, and one for the slopes of each feature that its leaves use. Slopes
above and below zero stay apart, so that the two of them make NaN of an infinity, as they do there.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sqlml.convert.ensemble import Tree, ensemble_nodes
from sqlml.convert.links import row_sum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.convert.graph import Graph


Term = tuple[int, bool]
"""A feature, and whether the slope is above zero."""


@dataclass(frozen=True, slots=True)
class Line:
    """The function in a leaf. Where one of its features is missing, the leaf's value stands."""

    constant: float
    slopes: Mapping[int, float]
    """By feature."""


@dataclass(frozen=True, slots=True)
class LinearTree:
    """A tree with one value a leaf, and lines in some leaves."""

    tree: Tree
    lines: Mapping[int, Line]
    """By node."""


def linear_sum(
    g: Graph, trees: Sequence[LinearTree], x: str, features: int, matrix: str, outputs: int
) -> str:
    """[N, outputs]: the sum of trees, of which every `outputs`-th adds to the same output.

    `x`: [N, features], what the lines are of. `matrix`: what the trees split on, in double; it
    begins with `x`.
    """
    used = sorted({term for t in trees for line in t.lines.values() for term in _terms(line)})
    parts: list[Tree] = []
    adding: list[int] = []
    for i, tree in enumerate(trees):
        output = i % outputs
        constants, slopes = _parts(tree)
        parts += [constants, *slopes.values()]
        adding += [output, *(outputs + output * len(used) + used.index(t) for t in slopes)]
    total = g.fresh()
    width = outputs * (1 + len(used))
    g.add(
        ensemble_nodes(
            parts,
            mode="BRANCH_LEQ",
            precision="float64",
            input=matrix,
            output=total,
            n_outputs=width,
            outputs_of_tree=adding,
        )
    )
    if not used:
        return total
    return g.node(
        "Add",
        g.columns(total, range(outputs), width),
        _products(g, total, g.columns(x, [f for f, _ in used], features), len(used), outputs),
    )


def _terms(line: Line) -> dict[Term, float]:
    return {(f, slope > 0): slope for f, slope in line.slopes.items() if slope != 0}


def _products(g: Graph, total: str, columns: str, terms: int, outputs: int) -> str:
    """[N, outputs]: the slopes' products with their features, [N, terms], added up."""
    zero = g.const(0, "float64")
    there = g.node("Where", g.node("IsNaN", columns), zero, columns)
    width = outputs * (1 + terms)
    sums = []
    for output in range(outputs):
        first = outputs + output * terms
        slopes = g.columns(total, range(first, first + terms), width)
        product = g.node("Mul", slopes, there)
        # Zero times infinity is NaN, and a line has no such term.
        sums.append(row_sum(g, g.node("Where", g.node("Equal", slopes, zero), zero, product)))
    return g.concat(sums)


def _parts(linear: LinearTree) -> tuple[Tree, dict[Term, Tree]]:
    """The tree of constants, and those of slopes.

    A leaf with a line becomes a chain of tests, each of which lets all numbers pass and sends
    a missing value to the leaf's own value.
    """
    tree, nodes = linear.tree, len(linear.tree.left)
    used = sorted({term for line in linear.lines.values() for term in _terms(line)})
    feature, left, right = (list(a) for a in (tree.feature, tree.left, tree.right))
    threshold, missing_left = list(tree.threshold), list(tree.missing_left)
    constant = list(tree.value[:, 0])
    slope: dict[Term, list[float]] = {term: [0.0] * nodes for term in used}

    def leaf(value: float, slopes: Mapping[Term, float]) -> int:
        for array, entry in ((feature, 0), (threshold, 0.0), (left, -1), (right, -1)):
            array.append(entry)
        missing_left.append(np.False_)
        constant.append(value)
        for term in used:
            slope[term].append(slopes.get(term, 0.0))
        return len(left) - 1

    for node, line in linear.lines.items():
        without = constant[node]
        for f in line.slopes:
            missing = leaf(without, {})
            there = leaf(line.constant, _terms(line))
            feature[node], threshold[node] = f, np.inf
            left[node], right[node] = there, missing
            node = there
        if not line.slopes:
            constant[node] = line.constant

    constants = Tree(
        np.array(feature, np.int64),
        np.array(threshold, np.float64),
        np.array(left, np.int64),
        np.array(right, np.int64),
        np.array(missing_left, np.bool_),
        np.array(constant, np.float64)[:, None],
    )
    return constants, {
        term: dataclasses.replace(constants, value=np.array(slope[term], np.float64)[:, None])
        for term in used
    }
