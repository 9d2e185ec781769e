"""Keras' layers over sequences: convolutions, pooling, and recurrent layers step by step.

A sequence is as long as the ARRAY that it comes from, so that a recurrent layer is unrolled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import FLOAT
from sqlml.convert.keras.activations import activated
from sqlml.convert.keras.building import numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlml.convert.keras.building import Building, Call

MASKED = ("LSTM", "GRU", "SimpleRNN", "Bidirectional", "GlobalAveragePooling1D")
"""Layers that pass over steps whose mask is false, as they are converted."""

MOST_STEPS = 512
"""Of a recurrent layer: each adds some twenty nodes."""

_STATEFUL = "it is stateful: what it gives depends on the rows before."
_FIRST = "its channels stand first."


def _convolution(b: Building, call: Call) -> str:
    layer = call.operation
    spatial = call.rank - 2
    _channels_last(call)
    x = b.turned(b.floats(call), 0, call.rank - 1, *range(1, call.rank - 1))
    kernel = numbers_of(layer.kernel)
    if type(layer).__name__.startswith("Depthwise"):
        groups, deep = int(kernel.shape[-2]), int(kernel.shape[-1])
        kernel = kernel.reshape(*kernel.shape[:-2], 1, groups * deep)
    else:
        groups = int(layer.groups)
    weights = np.moveaxis(kernel, (-1, -2), (0, 1))
    sizes = [int(n) for n in call.inputs[0].shape[1:-1]]
    pads = _pads(call, sizes, weights.shape[2:])
    x = b.g.node(
        "Conv", x, b.weight(weights), group=groups, pads=pads,
        strides=_each(layer.strides, spatial), dilations=_each(layer.dilation_rate, spatial),
    )  # fmt: skip
    x = b.turned(x, 0, *range(2, call.rank), 1)
    if layer.use_bias:
        x = b.g.node("Add", x, b.weight(layer.bias))
    return activated(b, layer.activation, x, call.rank)


def _pads(call: Call, sizes: Sequence[int], window: Sequence[int]) -> list[int]:
    """As TensorFlow pads, which is Keras' own way: what is odd goes behind."""
    layer, spatial = call.operation, len(sizes)
    before, after = [], []
    strides, dilations = _each(layer.strides, spatial), _each(layer.dilation_rate, spatial)
    for size, width, stride, dilation in zip(sizes, window, strides, dilations, strict=True):
        reach = (int(width) - 1) * dilation + 1
        if layer.padding == "valid":
            total, first = 0, 0
        elif layer.padding == "causal":
            total = first = reach - 1
        else:
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            first = total // 2
        before.append(first)
        after.append(total - first)
    return [*before, *after]


def _pooling(fold: str) -> Callable[[Building, Call], str]:
    """Windows of a sequence, folded place by place, so that NaN stays."""

    def pool(b: Building, call: Call) -> str:
        import keras

        layer = call.operation
        _channels_last(call)
        if layer.padding != "valid":
            raise call.refused("it pads.", "Use padding='valid'.")
        (window,), (stride,) = _each(layer.pool_size, 1), _each(layer.strides, 1)
        steps, x = int(call.output.shape[1]), b.floats(call)
        if not steps:
            raise call.refused("its result has no steps.")
        if fold == "Max" and keras.backend.backend() == "tensorflow":
            # TensorFlow looks for the maximum from the least number on, and NaN is never above.
            least = b.weight([np.finfo("float32").min])
            x = b.g.node("Max", b.g.node("Where", b.g.node("IsNaN", x), least, x), least)
        made = ""
        for place in range(window):
            part = b.part(x, 1, place, place + (steps - 1) * stride + 1, stride)
            made = b.g.node(fold, made, part) if made else part
        return made if fold == "Max" else b.g.node("Div", made, b.weight([float(window)]))

    return pool


def _global_pooling(fold: str) -> Callable[[Building, Call], str]:
    def pool(b: Building, call: Call) -> str:
        layer = call.operation
        _channels_last(call)
        steps, channels = (int(n) for n in call.inputs[0].shape[1:])
        mask = _mask(call)
        if fold == "Max":  # place by place, since ReduceMax leaves NaN out
            parts = [b.part(b.floats(call), 1, place, place + 1) for place in range(steps)]
            x = b.shaped(b.g.node("Max", *parts), channels)
        else:
            x, count = b.floats(call), b.weight([float(steps)])
            ones = b.weight(np.ones((steps, 1)))
            if mask is not None:
                lifted = b.shaped(mask, steps, 1)
                x = b.g.node("Where", lifted, x, b.weight([0.0]))
                count = b.g.node("MatMul", b.g.cast(mask, FLOAT), ones)
            total = b.g.node("MatMul", b.turned(x, 0, 2, 1), ones)
            x = b.g.node("Div", b.shaped(total, channels), count)
        return b.shaped(x, 1, channels) if layer.keepdims else x

    return pool


