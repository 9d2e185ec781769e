"""Where a graph's splits come from: which input, and through which arithmetic.

The graph is read, not run. Each tensor is followed as a list of columns; a column is known
as long as it is one input put through steps that can be undone (scaling, casts, logarithms).
So this sees the thresholds of every framework's trees alike, in the terms of the inputs.
What it cannot follow it calls unknown, and edge rows are then fewer, never wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Array = np.ndarray[Any, Any]

Undo = Callable[["Array"], "Array"]


@dataclass(frozen=True, slots=True)
class Trace:
    """One column of a tensor, as one input of the graph and what was done to it."""

    input: int
    undo: tuple[Undo, ...] = ()
    """The inverses of the steps, the first step first."""

    def then(self, undo: Undo) -> Trace:
        """The column after one more step."""
        return Trace(self.input, (*self.undo, undo))

    def back(self, values: Array) -> Array:
        """The values of the input for which the column has these values."""
        found = np.asarray(values, dtype=np.float64)
        with np.errstate(all="ignore"):
            for undo in reversed(self.undo):
                found = undo(found)
        return found


Columns = tuple["Trace | None", ...]


@dataclass(frozen=True, eq=False, slots=True)
class Ensemble:
    """The inner nodes of one tree operator, as flat arrays; children are -1 at leaves."""

    tensor: str
    """The operator's input tensor, [N, features]."""
    columns: Columns
    """What is known of the tensor's columns; shorter where the last ones are unknown."""
    feature: Array
    threshold: Array
    """In the type in which the operator compares: float32 or float64."""
    mode: tuple[str, ...]
    on_true: Array
    on_false: Array
    missing_true: Array
    """Whether NaN takes the true branch."""
    roots: Array

    def trace(self, node: int) -> Trace | None:
        """Where the node's feature comes from."""
        feature = int(self.feature[node])
        return self.columns[feature] if feature < len(self.columns) else None


@dataclass(slots=True)
class Facts:
    """What a graph compares its inputs with."""

    ensembles: list[Ensemble] = field(default_factory=list)
    thresholds: dict[int, set[float]] = field(default_factory=dict)
    """By input: constants of comparisons and limits outside of tree operators."""
    keys: dict[int, set[Any]] = field(default_factory=dict)
    """By input: the constants that encoders know."""
    texts: set[int] = field(default_factory=set)
    """Inputs that are taken apart into words or characters."""


def facts_of(model: onnx.ModelProto) -> Facts:
    """The splits and keys of a graph's inputs that are [N, 1], in the order of its inputs."""
    reader = _Reader(model)
    for node in model.graph.node:
        reader.read(node)
    return reader.facts


