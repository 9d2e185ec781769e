"""What PyTorch's exporter writes as operators that lose NaN, written so that it stays.

ONNX Runtime's LSTM, GRU and RNN clamp the sums in their gates, and with them NaN; its maxima and
minima leave NaN out, where PyTorch's are NaN, and its MaxPool -infinity. Measured with
onnxruntime 1.31.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_STEPS = 512
"""Of a recurrent layer: each adds some twenty nodes."""

_FOLDS = ("MaxPool", "ReduceMax", "ReduceMin")
_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)


def exact(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same model; recurrent layers are unrolled, and maxima of NaN are NaN.

    Raises `NotConvertibleError` for a recurrent layer whose steps or kind have no such form.
    """
    # The exporter itself does not know how long the second of two recurrent layers is.
    del proto.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    shapes = {v.name: v.type.tensor_type for v in (*inferred.input, *inferred.value_info)}
    made = _Nodes({t.name: t for t in proto.graph.initializer})
    for node in proto.graph.node:
        kind = shapes.get(node.input[0]) if node.input else None
        if node.op_type in CELLS:
            _unrolled(made, node, kind)
        elif node.op_type in _FOLDS and (kind is None or kind.elem_type in _FLOATS):
            _keeping_nan(made, node)
        else:
            made.nodes.append(node)
    del proto.graph.node[:]
    proto.graph.node.extend(made.nodes)
    proto.graph.initializer.extend(made.added)
    return proto


