"""For each node of a tree, a row that arrives at it: only there does its threshold matter."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from sqlml.model import Tensor
from sqlml.score import Scorer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from sqlml.model import ScoringModel
    from sqlml.parity.provenance import Ensemble

    Array = np.ndarray[Any, Any]

# (rows, trees) pairs that are walked at once.
PAIRS = 1_000_000

FAR = 1e38
"""A limit beyond this limits nothing: scikit-learn's split of missing values from all numbers
is one at infinity, and numbers that large are refused by originals that narrow to float32."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A sample row, and what to change in it, so that it arrives at a node."""

    base: int
    changes: Mapping[int, float]
    """By input, numbers for the columns that lead to the node; empty where the row itself does."""


def arrivals(
    model: ScoringModel,
    proto: onnx.ModelProto,
    ensemble: Ensemble,
    columns: Sequence[pa.Array],
    order: Array,
) -> list[Arrival]:
    """For every node a row of the sample that arrives there, or one changed so that it does.

    `columns`: the sample as the scoring path takes it; `order`: its rows, the preferred first.
    """
    order = order[: max(50, PAIRS // max(1, len(ensemble.roots)))]
    first = _first_rows(ensemble, _features(model, proto, ensemble, columns, order))
    parents = _parents(ensemble)
    found = []
    for node, row in enumerate(first):
        if row < len(order):
            found.append(Arrival(int(order[row]), {}))
        else:
            base = int(order[node % len(order)])
            found.append(Arrival(base, _changes(ensemble, node, parents)))
    return found


def _features(
    model: ScoringModel,
    proto: onnx.ModelProto,
    ensemble: Ensemble,
    columns: Sequence[pa.Array],
    order: Array,
) -> Array:
    """The tree operator's input for some rows: the graph, cut off before it."""
    width = int(ensemble.feature.max()) + 1
    element = onnx.TensorProto.FLOAT
    if ensemble.threshold.dtype == np.float64:
        element = onnx.TensorProto.DOUBLE
    cut = onnx.ModelProto()
    cut.CopyFrom(proto)
    del cut.graph.output[:]
    nodes = _before(proto, ensemble.tensor)
    # Without nodes the tree reads a graph input, and an Identity stands in for the graph.
    nodes.append(helper.make_node("Cast", [ensemble.tensor], ["features"], to=element))
    del cut.graph.node[:]
    cut.graph.node.extend(nodes)
    cut.graph.output.append(helper.make_tensor_value_info("features", element, ["N", None]))
    inputs = [dataclasses.replace(i, takes_missing=True) for i in model.signature.inputs]
    short = dataclasses.replace(
        model,
        onnx=cut.SerializeToString(),
        task="other",
        labels=(),
        tensors=(Tensor("features", "DOUBLE", width),),
        signature=dataclasses.replace(model.signature, inputs=tuple(inputs)),
    )
    rows = Scorer(short).score([c.take(order) for c in columns])
    flat = rows.flatten().to_numpy(zero_copy_only=False).astype(ensemble.threshold.dtype)
    return np.asarray(flat.reshape(len(order), -1))


def _before(proto: onnx.ModelProto, tensor: str) -> list[onnx.NodeProto]:
    """The nodes that the tensor depends on."""
    wanted, kept = {tensor}, []
    for node in reversed(proto.graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    wanted.update(n for inner in attribute.g.node for n in inner.input)
            kept.append(node)
    return kept[::-1]


def _first_rows(ensemble: Ensemble, features: Array) -> Array:
    """For each node the first row that arrives there, or the number of rows for none."""
    rows = len(features)
    first = np.full(len(ensemble.feature), rows)
    node = np.repeat(ensemble.roots[None, :], rows, axis=0)
    row = np.broadcast_to(np.arange(rows)[:, None], node.shape)
    node, row = node.ravel(), row.ravel()
    modes = np.array(ensemble.mode)
    while len(node):
        np.minimum.at(first, node, row)
        value = features[row, ensemble.feature[node]]
        goes = _goes(value, ensemble.threshold[node], modes[node])
        goes |= np.isnan(value) & ensemble.missing_true[node]
        node = np.where(goes, ensemble.on_true[node], ensemble.on_false[node])
        node, row = node[node >= 0], row[node >= 0]
    return first


def _goes(value: Array, threshold: Array, mode: Array) -> Array:
    result = np.zeros(len(value), dtype=bool)
    with np.errstate(invalid="ignore"):
        for name, holds in (
            ("LEQ", value <= threshold),
            ("LT", value < threshold),
            ("GTE", value >= threshold),
            ("GT", value > threshold),
            ("EQ", value == threshold),
            ("NEQ", value != threshold),
        ):
            result |= (mode == name) & holds
    return result


def _parents(ensemble: Ensemble) -> dict[int, tuple[int, bool]]:
    """By node, the node above it and whether it stands on the true branch."""
    above = {}
    for node, (yes, no) in enumerate(zip(ensemble.on_true, ensemble.on_false, strict=True)):
        above[int(yes)] = (node, True)
        above[int(no)] = (node, False)
    return above


def _changes(
    ensemble: Ensemble, node: int, parents: Mapping[int, tuple[int, bool]]
) -> dict[int, float]:
    """Numbers for the inputs on the way to the node, between the limits that the way sets."""
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    while node in parents:
        node, on_true = parents[node]
        feature, limit = int(ensemble.feature[node]), float(ensemble.threshold[node])
        below = ensemble.mode[node] in ("LEQ", "LT")
        if ensemble.mode[node] in ("EQ", "NEQ"):
            if on_true == (ensemble.mode[node] == "EQ"):
                low[feature] = high[feature] = limit
        elif on_true == below:
            high[feature] = min(limit, high.get(feature, np.inf))
        else:
            low[feature] = max(limit, low.get(feature, -np.inf))
    changes = {}
    for feature in {*low, *high}:
        trace = ensemble.columns[feature] if feature < len(ensemble.columns) else None
        if trace is None:
            continue
        value = float(
            trace.back(np.array([_between(low.get(feature, -np.inf), high.get(feature, np.inf))]))[
                0
            ]
        )
        if np.isfinite(value):
            changes[trace.input] = value
    return changes


def _between(low: float, high: float) -> float:
    """A number between the limits, near to one of them where the other is out of reach."""
    if low < -FAR and high > FAR:
        return 0.0
    if low < -FAR:
        return high - 0.01 * max(1.0, abs(high))
    if high > FAR:
        return low + 0.01 * max(1.0, abs(low))
    return low + (high - low) / 2