def _zero_padding(b: Building, call: Call) -> str:
    _channels_last(call)
    before, after = call.operation.padding
    return b.g.node("Pad", b.floats(call), b.ints(0, before, 0, 0, after, 0))


def _cropping(b: Building, call: Call) -> str:
    start, steps = int(call.operation.cropping[0]), int(call.output.shape[1])
    return b.part(call.given[0], 1, start, start + steps)


def _up_sampling(b: Building, call: Call) -> str:
    steps, size = int(call.inputs[0].shape[1]), int(call.operation.size)
    places = b.g.const(np.repeat(np.arange(steps), size), "int64")
    return b.g.node("Gather", call.given[0], places, axis=1)


def _time_distributed(b: Building, call: Call) -> str:
    """A Dense computes along the last axis, at each step alike."""
    from sqlml.convert.keras.building import Call as Inner
    from sqlml.convert.keras.layers import LAYERS

    layer = call.operation.layer
    name = type(layer).__name__
    if name not in ("Dense", "Activation", "Dropout"):
        raise call.refused(f"it applies {name} at each step.")
    return LAYERS[name](b, Inner(layer, call.given, call.inputs, call.output, (), {}))


def _recurrent(b: Building, call: Call) -> str:
    layer = call.operation
    states = _steps(b, call, layer, b.floats(call))
    return _sequence(b, states) if layer.return_sequences else states[-1]


def _bidirectional(b: Building, call: Call) -> str:
    layer = call.operation
    ways = (layer.forward_layer, layer.backward_layer)
    if any(type(way).__name__ not in CELLS for way in ways):
        raise call.refused(f"it is of {type(layer.forward_layer).__name__}.")
    x = b.floats(call)
    made = []
    for way in ways:
        states = _steps(b, call, way, x)
        if not layer.return_sequences:
            made.append(states[-1])
        else:
            back = way is layer.backward_layer
            made.append(_sequence(b, states[::-1] if back else states))
    if layer.merge_mode == "concat":
        return b.g.concat(made, axis=call.rank - 1)
    op = {"sum": "Add", "ave": "Add", "mul": "Mul"}.get(str(layer.merge_mode))
    if op is None:
        raise call.refused("it gives several tensors.")
    x = b.g.node(op, *made)
    return b.g.node("Div", x, b.weight([2.0])) if layer.merge_mode == "ave" else x


def _steps(b: Building, call: Call, layer: Any, x: str) -> list[str]:
    """[N, units] after each step, in the order in which the layer goes."""
    if layer.stateful:
        raise call.refused(_STATEFUL)
    mask = _mask(call)
    if layer.return_state or len(call.given) > 1 + (mask is not None):
        raise call.refused("its states are given, or are results.")
    length = int(call.inputs[0].shape[1])
    if length > MOST_STEPS:
        raise call.refused(f"it has {length:,} steps, and {MOST_STEPS:,} are the most.")
    cell = layer.cell
    step, gates = CELLS[type(layer).__name__]
    units = int(cell.units)
    along = b.g.node("MatMul", x, b.weight(cell.kernel))
    if cell.use_bias:
        bias = numbers_of(cell.bias).reshape(-1, gates * units)
        along = b.g.node("Add", along, b.weight(bias[0]))
    order = range(length)
    made: list[str] = []
    state: tuple[str, ...] = ()
    for place in reversed(order) if layer.go_backwards else order:
        parts = b.shaped(b.part(along, 1, place, place + 1), gates * units)
        after = step(b, cell, parts, state)
        if mask is None:
            state = after
            made.append(state[0])
            continue
        here, zero = b.part(mask, 1, place, place + 1), b.weight([0.0])
        before = state or (zero,) * len(after)
        state = tuple(b.g.node("Where", here, a, s) for a, s in zip(after, before, strict=True))
        hidden = layer.zero_output_for_mask and layer.return_sequences
        made.append(b.g.node("Where", here, state[0], zero) if hidden else state[0])
    return made


def _mask(call: Call) -> str | None:
    """[N, steps]: whether a step is there."""
    place = call.place(len(call.args), "mask")
    if call.kwargs.get("mask") is not None and place is None:
        raise call.refused("its mask is no tensor.")
    return None if place is None else call.given[place]


