"""The table of Keras' layers that are converted, and those over columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import FLOAT, INT64
from sqlml.convert.keras.activations import activated, softmax_of, sum_of
from sqlml.convert.keras.building import numbers_of
from sqlml.convert.network import accept_indices

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert.keras.building import Building, Call

    How = Callable[[Building, Call], str]

MASKED = "it is masked (mask_zero of an Embedding, or Masking)."
_NO_CONVERSION = "it has no conversion that is known to be exact."


def conversion(call: Call) -> How:
    """How a call is converted. Raises `NotConvertibleError` for those that are not."""
    from sqlml.convert.keras import attention, lookups, operations, sequences

    operation = call.operation
    kind = type(operation)
    if kind.__module__.startswith("keras.src.ops."):
        how = operations.OPERATIONS.get(kind.__name__)
    elif kind.__module__.startswith("keras.src.layers."):
        _as_in_prediction(call)
        tables = (LAYERS, lookups.LAYERS, sequences.LAYERS, attention.LAYERS)
        how = next((t[kind.__name__] for t in tables if kind.__name__ in t), None)
    else:
        raise call.refused("it is its author's own.", "Write what it does with Keras' own layers.")
    if how is None:
        raise call.refused(_NO_CONVERSION)
    return how


def _as_in_prediction(call: Call) -> None:
    """A layer that computes in float32, and with nothing but what it was given."""
    from sqlml.convert.keras import sequences

    operation = call.operation
    if call.kwargs.get("training"):
        raise call.refused("it was called with training=True, and draws numbers at random.")
    if call.kwargs.get("mask") is not None and type(operation).__name__ not in sequences.MASKED:
        raise call.refused(MASKED)
    if getattr(operation, "quantization_mode", None) is not None:
        raise call.refused(f"its weights are quantized ({operation.quantization_mode}).")
    computes = str(getattr(operation, "compute_dtype", "float32"))
    if "float" in computes and computes != "float32":
        raise call.refused(f"it computes in {computes}.", "Build the model with dtype='float32'.")
    extra = {k for k, v in call.kwargs.items() if v is not None and v is not False} - {
        "mask",
        "inputs",
        "x",
        "query",
        "value",
        "key",
        "sequence",
        "sequences",
    }
    if extra:
        raise call.refused(f"it was called with {', '.join(sorted(extra))}.")


def _same(b: Building, call: Call) -> str:
    return call.given[0]


def _dense(b: Building, call: Call) -> str:
    layer = call.operation
    x = b.g.node("MatMul", b.floats(call), b.weight(layer.kernel))
    if layer.use_bias:
        x = b.g.node("Add", x, b.weight(layer.bias))
    return activated(b, layer.activation, x, call.rank)


def _activation(b: Building, call: Call) -> str:
    return activated(b, call.operation.activation, b.floats(call), call.rank)


def _leaky(b: Building, call: Call) -> str:
    return b.g.node("LeakyRelu", b.floats(call), alpha=float(call.operation.negative_slope))


def _prelu(b: Building, call: Call) -> str:
    """max(x, 0) + alpha · min(x, 0), alpha by place."""
    x, zero = b.floats(call), b.weight([0.0])
    below = b.g.node("Mul", b.weight(call.operation.alpha), b.g.node("Min", x, zero))
    return b.g.node("Add", b.g.node("Relu", x), below)


def _elu(b: Building, call: Call) -> str:
    return b.g.node("Elu", b.floats(call), alpha=float(call.operation.alpha))


def _relu_layer(b: Building, call: Call) -> str:
    layer = call.operation
    if layer.negative_slope or layer.threshold:
        raise call.refused("it has a slope or a threshold.")
    x = b.g.node("Relu", b.floats(call))
    return x if layer.max_value is None else b.g.node("Min", x, b.weight([layer.max_value]))


def _softmax_layer(b: Building, call: Call) -> str:
    last_axis(call, call.operation.axis)
    return softmax_of(b, b.floats(call), call.rank)


def _batch_normalization(b: Building, call: Call) -> str:
    layer = call.operation
    last_axis(call, layer.axis)
    spread = np.sqrt(numbers_of(layer.moving_variance) + np.float32(layer.epsilon))
    x = b.g.node("Sub", b.floats(call), b.weight(layer.moving_mean))
    factor = np.float32(1) / spread
    if layer.scale:
        factor = factor * numbers_of(layer.gamma)
    x = b.g.node("Mul", x, b.weight(factor))
    return b.g.node("Add", x, b.weight(layer.beta)) if layer.center else x


def _layer_normalization(b: Building, call: Call) -> str:
    layer = call.operation
    last_axis(call, layer.axis)
    x = b.floats(call)
    width = b.weight([float(call.output.shape[-1])])
    mean = b.g.node("Div", sum_of(b, x, call.rank), width)
    x = b.g.node("Sub", x, mean)
    variance = b.g.node("Div", sum_of(b, b.g.node("Mul", x, x), call.rank), width)
    spread = b.g.node("Sqrt", b.g.node("Add", variance, b.weight([layer.epsilon])))
    x = b.g.node("Div", x, spread)
    if getattr(layer, "rms_scaling", False):
        raise call.refused("it scales by the root of the mean square.")
    if layer.scale:
        x = b.g.node("Mul", x, b.weight(layer.gamma))
    return b.g.node("Add", x, b.weight(layer.beta)) if layer.center else x


def _rms_normalization(b: Building, call: Call) -> str:
    layer = call.operation
    last_axis(call, layer.axis)
    x = b.floats(call)
    width = b.weight([float(call.output.shape[-1])])
    square = b.g.node("Div", sum_of(b, b.g.node("Mul", x, x), call.rank), width)
    spread = b.g.node("Sqrt", b.g.node("Add", square, b.weight([layer.epsilon])))
    return b.g.node("Mul", b.g.node("Div", x, spread), b.weight(layer.scale))


def _normalization(b: Building, call: Call) -> str:
    import keras

    layer = call.operation
    if layer.invert:
        raise call.refused("it is inverted.")
    spread = np.maximum(np.sqrt(numbers_of(layer.variance)), np.float32(keras.config.epsilon()))
    x = b.g.node("Sub", b.floats(call), b.weight(layer.mean))
    return b.g.node("Div", x, b.weight(spread))


def _rescaling(b: Building, call: Call) -> str:
    x = b.g.node("Mul", b.g.cast(call.given[0], FLOAT), b.weight([call.operation.scale]))
    return b.g.node("Add", x, b.weight([call.operation.offset]))


def _concatenate(b: Building, call: Call) -> str:
    axis = call.operation.axis % call.rank
    kinds = {str(x.dtype) for x in call.inputs}
    given = list(call.given)
    if len(kinds) > 1:  # Keras makes floats of them all
        if "string" in kinds or str(call.output.dtype) != "float32":
            raise call.refused(f"what it joins is of {', '.join(sorted(kinds))}.")
        given = [b.floats(call, i) for i in range(len(given))]
    if not axis:
        raise call.refused("it joins rows.")
    return b.g.concat(given, axis=axis)


def _folded(op: str) -> Any:
    def fold(b: Building, call: Call) -> str:
        result, *others = (b.floats(call, i) for i in range(len(call.given)))
        if len({len(x.shape) for x in call.inputs}) > 1:
            raise call.refused("what it joins has different numbers of axes.")
        for x in others:
            result = b.g.node(op, result, x)
        return result

    return fold


def _average(b: Building, call: Call) -> str:
    total: str = _folded("Add")(b, call)
    return b.g.node("Div", total, b.weight([float(len(call.given))]))


def _dot(b: Building, call: Call) -> str:
    """Of two vectors a row."""
    layer = call.operation
    if layer.normalize or [len(x.shape) for x in call.inputs] != [2, 2]:
        raise call.refused("it normalizes, or what it multiplies is no vector.")
    return sum_of(b, b.g.node("Mul", b.floats(call, 0), b.floats(call, 1)), 2)


def _reshaped(b: Building, call: Call) -> str:
    made = b.shaped_as(call.given[0], call.output)
    if call.given[0] in b.bounded:
        b.bounded[made] = b.bounded[call.given[0]]
    if call.given[0] in b.whole:
        b.whole[made] = b.whole[call.given[0]]
    return made


def _permute(b: Building, call: Call) -> str:
    return b.turned(call.given[0], 0, *(int(d) for d in call.operation.dims))


def _repeat_vector(b: Building, call: Call) -> str:
    lifted = b.shaped(call.given[0], 1, int(call.output.shape[-1]))
    return b.g.node("Tile", lifted, b.ints(1, int(call.operation.n), 1))


def _embedding(b: Building, call: Call) -> str:
    layer, (given,) = call.operation, call.given
    table = numbers_of(layer.embeddings)
    source = b.whole.get(given)
    if source is not None and source.element == INT64:
        for index in source.columns:
            accept_indices(b.g, index, len(table))
    elif b.bounded.get(given, len(table) + 1) > len(table):
        raise call.refused(
            "its index is no input of whole numbers, and may be beyond its entries.",
            "Give it an input of its own: keras.Input(…, dtype='int64').",
        )
    return b.g.node("Gather", b.g.const(table), b.g.cast(given, INT64), axis=0)


def last_axis(call: Call, axis: Any) -> None:
    """Raises `NotConvertibleError` where a layer works along another axis."""
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    if [a % call.rank for a in axes] != [call.rank - 1]:
        raise call.refused(f"its axis is {axis}, not the last one.")


# What is converted, by Keras' name; others stand in the modules that `conversion` names.
LAYERS: dict[str, How] = {
    "Dense": _dense,
    "Activation": _activation,
    "LeakyReLU": _leaky,
    "PReLU": _prelu,
    "ELU": _elu,
    "ReLU": _relu_layer,
    "Softmax": _softmax_layer,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _rms_normalization,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "Embedding": _embedding,
    "Concatenate": _concatenate,
    "TFDConcat": _concatenate,  # of keras.utils.FeatureSpace
    "Add": _folded("Add"),
    "Subtract": _folded("Sub"),
    "Multiply": _folded("Mul"),
    "Maximum": _folded("Max"),
    "Minimum": _folded("Min"),
    "Average": _average,
    "Dot": _dot,
    "Flatten": _reshaped,
    "Reshape": _reshaped,
    "Permute": _permute,
    "RepeatVector": _repeat_vector,
    **dict.fromkeys(
        ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D",
         "ActivityRegularization", "Identity", "InputLayer", "TFDIdentity"),
        _same,
    ),
}  # fmt: skip
