"""A TensorFlow function followed as it would run, its functions and loops inside, into a graph.

What does not depend on the rows TensorFlow computes itself: weights, shapes, and how often a loop
turns. What does is converted operation by operation, by the tables of `operators`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlml.convert.tensorflow.assertions import assertion
from sqlml.convert.tensorflow.operators import REASONS, conversion
from sqlml.convert.tensorflow.signature import NAME
from sqlml.convert.tensorflow.step import Step, label_of
from sqlml.convert.tensorflow.values import (
    COUNTS,
    Known,
    Mixed,
    Tensor,
    Value,
    array_of,
    known,
)
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlml.convert.ensemble import Width
    from sqlml.convert.graph import Graph
    from sqlml.convert.tensorflow.signature import Spec

MOST_TURNS = 512
"""Of a loop: each adds its operations to the graph."""

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
LOOPS = ("While", "StatelessWhile")
BRANCHES = ("If", "StatelessIf")

# What only reads the model's own memory, of the operations that TensorFlow calls stateful.
READS = ("ReadVariableOp", "ResourceGather", "LookupTableFindV2", "LookupTableSizeV2")


# What graphs compute from lengths, and what of it is no larger.
OF_SHAPES = frozenset((
    "Add", "AddV2", "All", "Any", "Cast", "ConcatV2", "Equal", "ExpandDims", "FloorDiv", "FloorMod",
    "GatherV2", "Greater", "GreaterEqual", "Identity", "Less", "LessEqual", "LogicalAnd",
    "LogicalNot", "LogicalOr", "Max", "Maximum", "Min", "Minimum", "Mul", "Neg", "NotEqual", "Pack",
    "Prod", "RealDiv", "Reshape", "Select", "SelectV2", "Shape", "Size", "Slice", "Split", "SplitV",
    "Squeeze", "StridedSlice", "Sub", "Sum", "Unpack",
))  # fmt: skip

_STATEFUL = "it keeps, changes or draws something, and is no function of the rows."


@dataclass(slots=True)
class Walk:
    """The graph, and the functions that TensorFlow's graph calls."""

    g: Graph
    library: dict[str, Any]
    """FunctionDefs by name."""
    dtypes: set[str] = field(default_factory=set)
    """Of all tensors that rows make."""
    kinds: set[str] = field(default_factory=set)
    """Of all operations on these."""
    _graphs: dict[str, Any] = field(default_factory=dict)

    def through(self, graph: Any, given: Sequence[Value]) -> list[Value]:
        """What a function's graph gives of its arguments."""
        made: dict[str, list[Value]] = {}
        for placeholder, value in zip(graph.inputs, given, strict=True):
            made[placeholder.op.name] = [value]
        needed = _needed(graph)
        for op in graph.get_operations():
            if op.name in needed and op.name not in made:
                made[op.name] = self._done(op, made)
        return list(_given(made, graph.outputs))

    def _done(self, op: Any, made: dict[str, list[Value]]) -> list[Value]:
        if op.type == "Assert":
            said = assertion(op)
            instead = said.holds(Step(self.g, said.op, _given(made, said.needed)))
            if instead is not None:
                made[said.op.name] = [instead]
            return []
        given = _given(made, op.inputs)
        if op.type in CALLS:
            return self.through(self._function(op, "f"), given)
        if op.type in LOOPS:
            return self._loop(op, given)
        if op.type in BRANCHES:
            branch = "then_branch" if self._truth(op, given[0]) else "else_branch"
            return self.through(self._function(op, branch), given[1:])
        step = Step(self.g, op, given)
        how = conversion(step)
        if how is None:
            return evaluated(op, [g for g in given if isinstance(g, Known)])
        result = how(step)
        self.kinds.add(op.type)
        results = [result] if isinstance(result, Value) else list(result)
        self.dtypes.update(value.dtype for value in results if isinstance(value, Tensor))
        return results

    def _loop(self, op: Any, given: Sequence[Value]) -> list[Value]:
        condition, body = self._function(op, "cond"), self._function(op, "body")
        state = list(given)
        for _ in range(MOST_TURNS):
            (goes_on,) = self.through(condition, state)
            if not self._truth(op, goes_on):
                return state
            state = self.through(body, state)
        raise NotConvertibleError(label_of(op), f"it turns more than {MOST_TURNS} times.")

    def _truth(self, op: Any, value: Value) -> bool:
        if isinstance(value, Known) and value.fixed:
            return bool(array_of(value.values[0]))
        raise NotConvertibleError(
            label_of(op), "how it goes on depends on the rows: a loop or a branch on their values."
        )

    def _function(self, op: Any, attribute: str) -> Any:
        from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

        name = op.get_attr(attribute).name
        if name not in self._graphs:
            if name not in self.library:
                raise NotConvertibleError(label_of(op), f"its function {name!r} is not there.")
            with op.graph.as_default():
                self._graphs[name] = function_def_to_graph(self.library[name])
        return self._graphs[name]


