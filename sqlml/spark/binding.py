"""Which column or argument becomes which input of the model.

By name where names are there, else by position with the count checked; never silently by
position when names are there. Pure Python: it knows neither Spark nor the registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlml.errors import (
    ArgumentError,
    InputAmbiguousError,
    InputCountError,
    InputMissingError,
    InputTypeError,
    did_you_mean,
    quoted,
)
from sqlml.types import widens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlml.signature import Input


@dataclass(frozen=True, slots=True)
class Offer:
    """One column of a table, or one argument of a call."""

    name: str | None
    type: str
    """A Spark SQL type."""
    text: str
    """As a user would write it."""
    explicit: bool = False
    """Named with `name => …`: such a name must be an input's."""


def bind_columns(
    model: str, inputs: Sequence[Input], columns: Sequence[Offer], *, case_sensitive: bool
) -> list[int]:
    """For each input the index of the table's column of that name; other columns are ignored.

    Raises `InputMissingError`, `InputAmbiguousError`, `InputTypeError`.

    >>> from sqlml.signature import Input
    >>> bind_columns("churn", [Input("age", "DOUBLE", "DOUBLE")],
    ...     [Offer("id", "BIGINT", "id"), Offer("AGE", "INT", "AGE")], case_sensitive=False)
    [1]
    """
    places = _by_name(
        model, inputs, columns, case_sensitive, "Name them with AS in a subquery: TABLE(SELECT …)."
    )
    _check_types(
        model, inputs, columns, places, lambda cast, name: f"{cast} AS {name} in a subquery"
    )
    return places


def bind_arguments(
    model: str, inputs: Sequence[Input], arguments: Sequence[Offer], *, case_sensitive: bool
) -> list[int]:
    """For each input the index of the argument that gives it.

    Arguments that all have names (columns, fields, `name => …`) bind by name in any order,
    and those that are no input are ignored unless the name was written for it. Arguments
    that all lack one bind by position. A mixture is an error.
    Raises also `InputCountError` and `ArgumentError`.
    """
    nameless = [a for a in arguments if a.name is None]
    if arguments and len(nameless) == len(arguments):
        if len(arguments) != len(inputs):
            raise InputCountError(model, [i.name for i in inputs], len(arguments))
        places = list(range(len(inputs)))
    else:
        if nameless:
            raise InputAmbiguousError(
                f"Argument {nameless[0].text} of predict('{model}', …) has no name while others "
                f"have. Write the input's name before it: {quoted(_free(inputs, arguments))} "
                f"=> {nameless[0].text}."
            )
        _check_explicit(model, inputs, arguments, case_sensitive)
        places = _by_name(
            model,
            inputs,
            arguments,
            case_sensitive,
            f"Write predict('{model}', {quoted(inputs[0].name)} => …) where a column has another "
            "name.",
        )
    _check_types(model, inputs, arguments, places, lambda cast, name: f"{name} => {cast}")
    return places


def _by_name(
    model: str, inputs: Sequence[Input], offers: Sequence[Offer], case_sensitive: bool, hint: str
) -> list[int]:
    def folded(name: str) -> str:
        return name if case_sensitive else name.lower()

    by_name: dict[str, list[int]] = {}
    for i, offer in enumerate(offers):
        by_name.setdefault(folded(offer.name or ""), []).append(i)
    found = [by_name.get(folded(i.name), []) for i in inputs]
    missing = [(i.name, i.type) for i, f in zip(inputs, found, strict=True) if not f]
    if missing:
        raise InputMissingError(model, missing, [o.name for o in offers if o.name], hint)
    for field, indices in zip(inputs, found, strict=True):
        if len(indices) > 1:
            raise InputAmbiguousError(
                f"Input {field.name!r} of model {model!r} could be any of "
                f"{len(indices)} columns: {', '.join(offers[i].text for i in indices)}. "
                "Select one of them, or give them different names with AS."
            )
    return [indices[0] for indices in found]


def _check_explicit(
    model: str, inputs: Sequence[Input], arguments: Sequence[Offer], case_sensitive: bool
) -> None:
    names = [i.name for i in inputs]
    known = names if case_sensitive else [n.lower() for n in names]
    for argument in arguments:
        if argument.explicit and argument.name is not None:
            name = argument.name if case_sensitive else argument.name.lower()
            if name not in known:
                raise ArgumentError(
                    f"Model {model!r} has no input {argument.name!r}."
                    f"{did_you_mean(argument.name, names)} Its inputs: {', '.join(names)}."
                )


def _check_types(
    model: str,
    inputs: Sequence[Input],
    offers: Sequence[Offer],
    places: Sequence[int],
    advice: Callable[[str, str], str],
) -> None:
    for field, place in zip(inputs, places, strict=True):
        offer = offers[place]
        if not widens(offer.type, field.type):
            cast = f"CAST({offer.text} AS {field.type})"
            raise InputTypeError(
                model, field.name, field.type, offer.type, advice(cast, quoted(field.name))
            )


def _free(inputs: Sequence[Input], arguments: Sequence[Offer]) -> str:
    """The first input that no argument names."""
    taken = {a.name.lower() for a in arguments if a.name}
    return next((i.name for i in inputs if i.name.lower() not in taken), inputs[0].name)
