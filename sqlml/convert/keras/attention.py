"""Keras' attention, over the steps of a sequence or over a row's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlml.convert.keras.activations import softmax_of
from sqlml.convert.keras.building import numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert.keras.building import Building, Call


def _unmasked(call: Call) -> None:
    """Attention finds masks on the tensors themselves."""
    from sqlml.convert.keras.layers import MASKED

    if any(getattr(x, "_keras_mask", None) is not None for x in call.inputs):
        raise call.refused(MASKED)


def _multi_head(b: Building, call: Call) -> str:
    """softmax(q · k / √d) · v of each head, projected before and after."""
    _unmasked(call)
    layer = call.operation
    if getattr(layer, "_sliding_window", None) is not None or getattr(layer, "_use_gate", False):
        raise call.refused("it has a window or a gate.")
    if call.rank != 3 or list(layer._attention_axes) != [1]:
        raise call.refused("it is over more than one axis.")
    query, value, key = call.place(0, "query"), call.place(1, "value"), call.place(2, "key")
    if query is None or value is None or len(call.args) > 3:
        raise call.refused("it was called with more than query, value and key.")
    key = value if key is None else key
    heads = int(layer.num_heads)
    q, k, v = (
        _projected(b, dense, b.floats(call, place), int(call.inputs[place].shape[1]), heads)
        for dense, place in (
            (layer._query_dense, query), (layer._key_dense, key), (layer._value_dense, value),
        )
    )  # fmt: skip
    q = b.g.node("Mul", q, b.weight([float(layer._inverse_sqrt_key_dim)]))
    scores = softmax_of(b, b.g.node("MatMul", q, b.turned(k, 0, 1, 3, 2)), 4)
    mixed = b.turned(b.g.node("MatMul", scores, v), 0, 2, 1, 3)
    dense = layer._output_dense
    kernel = numbers_of(dense.kernel)
    steps = int(call.output.shape[1])
    flat = b.shaped(mixed, steps, int(kernel.shape[0] * kernel.shape[1]))
    made = b.g.node("MatMul", flat, b.weight(kernel.reshape(-1, kernel.shape[-1])))
    return b.g.node("Add", made, b.weight(dense.bias)) if dense.bias is not None else made


def _projected(b: Building, dense: Any, x: str, steps: int, heads: int) -> str:
    """[N, heads, steps, size] of what a head gets."""
    kernel = numbers_of(dense.kernel)
    made = b.g.node("MatMul", x, b.weight(kernel.reshape(kernel.shape[0], -1)))
    bias = dense.bias
    if bias is not None:
        made = b.g.node("Add", made, b.weight(numbers_of(bias).reshape(-1)))
    return b.turned(b.shaped(made, steps, heads, int(kernel.shape[-1])), 0, 2, 1, 3)


def _attention(b: Building, call: Call) -> str:
    """softmax(q · k) · v, by products."""
    _unmasked(call)
    layer = call.operation
    if layer.score_mode != "dot" or call.rank != 3:
        raise call.refused(f"its score_mode is {layer.score_mode!r}, or it is over other axes.")
    places = [*range(len(call.given))]
    if len(places) < 2:
        raise call.refused("what it attends to is not given apart.")
    query, value = b.floats(call, 0), b.floats(call, 1)
    key = b.floats(call, 2) if len(places) > 2 else value
    scores = b.g.node("MatMul", query, b.turned(key, 0, 2, 1))
    if layer.scale is not None:
        scores = b.g.node("Mul", scores, b.weight(layer.scale))
    return b.g.node("MatMul", softmax_of(b, scores, 3), value)


LAYERS: dict[str, Callable[[Building, Call], str]] = {
    "MultiHeadAttention": _multi_head,
    "Attention": _attention,
}
