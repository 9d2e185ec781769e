"""From raw results to output columns, as SQL that Catalyst can prune.

The twin of `score/outputs.py`, which says the same in Arrow; tests hold them together. SQL
text, since one text crosses to the JVM in one call, and a Column takes many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlml.compile.formula import numpy_name
from sqlml.compile.text import literal
from sqlml.errors import quoted
from sqlml.model import label_type

if TYPE_CHECKING:
    from sqlml.model import Label, ScoringModel

Raw = Mapping[str, str]
"""The raw results of `model.raw`: name → SQL."""


def derive(model: ScoringModel, fields: Raw) -> dict[str, str]:
    """The outputs of the table form, name → SQL, from the raw results.

    >>> import numpy as np, sqlml
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.array([[0.0], [1.0]])
    >>> scoring = sqlml.convert(LogisticRegression().fit(X, ["no", "yes"]), sample=X)
    >>> derive(scoring, {"probability_1": "p"})["prediction"]
    "CASE WHEN (p > 0.5D AND NOT isnan(p)) THEN 'yes' WHEN p IS NOT NULL THEN 'no' END"
    """
    if model.task == "classification":
        return _classification(model, fields)
    outputs = model.signature.outputs
    if model.task == "regression" and len(outputs) > 1:
        return {o.name: f"{fields['prediction']}[{i}]" for i, o in enumerate(outputs)}
    return dict(fields)


def probability_of(model: ScoringModel, fields: Raw, label: Label) -> str:
    """The probability of one label of a classifier, without the map of all."""
    place = model.labels.index(label)
    if "probability_1" in fields:
        second = fields["probability_1"]
        return second if place == 1 else f"(1D - {second})"
    return f"{fields['probabilities']}[{place}]"


def predict(model: ScoringModel, fields: Raw) -> str:
    """What the scalar `predict` gives: the prediction, or a struct of several outputs."""
    outputs = derive(model, fields)
    predicted = model.signature.predicted
    if predicted is not None:
        return outputs[predicted.name]
    struct = ", ".join(f"{literal(name, 'str')}, {sql}" for name, sql in outputs.items())
    some = next(iter(outputs.values()))
    return f"CASE WHEN {some} IS NOT NULL THEN named_struct({struct}) END"


def fields_of(model: ScoringModel, raw: str) -> dict[str, str]:
    """The raw results in what one UDF returned: itself, or the fields of a struct."""
    names = [r.name for r in model.raw]
    return {names[0]: raw} if len(names) == 1 else {n: f"{raw}.{quoted(n)}" for n in names}


def _classification(model: ScoringModel, fields: Raw) -> dict[str, str]:
    kind = label_type(model.labels)
    labels = [literal(label, numpy_name(kind)) for label in model.labels]
    if "probability_1" in fields:
        second = fields["probability_1"]
        # NaN is no larger than a half for numpy's argmax, but it is for Spark's ordering.
        is_second = f"({second} > 0.5D AND NOT isnan({second}))"
        if "label" in fields:
            is_second = f"{fields['label']} = 1"
        first, scored = f"1D - {second}", f"{second} IS NOT NULL"
        return {
            "prediction": _case((is_second, labels[1]), (scored, labels[0])),
            "probability": _case((is_second, second), (scored, first)),
            "probabilities": _case((scored, f"map({labels[0]}, {first}, {labels[1]}, {second})")),
        }
    every = f"array({', '.join(labels)})"
    if "probabilities" not in fields:
        return {"prediction": f"get({every}, CAST({fields['label']} AS INT))"}
    proba = fields["probabilities"]
    place = fields.get("label", f"(array_position({proba}, array_max({proba})) - 1)")
    index = f"CAST({place} AS INT)"
    return {
        "prediction": f"get({every}, {index})",
        "probability": f"get({proba}, {index})",
        "probabilities": f"map_from_arrays({every}, {proba})",
    }


def _case(*branches: tuple[str, str]) -> str:
    return f"CASE {' '.join(f'WHEN {test} THEN {value}' for test, value in branches)} END"
