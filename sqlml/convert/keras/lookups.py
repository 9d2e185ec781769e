"""Keras' layers that number texts and whole numbers, and what makes columns of the numbers.

The words and numbers that a layer knows are in the graph; others get the number that the layer
gives them. Hashes have no form in ONNX, and are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import FLOAT, INT64
from sqlml.convert.keras.activations import sum_of
from sqlml.convert.network import accept_indices, without_denormals

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert.keras.building import Building, Call

_DROPPED = np.iinfo("int64").max
"""Keras' own number for what makes no column."""
_INSTEAD = "Use StringLookup or IntegerLookup, which know their words."


def _lookup(b: Building, call: Call) -> str:
    layer = call.operation
    texts = layer.vocabulary_dtype == "string"
    _checked(call, texts)
    counted = layer.output_mode != "int"
    first = int(layer.mask_token is not None and not counted)
    start = first + layer.num_oov_indices
    words = [w if texts else int(w) for w in layer.get_vocabulary(include_special_tokens=False)]
    keys, numbers = list(words), list(range(start, start + len(words)))
    if layer.mask_token is not None:
        keys.append(layer.mask_token if texts else int(layer.mask_token))
        numbers.append(_DROPPED if counted else 0)
    known = {"keys_strings": keys} if texts else {"keys_int64s": keys}
    several = layer.num_oov_indices > 1
    made = b.g.node(
        "LabelEncoder", call.given[0], domain="ai.onnx.ml", values_int64s=numbers,
        default_int64=first if layer.num_oov_indices == 1 else -1, **known,
    )  # fmt: skip
    if several:
        rest = b.g.node("Mod", call.given[0], b.ints(layer.num_oov_indices))
        other = b.g.node("Add", rest, b.ints(first))
        made = b.g.node("Where", b.g.node("Equal", made, b.ints(-1)), other, made)
    if not counted:
        b.bounded[made] = start + len(words)
        return made
    depth = layer.max_tokens if layer.pad_to_max_tokens else start + len(words)
    mode = "count" if layer.output_mode == "tf_idf" else layer.output_mode
    columns = _columns(b, call, made, mode, int(depth))
    if layer.output_mode == "tf_idf":
        columns = b.g.node("Mul", columns, b.weight(layer.idf_weights.numpy()))
    return columns


def _checked(call: Call, texts: bool) -> None:
    layer, kind = call.operation, str(call.inputs[0].dtype)
    if layer.invert:
        raise call.refused("it is inverted, and gives words.")
    if layer.sparse:
        raise call.refused("it gives sparse tensors.", "Build it with sparse=False.")
    if getattr(layer, "encoding", "utf-8").lower().replace("-", "") != "utf8":
        raise call.refused(f"its texts are encoded in {layer.encoding}.")
    hashed = texts or layer.oov_method != "floormod"
    if layer.num_oov_indices > 1 and hashed:
        raise call.refused("it hashes what it does not know.", "Let num_oov_indices be 1.")
    if texts != (kind == "string") or not (texts or kind in ("int64", "int32")):
        raise call.refused(f"it looks up {layer.vocabulary_dtype}s among {kind}s.")


def _columns(b: Building, call: Call, index: str, mode: str, depth: int) -> str:
    """A column for each whole number below `depth`; others have none."""
    places = [int(n) for n in call.inputs[0].shape[1:]]
    many = int(np.prod(places)) if places else 1
    if mode != "one_hot" and len(places) > 1:
        raise call.refused(f"what it counts in has {len(places)} axes beside that of the rows.")
    one = b.shaped(b.g.cast(index, INT64), many, 1)
    hot = b.g.cast(b.g.node("Equal", one, b.g.const(np.arange(depth)[None, None], "int64")), FLOAT)
    if mode == "one_hot":
        return b.shaped_as(hot, call.output)
    if many > 1:
        fold = "ReduceMax" if mode == "multi_hot" else "ReduceSum"
        return b.g.node(fold, hot, b.ints(1), keepdims=0)
    return b.shaped(hot, depth)


def _discretization(b: Building, call: Call) -> str:
    """The number of boundaries that a number is not below."""
    import keras

    layer = call.operation
    if layer.sparse or call.rank > 3 or len(call.inputs[0].shape) > 2:
        raise call.refused("it gives sparse tensors, or is over more than columns.")
    bounds = np.asarray(layer.bin_boundaries, "float32")
    places = int(np.prod([int(n) for n in call.inputs[0].shape[1:]]))
    x = b.floats(call)
    if keras.backend.backend() == "tensorflow":
        x = without_denormals(b.g, x, "float32")
    x = b.shaped(x, places, 1)
    # Written so that NaN is above all of them, as it is for a search among sorted numbers.
    above = b.g.node("Not", b.g.node("Less", x, b.g.const(bounds[None, None, :])))
    count = sum_of(b, b.g.cast(above, FLOAT), 3)
    number = b.g.cast(b.shaped_as(count, call.inputs[0]), INT64)
    if layer.output_mode == "int":
        b.bounded[number] = len(bounds) + 1
        return number
    return _columns(b, call, number, layer.output_mode, len(bounds) + 1)


def _category_encoding(b: Building, call: Call) -> str:
    """A column for each whole number."""
    import keras

    layer, (given, *weights) = call.operation, call.given
    if layer.sparse or weights or layer.output_mode not in ("one_hot", "multi_hot", "count"):
        raise call.refused(
            f"its output_mode is {layer.output_mode!r}, or it is sparse or weighted."
        )
    source, tokens = b.whole.get(given), int(layer.num_tokens)
    if layer.output_mode == "one_hot" and keras.backend.backend() != "torch":
        pass  # a number beyond has no column; PyTorch raises
    elif source is not None and source.element == INT64:
        for index in source.columns:
            accept_indices(b.g, index, tokens)
    elif b.bounded.get(given, tokens + 1) > tokens:
        raise call.refused("what it encodes is no input, and may be beyond its num_tokens.")
    return _columns(b, call, given, layer.output_mode, tokens)


def _hashing(b: Building, call: Call) -> str:
    raise call.refused("its hash has no form in ONNX.", _INSTEAD)


LAYERS: dict[str, Callable[[Building, Call], Any]] = {
    "StringLookup": _lookup,
    "IntegerLookup": _lookup,
    "Discretization": _discretization,
    "CategoryEncoding": _category_encoding,
    "Hashing": _hashing,
    "HashedCrossing": _hashing,
}
