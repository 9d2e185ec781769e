"""A graph pass that leaves out of a matrix product what has no weight in it.

Zero times NaN is NaN, and so is zero times infinity: a number of weight zero would still
decide whether there is a result. Left out, it decides nothing, and need not be read where the
data lies. See docs/decisions/0012-unused-inputs.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sqlml.convert.graph import PASSES_FROM, opset

if TYPE_CHECKING:
    from collections.abc import Iterator

    Array = np.ndarray[Any, Any]


def without_weightless(content: bytes) -> bytes:
    """The same graph, its products with a constant matrix without that one's rows of zeros."""
    model = onnx.load_from_string(content)
    if opset(model) < PASSES_FROM:
        return content
    constants = {t.name: t for t in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        weights = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        matrix = None if weights is None else numpy_helper.to_array(weights)
        if matrix is None or matrix.ndim != 2 or matrix.any(axis=1).all():
            nodes.append(node)
        elif matrix.any():
            nodes.extend(_with_weight(model.graph, node, matrix))
        else:
            nodes.extend(_zeros(model.graph, node, matrix))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString(deterministic=True))


def _with_weight(
    graph: onnx.GraphProto, node: onnx.NodeProto, matrix: Array
) -> Iterator[onnx.NodeProto]:
    x, (out,) = node.input[0], node.output
    rows = np.flatnonzero(matrix.any(axis=1))
    graph.initializer.append(numpy_helper.from_array(rows, f"{out}_weighty"))
    graph.initializer.append(numpy_helper.from_array(matrix[rows], f"{out}_weights"))
    yield helper.make_node("Gather", [x, f"{out}_weighty"], [f"{out}_x"], axis=-1)
    yield helper.make_node("MatMul", [f"{out}_x", f"{out}_weights"], [out], node.name)


def _zeros(graph: onnx.GraphProto, node: onnx.NodeProto, matrix: Array) -> Iterator[onnx.NodeProto]:
    """Where nothing has weight."""
    x, (out,) = node.input[0], node.output
    width = np.array([matrix.shape[1]])
    zero = numpy_helper.from_array(np.zeros(1, matrix.dtype))
    graph.initializer.append(numpy_helper.from_array(width, f"{out}_width"))
    yield helper.make_node("Shape", [x], [f"{out}_rows"], start=0, end=-1)
    yield helper.make_node("Concat", [f"{out}_rows", f"{out}_width"], [f"{out}_shape"], axis=0)
    yield helper.make_node("ConstantOfShape", [f"{out}_shape"], [out], node.name, value=zero)
