"""Keras' layers and functions as ONNX, in the order in which a model applies them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from sqlml.convert.graph import FLOAT, INT64, Graph
from sqlml.convert.keras.inputs import Given, element_of_tensor, named, shaped, table_of
from sqlml.convert.links import row_sum, sigmoid, softmax
from sqlml.convert.network import accept_indices
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from collections.abc import Callable


def run(model: Any, rows: Any) -> Any:
    """What Keras makes of an author's rows, as a NumPy array.

    Raises `ValueError` for an index that is beyond what it is the index of.
    """
    import keras

    given, entries = named(model), entries_of(model)
    if len(given) == 1:
        ((name, tensor),) = given.items()
        table = rows if isinstance(rows, np.ndarray) else table_of(rows)
        feed: Any = {name: shaped(table, tensor, entries.get(name))}
    else:
        by_name = {str(label): label for label in rows.columns}
        feed = {
            name: shaped(table_of(rows[[by_name[name]]]), tensor, entries.get(name))
            for name, tensor in given.items()
        }
    if not isinstance(getattr(model, "_inputs_struct", None), dict):
        feed = list(feed.values())
        feed = feed[0] if len(feed) == 1 else feed
    return np.asarray(keras.ops.convert_to_numpy(model(feed, training=False)))


def entries_of(model: Any) -> dict[str, int]:
    """By input, how many entries it may be an index of; other inputs are not there."""
    if model not in _entries:
        building = Building(Graph())
        inputs = [
            Given(name, tensor, (i,), element_of_tensor(tensor))
            for i, (name, tensor) in enumerate(named(model).items())
        ]
        for i, given in enumerate(inputs):
            building.feed(given, building.g.input(f"in{i}", given.element))
        building.tensor(model.outputs[0])
        _entries[model] = {inputs[i].name: len(of) for i, of in building.g.accepted.items()}
    return _entries[model]


_entries: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()


@dataclass(slots=True)
class Building:
    """A graph under construction, and the tensors that it has for Keras' own."""

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
        if id(symbol) not in self.made:
            layer, node, place = symbol._keras_history
            given = [self.tensor(each) for each in layer._inbound_nodes[node].input_tensors]
            self.made[id(symbol)] = self.layer(layer, given, symbol, place)
        return self.made[id(symbol)]

    def layer(self, layer: Any, given: list[str], symbol: Any, place: int) -> str:
        name = type(layer).__name__
        own = type(layer).__module__.startswith("keras.src.")
        if own and hasattr(layer, "outputs") and hasattr(layer, "_functional"):
            return self._inside(layer._functional, given)
        if own and name == "Functional":
            return self._inside(layer, given)
        how = LAYERS.get(name) if own else None
        if how is None or place:
            raise NotConvertibleError(
                f"{name} ({layer.name})", "it has no conversion that is known to be exact."
            )
        made: str = how(self, layer, given, symbol)
        return made

    def _inside(self, model: Any, given: list[str]) -> str:
        """A model that is a layer of another one."""
        inner = Building(self.g, {}, self.whole, self.bounded)
        for symbol, tensor in zip(model.inputs, given, strict=True):
            inner.made[id(symbol)] = tensor
        (output,) = model.outputs
        return inner.tensor(output)

    def weight(self, values: Any) -> str:
        return self.g.const(np.asarray(values, dtype="float32"))


