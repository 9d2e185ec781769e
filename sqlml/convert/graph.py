"""Building an ONNX graph node by node, and the passes that bring it into its final form."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sqlml.types import SCALARS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlml.model import Precision

# What onnxruntime 1.20 and every later release runs; `ai.onnx.ml` 5 brings TreeEnsemble, whose
# sums are doubles where its thresholds are (TreeEnsembleRegressor gives float32 only).
IR_VERSION = 10
OPSETS = {"": 18, "ai.onnx.ml": 5}

PASSES_FROM = 15
"""The ONNX from which on there are all operators that passes over a finished graph add."""

FLOAT, DOUBLE, INT32, INT64, BOOL, STRING = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.INT32,
    onnx.TensorProto.INT64,
    onnx.TensorProto.BOOL,
    onnx.TensorProto.STRING,
)


Factor = tuple[str, float]
"""Mul or Div, and by what."""


class Graph:
    """An ONNX graph under construction. Tensors are known by generated names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: dict[str, int] = {}
        self._widths: dict[str, int] = {}
        self._outputs: dict[str, tuple[str, int, int | None]] = {}
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._seen: dict[bytes, str] = {}
        self._count = 0
        self.domains = dict(OPSETS)
        self.accepted: dict[int, tuple[Any, ...]] = {}
        """The only values that an input, by its number, may hold where a step raises on others."""
        self.ranges: dict[int, tuple[float, float]] = {}
        """By input: the least and the greatest number that a step does not raise on."""
        self.below: dict[int, int] = {}
        """By input: it is an index, from zero to below this."""
        self.prepared: dict[int, tuple[str, ...]] = {}
        """By input: how its text is changed before the graph gets it (`Input.prepared`)."""
        self.terms: dict[int, int] = {}
        """By input: the columns of counts that its texts become."""

    def fresh(self) -> str:
        """A tensor name that nothing else bears."""
        self._count += 1
        return f"t{self._count}"

    def input(self, name: str, element: int, width: int | None = None) -> str:
        """A graph input of shape [N, 1], or of [N, width] for an ARRAY."""
        self.inputs[name] = element
        self._widths[name] = width or 1
        return name

    def const(self, values: Any, dtype: str | None = None) -> str:
        """An initializer; equal ones are one."""
        array = np.asarray(values) if dtype is None else np.asarray(values).astype(dtype)
        array = np.ascontiguousarray(array).reshape(array.shape)
        raw = "\0".join(map(str, array.ravel())).encode() if array.dtype.kind in "OU" else b""
        key = (array.dtype.str, array.shape, raw or array.tobytes())
        if key not in self._constants:
            name = f"c{len(self._constants)}"
            if array.dtype.kind in "OU":
                array = array.astype(object)
            self._constants[key] = name
            self._initializers[name] = numpy_helper.from_array(array, name)
        return self._constants[key]

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one output; the same node asked for twice is one."""
        (output,) = self.nodes_of(op, inputs, 1, domain, **attributes)
        return output

    def nodes_of(
        self, op: str, inputs: Sequence[str], outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """A node with several outputs."""
        made = helper.make_node(op, list(inputs), [], domain=domain, **attributes)
        key = made.SerializeToString(deterministic=True)
        if outputs == 1 and key in self._seen:
            return [self._seen[key]]
        names = [self.fresh() for _ in range(outputs)]
        if outputs == 1:
            self._seen[key] = names[0]
        made.output.extend(names)
        self.nodes.append(made)
        return names

    def add(self, nodes: Iterable[onnx.NodeProto]) -> None:
        """Ready-made nodes, whose tensor names come from `fresh`, `const` or this graph."""
        self.nodes.extend(nodes)

    def cast(self, tensor: str, element: int) -> str:
        """The tensor with another element type."""
        if self.inputs.get(tensor) == element:
            return tensor
        return self.node("Cast", tensor, to=element)

    def concat(self, tensors: Sequence[str], axis: int = 1) -> str:
        """Tensors side by side."""
        return tensors[0] if len(tensors) == 1 else self.node("Concat", *tensors, axis=axis)

    def columns(self, tensor: str, indices: Sequence[int], width: int) -> str:
        """Some columns of an [N, width] tensor."""
        if list(indices) == list(range(width)):
            return tensor
        return self.node("Gather", tensor, self.const(list(indices), "int64"), axis=1)

    def rows_like(self, row: Any, tensor: str) -> str:
        """A constant row of doubles, once for each row of an [N, …] tensor."""
        values = np.asarray(row, dtype="float64").reshape(1, -1)
        count = self.node("Shape", tensor, start=0, end=1)
        shape = self.node("Concat", count, self.const([values.shape[1]], "int64"), axis=0)
        return self.node("Expand", self.const(values), shape)

    def output(self, name: str, tensor: str, element: int, width: int | None) -> None:
        """Name a tensor as an output: [N, width], or [N] for a width of None."""
        self._outputs[name] = (tensor, element, width)

    def inline(
        self, model: onnx.ModelProto, feeds: Mapping[str, str], wanted: Sequence[str]
    ) -> list[str]:
        """Another model's nodes, fed with tensors of this graph; the names of its outputs here."""
        known = dict(feeds)
        for tensor in model.graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = known[tensor.name] = f"i{len(self._initializers)}"
            self._initializers[copy.name] = copy
        for node in model.graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = ""
            _rename(copy, known, self)
            self.nodes.append(copy)
        for entry in model.opset_import:
            self.domains.setdefault(entry.domain, entry.version)
        return [known[name] for name in wanted]

    def finish(self) -> onnx.ModelProto:
        """The model: dead nodes pruned, casts of inputs to float moved to the caller."""
        for name, (tensor, _, _) in self._outputs.items():
            self.nodes.append(helper.make_node("Identity", [tensor], [name]))
        self.nodes = _live(self.nodes, self._outputs)
        _fold_output_names(self.nodes, self._outputs, self.inputs, self._initializers)
        _narrow(self.nodes, self.inputs)
        self._drop_idle_casts()
        _fold_factors(self.nodes, self._initializers)
        self.nodes = _live(self.nodes, self._outputs)
        for node in self.nodes:
            node.name = node.output[0]
        return self._model()

    def _model(self) -> onnx.ModelProto:
        used = {name for node in self.nodes for name in _reads(node)}
        graph = helper.make_graph(
            self.nodes,
            "model",
            [
                helper.make_tensor_value_info(n, e, ["N", self._widths[n]])
                for n, e in self.inputs.items()
            ],
            [
                helper.make_tensor_value_info(n, e, ["N"] if w is None else ["N", w])
                for n, (_, e, w) in self._outputs.items()
            ],
            [t for n, t in self._initializers.items() if n in used],
        )
        domains = {"", *(node.domain for node in self.nodes)}
        return helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[
                helper.make_opsetid(d, v) for d, v in self.domains.items() if d in domains
            ],
            producer_name="sqlml",
        )

    def _drop_idle_casts(self) -> None:
        """Casts to the type that a tensor has already."""
        known = onnx.shape_inference.infer_shapes(self._model()).graph.value_info
        elements = {v.name: v.type.tensor_type.elem_type for v in known} | self.inputs
        instead: dict[str, str] = {}
        kept = []
        for node in self.nodes:
            _redirect(node, instead)
            source = node.input[0] if node.input else ""
            idle = node.op_type == "Cast" and elements.get(source) == _target(node)
            if idle and node.output[0] not in self._outputs:
                instead[node.output[0]] = source
            else:
                kept.append(node)
        self.nodes = kept


