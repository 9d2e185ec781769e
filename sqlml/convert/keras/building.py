"""A graph under construction from Keras' symbolic tensors, in the order in which they were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import FLOAT, Graph
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert.keras.inputs import Given


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a layer, or of a function of `keras.ops`."""

    operation: Any
    given: tuple[str, ...]
    """The graph's tensors for what it got."""
    inputs: tuple[Any, ...]
    """The same as Keras' symbolic tensors."""
    output: Any
    """What it gives, as a symbolic tensor."""
    args: tuple[Any, ...]
    """Its arguments as they were written, symbolic tensors among them."""
    kwargs: dict[str, Any]

    @property
    def step(self) -> str:
        """Its name in a message."""
        return f"{type(self.operation).__name__} ({self.operation.name})"

    @property
    def rank(self) -> int:
        """How many axes its result has, that of the rows included."""
        return len(self.output.shape)

    def place(self, position: int, name: str) -> int | None:
        """Which of the given tensors an argument of the call is; None where it is not there."""
        written = self.args[position] if position < len(self.args) else self.kwargs.get(name)
        same = (i for i, x in enumerate(self.inputs) if x is written)
        return next(same, None)

    def refused(self, reason: str, advice: str = "") -> NotConvertibleError:
        """Why it is not converted, to raise."""
        return NotConvertibleError(self.step, reason, advice)


@dataclass(slots=True)
class Building:
    """The graph, and the tensors that it has for Keras' own."""

    g: Graph
    made: dict[int, str] = field(default_factory=dict)
    whole: dict[str, Given] = field(default_factory=dict)
    """The tensors that are an input as it is."""
    bounded: dict[str, int] = field(default_factory=dict)
    """Tensors of whole numbers from zero to below this, by what made them."""

    def feed(self, given: Given, tensor: str) -> None:
        """Let a tensor of the graph be an input of the model."""
        self.made[id(given.tensor)] = tensor
        self.whole[tensor] = given

    def tensor(self, symbol: Any) -> str:
        """The tensor for a symbolic one, its layer's nodes added where they are not there yet."""
        waiting = [symbol]
        while waiting:  # a model may have more layers than Python's stack takes calls
            last = waiting[-1]
            if id(last) in self.made:
                waiting.pop()
                continue
            operation, number, place = last._keras_history
            node = operation._inbound_nodes[number]
            missing = [x for x in node.input_tensors if id(x) not in self.made]
            if missing or not node.input_tensors:
                if not node.input_tensors:
                    raise NotConvertibleError(str(operation.name), "it has no input of the model.")
                waiting += missing
                continue
            call = Call(
                operation,
                tuple(self.made[id(x)] for x in node.input_tensors),
                tuple(node.input_tensors),
                last,
                tuple(node.arguments.args),
                dict(node.arguments.kwargs),
            )
            self.made[id(last)] = self._called(call, place)
        return self.made[id(symbol)]

    def _called(self, call: Call, place: int) -> str:
        from sqlml.convert.keras.layers import conversion

        if place:
            raise call.refused("it gives several tensors.")
        inner = inside(call.operation)
        if inner is not None:
            return self.inside(call, inner)
        how = conversion(call)
        made: str = how(self, call)
        return made

    def inside(self, call: Call, model: Any) -> str:
        """A functional model that is a layer of another one."""
        if len(model.outputs) != 1:
            raise call.refused("it gives several tensors.")
        inner = Building(self.g, {}, self.whole, self.bounded)
        for symbol, tensor in zip(model.inputs, call.given, strict=True):
            inner.made[id(symbol)] = tensor
        return inner.tensor(model.outputs[0])

    def weight(self, values: Any) -> str:
        """Numbers of the model, in float32."""
        plain = isinstance(values, list | tuple | np.ndarray | np.generic)
        return self.g.const(np.asarray(values, "float32") if plain else numbers_of(values))

    def ints(self, *values: int) -> str:
        """A constant of whole numbers, [K]."""
        return self.g.const(list(values), "int64")

    def shaped(self, tensor: str, *shape: int) -> str:
        """The tensor with other axes behind that of the rows."""
        return self.g.node("Reshape", tensor, self.ints(-1, *shape))

    def shaped_as(self, tensor: str, symbol: Any) -> str:
        """The tensor in the shape of a symbolic one."""
        return self.shaped(tensor, *(int(n) for n in symbol.shape[1:]))

    def turned(self, tensor: str, *axes: int) -> str:
        """The tensor with its axes in another order."""
        return self.g.node("Transpose", tensor, perm=list(axes))

    def part(self, tensor: str, axis: int, start: int, end: int, step: int = 1) -> str:
        """A slice along one axis."""
        given = (self.ints(n) for n in (start, end, axis, step))
        return self.g.node("Slice", tensor, *given)

    def floats(self, call: Call, place: int = 0) -> str:
        """What a call got, in float32: Keras lets whole numbers pass where it computes."""
        kind = str(call.inputs[place].dtype)
        given = call.given[place]
        return given if kind == "float32" else self.g.cast(given, FLOAT)


def numbers_of(values: Any) -> Any:
    """A variable of Keras as a NumPy array of float32."""
    import keras

    return np.asarray(keras.ops.convert_to_numpy(values), "float32")


def inside(layer: Any) -> Any:
    """The functional model in a layer that is a model of Keras' own kinds; None in others."""
    kind = type(layer)
    if not kind.__module__.startswith("keras.src.models"):
        return None
    return layer if kind.__name__ == "Functional" else getattr(layer, "_functional", None)
