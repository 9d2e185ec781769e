"""What an ONNX file may hold, looked through before anything runs it.

ONNX files come from anywhere. A tensor may name another file as the place of its numbers, a
loop need not end, a shape may ask for all memory: none of these is needed to score a row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx

from sqlml.errors import ModelRejectedError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 200 * 2**20
"""Of a file."""

MOST_NODES = 50_000

MOST_NUMBERS = 2**25
"""Of a tensor that does not depend on the number of rows: 256 MB of doubles."""

# The operators of ONNX Runtime's own domain that are taken: what its optimizer and PyTorch's
# exporters leave in files. The rest of that domain loads or steers other engines.
MICROSOFT = ("BiasGelu", "FastGelu", "FusedGemm", "FusedMatMul", "Gelu", "QuickGelu")

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")

# Of the operators with graphs inside, those that end: a branch, and a pass over a tensor.
_ENDING = ("If", "Scan")

# Those whose results may be larger than what they are given.
_GROWING = (
    "ConstantOfShape",
    "Expand",
    "OneHot",
    "Pad",
    "Range",
    "Resize",
    "Tile",
    "Upsample",
)

# A score is a function of its row.
_RANDOM = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)


def checked(content: bytes, name: str) -> onnx.ModelProto:
    """The model of a file's bytes.

    Raises `ModelRejectedError` for what is no ONNX model, for tensors in other files, foreign
    operators, loops, functions and random numbers, and beyond the limits above.
    """
    if len(content) > MOST_BYTES:
        raise _rejected(
            name, f"has {len(content):,} bytes, and {MOST_BYTES:,} are the most that is taken."
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's own, which changes its name from release to release
        raise _rejected(name, "is no ONNX model.") from error
    if not model.graph.node:
        raise _rejected(name, "is no ONNX model, or one of an empty graph.")
    if model.functions or model.training_info:
        raise _rejected(
            name,
            "has functions of its own, or a training graph: only a plain graph is taken. "
            "onnx.inliner.inline_local_functions(model) makes one.",
        )
    graphs = [*_graphs(model.graph)]
    count = sum(len(graph.node) for graph in graphs)
    if count > MOST_NODES:
        raise _rejected(name, f"has {count:,} nodes, and {MOST_NODES:,} are the most.")
    for graph in graphs:
        for node in graph.node:
            _check_node(node, graph is not model.graph, name)
    if any(graph.sparse_initializer for graph in graphs):
        raise _rejected(name, "has sparse tensors.")
    for tensor in (tensor for graph in graphs for tensor in _tensors(graph)):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise _rejected(
                name,
                f"keeps tensor {tensor.name!r} in another file. Save it as one file: "
                "onnx.save(onnx.load(path), other_path).",
            )
        _check_size(tensor.name, list(tensor.dims), name)
    _check_shapes(model, name)
    return model


def _rejected(name: str, why: str) -> ModelRejectedError:
    return ModelRejectedError(f"{name} {why}")


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those inside of it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner)


def _check_node(node: onnx.NodeProto, inside: bool, name: str) -> None:
    """`inside`: of a graph inside of the model's, whose sizes are not worked out."""
    known = node.domain in _DOMAINS or (
        node.domain == "com.microsoft" and node.op_type in MICROSOFT
    )
    if not known:
        raise _rejected(
            name, f"has the operator {node.domain}.{node.op_type}, which is not one of ONNX."
        )
    if node.op_type not in _ENDING and any(a.HasField("g") or a.graphs for a in node.attribute):
        raise _rejected(
            name, f"has the operator {node.op_type} with a graph inside: it may run for ever."
        )
    if inside and node.op_type in _GROWING:
        raise _rejected(
            name, f"has the operator {node.op_type} in a graph inside: its result may be too large."
        )
    if node.op_type in _RANDOM:
        raise _rejected(name, f"has the operator {node.op_type}: its scores would be random.")
    if any(a.HasField("sparse_tensor") or a.sparse_tensors for a in node.attribute):
        raise _rejected(name, "has sparse tensors.")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor, whatever the type of the attribute says that holds it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_size(tensor: str, dims: list[int], name: str) -> None:
    if math.prod(dims) > MOST_NUMBERS:
        raise _rejected(
            name, f"has the tensor {tensor!r} of {math.prod(dims):,} numbers: too many."
        )


def _check_shapes(model: onnx.ModelProto, name: str) -> None:
    """That no tensor is known to be too large. ONNX works the shapes out, and computes nothing."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # several unrelated types, by what is wrong
        raise _rejected(name, f"is not sound: {error}") from error
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        dims = value.type.tensor_type.shape.dim
        _check_size(value.name, [d.dim_value or 1 for d in dims], name)
