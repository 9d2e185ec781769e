"""TensorFlow asked about an author's rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from sqlml.convert.graph import Graph
from sqlml.convert.keras.inputs import shaped, table_of
from sqlml.convert.tensorflow.signature import Spec, function_of, taken
from sqlml.convert.tensorflow.values import ELEMENTS, FLOATS
from sqlml.convert.tensorflow.walk import followed

if TYPE_CHECKING:
    from collections.abc import Mapping


def run(model: Any, rows: Any) -> Any:
    """What TensorFlow itself makes of an author's rows, as a NumPy array.

    Raises `ValueError` for an index that is beyond what it is the index of, and where one gets
    NaN or a number by how TensorFlow optimises the graph: a Relu of NaN is NaN, and is zero where
    it is fused with the product before it.
    """
    import tensorflow as tf

    function = function_of(model)
    specs, entries = columns_of(function), entries_of(function)
    by_name = {str(label): label for label in getattr(rows, "columns", ())}
    feed = {}
    for name, spec in specs.items():
        if len(specs) > 1:
            table = table_of(rows[[by_name[name]]])
        else:
            table = rows if isinstance(rows, np.ndarray) else table_of(rows)
        values, kind = shaped(table, spec, entries.get(name)), taken(function)[name].dtype
        feed[name] = tf.constant(values if kind == "string" else values.astype(kind))
    plain, usual = (_asked(function, feed, optimised) for optimised in (False, True))
    if (np.isnan(plain) != np.isnan(usual)).any():
        raise ValueError("TensorFlow gives NaN or a number, by how it optimises the graph")
    return usual


def _asked(function: Any, feed: Mapping[str, Any], optimised: bool) -> Any:
    import tensorflow as tf

    options = tf.config.optimizer
    before = bool(options.get_experimental_options().get("disable_meta_optimizer", False))
    options.set_experimental_options({"disable_meta_optimizer": before or not optimised})
    try:
        (result,) = function(**feed).values()
        return result.numpy()
    finally:
        options.set_experimental_options({"disable_meta_optimizer": before})


def check_shares(model: Any, result: Any) -> None:
    """Raises `ValueError` where part of a row is NaN, of a graph with a softmax.

    Beside NaN TensorFlow's softmax leaves zeros or more NaN, by a number's place in the
    processor's vectors.
    """
    odd = np.isnan(result.reshape(len(result), -1))
    if "Softmax" in _facts_of(function_of(model)).kinds and (odd.any(1) & ~odd.all(1)).any():
        raise ValueError("TensorFlow's softmax gives NaN or a number, by the processor")


def entries_of(function: Any) -> dict[str, int]:
    """By input, how many entries it may be an index of; other inputs are not there."""
    return _facts_of(function).entries


def columns_of(function: Any) -> dict[str, Spec]:
    """What a signature takes, by name, as columns give it: a place is a whole number.

    Keras' older ways give an embedding's places as floating numbers.
    """
    entries = entries_of(function)
    return {
        name: replace(spec, dtype="int64") if name in entries and spec.dtype in FLOATS else spec
        for name, spec in taken(function).items()
    }


@dataclass(frozen=True, slots=True)
class _Facts:
    entries: dict[str, int]
    kinds: frozenset[str]


def _facts_of(function: Any) -> _Facts:
    if function not in _known:
        g, specs = Graph(), taken(function)
        inputs = {
            name: (g.input(f"in{i}", ELEMENTS[spec.dtype]), (i,))
            for i, (name, spec) in enumerate(specs.items())
        }
        found = followed(g, function, specs, inputs)
        names = list(specs)
        _known[function] = _Facts({names[i]: n for i, n in g.below.items()}, found.kinds)
    return _known[function]


_known: WeakKeyDictionary[Any, _Facts] = WeakKeyDictionary()
