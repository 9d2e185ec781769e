"""Cutting a graph at its tree ensembles: what feeds them, and what is made of their sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sqlml.compile.forest.trees import OPERATORS
from sqlml.errors import NotCompilableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onnx import NodeProto


@dataclass(frozen=True, slots=True)
class Column:
    """One feature of an ensemble: where it comes from, and the casts on the way."""

    source: str
    """A graph input, or a tensor that is computed before the trees."""
    place: int
    """The column of that tensor; 0 for an input that is no ARRAY."""
    casts: tuple[str, ...] = ()
    """NumPy's names; none for a column that is read as it is."""
    wide: bool = False
    """Whether the values are doubles that need not be float32s."""


class Cut:
    """A model's graph, as it is divided at the ensembles that no other one feeds."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.graph = model.graph
        known = onnx.shape_inference.infer_shapes(model).graph
        values = (*known.input, *known.value_info, *known.output)
        self.types = {v.name: v.type.tensor_type for v in values}
        self.constants = {t.name: t for t in self.graph.initializer}
        self.inputs = [i.name for i in self.graph.input if i.name not in self.constants]
        self.outputs = [o.name for o in self.graph.output]
        self.maker = {name: node for node in self.graph.node for name in node.output}
        trees = [n for n in self.ancestors(self.outputs) if n.op_type in OPERATORS]
        made = {name for n in trees for name in n.output}
        self.ensembles = [
            n for n in trees if not any(made & {*a.output} for a in self.ancestors(n.input))
        ]

    def ancestors(self, tensors: Iterable[str], stop: Iterable[str] = ()) -> list[NodeProto]:
        """The nodes that these tensors depend on, in the graph's order; not those of `stop`."""
        wanted, ends = set(tensors), set(stop)
        kept = []
        for node in reversed(self.graph.node):
            if any(name in wanted and name not in ends for name in node.output):
                wanted.update(reads(node))
                kept.append(node)
        return kept[::-1]

    def element(self, tensor: str) -> np.dtype[Any]:
        """The NumPy type of a tensor's elements."""
        made: np.dtype[Any] = helper.tensor_dtype_to_np_dtype(self._type(tensor).elem_type)
        return made

    def columns(self, matrix: str, features: int) -> list[Column]:
        """The columns of an ensemble's input, as far as its features go."""
        traced = self._traced(matrix)
        if traced is None:
            wide = self.element(matrix) == np.float64
            casts = () if self.element(matrix).kind == "f" else ("float32",)
            return [Column(matrix, i, casts, wide) for i in range(features)]
        return [_settled(column, self) for column in traced]

    def _traced(self, tensor: str) -> list[Column] | None:
        """The columns of a matrix; None where their number is not known."""
        if tensor in self.inputs:
            width = self.types[tensor].shape.dim[1].dim_value
            numbers = self.element(tensor).kind in "biuf"
            return [Column(tensor, i) for i in range(width)] if numbers else None
        node = self.maker.get(tensor)
        if node is not None and node.op_type == "Identity":
            return self._traced(node.input[0])
        if node is not None and node.op_type == "Cast":
            to = _attribute(node, "to")
            traced = self._traced(node.input[0])
            numeric = to in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
            if traced is not None and numeric:
                name = np.dtype(helper.tensor_dtype_to_np_dtype(to)).name
                return [Column(c.source, c.place, (*c.casts, name)) for c in traced]
        if node is not None and node.op_type == "Concat" and _attribute(node, "axis") in (1, -1):
            parts = [self._traced(name) for name in node.input]
            if all(part is not None for part in parts):
                return [column for part in parts for column in part or ()]
        if node is not None and node.op_type == "Gather" and _attribute(node, "axis", 0) == 1:
            traced, picked = self._traced(node.input[0]), self._constant(node.input[1])
            if traced is not None and picked is not None and picked.ndim == 1:
                return [traced[int(i)] for i in picked]
        return self._opaque(tensor)

    def _opaque(self, tensor: str) -> list[Column] | None:
        """A tensor that is computed before the trees, where its width is known."""
        kind = self.types.get(tensor)
        if kind is None or len(kind.shape.dim) != 2 or not kind.shape.dim[1].dim_value:
            return None
        if self.element(tensor).kind not in "biuf":
            return None
        return [Column(tensor, i) for i in range(kind.shape.dim[1].dim_value)]

    def _constant(self, name: str) -> Any:
        if name in self.constants:
            return numpy_helper.to_array(self.constants[name])
        node = self.maker.get(name)
        if node is not None and node.op_type == "Constant" and node.attribute[0].name == "value":
            return numpy_helper.to_array(node.attribute[0].t)
        return None

    def part(self, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
        """The graph between these tensors, as a model of its own."""
        nodes = self.ancestors(outputs, stop=inputs)
        used = {name for node in nodes for name in reads(node)} | set(outputs)
        graph = helper.make_graph(
            nodes,
            "part",
            [self._value(name) for name in inputs],
            [self._value(name) for name in outputs],
            [t for t in self.graph.initializer if t.name in used and t.name not in inputs],
        )
        made = helper.make_model(
            graph,
            ir_version=self.model.ir_version,
            opset_imports=self.model.opset_import,
            functions=self.model.functions,
            producer_name="sqlml",
        )
        return bytes(made.SerializeToString(deterministic=True))

    def _value(self, name: str) -> onnx.ValueInfoProto:
        value = onnx.ValueInfoProto(name=name)
        value.type.tensor_type.CopyFrom(self._type(name))
        return value

    def _type(self, tensor: str) -> Any:
        if tensor not in self.types:  # ONNX knows nothing of operators that are not its own
            raise NotCompilableError(f"The type of the tensor {tensor!r} is not known.")
        return self.types[tensor]


def reads(node: NodeProto) -> list[str]:
    """Every tensor that a node reads, its subgraphs included."""
    names = [n for n in node.input if n]
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            names += [n for child in attribute.g.node for n in reads(child)]
            names += [value.name for value in attribute.g.output]
    return names


def _attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _settled(column: Column, cut: Cut) -> Column:
    """The casts that matter, and the type that the kernel meets."""
    kind = cut.element(column.source)
    casts: list[str] = []
    kinds = [kind]
    for name in column.casts:
        if kinds[-1].name == name:
            continue
        if len(kinds) > 1 and kinds[-2].name == name == "float32":
            casts.pop()  # float32 to double and back
            kinds.pop()
            continue
        casts.append(name)
        kinds.append(np.dtype(name))
    if casts and casts[-1] == "float64" and kinds[-2].name in _SINGLE:
        casts.pop()  # a double that is a float32: compared as one
        if kinds[-2].kind != "f":
            casts.append("float32")
        return Column(column.source, column.place, tuple(casts))
    if not casts and kind.kind != "f":
        casts.append("float32")  # an integer matrix, which the older operators take
    wide = (casts[-1] if casts else kind.name) == "float64"
    return Column(column.source, column.place, tuple(casts), wide)


# What a float32 holds exactly.
_SINGLE = ("bool", "int8", "int16", "uint8", "uint16", "float32")
