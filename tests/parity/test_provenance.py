"""Thresholds and categories are read from a graph in the terms of its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from sqlml.parity.provenance import facts_of
from sqlml.parity.reach import _first_rows

from .tampering import as_tensor, graph

DOUBLE, FLOAT, STRING = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT, onnx.TensorProto.STRING


def classic_tree(source: str) -> onnx.NodeProto:
    """x1 <= 0.5 ? 1 : (x0 < 2 ? 2 : 3), in the older operator, leaves among the nodes."""
    return helper.make_node(
        "TreeEnsembleRegressor",
        [source],
        ["prediction"],
        domain="ai.onnx.ml",
        nodes_treeids=[0] * 5,
        nodes_nodeids=[0, 1, 2, 3, 4],
        nodes_featureids=[1, 0, 0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF"],
        nodes_values=[0.5, 0.0, 2.0, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 3, 0, 0],
        nodes_falsenodeids=[2, 0, 4, 0, 0],
        nodes_missing_value_tracks_true=[1, 0, 0, 0, 0],
        target_treeids=[0, 0, 0],
        target_nodeids=[1, 3, 4],
        target_ids=[0, 0, 0],
        target_weights=[1.0, 2.0, 3.0],
        n_targets=1,
    )


def read(nodes: list[onnx.NodeProto], constants: list[Any] = [], element: int = DOUBLE) -> Any:  # noqa: B006
    inputs = {"in0": element, "in1": element}
    return facts_of(graph(nodes, inputs, {"prediction": (FLOAT, ["N", 1])}, constants))


def thresholds(facts: Any) -> list[tuple[int, float]]:
    (ensemble,) = facts.ensembles
    found = []
    for node, threshold in enumerate(ensemble.threshold):
        trace = ensemble.trace(node)
        found.append((trace.input, float(trace.back(np.array([threshold]))[0])))
    return found


CONCAT = helper.make_node("Concat", ["in0", "in1"], ["both"], axis=1)


def test_columns_are_followed_through_concatenation() -> None:
    assert thresholds(read([CONCAT, classic_tree("both")])) == [(1, 0.5), (0, 2.0)]


def test_scaling_is_undone() -> None:
    nodes = [
        CONCAT,
        helper.make_node("Sub", ["both", "mean"], ["moved"]),
        helper.make_node("Div", ["moved", "deviation"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], ["single"], to=FLOAT),
        classic_tree("single"),
    ]
    constants = [as_tensor([10.0, 20.0], "mean"), as_tensor([4.0, 2.0], "deviation")]
    assert thresholds(read(nodes, constants)) == [(1, 21.0), (0, 18.0)]


@pytest.mark.parametrize(
    ("op", "threshold"), [("Log", np.exp(2)), ("Neg", -2.0), ("Sqrt", 4.0), ("Exp", np.log(2))]
)
def test_functions_are_undone(op: str, threshold: float) -> None:
    nodes = [
        helper.make_node(op, ["in0"], ["changed"]),
        helper.make_node("Concat", ["changed", "in1"], ["both"], axis=1),
        classic_tree("both"),
    ]
    assert thresholds(read(nodes))[1] == (0, pytest.approx(threshold))


def test_columns_are_followed_where_they_are_picked_in_another_order() -> None:
    nodes = [CONCAT, helper.make_node("Gather", ["both", "order"], ["turned"], axis=1)]
    facts = read([*nodes, classic_tree("turned")], [as_tensor([1, 0], "order", "int64")])
    assert thresholds(facts) == [(0, 0.5), (1, 2.0)]


def test_what_cannot_be_followed_is_unknown() -> None:
    nodes = [CONCAT, helper.make_node("MatMul", ["both", "turn"], ["mixed"])]
    facts = read([*nodes, classic_tree("mixed")], [as_tensor(np.eye(2), "turn")])
    assert [facts.ensembles[0].trace(node) for node in (0, 1)] == [None, None]


def test_encoders_and_comparisons_tell_their_constants() -> None:
    nodes = [
        helper.make_node(
            "LabelEncoder", ["in0"], ["number"], domain="ai.onnx.ml",
            keys_strings=["a", "b"], values_floats=[0.0, 1.0],
        ),
        helper.make_node("Equal", ["in1", "text"], ["same"]),
        helper.make_node("Cast", ["same"], ["prediction"], to=FLOAT),
    ]  # fmt: skip
    text = onnx.numpy_helper.from_array(np.array(["c"], dtype=object), "text")
    assert read(nodes, [text], STRING).keys == {0: {"a", "b"}, 1: {"c"}}


def test_rows_arrive_where_the_operator_sends_them() -> None:
    """Missing values included."""
    (ensemble,) = read([CONCAT, classic_tree("both")]).ensembles
    rows = np.array([[0.0, np.nan], [0.0, 0.5], [np.nan, 0.6]])
    assert _first_rows(ensemble, rows).tolist() == [0, 2]