def _same(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    return given[0]


def _activated(b: Building, activation: Any, x: str) -> str:
    """A function of Keras, by its name."""
    name = getattr(activation, "__name__", type(activation).__name__)
    how = ACTIVATIONS.get(name)
    if how is None:
        raise NotConvertibleError(f"activation {name}", "it has no conversion that is exact.")
    return how(b, x)


def _dense(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    x = b.g.node("MatMul", given[0], b.weight(layer.kernel))
    if layer.use_bias:
        x = b.g.node("Add", x, b.weight(layer.bias))
    return _activated(b, layer.activation, x)


def _activation(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    return _activated(b, layer.activation, given[0])


def _leaky(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    return b.g.node("LeakyRelu", given[0], alpha=float(layer.negative_slope))


def _relu_layer(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    if layer.negative_slope or layer.threshold or layer.max_value is not None:
        raise NotConvertibleError(f"ReLU ({layer.name})", "it has a slope, a threshold or a limit.")
    return b.g.node("Relu", given[0])


def _softmax_layer(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    _last_axis(layer, layer.axis, symbol)
    return softmax(b.g, given[0], "float32")


def _batch_normalization(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    _last_axis(layer, layer.axis, symbol)
    spread = np.sqrt(np.asarray(layer.moving_variance, "float32") + np.float32(layer.epsilon))
    x = b.g.node("Sub", given[0], b.weight(layer.moving_mean))
    factor = np.float32(1) / spread
    if layer.scale:
        factor = factor * np.asarray(layer.gamma, "float32")
    x = b.g.node("Mul", x, b.weight(factor))
    return b.g.node("Add", x, b.weight(layer.beta)) if layer.center else x


def _layer_normalization(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
    _last_axis(layer, axis, symbol)
    if len(symbol.shape) != 2:
        raise NotConvertibleError(f"LayerNormalization ({layer.name})", "it is not over columns.")
    width = b.g.const([float(symbol.shape[-1])], "float32")
    mean = b.g.node("Div", row_sum(b.g, given[0]), width)
    x = b.g.node("Sub", given[0], mean)
    variance = b.g.node("Div", row_sum(b.g, b.g.node("Mul", x, x)), width)
    spread = b.g.node("Sqrt", b.g.node("Add", variance, b.weight([layer.epsilon])))
    x = b.g.node("Div", x, spread)
    if layer.scale:
        x = b.g.node("Mul", x, b.weight(layer.gamma))
    return b.g.node("Add", x, b.weight(layer.beta)) if layer.center else x


def _normalization(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    import keras

    if layer.invert:
        raise NotConvertibleError(f"Normalization ({layer.name})", "it is inverted.")
    spread = np.maximum(np.sqrt(np.asarray(layer.variance)), keras.config.epsilon())
    x = b.g.node("Sub", given[0], b.weight(layer.mean))
    return b.g.node("Div", x, b.weight(spread))


def _rescaling(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    x = b.g.node("Mul", b.g.cast(given[0], FLOAT), b.weight([layer.scale]))
    return b.g.node("Add", x, b.weight([layer.offset]))


def _concatenate(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    _last_axis(layer, layer.axis, symbol)
    return b.g.concat(given, axis=len(symbol.shape) - 1)


def _folded(op: str) -> Any:
    def fold(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
        result = given[0]
        for x in given[1:]:
            result = b.g.node(op, result, x)
        return result

    return fold


def _average(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    total: str = _folded("Add")(b, layer, given, symbol)
    return b.g.node("Div", total, b.weight([float(len(given))]))


def _reshaped(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    return b.g.node("Reshape", given[0], _shape(b, symbol))


def _embedding(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    table = np.asarray(layer.embeddings, "float32")
    source = b.whole.get(given[0])
    if source is not None and source.element == INT64:
        for index in source.columns:
            accept_indices(b.g, index, len(table), f"Embedding ({layer.name})")
    elif b.bounded.get(given[0], len(table) + 1) > len(table):
        raise NotConvertibleError(
            f"Embedding ({layer.name})", "its index is no input, and may be beyond its entries."
        )
    return b.g.node("Gather", b.g.const(table), b.g.cast(given[0], INT64), axis=0)


def _discretization(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    """The number of boundaries that a number is not below."""
    bounds = np.asarray(layer.bin_boundaries, "float32")
    if layer.output_mode != "int" or len(symbol.shape) > 2 or given[0] not in b.whole:
        raise NotConvertibleError(
            f"Discretization ({layer.name})", f"its output_mode is {layer.output_mode!r}."
        )
    x = b.g.node("Reshape", given[0], b.g.const([-1, 1], "int64"))
    # Written so that NaN is above all of them, as it is for a search among sorted numbers.
    above = b.g.node("Not", b.g.node("Less", x, b.g.const(bounds[None, :])))
    count = row_sum(b.g, b.g.cast(above, FLOAT))
    made = b.g.cast(b.g.node("Reshape", count, _shape(b, symbol)), INT64)
    b.bounded[made] = len(bounds) + 1
    return made


def _category_encoding(b: Building, layer: Any, given: list[str], symbol: Any) -> str:
    """A column for each whole number; of one number a row."""
    if layer.output_mode not in ("one_hot", "multi_hot") or len(symbol.shape) != 2:
        raise NotConvertibleError(
            f"CategoryEncoding ({layer.name})", f"its output_mode is {layer.output_mode!r}."
        )
    source = b.whole.get(given[0])
    tokens = int(layer.num_tokens)
    if source is not None and len(source.columns) == 1 and source.element == INT64:
        accept_indices(b.g, source.columns[0], tokens, f"CategoryEncoding ({layer.name})")
    elif b.bounded.get(given[0], tokens + 1) > tokens:
        raise NotConvertibleError(
            f"CategoryEncoding ({layer.name})", "what it encodes is not one whole number a row."
        )
    x = b.g.node("Reshape", b.g.cast(given[0], INT64), b.g.const([-1, 1], "int64"))
    return b.g.cast(b.g.node("Equal", x, b.g.const(np.arange(tokens)[None, :], "int64")), FLOAT)


def _shape(b: Building, symbol: Any) -> str:
    return b.g.const([-1, *(int(n) for n in symbol.shape[1:])], "int64")


def _last_axis(layer: Any, axis: int, symbol: Any) -> None:
    if axis not in (-1, len(symbol.shape) - 1):
        raise NotConvertibleError(
            f"{type(layer).__name__} ({layer.name})", f"its axis is {axis}, not the last one."
        )


def _unary(op: str, **attributes: Any) -> Callable[[Building, str], str]:
    return lambda b, x: b.g.node(op, x, **attributes)


def _gelu(b: Building, x: str) -> str:
    """x/2 · (1 + erf(x / √2)), which is Keras' own where it is not told to approximate."""
    half = b.g.node("Mul", x, b.weight([0.5]))
    erf = b.g.node("Erf", b.g.node("Div", x, b.weight([np.sqrt(2)])))
    return b.g.node("Mul", half, b.g.node("Add", erf, b.weight([1.0])))


def _swish(b: Building, x: str) -> str:
    return b.g.node("Mul", x, sigmoid(b.g, x, "float32"))


def _softplus(b: Building, x: str) -> str:
    """max(x, 0) + log(1 + exp(-|x|)), which does not overflow."""
    tail = b.g.node("Exp", b.g.node("Neg", b.g.node("Abs", x)))
    return b.g.node(
        "Add", b.g.node("Relu", x), b.g.node("Log", b.g.node("Add", tail, b.weight([1.0])))
    )


# The table of what is converted: Keras' name of a function, and of a layer.
ACTIVATIONS: dict[str, Callable[[Building, str], str]] = {
    "linear": lambda b, x: x,
    "relu": _unary("Relu"),
    "tanh": _unary("Tanh"),
    "exponential": _unary("Exp"),
    "softsign": _unary("Softsign"),
    "elu": _unary("Elu", alpha=1.0),
    "selu": _unary("Selu"),
    "sigmoid": lambda b, x: sigmoid(b.g, x, "float32"),
    "softmax": lambda b, x: softmax(b.g, x, "float32"),
    "softplus": _softplus,
    "silu": _swish,
    "swish": _swish,
    "gelu": _gelu,
}
LAYERS: dict[str, Callable[[Building, Any, list[str], Any], str]] = {
    "Dense": _dense,
    "Activation": _activation,
    "LeakyReLU": _leaky,
    "ReLU": _relu_layer,
    "Softmax": _softmax_layer,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "Discretization": _discretization,
    "CategoryEncoding": _category_encoding,
    "Embedding": _embedding,
    "Concatenate": _concatenate,
    "Add": _folded("Add"),
    "Subtract": _folded("Sub"),
    "Multiply": _folded("Mul"),
    "Maximum": _folded("Max"),
    "Minimum": _folded("Min"),
    "Average": _average,
    "Flatten": _reshaped,
    "Reshape": _reshaped,
    **dict.fromkeys(
        ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D",
         "ActivityRegularization", "Identity", "InputLayer"),
        _same,
    ),
}  # fmt: skip