class _Reader:
    """One pass over the nodes, which ONNX has in the order of computation."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.facts = Facts()
        self.constants: dict[str, Array] = {
            t.name: numpy_helper.to_array(t) for t in model.graph.initializer
        }
        names = [i.name for i in model.graph.input if i.name not in self.constants]
        self.widths = _widths(model)
        # The columns of an ARRAY are no inputs of their own.
        self.columns: dict[str, Columns] = {
            n: (Trace(i),) for i, n in enumerate(names) if self.widths.get(n, 1) == 1
        }

    def read(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Constant":
            self.constants[node.output[0]] = _constant(node)
            return
        rule = _RULES.get(node.op_type)
        found = rule(self, node) if rule else None
        if isinstance(found, list):  # one entry per output
            for name, columns in zip(node.output, found, strict=False):
                self.columns[name] = columns
        elif found is not None and node.output:
            self.columns[node.output[0]] = found

    def of(self, name: str) -> Columns | None:
        """The columns of a tensor; unknown ones where only its width is known."""
        if name in self.columns:
            return self.columns[name]
        width = self.widths.get(name)
        return None if width is None else (None,) * width

    def complete(self, name: str, columns: Columns) -> bool:
        """Whether these are all columns of the tensor, as far as is known."""
        return self.widths.get(name, len(columns)) == len(columns)


def _constant(node: onnx.NodeProto) -> Array:
    value = helper.get_attribute_value(node.attribute[0])
    if isinstance(value, onnx.TensorProto):
        return np.asarray(numpy_helper.to_array(value))
    return np.asarray(value)


def _widths(model: onnx.ModelProto) -> dict[str, int]:
    """The second dimension of every [N, K] tensor for which ONNX can tell it."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # inference is a help, not a need; ONNX raises several types
        graph = model.graph
    widths = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        shape = value.type.tensor_type.shape.dim
        if len(shape) == 2 and shape[1].HasField("dim_value"):
            widths[value.name] = shape[1].dim_value
    return widths


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _unchanged(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    if node.input[0] in reader.constants:
        _fold(reader, node)
        return None
    return reader.of(node.input[0])


def _fold(reader: _Reader, node: onnx.NodeProto) -> None:
    """A constant stays one through a change of type or shape."""
    value = reader.constants[node.input[0]]
    if node.op_type == "Cast":
        kind = helper.tensor_dtype_to_np_dtype(_attributes(node)["to"])
        value = value.astype(kind)
    reader.constants[node.output[0]] = value


def _reshape(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    columns = reader.of(node.input[0])
    if columns is None:
        return None
    shape = reader.constants.get(node.input[1]) if len(node.input) > 1 else None
    last = int(np.ravel(shape)[-1]) if shape is not None and np.size(shape) else None
    # The columns stay columns, or the one column stays one.
    return columns if len(columns) == 1 or last in (None, len(columns)) else None


def _concat(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    if _attributes(node).get("axis", 1) not in (1, -1):
        return None
    joined: list[Trace | None] = []
    for name in node.input:
        columns = reader.of(name)
        if columns is None:
            break  # what follows stands at unknown places
        joined += columns
        if not reader.complete(name, columns):
            break
    return tuple(joined)


def _gather(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    columns, indices = reader.of(node.input[0]), reader.constants.get(node.input[1])
    axis = _attributes(node).get("axis", 0 if node.op_type == "Gather" else 1)
    if columns is None or indices is None or axis not in (1, -1):
        return None
    picked = [int(i) for i in np.ravel(indices)]
    return tuple(columns[i] if -len(columns) <= i < len(columns) else None for i in picked)


def _slice(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    columns = reader.of(node.input[0])
    parts = [np.ravel(reader.constants[n]) for n in node.input[1:] if n in reader.constants]
    if columns is None or len(parts) < 3 or any(len(p) != 1 for p in parts):
        return None
    start, end, axis, step = [*(int(p[0]) for p in parts), 1][:4]
    return columns[start:end:step] if axis in (1, -1) else None


def _split(reader: _Reader, node: onnx.NodeProto) -> list[Columns] | None:
    columns = reader.of(node.input[0])
    sizes = reader.constants.get(node.input[1]) if len(node.input) > 1 else None
    if columns is None or _attributes(node).get("axis", 0) not in (1, -1):
        return None
    even = [len(columns) // len(node.output)] * len(node.output)
    ends = np.cumsum(even if sizes is None else sizes)
    return [columns[int(e - s) : int(e)] for s, e in zip(np.diff([0, *ends]), ends, strict=True)]


def _mapped(columns: Columns, constants: Any, undo: Callable[[float], Undo]) -> Columns:
    """Every column after a step with its own constant."""
    values = np.ravel(np.asarray(constants, dtype=np.float64))
    if len(values) not in (1, len(columns)):
        return (None,) * len(columns)
    wide = np.broadcast_to(values, len(columns))
    return tuple(
        None if c is None else c.then(undo(float(v))) for c, v in zip(columns, wide, strict=True)
    )


# By operator: the inverse for a constant on the right, and for one on the left.
_ARITHMETIC: dict[str, tuple[Callable[[float], Undo], Callable[[float], Undo]]] = {
    "Add": (lambda c: lambda y: y - c, lambda c: lambda y: y - c),
    "Sub": (lambda c: lambda y: y + c, lambda c: lambda y: c - y),
    "Mul": (lambda c: lambda y: y / c, lambda c: lambda y: y / c),
    "Div": (lambda c: lambda y: y * c, lambda c: lambda y: c / y),
}
_FUNCTIONS: dict[str, Undo] = {
    "Neg": lambda y: -y,
    "Log": np.exp,
    "Exp": np.log,
    "Sqrt": np.square,
    "Sigmoid": lambda y: np.log(y / (1 - y)),
    "Tanh": np.arctanh,
}


def _arithmetic(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    left, right = node.input
    on_right, on_left = _ARITHMETIC[node.op_type]
    for tensor, constant, undo in ((left, right, on_right), (right, left, on_left)):
        columns = reader.of(tensor)
        if constant in reader.constants and columns is not None:
            return _mapped(columns, reader.constants[constant], undo)
    return None


def _function(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    columns = reader.of(node.input[0])
    return None if columns is None else _mapped(columns, 0.0, lambda _: _FUNCTIONS[node.op_type])


def _scaler(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    columns, facts = reader.of(node.input[0]), _attributes(node)
    if columns is None:
        return None
    moved = _mapped(columns, facts["offset"], lambda c: lambda y: y + c)
    return _mapped(moved, facts["scale"], lambda c: lambda y: y / c)


def _where(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    # Most often a missing value is replaced; the branch that has an input in it is followed.
    for name in node.input[1:]:
        columns = reader.of(name)
        if columns is not None and any(c is not None for c in columns):
            return columns
    return None


def _limits(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    """Clip, Max, Min with constants: a limit is where the result has a kink."""
    columns = next((c for n in node.input if (c := reader.columns.get(n)) is not None), None)
    if columns is None:
        return None
    constants = [reader.constants[n] for n in node.input if n in reader.constants]
    facts = _attributes(node)
    constants += [np.asarray(facts[k]) for k in ("min", "max", "threshold") if k in facts]
    for constant in constants:
        _record(reader.facts, columns, constant)
    return columns if node.op_type in ("Clip", "Max", "Min") else None


def _compared(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    columns = next((c for n in node.input if (c := reader.columns.get(n)) is not None), None)
    constant = next((reader.constants[n] for n in node.input if n in reader.constants), None)
    if columns is not None and constant is not None:
        _record(reader.facts, columns, constant)
        if node.op_type == "Equal":
            _record_keys(reader.facts, columns, np.ravel(constant).tolist())
    return None


def _record(facts: Facts, columns: Columns, constant: Array) -> None:
    """The constant, in the terms of each column's input."""
    if constant.dtype.kind not in "fiu" or constant.size == 0:
        return
    values = np.ravel(constant).astype(np.float64)
    each = values.reshape(1, -1)
    if len(columns) > 1 and len(values) == len(columns):
        each = values.reshape(-1, 1)
    for i, column in enumerate(columns):
        if column is not None:
            found = column.back(each[min(i, len(each) - 1)])
            known = facts.thresholds.setdefault(column.input, set())
            known.update(float(v) for v in found if np.isfinite(v))


def _encoder(reader: _Reader, node: onnx.NodeProto) -> Columns | None:
    columns, facts = reader.of(node.input[0]), _attributes(node)
    keys: list[Any] = []
    for name in ("keys_strings", "keys_int64s", "keys_floats", "cats_strings", "cats_int64s"):
        keys += list(facts.get(name, []))
    if "keys_tensor" in facts:
        keys += np.ravel(numpy_helper.to_array(facts["keys_tensor"])).tolist()
    if columns is not None:
        _record_keys(reader.facts, columns, keys)
        if node.op_type == "OneHotEncoder":
            return (None,) * (len(columns) * len(keys))
    return None if columns is None else (None,) * len(columns)


def _record_keys(facts: Facts, columns: Columns, keys: Sequence[Any]) -> None:
    texts = [k.decode() if isinstance(k, bytes) else k for k in keys]
    for column in columns:
        if column is not None and not column.undo:
            known = facts.keys.setdefault(column.input, set())
            known.update(k for k in texts if k != MISSING_STRING and k == k)


def _tokens(reader: _Reader, node: onnx.NodeProto) -> None:
    reader.facts.texts |= {c.input for c in reader.of(node.input[0]) or () if c is not None}


def _trees(reader: _Reader, node: onnx.NodeProto) -> None:
    facts = _attributes(node)
    columns = reader.of(node.input[0]) or ()
    parse = _tree_ensemble if node.op_type == "TreeEnsemble" else _tree_by_ids
    ensemble = parse(facts, node.input[0], columns)
    if len(ensemble.feature):
        reader.facts.ensembles.append(ensemble)


# https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html, the numbers of nodes_modes
_MODES = ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ", "MEMBER")


def _tree_ensemble(facts: Mapping[str, Any], tensor: str, columns: Columns) -> Ensemble:
    """The operator of ai.onnx.ml 5: nodes and leaves are numbered apart."""
    count = len(facts["nodes_featureids"])

    def children(side: str) -> Array:
        ids = np.asarray(facts[f"nodes_{side}nodeids"])
        return np.where(np.asarray(facts[f"nodes_{side}leafs"]) == 1, -1, ids)

    modes = np.ravel(numpy_helper.to_array(facts["nodes_modes"]))
    return Ensemble(
        tensor,
        columns,
        np.asarray(facts["nodes_featureids"]),
        np.ravel(numpy_helper.to_array(facts["nodes_splits"])),
        tuple(_MODES[int(m)] for m in modes),
        children("true"),
        children("false"),
        np.asarray(facts.get("nodes_missing_value_tracks_true") or [0] * count) == 1,
        np.asarray(facts["tree_roots"]),
    )


def _tree_by_ids(facts: Mapping[str, Any], tensor: str, columns: Columns) -> Ensemble:
    """TreeEnsembleRegressor and TreeEnsembleClassifier: (tree, node) pairs, leaves among them."""
    if "nodes_values_as_tensor" in facts:
        values = np.ravel(numpy_helper.to_array(facts["nodes_values_as_tensor"]))
    else:
        values = np.asarray(facts["nodes_values"], dtype=np.float32)
    trees, ids = facts["nodes_treeids"], facts["nodes_nodeids"]
    modes = [m.decode() for m in facts["nodes_modes"]]
    inner = [i for i, m in enumerate(modes) if m != "LEAF"]
    place = {(trees[i], ids[i]): k for k, i in enumerate(inner)}

    def children(side: str) -> Array:
        ids_of = facts[f"nodes_{side}nodeids"]
        return np.array([place.get((trees[i], ids_of[i]), -1) for i in inner], dtype=int)

    on_true, on_false = children("true"), children("false")
    below = {*on_true.tolist(), *on_false.tolist()}
    tracks = facts.get("nodes_missing_value_tracks_true") or [0] * len(modes)
    return Ensemble(
        tensor,
        columns,
        np.array([facts["nodes_featureids"][i] for i in inner], dtype=int),
        values[inner],
        tuple(modes[i].removeprefix("BRANCH_") for i in inner),
        on_true,
        on_false,
        np.array([tracks[i] == 1 for i in inner], dtype=bool),
        np.array([k for k in range(len(inner)) if k not in below], dtype=int),
    )


_Rule = Callable[[_Reader, onnx.NodeProto], "Columns | list[Columns] | None"]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("Identity", "Cast", "Imputer", "Flatten"), _unchanged),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("Concat", "FeatureVectorizer"), _concat),
    **dict.fromkeys(("Gather", "ArrayFeatureExtractor"), _gather),
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    **dict.fromkeys(_FUNCTIONS, _function),
    **dict.fromkeys(("Clip", "Max", "Min", "Binarizer"), _limits),
    **dict.fromkeys(("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"), _compared),
    **dict.fromkeys(("OneHotEncoder", "LabelEncoder"), _encoder),
    **dict.fromkeys(("TreeEnsemble", "TreeEnsembleRegressor", "TreeEnsembleClassifier"), _trees),
    "Scaler": _scaler,
    "Slice": _slice,
    "Split": _split,
    "Tokenizer": _tokens,
    "Where": _where,
}
