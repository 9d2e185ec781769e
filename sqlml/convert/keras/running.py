"""Keras asked about an author's rows."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from sqlml.convert.graph import Graph
from sqlml.convert.keras.building import Building
from sqlml.convert.keras.inputs import Given, element_of_tensor, named, shaped, table_of


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
        _entries[model] = {inputs[i].name: n for i, n in building.g.below.items()}
    return _entries[model]


_entries: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()
