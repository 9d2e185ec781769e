"""scikit-learn: pipelines, encoders and models → ONNX, computed in double as scikit-learn does.

Pipelines are walked here, column by column, so that names, strings and missing values stay
what they are; a step without a conversion of its own goes through skl2onnx, alone and in
double, or is refused. `steps` is the table of what converts what.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert import Answer
from sqlml.convert.graph import DOUBLE, FLOAT, INT64, STRING, Graph, precision_of, wire_of
from sqlml.convert.sklearn import automl
from sqlml.convert.sklearn.frame import Part, Result, Table, classified, name_of
from sqlml.convert.sklearn.steps import predict, transform
from sqlml.convert.sklearn.trial import Trial
from sqlml.convert.texts import check_prepared
from sqlml.errors import DependencyMissingError, NotConvertibleError
from sqlml.model import ScoringModel, Tensor, label_type, outputs_of
from sqlml.signature import Input, Signature

if TYPE_CHECKING:
    from sqlml.convert.trying import Step
    from sqlml.model import Label
    from sqlml.sample import Column, Sample


def recognises(model: object) -> bool:
    """Whether the model is scikit-learn's, told by the modules of its classes."""
    return any(kind.__module__.partition(".")[0] == "sklearn" for kind in type(model).__mro__)


def convert(model: Any, sample: Sample) -> ScoringModel:
    """A fitted estimator or pipeline as a ScoringModel.

    Raises `NotConvertibleError`, which names the step and the reason.
    """
    _check_installed()
    if not hasattr(model, "predict"):
        raise NotConvertibleError(
            name_of(model),
            "it has no predict method.",
            "Add a model as the last step of the pipeline.",
        )
    g = Graph()
    result = predict(g, model, _table(g, sample))
    labels = tuple(_plain(c) for c in result.classes)
    tensors = _outputs(g, model, result, labels)
    check_prepared(g, name_of(model))
    made = g.finish()
    signature = Signature(
        tuple(_input(g, i, c) for i, c in enumerate(sample.columns)),
        outputs_of(result.task, tensors, labels),
    )
    return ScoringModel(
        onnx=made.SerializeToString(deterministic=True),
        signature=signature,
        task=result.task,
        tensors=tensors,
        labels=labels,
        precision=precision_of(made, narrow=any(c.type == "FLOAT" for c in sample.columns)),
        metadata={
            "framework": "sklearn",
            "estimator": _told(model),
            "versions": {p: version(p) for p in ("scikit-learn", "skl2onnx", "onnx")},
        },
    )


def tried(model: Any, sample: Sample) -> tuple[Step, ...]:
    """Each step of an estimator or pipeline: whether it converts, or why it does not."""
    _check_installed()
    trial = Trial()
    go = predict if hasattr(model, "predict") else transform
    go(trial, model, _table(trial, sample))
    return trial.steps


def _check_installed() -> None:
    if find_spec("skl2onnx") is None:
        raise DependencyMissingError("scikit-learn models", "sklearn")


def _told(model: Any) -> str:
    """A model as a list of models shows it: the steps of a pipeline, the class of others."""
    steps = getattr(model, "steps", None) if name_of(model) == "Pipeline" else None
    return " → ".join(name_of(step) for _, step in steps) if steps else name_of(model)


def _table(g: Graph, sample: Sample) -> Table:
    """The author's rows, as the graph's inputs."""
    parts = tuple(_part(g, i, c, sample) for i, c in enumerate(sample.columns))
    return Table(parts, None if sample.as_array else tuple(sample.labels))


def _part(g: Graph, index: int, column: Column, sample: Sample) -> Part:
    """A column of the sample as a graph input.

    Integers and booleans may be NULL in SQL, which only a floating-point tensor can hold.
    """
    kind = column.type if column.type in ("STRING", "FLOAT") else "DOUBLE"
    element = {"STRING": STRING, "FLOAT": FLOAT, "DOUBLE": DOUBLE}[kind]
    tensor = g.input(f"in{index}", element)
    values = sample.frame[column.name]
    seen = values.dtype != object or bool(values.isna().any())
    dtype = getattr(values.dtype, "numpy_dtype", values.dtype)  # a nullable type has one
    return Part(
        tensor, 1, kind, column.missing, seen, index,  # type: ignore[arg-type]
        categorical=column.categorical, integer=dtype.name if dtype.kind in "iu" else "",
    )  # fmt: skip


def _input(g: Graph, index: int, column: Column) -> Input:
    known = g.accepted.get(index)
    return Input(
        name=column.name,
        type=column.type,
        wire=wire_of(g.inputs[f"in{index}"]),
        categories=None if known is None else tuple(_plain(k, column.type) for k in known),
        prepared=g.prepared.get(index, ()),
        terms=g.terms.get(index, 0),
    )


def _plain(value: Any, sql: str = "") -> Label:
    """A NumPy scalar as Python's own; in the SQL type of its column, where that is given."""
    if isinstance(value, np.generic):
        value = value.item()
    if sql == "BOOLEAN":
        return bool(value)
    if sql in ("TINYINT", "SMALLINT", "INT", "BIGINT"):
        return int(value)
    if isinstance(value, bool | int | float):
        return value
    return str(value)


def _outputs(g: Graph, model: Any, result: Result, labels: tuple[Label, ...]) -> tuple[Tensor, ...]:
    """Name the graph's outputs by role."""
    if result.task == "classification":
        try:
            label_type(labels)
        except TypeError as error:
            raise NotConvertibleError(
                name_of(model), f"its labels are not all of one kind: {labels!r}."
            ) from error
        return classified(g, result, len(labels))
    assert result.prediction is not None
    if result.task == "regression":
        g.output("prediction", result.prediction, DOUBLE, result.width)
        return (Tensor("prediction", "DOUBLE", result.width if result.width > 1 else None),)
    g.output("prediction", result.prediction, INT64, None)
    if result.score is None:
        return (Tensor("prediction", "BIGINT"),)
    g.output("score", result.score, DOUBLE, 1)
    return (Tensor("prediction", "BIGINT"), Tensor("score", "DOUBLE"))


def answer(model: Any, rows: Any) -> Answer:
    """What scikit-learn itself says of the rows."""
    from sklearn.base import is_classifier, is_outlier_detector

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prediction = np.asarray(model.predict(rows))
        if is_classifier(model) or automl.is_classifier(model):
            classes = [_plain(c) for c in model.classes_]
            prediction = np.array([_plain(p) for p in prediction], dtype=np.asarray(classes).dtype)
            proba = model.predict_proba(rows) if hasattr(model, "predict_proba") else None
            return Answer(prediction, None if proba is None else np.asarray(proba))
        if is_outlier_detector(model):
            return Answer(prediction, score=np.asarray(model.decision_function(rows)).ravel())
        if hasattr(model, "score_samples"):
            return Answer(prediction, score=np.asarray(model.score_samples(rows)).ravel())
    return Answer(prediction)
