"""Trying a model step by step: which steps convert, which do not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.convert import converter_of
from sqlml.convert.network import unlabelled
from sqlml.errors import NotConvertibleError

if TYPE_CHECKING:
    from sqlml.sample import Sample

WHOLE = "model"
"""The name of the step that is the whole model."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a model."""

    name: str
    """As its author called it, after the names of the steps that hold it."""
    kind: str
    """Its class."""
    reason: str = ""
    """Why it is not converted; empty where it is."""

    @property
    def converts(self) -> bool:
        return not self.reason


def steps_of(model: Any, sample: Sample) -> tuple[Step, ...]:
    """The steps of a model in the order of its computation, each tried whatever the others say.

    A model of a framework without steps is one. Raises `SampleError`, and `NotConvertibleError`
    where no converter knows the model.
    """
    converter = converter_of(model)
    tried = getattr(converter, "tried", None)
    if tried is not None:
        found: tuple[Step, ...] = tried(model, sample)
        return found
    try:
        converter.convert(model, sample)
    except NotConvertibleError as error:
        reason = error.reason
    else:
        reason = ""
    return (Step(WHOLE, type(unlabelled(model)[0]).__name__, reason),)
