"""Converted models with one thing changed, which verify must find."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml import ScoringModel


def tampered(model: ScoringModel, change: Callable[[onnx.ModelProto], None]) -> ScoringModel:
    """The model with its graph changed in place."""
    proto = onnx.load_from_string(model.onnx)
    change(proto)
    return dataclasses.replace(model, onnx=proto.SerializeToString())


def trees(proto: onnx.ModelProto) -> onnx.NodeProto:
    """The graph's only tree operator."""
    (node,) = [n for n in proto.graph.node if n.op_type == "TreeEnsemble"]
    return node


def attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto:
    return next(a for a in node.attribute if a.name == name)


def splits(model: ScoringModel) -> np.ndarray:
    """The thresholds of the graph's trees."""
    proto = onnx.load_from_string(model.onnx)
    return numpy_helper.to_array(attribute(trees(proto), "nodes_splits").t)


def move_threshold(at: int, to: Any) -> Callable[[onnx.ModelProto], None]:
    def change(proto: onnx.ModelProto) -> None:
        tensor = attribute(trees(proto), "nodes_splits").t
        values = numpy_helper.to_array(tensor).copy()
        values[at] = to(values[at])
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    return change


def flip_missing(at: int) -> Callable[[onnx.ModelProto], None]:
    def change(proto: onnx.ModelProto) -> None:
        tracks = attribute(trees(proto), "nodes_missing_value_tracks_true").ints
        tracks[at] = 1 - tracks[at]

    return change


def change_constants(edit: Callable[[np.ndarray], np.ndarray]) -> Callable[..., None]:
    """Every float constant of more than one number, put through a function."""

    def change(proto: onnx.ModelProto) -> None:
        changed = 0
        for tensor in proto.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.dtype.kind == "f" and values.size > 1:
                tensor.CopyFrom(numpy_helper.from_array(edit(values.copy()), tensor.name))
                changed += 1
        assert changed

    return change


def forget_category(text: str) -> Callable[[onnx.ModelProto], None]:
    """The string is renamed wherever the graph knows it."""

    def change(proto: onnx.ModelProto) -> None:
        changed = 0
        for node in proto.graph.node:
            for a in node.attribute:
                if a.name != "keys_tensor":
                    continue
                keys = [k.decode() for k in a.t.string_data]
                if text in keys:
                    renamed = ["forgotten" if k == text else k for k in keys]
                    array = np.array(renamed, dtype=object)
                    a.t.CopyFrom(numpy_helper.from_array(array, "keys"))
                    changed += 1
        assert changed

    return change


def as_tensor(values: Any, name: str, dtype: str = "float64") -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype=dtype), name)


def graph(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, int],
    outputs: dict[str, tuple[int, list[Any]]],
    constants: list[onnx.TensorProto],
) -> onnx.ModelProto:
    """A hand-made model whose inputs are [N, 1]."""
    made = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(n, e, ["N", 1]) for n, e in inputs.items()],
        [helper.make_tensor_value_info(n, e, s) for n, (e, s) in outputs.items()],
        constants,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(made, ir_version=8, opset_imports=opsets)