def _masking(b: Building, call: Call) -> str:
    from sqlml.convert.keras.operations import any_of

    x = b.floats(call)
    unlike = b.g.node("Not", b.g.node("Equal", x, b.weight([call.operation.mask_value])))
    return b.g.node("Where", any_of(b, unlike, keepdims=1), x, b.weight([0.0]))


def _sequence(b: Building, states: Sequence[str]) -> str:
    lifted = [b.g.node("Unsqueeze", s, b.ints(1)) for s in states]
    return b.g.concat(lifted, axis=1)


def _gate(b: Building, x: str, cell: Any, place: int) -> str:
    units = int(cell.units)
    return b.part(x, 1, place * units, (place + 1) * units)


def _lstm(b: Building, cell: Any, x: str, state: tuple[str, ...]) -> tuple[str, ...]:
    """Gates in the order i, f, c, o; without a state before, that is zero."""
    if state:
        x = b.g.node("Add", x, b.g.node("MatMul", state[0], b.weight(cell.recurrent_kernel)))
    i, f, c, o = (_gate(b, x, cell, place) for place in range(4))
    gate, curve = cell.recurrent_activation, cell.activation
    made = b.g.node("Mul", activated(b, gate, i), activated(b, curve, c))
    if state:
        made = b.g.node("Add", b.g.node("Mul", activated(b, gate, f), state[1]), made)
    return b.g.node("Mul", activated(b, gate, o), activated(b, curve, made)), made


def _gru(b: Building, cell: Any, x: str, state: tuple[str, ...]) -> tuple[str, ...]:
    """Gates in the order z, r, h; where `reset_after`, the state's own bias is there too."""
    units = int(cell.units)
    kernel = numbers_of(cell.recurrent_kernel)
    bias = np.zeros(3 * units, "float32")
    if cell.use_bias and cell.reset_after:
        bias = numbers_of(cell.bias)[1]
    z, r, h = (_gate(b, x, cell, place) for place in range(3))
    gate, curve = cell.recurrent_activation, cell.activation

    def within(state: str, start: int, end: int) -> str:
        part = b.g.node("MatMul", state, b.weight(kernel[:, start:end]))
        return b.g.node("Add", part, b.weight(bias[start:end]))

    if state:
        z = b.g.node("Add", z, within(state[0], 0, units))
        r = b.g.node("Add", r, within(state[0], units, 2 * units))
    else:
        z = b.g.node("Add", z, b.weight(bias[:units]))
        r = b.g.node("Add", r, b.weight(bias[units : 2 * units]))
    z, r = activated(b, gate, z), activated(b, gate, r)
    if not state:
        inner = b.g.node("Mul", r, b.weight(bias[2 * units :]))
    elif cell.reset_after:
        inner = b.g.node("Mul", r, within(state[0], 2 * units, 3 * units))
    else:
        inner = within(b.g.node("Mul", r, state[0]), 2 * units, 3 * units)
    new = activated(b, curve, b.g.node("Add", h, inner))
    made = b.g.node("Mul", b.g.node("Sub", b.weight([1.0]), z), new)
    if state:
        made = b.g.node("Add", b.g.node("Mul", z, state[0]), made)
    return (made,)


def _simple(b: Building, cell: Any, x: str, state: tuple[str, ...]) -> tuple[str, ...]:
    if state:
        x = b.g.node("Add", x, b.g.node("MatMul", state[0], b.weight(cell.recurrent_kernel)))
    return (activated(b, cell.activation, x),)


def _each(values: Any, count: int) -> list[int]:
    """Keras writes a number for all axes, or one for each."""
    many = values if isinstance(values, list | tuple) else [values] * count
    return [int(n) for n in many]


def _channels_last(call: Call) -> None:
    if getattr(call.operation, "data_format", "channels_last") != "channels_last":
        raise call.refused(_FIRST, "Use data_format='channels_last'.")


# One step of a recurrent layer, and how many gates it has.
CELLS: dict[str, tuple[Callable[..., tuple[str, ...]], int]] = {
    "LSTM": (_lstm, 4),
    "GRU": (_gru, 3),
    "SimpleRNN": (_simple, 1),
}
LAYERS: dict[str, Callable[[Building, Call], str]] = {
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "DepthwiseConv1D": _convolution,
    "MaxPooling1D": _pooling("Max"),
    "AveragePooling1D": _pooling("Add"),
    "GlobalMaxPooling1D": _global_pooling("Max"),
    "GlobalAveragePooling1D": _global_pooling("Add"),
    "ZeroPadding1D": _zero_padding,
    "Cropping1D": _cropping,
    "UpSampling1D": _up_sampling,
    "TimeDistributed": _time_distributed,
    "Bidirectional": _bidirectional,
    "Masking": _masking,
    **dict.fromkeys(CELLS, _recurrent),
}
