"""ONNX operators on tensors whose cells are expressions: a graph read as formulas.

A tensor of a batch, [N, …], is an array of expressions with the shape of one row, (…); all
that NumPy does with shapes then works on formulas. What does not depend on the rows is an
ordinary array. An operator joins by a row in `OPERATORS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sqlml.compile.expressions import FUNCTIONS
from sqlml.errors import NotCompilableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlml.compile.expressions import Arena, Expr

    Array = np.ndarray[Any, Any]

_FOREIGN = ("com.microsoft",)

MAX_SPLITS = 1_000
"""Splits of all trees together that are still read as formulas."""

MAX_CELLS = 100_000
"""Of a table that is read as formulas, a lookup for each of its columns."""

OLDEST = 13
"""The ONNX from which on an operator of a name is the one that is read here."""

BATCH = -(2**40)
"""Stands for the number of rows in a shape; no dimension of a graph is negative."""


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """A tensor with one entry for each row of the batch."""

    cells: Array
    """Expressions, in the shape that the tensor has for one row."""

    @property
    def dtype(self) -> str:
        first: Expr = self.cells.flat[0]
        return first.dtype


Tensor = "Rows | Array"


def read_graph(
    model: onnx.ModelProto, arena: Arena, inputs: Mapping[str, Expr], outputs: Sequence[str]
) -> dict[str, Rows]:
    """The outputs of a graph, as expressions over its inputs, each [N, 1].

    Raises `NotCompilableError`, which names the operator that has no form here.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if versions.get("", OLDEST) < OLDEST:
        raise NotCompilableError(f"Operators of ONNX {versions['']} have no form in SQL.")
    reader = _Reader(model, arena, inputs)
    needed = _needed(model.graph, outputs)
    for node in model.graph.node:
        if any(name in needed for name in node.output):
            reader.read(node)
    return {name: reader.rows(name) for name in outputs}


def _needed(graph: onnx.GraphProto, outputs: Sequence[str]) -> set[str]:
    found = set(outputs)
    for node in reversed(graph.node):
        if any(name in found for name in node.output):
            found.update(node.input)
    return found


class _Reader:
    """One pass over the nodes, which ONNX has in the order of computation."""

    def __init__(self, model: onnx.ModelProto, arena: Arena, inputs: Mapping[str, Expr]) -> None:
        self.arena = arena
        self.tensors: dict[str, Any] = {
            t.name: numpy_helper.to_array(t) for t in model.graph.initializer
        }
        for name, expression in inputs.items():
            self.tensors[name] = Rows(_cells([expression]))

    def read(self, node: onnx.NodeProto) -> None:
        operator = None if node.domain in _FOREIGN else OPERATORS.get(node.op_type)
        if operator is None:
            raise NotCompilableError(f"Operator {node.op_type} has no form in SQL.")
        given = [self.tensors[name] if name else None for name in node.input]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        try:
            found = operator(self.arena, given, attributes)
        except NotCompilableError as error:
            if node.op_type in str(error):
                raise
            why = str(error).removeprefix("[NOT_COMPILABLE] ")
            raise NotCompilableError(f"Operator {node.op_type}: {why}") from None
        self.tensors[node.output[0]] = found

    def rows(self, name: str) -> Rows:
        found = self.tensors[name]
        if not isinstance(found, Rows):
            raise NotCompilableError("An output that no input reaches has no form in SQL.")
        return found


def _cells(expressions: Sequence[Expr]) -> Array:
    cells = np.empty(len(expressions), dtype=object)
    cells[:] = expressions
    return cells


def _literals(arena: Arena, values: Array) -> Array:
    kind = "str" if values.dtype.kind in "OUS" else values.dtype.name
    return _mapped(lambda v: arena.literal(_text(v), kind), values.astype(object))


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _mapped(function: Callable[..., Expr], *cells: Array) -> Array:
    """A function of expressions on arrays of them, which are broadcast."""
    wide = np.broadcast_arrays(*cells) if len(cells) > 1 else list(cells)
    found = np.empty(wide[0].shape, dtype=object)
    for place in np.ndindex(found.shape):
        found[place] = function(*(w[place] for w in wide))
    return found