@dataclass
class _Nodes:
    known: dict[str, onnx.TensorProto]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    added: list[onnx.TensorProto] = field(default_factory=list)

    def node(self, op: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"exact_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def const(self, values: Any, dtype: Any) -> str:
        name = f"exact_constant_{len(self.added)}"
        self.added.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def values(self, name: str) -> Any:
        return numpy_helper.to_array(self.known[name])


def _keeping_nan(made: _Nodes, node: onnx.NodeProto) -> None:
    """The same fold over "is NaN" tells where the result is.

    A MaxPool starts from the least number, so that a window of nothing but -infinity is told too.
    """
    x, out = node.input[0], node.output[0]
    if len(node.output) > 1 and node.output[1]:
        raise NotConvertibleError(node.op_type, "it gives the places of its maxima.")
    plain = _fold(made, node, x, node.op_type)
    half = made.const(0.5, "float32")
    upwards = node.op_type.replace("Min", "Max")
    missing = _fold(made, node, made.node("IsNaN", x), upwards)
    if node.op_type == "MaxPool":
        least = made.node("CastLike", made.const(-np.inf, "float32"), x)
        other = made.node("Not", made.node("Equal", x, least))
        nothing = made.node("Less", _fold(made, node, other, upwards), half)
        plain = made.node("Where", nothing, least, plain)
    nan = made.node("CastLike", made.const(np.nan, "float32"), plain)
    made.node("Where", made.node("Greater", missing, half), nan, plain, out=out)


def _fold(made: _Nodes, node: onnx.NodeProto, x: str, op: str) -> str:
    """The node's own fold over another tensor; of booleans, over zeros and ones."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.op_type = op
    if x != node.input[0]:
        x = made.node("Cast", x, to=TensorProto.FLOAT)
    copy.input[0] = x
    del copy.output[:]
    copy.output.append(f"exact_{len(made.nodes)}")
    made.nodes.append(copy)
    return str(copy.output[0])


def _unrolled(made: _Nodes, node: onnx.NodeProto, kind: Any) -> None:
    """One step after the other, of each direction."""
    given = dict(zip(("x", "w", "r", "b", "lengths", "h", "c"), node.input, strict=False))
    facts = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    steps = int(kind.shape.dim[0].dim_value) if kind is not None else 0
    weights = [given.get(k, "") for k in ("w", "r", "b")]
    step, gates = CELLS[node.op_type]
    plain = not set(facts) & {"clip", "activation_alpha", "activation_beta"}
    if not (0 < steps <= MOST_STEPS) or facts.get("layout") or given.get("lengths") or not plain:
        raise NotConvertibleError(
            node.op_type, f"it is not over a known number of steps, {MOST_STEPS} at most."
        )
    if any(w not in made.known for w in weights[:2]) or not given.get("h"):
        raise NotConvertibleError(node.op_type, "its weights are computed.")
    if node.op_type == "GRU" and not facts.get("linear_before_reset"):
        raise NotConvertibleError(node.op_type, "it resets its state before the product.")
    if node.op_type == "RNN":
        curves = {a.decode() for a in facts.get("activations", [b"Tanh"])}
        if not curves <= {"Tanh", "Relu"} or len(curves) > 1:
            raise NotConvertibleError(node.op_type, f"its activations are {sorted(curves)}.")
    width = int(facts["hidden_size"])
    direction = facts.get("direction", b"forward").decode()
    ways = {"forward": (1,), "reverse": (-1,), "bidirectional": (1, -1)}[direction]
    ends: list[tuple[str, ...]] = []
    sequences = []
    for place, way in enumerate(ways):
        w, r = (made.values(name)[place] for name in weights[:2])
        named = bool(weights[2])
        b = made.values(weights[2])[place] if named else np.zeros(2 * gates * width, w.dtype)
        cell = _Cell(made, width, w.dtype, r, b[gates * width :], facts)
        along = made.node("MatMul", given["x"], made.const(w.T, w.dtype))
        along = made.node("Add", along, made.const(b[: gates * width], w.dtype))
        at = made.const(place, "int64")
        state = tuple(made.node("Gather", given[k], at, axis=0) for k in ("h", "c") if given.get(k))
        found = []
        for t in range(steps)[::way]:
            x = made.node("Gather", along, made.const(t, "int64"), axis=0)
            state = step(cell, x, state)
            found.append(state[0])
        ends.append(state)
        axis = made.const([0], "int64")
        lifted = [made.node("Unsqueeze", h, axis) for h in found[::way]]
        sequences.append(made.node("Concat", *lifted, axis=0))
    outputs = dict(enumerate(node.output))
    if outputs.get(0):
        between = [made.node("Unsqueeze", s, made.const([1], "int64")) for s in sequences]
        made.node("Concat", *between, out=outputs[0], axis=1)
    for number in (1, 2):
        if outputs.get(number):
            axis = made.const([0], "int64")
            last = [made.node("Unsqueeze", end[number - 1], axis) for end in ends]
            made.node("Concat", *last, out=outputs[number], axis=0)


@dataclass(frozen=True)
class _Cell:
    """A recurrent layer's own weights: [gates · width, width] and [gates · width]."""

    made: _Nodes
    width: int
    dtype: Any
    recurrent: Any
    bias: Any
    facts: dict[str, Any]

    def within(self, h: str) -> str:
        product = self.made.node("MatMul", h, self.made.const(self.recurrent.T, self.dtype))
        return self.made.node("Add", product, self.made.const(self.bias, self.dtype))

    def gate(self, x: str, place: int) -> str:
        limits = [place * self.width, (place + 1) * self.width, 1]
        start, end, axis = (self.made.const([n], "int64") for n in limits)
        return self.made.node("Slice", x, start, end, axis)

    def sigmoid(self, x: str) -> str:
        one = self.made.const(1, self.dtype)
        tail = self.made.node("Exp", self.made.node("Neg", x))
        return self.made.node("Div", one, self.made.node("Add", one, tail))

    def node(self, op: str, *inputs: str) -> str:
        return self.made.node(op, *inputs)


def _lstm(cell: _Cell, x: str, state: tuple[str, ...]) -> tuple[str, ...]:
    """Gates in the order i, o, f, c."""
    both = cell.node("Add", x, cell.within(state[0]))
    i, o, f = (cell.sigmoid(cell.gate(both, place)) for place in range(3))
    new = cell.node("Mul", i, cell.node("Tanh", cell.gate(both, 3)))
    kept = cell.node("Add", cell.node("Mul", f, state[1]), new)
    return cell.node("Mul", o, cell.node("Tanh", kept)), kept


def _gru(cell: _Cell, x: str, state: tuple[str, ...]) -> tuple[str, ...]:
    """Gates in the order z, r, h."""
    own = cell.within(state[0])
    z, r = (
        cell.sigmoid(cell.node("Add", cell.gate(x, place), cell.gate(own, place)))
        for place in range(2)
    )
    inner = cell.node("Mul", r, cell.gate(own, 2))
    new = cell.node("Tanh", cell.node("Add", cell.gate(x, 2), inner))
    one = cell.made.const(1, cell.dtype)
    share = cell.node("Mul", cell.node("Sub", one, z), new)
    return (cell.node("Add", share, cell.node("Mul", z, state[0])),)


def _rnn(cell: _Cell, x: str, state: tuple[str, ...]) -> tuple[str, ...]:
    curve = cell.facts.get("activations", [b"Tanh"])[0].decode()
    return (cell.node(curve, cell.node("Add", x, cell.within(state[0]))),)


# One step of a recurrent operator of ONNX, and how many gates it has.
CELLS: dict[str, tuple[Callable[[_Cell, str, tuple[str, ...]], tuple[str, ...]], int]] = {
    "LSTM": (_lstm, 4),
    "GRU": (_gru, 3),
    "RNN": (_rnn, 1),
}
