"""What becomes of a trained model: the two outcomes, and a framework's section of the survey."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlml
from sqlml.errors import NotConvertibleError, ParityError

if TYPE_CHECKING:
    from collections.abc import Callable

CONVERTS = "converts"


@dataclass(frozen=True)
class Section:
    """A framework's models, each by a name."""

    title: str
    about: str
    """What was trained, and on what."""
    things: str
    """What its models are called."""
    names: tuple[str, ...]
    outcome: Callable[[str], str]
    """What becomes of the model of that name."""


def by_training(train: Callable[[str], tuple[Any, Any]]) -> Callable[[str], str]:
    """Outcomes of the models that `train` makes, each with the sample that an author would give."""

    def outcome(name: str) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return outcome_of(*train(name))

    return outcome


def outcome_of(model: Any, sample: Any) -> str:
    """Whether a model converts and scores as before, or the reason why it is refused.

    "scores differ" is the comparison's refusal: a converter that should know better.
    """
    try:
        scoring = sqlml.convert(model, sample=sample)
        sqlml.verify(scoring, model, sample).raise_if_different()
    except NotConvertibleError as error:
        return f"refused: {error.reason.rstrip('.')}"
    except ParityError:
        return "refused: scores differ"
    return CONVERTS