def _aligned(arena: Arena, tensors: Sequence[Any]) -> list[Array]:
    """Cells of tensors for one row; a constant must be the same for every row."""
    if any(isinstance(t, Rows) and not isinstance(t.cells, np.ndarray) for t in tensors):
        raise NotCompilableError("A tensor of one number a row, [N], is combined.")
    rank = max(t.cells.ndim + 1 if isinstance(t, Rows) else t.ndim for t in tensors)
    found = []
    for tensor in tensors:
        if isinstance(tensor, Rows):
            if tensor.cells.ndim + 1 != rank:
                raise NotCompilableError("Tensors of different ranks are combined.")
            found.append(tensor.cells)
            continue
        constant = np.asarray(tensor)
        if constant.ndim == rank:
            if constant.shape[0] != 1:
                raise NotCompilableError("A constant differs from row to row.")
            constant = np.asarray(constant[0])
        found.append(_literals(arena, constant))
    return found


def _elementwise(op: str, swap: bool = False, negate: bool = False) -> Any:
    def operator(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        if not any(isinstance(t, Rows) for t in given):
            found = FUNCTIONS[op](*(reversed(given) if swap else given))
            return np.logical_not(found) if negate else found
        cells = _aligned(arena, given)

        def one(*args: Expr) -> Expr:
            made = arena.apply(op, *(reversed(args) if swap else args))
            return arena.apply("not", made) if negate else made

        return Rows(_mapped(one, *cells))

    return operator


def _folding(op: str) -> Any:
    """Max and Min of any number of tensors."""

    def operator(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        found = given[0]
        for other in given[1:]:
            found = _elementwise(op)(arena, [found, other], attributes)
        return found

    return operator


def _is_infinite(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = given
    if not attributes.get("detect_negative", 1) or not attributes.get("detect_positive", 1):
        raise NotCompilableError("IsInf of one sign has no form in SQL.")
    if not isinstance(x, Rows):
        return np.isinf(x)
    infinity = arena.literal(np.inf, x.dtype)
    return Rows(_mapped(lambda c: arena.apply("eq", arena.apply("abs", c), infinity), x.cells))


def _equal(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    left, right = given
    if isinstance(left, Rows) and not isinstance(right, Rows):
        cells = left.cells
        constants = np.asarray(right)
        constants = constants[0] if constants.ndim == cells.ndim + 1 else constants
        wide: Any
        wide, values = np.broadcast_arrays(cells, constants)
        found = np.empty(wide.shape, dtype=object)
        for place in np.ndindex(found.shape):
            found[place] = arena.equal_to(wide[place], _text(values[place]))
        return Rows(found)
    return _elementwise("eq")(arena, given, attributes)


def _cast(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = given
    kind = np.dtype(helper.tensor_dtype_to_np_dtype(attributes["to"]))
    if not isinstance(x, Rows):
        return np.asarray(x).astype(kind)
    if kind.kind not in "fib" or (kind.kind == "f" and kind.itemsize < 4):
        raise NotCompilableError(f"Cast to {kind.name} has no form in SQL.")
    if kind.kind in "ib" and x.dtype.startswith("float"):
        return Rows(_mapped(lambda c: _whole(arena, c, kind.name), x.cells))
    if kind.kind == "i" and kind.itemsize < np.dtype(x.dtype).itemsize:
        raise NotCompilableError("Cast to a narrower integer raises in SQL; ONNX cuts bits off.")
    return Rows(_mapped(lambda c: arena.cast(c, kind.name), x.cells))


def _whole(arena: Arena, x: Expr, dtype: str) -> Expr:
    if dtype == "bool":
        return arena.apply("not", arena.apply("eq", x, arena.literal(0, x.dtype)))
    if x.op != "lookup":
        raise NotCompilableError("Cast of a computed number to an integer has no exact form.")
    return arena.cast(x, dtype)


def _cast_like(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x, like = given
    dtype = like.dtype if isinstance(like, Rows) else like.dtype.name
    if not isinstance(x, Rows):
        return np.asarray(x).astype(dtype)
    return Rows(_mapped(lambda c: arena.cast(c, dtype), x.cells))


def _identity(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    return given[0]


def _constant(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    ((name, value),) = attributes.items()
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    kind = {"value_int": "int64", "value_ints": "int64", "value_float": "float32",
            "value_floats": "float32"}.get(name)  # fmt: skip
    return np.asarray(value, dtype=kind)


def _shape(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = given
    full = [BATCH, *x.cells.shape] if isinstance(x, Rows) else list(x.shape)
    return np.array(full[attributes.get("start", 0) : attributes.get("end")], dtype="int64")


def _filled(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    value = (
        numpy_helper.to_array(attributes["value"]) if "value" in attributes else np.zeros(1, "f4")
    )
    shape = given[0]
    if len(shape) and shape[0] == BATCH:
        return Rows(_literals(arena, np.full(shape[1:], value[0])))
    return np.full(tuple(shape), value[0])


def _expand(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x, shape = given
    if isinstance(x, Rows):
        if shape[0] != BATCH or len(shape) != x.cells.ndim + 1:
            raise NotCompilableError("Expand to another shape has no form in SQL.")
        return Rows(np.broadcast_to(x.cells, np.broadcast_shapes(x.cells.shape, shape[1:])))
    if len(shape) and shape[0] == BATCH:
        row = x[0] if x.ndim == len(shape) else x
        return Rows(
            _literals(arena, np.broadcast_to(row, np.broadcast_shapes(row.shape, shape[1:])))
        )
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, shape))


def _axis(axis: int, rank: int) -> int:
    """The axis of one row's cells for an axis of a batch tensor."""
    found = axis + rank if axis < 0 else axis
    if found == 0:
        raise NotCompilableError("An operator that mixes rows has no form in SQL.")
    return found - 1


def _concat(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    if not any(isinstance(t, Rows) for t in given):
        return np.concatenate(given, axis=attributes["axis"])
    cells = _aligned(arena, given)
    return Rows(np.concatenate(cells, axis=_axis(attributes["axis"], cells[0].ndim + 1)))


def _reshape(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x, shape = given[0], [int(d) for d in given[1]]
    if not isinstance(x, Rows):
        return np.reshape(x, shape)
    if shape == [-1] and x.cells.size == 1:
        return Rows(x.cells.reshape(()))
    if (
        shape[0] == 0
        or shape[0] == BATCH
        or (shape[0] == -1 and -1 not in shape[1:] and np.prod(shape[1:]) == x.cells.size)
    ):
        rest = shape[1:]
    else:
        raise NotCompilableError("Reshape across rows has no form in SQL.")
    whole = [x.cells.shape[i] if d == 0 else d for i, d in enumerate(rest)]
    return Rows(x.cells.reshape(whole))


def _flatten(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = given
    if attributes.get("axis", 1) != 1 or not isinstance(x, Rows):
        raise NotCompilableError("Flatten across rows has no form in SQL.")
    return Rows(x.cells.reshape(-1))


def _squeeze(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x = given[0]
    if not isinstance(x, Rows):
        return np.squeeze(x) if len(given) < 2 else np.squeeze(x, tuple(map(int, given[1])))
    if len(given) < 2:
        raise NotCompilableError("Squeeze of unknown axes has no form in SQL.")
    rank = x.cells.ndim + 1
    return Rows(np.squeeze(x.cells, tuple(_axis(int(a), rank) for a in given[1])))


def _unsqueeze(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x, axes = given[0], [int(a) for a in given[1]]
    if not isinstance(x, Rows):
        return np.expand_dims(x, tuple(axes))
    rank = x.cells.ndim + 1 + len(axes)
    return Rows(np.expand_dims(x.cells, tuple(_axis(a, rank) for a in axes)))


def _gather(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x, indices = given
    axis = attributes.get("axis", 0)
    if not isinstance(x, Rows):
        if isinstance(indices, Rows):
            return _picked(arena, np.asarray(x), indices, axis)
        return np.take(x, indices, axis=axis)
    if isinstance(indices, Rows):
        raise NotCompilableError("Gather by computed places has no form in SQL.")
    taken = np.take(x.cells, indices, axis=_axis(axis, x.cells.ndim + 1))
    return Rows(np.asarray(taken, dtype=object))  # of one place it is the expression itself


def _picked(arena: Arena, values: Array, indices: Rows, axis: int) -> Rows:
    """A constant by a computed place: a choice for each place, or of a table one per column."""
    if values.ndim == 2 and axis == 0 and indices.cells.ndim == 0:
        if values.size > MAX_CELLS:
            raise NotCompilableError(f"A table of {values.size:,} cells is no expression.")
        place: Expr = indices.cells.item()
        return Rows(_cells([_at_place(arena, column, place) for column in values.T]))
    if values.ndim != 1 or axis != 0:
        raise NotCompilableError("Gather by computed places has no form in SQL.")
    return Rows(_mapped(lambda place: _at_place(arena, values, place), indices.cells))


def _at_place(arena: Arena, values: Array, place: Expr) -> Expr:
    if place.op == "lookup" and values.dtype.kind in "fib":
        table = place.value
        if all(0 <= at < len(values) for at in (*table.entries.values(), table.default)):
            found = {key: values[int(at)] for key, at in table.entries.items()}
            default = values[int(table.default)]
            return arena.lookup(place.args[0], found, default, values.dtype.name)
    literals = _literals(arena, values)
    chosen: Expr = literals[-1]
    for i in reversed(range(len(literals) - 1)):
        chosen = arena.apply("where", arena.equal_to(place, i), literals[i], chosen)
    return chosen


def _feature_extractor(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x, indices = given
    if isinstance(x, Rows) and not isinstance(indices, Rows):
        return Rows(np.take(x.cells, np.ravel(indices), axis=-1))
    if isinstance(indices, Rows) and not isinstance(x, Rows):
        return _picked(arena, np.ravel(x), indices, 0)
    raise NotCompilableError("ArrayFeatureExtractor by computed places has no form in SQL.")


def _matmul(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x, weights = given
    if not isinstance(x, Rows):
        if isinstance(weights, Rows):
            raise NotCompilableError("MatMul with rows on its right has no form in SQL.")
        return np.matmul(x, weights)
    if isinstance(weights, Rows) or weights.ndim != 2 or x.cells.ndim == 0:
        raise NotCompilableError("MatMul of two computed tensors has no form in SQL.")
    rows = x.cells.reshape(-1, x.cells.shape[-1])
    found = [_weighted(arena, row, column) for row in rows for column in weights.T]
    return Rows(_cells(found).reshape(*x.cells.shape[:-1], weights.shape[1]))


def _weighted(arena: Arena, cells: Array, weights: Array) -> Expr:
    """The sum of cells times weights, from left to right. A weight of zero drops its cell."""
    kind = weights.dtype.name
    terms = [
        arena.apply("mul", cell, arena.literal(weight, kind))
        for cell, weight in zip(cells, weights, strict=True)
        if weight != 0
    ]
    return arena.sum(terms) if terms else arena.literal(0, kind)


def _gemm(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    plain = attributes.get("alpha", 1.0) == 1.0 and attributes.get("beta", 1.0) == 1.0
    if not plain or attributes.get("transA") or isinstance(given[1], Rows):
        raise NotCompilableError("Gemm with factors has no form in SQL.")
    weights = given[1].T if attributes.get("transB") else given[1]
    product = _matmul(arena, [given[0], weights], {})
    return _elementwise("add")(arena, [product, given[2]], {}) if len(given) > 2 else product


def _axes(given: Sequence[Any], attributes: Mapping[str, Any]) -> list[int]:
    if "axes" in attributes:
        return list(attributes["axes"])
    return [int(a) for a in given[1]] if len(given) > 1 and given[1] is not None else []


def _reduced(reduce: Callable[[Arena, Sequence[Expr]], Expr]) -> Any:
    def operator(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        x, axes = given[0], _axes(given, attributes)
        if not isinstance(x, Rows) or len(axes) != 1:
            raise NotCompilableError("A reduction of several axes has no form in SQL.")
        axis = _axis(axes[0], x.cells.ndim + 1)
        moved = np.moveaxis(x.cells, axis, -1)
        found = np.empty(moved.shape[:-1], dtype=object)
        for place in np.ndindex(found.shape):
            found[place] = reduce(arena, list(moved[place]))
        keep = attributes.get("keepdims", 1) != 0
        return Rows(np.expand_dims(found, axis) if keep else found)

    return operator


def _most(arena: Arena, cells: Sequence[Expr]) -> Expr:
    found = cells[0]
    for cell in cells[1:]:
        found = arena.apply("max", found, cell)
    return found


def _log_sum_exp(arena: Arena, cells: Sequence[Expr]) -> Expr:
    top = _most(arena, cells)
    powers = [arena.apply("exp", arena.apply("sub", cell, top)) for cell in cells]
    return arena.apply("add", arena.apply("log", arena.sum(powers)), top)


def _arg(op: str) -> Any:
    """The first greatest or least of the cells: NaN is never chosen over a number."""

    def operator(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        (x,) = given
        if not isinstance(x, Rows) or attributes.get("select_last_index") or x.cells.ndim != 1:
            raise NotCompilableError("This ArgMax has no form in SQL.")
        _axis(attributes.get("axis", 0), 2)
        place, best = arena.literal(0, "int64"), x.cells[0]
        for i, cell in enumerate(x.cells[1:], start=1):
            ahead = arena.apply("lt", *((best, cell) if op == "max" else (cell, best)))
            place = arena.apply("where", ahead, arena.literal(i, "int64"), place)
            best = arena.apply("where", ahead, cell, best)
        found = np.empty((1,) if attributes.get("keepdims", 1) else (), dtype=object)
        found[...] = place
        return Rows(found)

    return operator


def _softmax(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = given
    if not isinstance(x, Rows) or x.cells.ndim != 1:
        raise NotCompilableError("This Softmax has no form in SQL.")
    _axis(attributes.get("axis", -1), 2)
    top = _most(arena, list(x.cells))
    powers = [arena.apply("exp", arena.apply("sub", cell, top)) for cell in x.cells]
    total = arena.sum(powers)
    return Rows(_cells([arena.apply("div", power, total) for power in powers]))


def _sigmoid(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = given

    def one(cell: Expr) -> Expr:
        unit = arena.literal(1, cell.dtype)
        power = arena.apply("exp", arena.apply("neg", cell))
        return arena.apply("div", unit, arena.apply("add", unit, power))

    return Rows(_mapped(one, x.cells))


def _relu(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = given
    return Rows(_mapped(lambda c: arena.apply("max", c, arena.literal(0, c.dtype)), x.cells))


def _clip(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x, low, high = [*given, None, None][:3]
    found = x if low is None else _elementwise("max")(arena, [x, low], {})
    return found if high is None else _elementwise("min")(arena, [found, high], {})


_KEYS = ("keys_tensor", "keys_strings", "keys_int64s", "keys_floats")
_VALUES = ("values_tensor", "values_strings", "values_int64s", "values_floats")
_DEFAULTS: dict[str, tuple[str, Any]] = {
    "values_strings": ("default_string", b"_Unused"),
    "values_int64s": ("default_int64", -1),
    "values_floats": ("default_float", -0.0),
}


def _label_encoder(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    (x,) = given
    keys = _listed(attributes, _KEYS)
    values = _listed(attributes, _VALUES)
    if "default_tensor" in attributes:
        default = numpy_helper.to_array(attributes["default_tensor"]).ravel()[0]
    else:
        kind = next((k for k in _VALUES if k in attributes), "values_floats")
        name, otherwise = _DEFAULTS[kind]
        default = attributes.get(name, otherwise)
    if values.dtype.kind in "OUS":
        raise NotCompilableError("LabelEncoder to strings has no form in SQL.")
    entries: dict[Any, Any] = {}
    for key, value in zip(keys, values, strict=True):
        entries.setdefault(_plain(key), value)
    dtype = values.dtype.name
    return Rows(_mapped(lambda c: arena.lookup(c, entries, default, dtype), x.cells))


def _listed(attributes: Mapping[str, Any], names: Sequence[str]) -> Array:
    for name in names:
        if name in attributes:
            found = attributes[name]
            if isinstance(found, onnx.TensorProto):
                return np.asarray(numpy_helper.to_array(found)).ravel()
            kind = {"s": object, "i": np.int64, "f": np.float32}[name.partition("_")[2][0]]
            return np.array(found, dtype=kind)
    raise NotCompilableError("LabelEncoder without a table has no form in SQL.")


def _plain(key: Any) -> Any:
    found = _text(key)
    return found.item() if isinstance(found, np.generic) else found


# The numbers of nodes_modes, https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html
_TREE_TEST = {0: ("le", False), 1: ("lt", False), 2: ("lt", True), 3: ("le", True)}


def _tree_ensemble(arena: Arena, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Every tree as nested choices; their leaves are added in the order of the trees."""
    (x,) = given
    if not isinstance(x, Rows):
        raise NotCompilableError("Trees over constants have no form in SQL.")
    splits = len(attributes["nodes_featureids"])
    if splits > MAX_SPLITS:
        raise NotCompilableError(f"TreeEnsemble with {splits:,} splits is no expression.")
    if attributes.get("aggregate_function", 1) != 1 or attributes.get("post_transform", 0) != 0:
        raise NotCompilableError("TreeEnsemble that does more than add has no form in SQL.")
    trees = _Trees(arena, x, attributes)
    targets: list[list[Expr]] = [[] for _ in range(attributes["n_targets"])]
    for root in attributes["tree_roots"]:
        target, tree = trees.tree(int(root))
        targets[target].append(tree)
    zero = arena.literal(0, x.dtype)
    return Rows(_cells([_in_order(arena, [zero, *terms]) for terms in targets]))


def _in_order(arena: Arena, terms: Sequence[Expr]) -> Expr:
    """The sum in exactly this order: trees are compared to the last bit."""
    total = terms[0]
    for term in terms[1:]:
        total = arena.apply("add", total, term)
    return total


class _Trees:
    def __init__(self, arena: Arena, x: Rows, attributes: Mapping[str, Any]) -> None:
        self.arena, self.x = arena, x
        count = len(attributes["nodes_featureids"])
        self.feature = attributes["nodes_featureids"]
        self.split = numpy_helper.to_array(attributes["nodes_splits"]).ravel()
        self.mode = numpy_helper.to_array(attributes["nodes_modes"]).ravel()
        self.children = [
            (attributes[f"nodes_{side}nodeids"], attributes[f"nodes_{side}leafs"])
            for side in ("true", "false")
        ]
        self.missing = attributes.get("nodes_missing_value_tracks_true") or [0] * count
        self.weight = numpy_helper.to_array(attributes["leaf_weights"]).ravel()
        self.target = attributes["leaf_targetids"]

    def tree(self, root: int) -> tuple[int, Expr]:
        """The output that a tree adds to, and what it adds."""
        found: set[int] = set()
        expression = self._node(root, found)
        if len(found) != 1:
            raise NotCompilableError("A tree that adds to several outputs has no form in SQL.")
        return found.pop(), expression

    def _node(self, node: int, targets: set[int]) -> Expr:
        yes, no = (
            self._leaf(ids[node], targets) if leafs[node] else self._node(ids[node], targets)
            for ids, leafs in self.children
        )
        if yes is no:
            return yes
        return self.arena.apply("where", self._test(node), yes, no)

    def _leaf(self, leaf: int, targets: set[int]) -> Expr:
        targets.add(int(self.target[leaf]))
        return self.arena.literal(self.weight[leaf], self.x.dtype)

    def _test(self, node: int) -> Expr:
        mode = int(self.mode[node])
        if mode not in _TREE_TEST:
            raise NotCompilableError("TreeEnsemble with other tests than < and <= has no form.")
        op, turned = _TREE_TEST[mode]
        x: Expr = self.x.cells[self.feature[node]]
        threshold = self.arena.literal(self.split[node], x.dtype)
        test = self.arena.apply(op, x, threshold)
        if turned:  # x > t is false for NaN, as is x <= t
            number = self.arena.apply("not", self.arena.apply("isnan", x))
            test = self.arena.apply("and", self.arena.apply("not", test), number)
        if self.missing[node]:
            test = self.arena.apply("or", test, self.arena.apply("isnan", x))
        return test


OPERATORS: dict[str, Any] = {
    "Add": _elementwise("add"),
    "Sub": _elementwise("sub"),
    "Mul": _elementwise("mul"),
    "Div": _elementwise("div"),
    "Neg": _elementwise("neg"),
    "Abs": _elementwise("abs"),
    "Exp": _elementwise("exp"),
    "Log": _elementwise("log"),
    "Sqrt": _elementwise("sqrt"),
    "Pow": _elementwise("pow"),
    "Tanh": _elementwise("tanh"),
    "Max": _folding("max"),
    "Min": _folding("min"),
    "Less": _elementwise("lt"),
    "LessOrEqual": _elementwise("le"),
    "Greater": _elementwise("lt", swap=True),
    "GreaterOrEqual": _elementwise("le", swap=True),
    "Equal": _equal,
    "And": _elementwise("and"),
    "Or": _elementwise("or"),
    "Not": _elementwise("not"),
    "IsInf": _is_infinite,
    "IsNaN": _elementwise("isnan"),
    "Where": _elementwise("where"),
    "Cast": _cast,
    "CastLike": _cast_like,
    "Identity": _identity,
    "Constant": _constant,
    "Shape": _shape,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Concat": _concat,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Gather": _gather,
    "ArrayFeatureExtractor": _feature_extractor,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "ReduceMax": _reduced(_most),
    "ReduceSum": _reduced(lambda arena, cells: arena.sum(cells)),
    "ReduceLogSumExp": _reduced(_log_sum_exp),
    "ArgMax": _arg("max"),
    "ArgMin": _arg("min"),
    "Softmax": _softmax,
    "Sigmoid": _sigmoid,
    "Relu": _relu,
    "Clip": _clip,
    "LabelEncoder": _label_encoder,
    "TreeEnsemble": _tree_ensemble,
}