def _target(cast: onnx.NodeProto) -> int | None:
    """What a Cast makes: it may have other attributes too."""
    return next((a.i for a in cast.attribute if a.name == "to"), None)


def _redirect(node: onnx.NodeProto, instead: Mapping[str, str]) -> None:
    """Let a node, and the subgraphs it holds, read other tensors."""
    for i, name in enumerate(node.input):
        node.input[i] = instead.get(name, name)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            for child in attribute.g.node:
                _redirect(child, instead)
            for value in attribute.g.output:
                value.name = instead.get(value.name, value.name)


def _rename(node: onnx.NodeProto, known: dict[str, str], graph: Graph) -> None:
    """Give a foreign node, and the subgraphs it holds, names of this graph."""
    for i, name in enumerate(node.input):
        if name:
            node.input[i] = known[name]
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            inner = dict(known)
            body = attribute.g
            for value in (*body.input, *body.initializer):
                inner[value.name] = value.name = graph.fresh()
            for child in body.node:
                _rename(child, inner, graph)
            for value in body.output:
                value.name = inner[value.name]
    for i, name in enumerate(node.output):
        if name:
            known[name] = node.output[i] = graph.fresh()


def _reads(node: onnx.NodeProto) -> list[str]:
    """Every tensor that a node reads, its subgraphs included."""
    names = [n for n in node.input if n]
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            names += [n for child in attribute.g.node for n in _reads(child)]
            names += [value.name for value in attribute.g.output]
    return names


