"""TensorFlow's SavedModels → ONNX: one signature's graph, followed operation by operation.

A signature takes tensors by name, as Keras models do: one gets all columns side by side, or the one
column that holds arrays; of several each must have the name of a column. It gives one tensor of
numbers, [N] or [N, K]; see `network` for what it means. What the graph does without the rows is
done by TensorFlow itself; what an operation does with them is said in `operators`; any other is
refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlml.convert.tensorflow.signature import is_saved_model, is_signature
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.convert import Answer
    from sqlml.model import ScoringModel
    from sqlml.sample import Sample


def recognises(model: object) -> bool:
    """A loaded SavedModel, or one of its signatures."""
    return is_saved_model(model) or is_signature(model)


def convert(model: Any, sample: Sample) -> ScoringModel:
    """A SavedModel as a ScoringModel that computes in its own floating type.

    `model`: what `tf.saved_model.load` gives, one of its signatures, or `Labelled`. Raises
    `NotConvertibleError`, which names the operation and the reason, and `SampleError` for columns
    that are not the signature's inputs.
    """
    import tensorflow as tf

    from sqlml.convert.graph import Graph
    from sqlml.convert.keras.inputs import bound, column_input, joined
    from sqlml.convert.links import ELEMENT
    from sqlml.convert.network import scoring_model, unlabelled
    from sqlml.convert.tensorflow.running import columns_of, run
    from sqlml.convert.tensorflow.signature import NAME, TYPES, check_output, function_of, taken
    from sqlml.convert.tensorflow.values import ELEMENTS
    from sqlml.convert.tensorflow.walk import followed

    model, labels = unlabelled(model)
    function = function_of(model)
    check_output(function)
    specs = taken(function)
    inputs = bound(NAME, columns_of(function), sample.columns, TYPES)
    g = Graph()
    columns = [column_input(g, i, column, inputs) for i, column in enumerate(sample.columns)]
    by_name = {}
    for given in inputs:
        tensor, element = joined(g, given, columns), ELEMENTS[specs[given.name].dtype]
        if given.element != element:
            tensor = g.cast(tensor, element)
        by_name[given.name] = (tensor, given.columns)
    found = followed(g, function, specs, by_name)
    shown = run(model, sample.container(sample.frame))
    if shown.ndim not in (1, 2) or len(shown) != len(sample):
        numbers = "x".join(map(str, shown.shape[1:]))
        raise NotConvertibleError(NAME, f"it gives {numbers} numbers a row.")
    result, width = found.result, found.width
    name = result.name if result.dtype == width else g.cast(result.name, ELEMENT[width])
    metadata = {
        "framework": "tensorflow",
        "estimator": NAME,
        "versions": {"tensorflow": tf.__version__},
    }
    return scoring_model(g, sample, name, shown, labels, width, metadata)


def answer(model: Any, rows: Any) -> Answer:
    """What the signature itself gives.

    Raises `ValueError` for an index beyond an embedding, and for NaN, where TensorFlow's answer
    depends on the device, or on how it optimises the graph.
    """
    from sqlml.convert.network import answer_of, unlabelled
    from sqlml.convert.tensorflow.running import check_shares, run

    model, labels = unlabelled(model)
    result = run(model, rows)
    if not labels:
        check_shares(model, result)
    return answer_of(result, labels)
