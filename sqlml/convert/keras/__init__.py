"""Keras 3: functional and sequential models → ONNX, layer by layer, whatever Keras runs on.

A model with one input gets all columns side by side, or the one column that holds arrays; of
several inputs each must have the name of a column (`inputs`). Layers that act in training only are
left out, as they are when Keras predicts. What a layer does is said in `layers`; any other is
refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert import Answer
    from sqlml.model import ScoringModel
    from sqlml.sample import Sample


def recognises(model: object) -> bool:
    """A model of Keras 3; Keras 2 is no part of TensorFlow since 2.16."""
    return any(
        kind.__module__.startswith("keras.src.models") and kind.__name__ == "Model"
        for kind in type(model).__mro__
    )


def convert(model: Any, sample: Sample) -> ScoringModel:
    """A functional or sequential model as a ScoringModel that computes in float32.

    `model`: the model, or `Labelled`. Raises `NotConvertibleError`, which names the layer and the
    reason, and `SampleError` for columns that are not the model's inputs.
    """
    from sqlml.convert.graph import Graph
    from sqlml.convert.keras.building import Building
    from sqlml.convert.keras.framework import keras_itself
    from sqlml.convert.keras.inputs import column_input, inputs_of, joined
    from sqlml.convert.keras.running import run
    from sqlml.convert.network import scoring_model, unlabelled

    keras = keras_itself()
    model, labels = unlabelled(model)
    inputs = inputs_of(model, sample.columns)
    shown = run(model, sample.container(sample.frame))
    if shown.ndim not in (1, 2) or len(shown) != len(sample):
        raise NotConvertibleError(
            type(model).__name__, f"it gives {'x'.join(map(str, shown.shape[1:]))} numbers a row."
        )
    building = Building(Graph())
    tensors = [column_input(building.g, i, c, inputs) for i, c in enumerate(sample.columns)]
    for given in inputs:
        building.feed(given, joined(building.g, given, tensors))
    result = building.tensor(model.outputs[0])
    metadata = {
        "framework": "keras",
        "estimator": type(model).__name__,
        "versions": {"keras": keras.__version__, "backend": keras.backend.backend()},
    }
    return scoring_model(building.g, sample, result, shown, labels, "float32", metadata)


def answer(model: Any, rows: Any) -> Answer:
    """What the model itself gives, as `predict` does.

    Raises `ValueError` for an index beyond an embedding, where Keras does what its backend does.
    """
    from sqlml.convert.keras.running import run
    from sqlml.convert.network import answer_of, unlabelled

    model, labels = unlabelled(model)
    return answer_of(run(model, rows), labels)