def _live(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that an output depends on. Nodes stand in the order of computation."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(_reads(node))
            kept.append(node)
    return kept[::-1]


def _fold_output_names(
    nodes: list[onnx.NodeProto],
    outputs: Mapping[str, Any],
    inputs: Mapping[str, int],
    initializers: Mapping[str, Any],
) -> None:
    """Let a node bear its output's name itself, where nothing else reads the tensor."""
    readers: dict[str, int] = defaultdict(int)
    for node in nodes:
        for name in _reads(node):
            readers[name] += 1
    for node in [n for n in nodes if n.op_type == "Identity" and n.output[0] in outputs]:
        source = node.input[0]
        if readers[source] > 1 or source in inputs or source in initializers:
            continue
        for other in nodes:
            for i, name in enumerate(other.output):
                if name == source:
                    other.output[i] = node.output[0]
        nodes.remove(node)


def _narrow(nodes: list[onnx.NodeProto], inputs: dict[str, int]) -> None:
    """An input that is only ever cast to float becomes a float input: half the bytes to ship."""
    for name in inputs:
        readers = [n for n in nodes if name in _reads(n)]
        casts = [n for n in readers if n.op_type == "Cast" and _target(n) == FLOAT]
        if not readers or len(casts) < len(readers) or inputs[name] != DOUBLE:
            continue
        replaced = {cast.output[0] for cast in casts}
        if any(out in replaced for node in nodes for out in _graph_outputs(node)):
            continue
        inputs[name] = FLOAT
        for cast in casts:
            nodes.remove(cast)
        for node in nodes:
            for i, read in enumerate(node.input):
                if read in replaced:
                    node.input[i] = name


def _fold_factors(nodes: list[onnx.NodeProto], initializers: dict[str, onnx.TensorProto]) -> None:
    """Fold a scalar factor or divisor next to a matrix product into its constant matrix.

    onnxruntime's MatMulScaleFusion would move it into the product's attribute `alpha`, which
    is a float, for doubles too: an error of 1e-8 in every row (measured with 1.31).
    """
    for i, node in enumerate(nodes):
        if node.op_type in ("Mul", "Div"):
            maker = next((n for n in nodes[:i] if node.input[0] in n.output), None)
            factor = _factor(node, initializers)
            if maker is None or factor is None or not _by_constant(maker, initializers):
                continue
            weights = _scaled(maker.input[1], factor, initializers)
            nodes[i] = helper.make_node("MatMul", [maker.input[0], weights], list(node.output))
    for i, node in enumerate(nodes):
        while _by_constant(node, initializers):
            maker = next((n for n in nodes[:i] if node.input[0] in n.output), None)
            factor = None if maker is None else _factor(maker, initializers)
            if maker is None or factor is None:
                break
            node.input[1] = _scaled(node.input[1], factor, initializers)
            node.input[0] = maker.input[0]


def _by_constant(node: onnx.NodeProto, initializers: Mapping[str, onnx.TensorProto]) -> bool:
    weights = initializers.get(node.input[1]) if node.op_type == "MatMul" else None
    return weights is not None and weights.data_type == DOUBLE


def _factor(node: onnx.NodeProto, initializers: Mapping[str, onnx.TensorProto]) -> Factor | None:
    """What a node multiplies or divides all numbers of its first input by, if it does that."""
    constant = initializers.get(node.input[1]) if node.op_type in ("Mul", "Div") else None
    if constant is None or constant.data_type != DOUBLE:
        return None
    values = numpy_helper.to_array(constant)
    return (node.op_type, float(values.ravel()[0])) if values.size == 1 else None


def _scaled(name: str, factor: Factor, initializers: dict[str, onnx.TensorProto]) -> str:
    values = numpy_helper.to_array(initializers[name])
    scaled = values * factor[1] if factor[0] == "Mul" else values / factor[1]
    made = f"{name}_{len(initializers)}"
    initializers[made] = numpy_helper.from_array(scaled, made)
    return made


def _graph_outputs(node: onnx.NodeProto) -> list[str]:
    inner = [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return [name for g in inner for child in g.node for name in _reads(child)]


def opset(model: onnx.ModelProto) -> int:
    """The version of the operators of ONNX itself; today's where a graph has none of them."""
    return next((int(e.version) for e in model.opset_import if e.domain == ""), OPSETS[""])


def wire_of(element: int) -> str:
    """The Spark SQL type of an ONNX element type."""
    return next(row.sql for row in SCALARS.values() if row.onnx == element)


# What moves or compares numbers, but does not round them.
_EXACT = frozenset((
    "ArrayFeatureExtractor", "Cast", "Concat", "Constant", "Equal", "Expand", "Gather",
    "GatherElements",
    "Greater", "GreaterOrEqual", "Identity", "IsInf", "IsNaN", "LabelEncoder", "Less",
    "LessOrEqual", "Not", "Or", "And", "Reshape", "Shape", "Slice", "Split", "Squeeze",
    "TfIdfVectorizer",  # it counts, in float32: whole numbers below 2^24
    "Tokenizer", "TopK", "Transpose", "Unsqueeze", "Where",
))  # fmt: skip


# What stands around trees, and what a scaler does: the same in float32 as the original.
_PLAIN = ("Add", "Div", "Exp", "Mul", "Neg", "ReduceMax", "ReduceSum", "Sub", "TreeEnsemble")


def precision_of(model: onnx.ModelProto, *, narrow: bool) -> Precision:
    """Whether any number on the way to the outputs is computed in float32.

    `narrow`: the original got float32 columns, and computes on them in float32 itself;
    then only a graph that does no arithmetic of its own is as good as double.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    floats = {
        v.name
        for v in (*inferred.value_info, *inferred.output)
        if v.type.tensor_type.elem_type == FLOAT
    }
    known = {v.name for v in (*inferred.value_info, *inferred.output)}
    for node in model.graph.node:
        if node.op_type in _EXACT:
            continue
        if narrow and node.op_type not in _PLAIN:
            return "float32"
        if any(out in floats or out not in known for out in node.output):
            return "float32"
    return "float64"