@dataclass(frozen=True, slots=True)
class Followed:
    """What a signature comes to in the graph."""

    result: Tensor
    width: Width
    """The type in which it computes."""
    kinds: frozenset[str]
    """Of its operations."""


def followed(
    g: Graph,
    function: Any,
    specs: Mapping[str, Spec],
    inputs: Mapping[str, tuple[str, Sequence[int]]],
) -> Followed:
    """A signature, converted. Raises `NotConvertibleError`, which names the operation.

    `inputs`: by name, the tensor of the graph for what the signature takes, and the numbers of the
    inputs that it is made of.
    """
    given: list[Value] = []
    for name in sorted(inputs):  # as TensorFlow flattens what it takes
        tensor, columns = inputs[name]
        shape = (-1, *(int(n or 0) for n in specs[name].shape[1:]))
        given.append(Tensor(tensor, specs[name].dtype, shape, tuple(columns)))
    given += [Known((value,)) for value in function.captured_inputs]
    library = {f.signature.name: f for f in function.graph.as_graph_def().library.function}
    walk = Walk(g, library)
    (result,) = walk.through(function.graph, given)
    if isinstance(result, Mixed):
        raise result.error
    if not isinstance(result, Tensor) or result.rows:
        raise NotConvertibleError(NAME, "its result does not depend on its inputs.")
    width: Width = "float32" if "float32" in walk.dtypes else "float64"
    return Followed(result, width, frozenset(walk.kinds))


def _given(made: Mapping[str, list[Value]], tensors: Iterable[Any]) -> tuple[Value, ...]:
    return tuple(made[t.op.name][t.value_index] for t in tensors)


def _needed(graph: Any) -> set[str]:
    """The operations that a function's result, or what it does besides, depends on."""
    waiting = [t.op for t in graph.outputs] + list(graph.control_outputs)
    found: set[str] = set()
    while waiting:
        op = waiting.pop()
        if op.name in found:
            continue
        found.add(op.name)
        # The other inputs of an assertion make its message.
        inputs = assertion(op).needed if op.type == "Assert" else op.inputs
        waiting += [t.op for t in inputs] + list(op.control_inputs)
    return found


def evaluated(op: Any, given: Sequence[Known]) -> list[Value]:
    """What TensorFlow itself makes of what is known.

    Raises `NotConvertibleError` where it changes or draws something, and where TensorFlow fails.
    """
    import tensorflow as tf
    from tensorflow.python.eager import context, execute

    if op.type == "Const":
        return [Known((tf.constant(tf.make_ndarray(op.get_attr("value")), op.outputs[0].dtype),))]
    if op.type == "NoOp":
        return []
    if op.op_def.is_stateful and op.type not in READS:
        raise NotConvertibleError(label_of(op), *REASONS.get(op.type, (_STATEFUL,)))
    attributes: list[Any] = []
    for name in op.node_def.attr:
        if not name.startswith("_"):
            attributes += [name, _plain(op.get_attr(name))]
    counts = 1 if all(value.fixed for value in given) else len(COUNTS)
    results = []
    for place in range(counts):
        inputs = [value.at(place) for value in given]
        if counts > 1 and place == counts - 1 and (op.type not in OF_SHAPES or _absent(inputs)):
            results.append([None] * len(op.outputs))
            continue
        try:
            results.append(
                execute.execute(
                    op.type.encode(), len(op.outputs), inputs, tuple(attributes), context.context()
                )
            )
        except Exception as error:  # TensorFlow raises whatever it meets
            reason = " ".join(str(error).split())[:200]
            raise NotConvertibleError(label_of(op), f"TensorFlow fails: {reason}.") from error
    return [known(values) for values in zip(*results, strict=True)]


def _absent(inputs: Sequence[Any]) -> bool:
    return any(each is None for each in inputs)


def _plain(value: Any) -> Any:
    """An attribute in the form in which TensorFlow takes it."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if hasattr(value, "as_datatype_enum"):
        return value.as_datatype_enum
    if hasattr(value, "unknown_rank"):  # a TensorShapeProto
        return None if value.unknown_rank else [dim.size for dim in value.dim]
    return value
