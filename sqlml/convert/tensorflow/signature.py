"""Which function of a SavedModel is published, what it takes and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlml.convert.keras.inputs import check_tensors
from sqlml.convert.tensorflow.values import FLOATS
from sqlml.errors import NotConvertibleError, listed

NAME = "SavedModel"
"""What such a model is called in messages: it has no class of its own."""

DEFAULT = "serving_default"
"""The signature that TensorFlow's and Keras' own ways of saving write."""

TYPES = ("float32", "float64", "int64", "int32", "string")

_EXPORT = "Save it with one: model.export(directory), or tf.saved_model.save(…, signatures=…)."


@dataclass(frozen=True, slots=True)
class Spec:
    """A tensor that a signature takes: its type's name, and its shape, rows first."""

    dtype: str
    shape: tuple[int | None, ...]


def is_saved_model(model: object) -> bool:
    """What `tf.saved_model.load` gives."""
    return type(getattr(model, "signatures", None)).__name__ == "_SignatureMap"


def is_signature(model: object) -> bool:
    """One of its signatures."""
    return any(
        (kind.__module__, kind.__name__)
        == ("tensorflow.python.eager.polymorphic_function.concrete_function", "ConcreteFunction")
        for kind in type(model).__mro__
    )


def function_of(model: Any) -> Any:
    """The signature that is published: `serving_default`, else the only one.

    Raises `NotConvertibleError` where there is none, or which one is not to be told.
    """
    if is_signature(model):
        return model
    names = sorted(model.signatures)
    if DEFAULT in names:
        return model.signatures[DEFAULT]
    if not names:
        raise NotConvertibleError(NAME, "it has no signature.", _EXPORT)
    if len(names) > 1:
        raise NotConvertibleError(
            NAME,
            f"its signatures are {listed(names)}, and none is {DEFAULT}.",
            f"Publish one: sqlml.publish(tf.saved_model.load(…).signatures[{names[0]!r}], …).",
        )
    return model.signatures[names[0]]


def taken(function: Any) -> dict[str, Spec]:
    """What a signature takes, by name.

    Raises `NotConvertibleError` for what is no tensor with an axis of any number of rows, and
    others of known lengths, of one of `TYPES`.
    """
    places, by_name = function.structured_input_signature
    if places or not by_name:
        raise NotConvertibleError(NAME, "its signature has no inputs by name.", _EXPORT)
    found = {}
    for name, spec in by_name.items():
        step = f"Input {name}"
        if not hasattr(spec, "dtype") or getattr(spec.shape, "rank", None) is None:
            raise NotConvertibleError(step, "it is no tensor of known axes.")
        shape = tuple(spec.shape)
        if not shape or shape[0] is not None:
            rows = f"{shape[0]} rows at a time" if shape else "no rows"
            raise NotConvertibleError(
                step, f"it takes {rows}.", "Export it for any number: tf.TensorSpec([None, …])."
            )
        found[name] = Spec(str(spec.dtype.name), shape)
    check_tensors(found, TYPES)
    return found


def check_output(function: Any) -> None:
    """Raises `NotConvertibleError` where a signature gives not one tensor of floating numbers."""
    outputs = function.structured_outputs
    if not isinstance(outputs, dict) or len(outputs) != 1:
        names = listed(sorted(outputs)) if isinstance(outputs, dict) else "others"
        raise NotConvertibleError(
            NAME, f"its outputs are {names}.", "Export a signature with one output."
        )
    ((name, spec),) = outputs.items()
    if spec.dtype.name not in FLOATS:
        raise NotConvertibleError(
            f"Output {name}",
            f"it is {spec.dtype.name}.",
            "Export what it is made of: numbers, or the probabilities of labels.",
        )
