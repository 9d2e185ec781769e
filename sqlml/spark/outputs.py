"""From raw results to output columns, as Column expressions that Catalyst can prune.

The twin of `score/outputs.py`, which says the same in Arrow; tests hold them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sqlml.model import label_type

if TYPE_CHECKING:
    from pyspark.sql import Column

    from sqlml.model import Label, ScoringModel


def derive(model: ScoringModel, raw: Column) -> dict[str, Column]:
    """The outputs of the table form, by name, from the raw result of `model.raw`."""
    fields = _fields(model, raw)
    if model.task == "classification":
        return _classification(model, fields)
    outputs = model.signature.outputs
    if model.task == "regression" and len(outputs) > 1:
        targets = fields["prediction"]
        return {o.name: targets.getItem(i) for i, o in enumerate(outputs)}
    return fields


def probability_of(model: ScoringModel, raw: Column, label: Label) -> Column:
    """The probability of one label of a classifier, without the map of all."""
    fields, place = _fields(model, raw), model.labels.index(label)
    if "probability_1" in fields:
        second = fields["probability_1"]
        return second if place == 1 else F.lit(1.0) - second
    return fields["probabilities"].getItem(place)


def predict(model: ScoringModel, raw: Column) -> Column:
    """What the scalar `predict` gives: the prediction, or a struct of several outputs."""
    outputs = derive(model, raw)
    predicted = model.signature.predicted
    if predicted is not None:
        return outputs[predicted.name]
    struct = F.struct(*(column.alias(name) for name, column in outputs.items()))
    some = next(iter(outputs.values()))
    return F.when(some.isNotNull(), struct)


def _fields(model: ScoringModel, raw: Column) -> dict[str, Column]:
    names = [r.name for r in model.raw]
    return {names[0]: raw} if len(names) == 1 else {n: raw.getField(n) for n in names}


def _classification(model: ScoringModel, fields: dict[str, Column]) -> dict[str, Column]:
    kind = label_type(model.labels)
    labels = [F.lit(label).cast(kind) for label in model.labels]
    if "probability_1" in fields:
        second = fields["probability_1"]
        first = F.lit(1.0) - second
        scored = second.isNotNull()
        # NaN is no larger than a half for numpy's argmax, but it is for Spark's ordering.
        is_second = ~((second <= 0.5) | F.isnan(second))
        if "label" in fields:
            is_second = fields["label"] == 1
        return {
            "prediction": F.when(is_second, labels[1]).when(scored, labels[0]),
            "probability": F.when(is_second, second).when(scored, first),
            "probabilities": F.when(scored, F.create_map(labels[0], first, labels[1], second)),
        }
    all_labels = F.array(*labels)
    if "probabilities" not in fields:
        return {"prediction": F.get(all_labels, fields["label"].cast("int"))}
    proba = fields["probabilities"]
    index = (
        fields["label"].cast("int")
        if "label" in fields
        else (F.array_position(proba, F.array_max(proba)) - 1).cast("int")
    )
    return {
        "prediction": F.get(all_labels, index),
        "probability": F.get(proba, index),
        "probabilities": F.map_from_arrays(all_labels, proba),
    }
