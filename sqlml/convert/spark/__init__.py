"""Spark ML: pipelines and models → ONNX, from the raw columns on, computed in double as Spark does.

The stages are walked over the columns of a DataFrame, so that text and missing values stay
what they are up to the stage that makes numbers of them. `stages` is the table of what
converts what.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from sqlml.convert.graph import DOUBLE, FLOAT, INT64, STRING, Graph, precision_of, wire_of
from sqlml.convert.sklearn.frame import classified
from sqlml.convert.spark.encode import decoded
from sqlml.convert.spark.frame import Element, Frame, Part, name_of, vector
from sqlml.convert.spark.pipeline import is_own, leaves, plan_of, refused
from sqlml.convert.spark.stages import predict, transform
from sqlml.convert.trying import WHOLE, Step
from sqlml.errors import NotConvertibleError, SampleError, did_you_mean, listed
from sqlml.model import ScoringModel, Tensor, outputs_of
from sqlml.signature import Input, Signature
from sqlml.types import INTEGERS, element_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert import Answer
    from sqlml.convert.sklearn.frame import Result
    from sqlml.convert.spark.frame import Holds
    from sqlml.model import Label
    from sqlml.sample import Column, Sample


def recognises(model: object) -> bool:
    """Whether it is a stage of pyspark.ml, told by its module."""
    return is_own(model)


def input_names(model: Any) -> list[str] | None:
    """The raw columns on which the prediction depends, in the order in which they are read.

    None where the stages do not tell: `convert` says why.
    """
    try:
        return list(plan_of(model).inputs)
    except NotConvertibleError:
        return None


def convert(model: Any, sample: Sample) -> ScoringModel:
    """A fitted pipeline or model as a ScoringModel that computes in double.

    Columns of the sample that the prediction does not depend on, like the label, are no inputs.
    Raises `NotConvertibleError`, which names the stage and the reason, and `SampleError`.
    """
    plan = plan_of(model)
    columns = _columns(sample, plan.inputs)
    g = Graph()
    frame = _frame(g, columns)
    for stage in plan.stages:
        frame |= transform(g, stage, frame)
    result = predict(g, plan.model, frame)
    labels: tuple[Label, ...] = result.classes
    if plan.decoder is not None:
        if result.task != "classification":
            raise NotConvertibleError(name_of(plan.decoder), "it decodes what is no label.")
        labels = decoded(plan.decoder, len(labels))
    tensors = _outputs(g, result, labels)
    made = g.finish()
    return ScoringModel(
        onnx=made.SerializeToString(deterministic=True),
        signature=Signature(
            tuple(_input(g, i, c) for i, c in enumerate(columns)),
            outputs_of(result.task, tensors, labels),
        ),
        task=result.task,
        tensors=tensors,
        labels=labels,
        precision=precision_of(made, narrow=False),
        metadata={
            "framework": "spark",
            "estimator": " → ".join(map(name_of, (*plan.stages, plan.model))),
            "versions": {name: version(name) for name in ("pyspark", "onnx")},
        },
    )


def tried(model: Any, sample: Sample) -> tuple[Step, ...]:
    """Each stage on which the prediction depends: whether it converts, or why it does not."""
    try:
        plan = plan_of(model)
    except NotConvertibleError as error:
        return _refused(model, error)
    g = Graph()
    frame = _frame(g, _columns(sample, plan.inputs))
    steps = []
    for stage in (*plan.stages, plan.model):
        reason = ""
        try:
            frame |= transform(g, stage, frame)
        except NotConvertibleError as error:
            reason = error.reason
        steps.append(Step(stage.uid, name_of(stage), reason))
    return tuple(steps)


def _refused(model: Any, error: NotConvertibleError) -> tuple[Step, ...]:
    """The stages of a pipeline that has no plan: those that are refused, or else the whole."""
    steps = []
    for stage in leaves(model):
        found = refused(stage)
        if found is None and name_of(stage) == error.step:
            found = error
        steps.append(Step(stage.uid, name_of(stage), "" if found is None else found.reason))
    if any(step.reason for step in steps):
        return tuple(steps)
    return (*steps, Step(WHOLE, name_of(model), error.reason))


def _frame(g: Graph, columns: Sequence[Column]) -> Frame:
    return {c.name: _part(g, i, c) for i, c in enumerate(columns)}


def answer(model: Any, rows: Any) -> Answer:
    """What Spark itself says of the rows."""
    from sqlml.convert.spark.original import answer as asked

    return asked(model, rows)


def _columns(sample: Sample, names: Sequence[str]) -> list[Column]:
    """The sample's columns that are inputs."""
    found = {column.name: column for column in sample.columns}
    absent = [name for name in names if name not in found]
    if sample.as_array or absent:
        have = "an array has no names" if sample.as_array else f"the sample has {listed([*found])}"
        raise SampleError(
            f"The pipeline reads the columns {listed(list(names))}; {have}."
            f"{did_you_mean(absent[0], [*found]) if absent else ''}"
        )
    return [found[name] for name in names]


def _part(g: Graph, index: int, column: Column) -> Part:
    """A column of the sample as a graph input; a column of arrays stands for one of vectors.

    Integers and booleans may be NULL in SQL, which only a floating-point tensor can hold.
    """
    if column.width is not None:
        element = FLOAT if element_of(column.type) == "FLOAT" else DOUBLE
        tensor = g.cast(g.input(f"in{index}", element, column.width), DOUBLE)
        return vector(tensor, column.width)
    if column.type == "STRING":
        tensor = g.input(f"in{index}", STRING)
        return Part(tensor, (Element(source=index),), kind="STRING", type="STRING")
    if column.type == "FLOAT":
        tensor = g.cast(g.input(f"in{index}", FLOAT), DOUBLE)
    else:
        tensor = g.input(f"in{index}", DOUBLE)
    holds: Holds = "bits" if column.type == "BOOLEAN" else "numbers"
    return Part(tensor, (Element(holds, index, slots=0),), type=column.type)


def _input(g: Graph, index: int, column: Column) -> Input:
    known = g.accepted.get(index)
    if known is not None and column.type in INTEGERS:
        known = tuple(int(value) for value in known)
    wire = wire_of(g.inputs[f"in{index}"])
    smallest, largest = g.ranges.get(index, (None, None))
    if column.width is not None:
        wire = f"ARRAY<{wire}>"
    return Input(
        column.name,
        column.type,
        wire,
        largest=largest,
        categories=known,
        width=column.width,
        smallest=smallest,
    )


def _outputs(g: Graph, result: Result, labels: tuple[Label, ...]) -> tuple[Tensor, ...]:
    """Name the graph's outputs by role."""
    if result.task != "classification":
        assert result.prediction is not None
        if result.task == "regression":
            g.output("prediction", result.prediction, DOUBLE, 1)
            return (Tensor("prediction", "DOUBLE"),)
        g.output("prediction", result.prediction, INT64, None)
        return (Tensor("prediction", "BIGINT"),)
    return classified(g, result, len(labels))
