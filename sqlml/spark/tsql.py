"""The outputs of PREDICT as users of SQL Server and Azure Synapse name and type them.

    … WITH (score FLOAT, prediction VARCHAR(10))

A name is an output of the model. Besides, names that the models of those products have are
understood: `score`, the main number; `<label>_Pred`, the probability of a label (RevoScaleR);
`output_label` and `variable`, the prediction (the names that skl2onnx gives; `variable1` in
Microsoft's documentation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlml.compile.text import literal
from sqlml.errors import OutputMissingError, OutputTypeError, did_you_mean, listed
from sqlml.spark import outputs
from sqlml.types import INTEGERS, widens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.model import Label, ScoringModel

PREDICTION_NAMES = ("label", "output_label", "predictedlabel", "variable", "variable1")
PROBABILITY_SUFFIXES = ("_pred", "_prob", "_probability")

_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32}


@dataclass(frozen=True, slots=True)
class _Found:
    output: str
    """The output of the table form."""
    type: str
    label: Label | None = None
    """Of `probabilities`, the one of this label."""


def derive(
    model: ScoringModel, reference: str, raw: outputs.Raw, wanted: Sequence[tuple[str, str]]
) -> dict[str, str]:
    """The columns that a WITH clause asks for: (name, Spark SQL type) → SQL over the raw results.

    Raises `OutputMissingError`, and `OutputTypeError` for a type that could lose information.
    """
    made = outputs.derive(model, raw)
    found = {name: _find(model, reference, name) for name, _ in wanted}
    values = {
        name: made[f.output] if f.label is None else outputs.probability_of(model, raw, f.label)
        for name, f in found.items()
    }
    return {
        name: _cast(values[name], found[name].type, name, kind, reference) for name, kind in wanted
    }


def _find(model: ScoringModel, reference: str, name: str) -> _Found:
    own = {o.name.lower(): _Found(o.name, o.type) for o in model.signature.outputs}
    found = own.get(name.lower()) or _by_custom(model, name.lower())
    if found is None:
        known = [o.name for o in model.signature.outputs]
        if _main_number(model) is not None and "score" not in known:
            known.append("score")
        raise OutputMissingError(
            f"Model {reference!r} has no output {name!r}.{did_you_mean(name, known)} "
            f"It has: {listed(known)}."
        )
    return found


def _by_custom(model: ScoringModel, name: str) -> _Found | None:
    if name == "score":
        return _main_number(model)
    predicted = model.signature.predicted
    if name in PREDICTION_NAMES and predicted is not None:
        return _Found(predicted.name, predicted.type)
    suffix = next((s for s in PROBABILITY_SUFFIXES if name.endswith(s)), None)
    if suffix is None:
        return None
    of = name.removesuffix(suffix)
    if model.has_probabilities:
        for label in model.labels:
            if str(label).lower() == of:
                return _Found("probabilities", "DOUBLE", label)
    return _main_number(model)  # <target>_Pred; a model does not know what its target was called


def _main_number(model: ScoringModel) -> _Found | None:
    """The probability of the positive class, which is the second; a regressor's prediction."""
    if model.task == "regression" and len(model.signature.outputs) == 1:
        return _Found("prediction", "DOUBLE")
    if model.task == "classification" and model.has_probabilities and len(model.labels) == 2:
        return _Found("probabilities", "DOUBLE", model.labels[1])
    return None


def _cast(sql: str, found: str, name: str, wanted: str, reference: str) -> str:
    if found == wanted:
        return sql
    cast = f"CAST({sql} AS {wanted})"
    if widens(found, wanted) or (wanted == "STRING" and "<" not in found):
        return cast
    if found == "BIGINT" and wanted in INTEGERS:
        # Spark without ANSI would wrap a number that is too large.
        most = 2 ** (_BITS[wanted] - 1)
        message = f"[OUTPUT_TYPE] A {name} of model {reference!r} does not fit into {wanted}."
        return (
            f"CASE WHEN {sql} BETWEEN {-most} AND {most - 1} THEN {cast} "
            f"WHEN {sql} IS NOT NULL THEN raise_error({literal(message, 'str')}) END"
        )
    raise OutputTypeError(reference, name, found, wanted)
