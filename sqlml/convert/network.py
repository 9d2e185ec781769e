"""What the converters of networks share: what a result means, and the model around it.

A network gives numbers and does not say what they are. Without labels they are the targets of a
regression; with labels, which their author states, probabilities in the labels' order. Of two
labels one number may be given, the second one's probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.errors import NotConvertibleError
from sqlml.model import ScoringModel, Tensor, outputs_of
from sqlml.signature import Input, Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from sqlml.convert import Answer
    from sqlml.convert.ensemble import Width
    from sqlml.convert.graph import Graph
    from sqlml.model import Label, Task
    from sqlml.sample import Sample

    Array = np.ndarray[Any, Any]

SQL: dict[Width, str] = {"float32": "FLOAT", "float64": "DOUBLE"}
"""The floating types in which a network may compute."""

_SUM = 1e-3
"""How far probabilities in float32 may be from adding up to one."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A model that does not know its labels, with the labels that its author states."""

    model: Any
    labels: tuple[Label, ...]


def unlabelled(model: Any) -> tuple[Any, tuple[Label, ...]]:
    """The model itself, and its labels; none of a regression."""
    return (model.model, model.labels) if isinstance(model, Labelled) else (model, ())


def scoring_model(
    g: Graph,
    sample: Sample,
    result: str,
    shown: Array,
    labels: tuple[Label, ...],
    width: Width,
    metadata: Mapping[str, Any],
) -> ScoringModel:
    """The ScoringModel of a graph whose inputs are the sample's columns, in0 … inN.

    `result`: the tensor that the network makes, [N] or [N, K]; `shown`: what it makes of some
    rows of the sample, which tells K.
    Raises `NotConvertibleError` where the labels are not those of the result.
    """
    from sqlml.convert.graph import wire_of
    from sqlml.convert.links import ELEMENT, two_columns

    columns = 1 if shown.ndim == 1 else int(shown.shape[1])
    flat = g.node("Reshape", result, g.const([-1, columns], "int64"))
    if labels:
        _check_probabilities(str(metadata["estimator"]), shown, labels)
        role = "probabilities"
        if columns == 1:
            flat, columns = two_columns(g, flat, width), 2
        tensor = Tensor(role, SQL[width], columns)
    else:
        role = "prediction"
        tensor = Tensor(role, SQL[width], columns if columns > 1 else None)
    g.output(role, flat, ELEMENT[width], columns)
    made = g.finish()
    task: Task = "classification" if labels else "regression"
    inputs = []
    for i, column in enumerate(sample.columns):
        wire = wire_of(g.inputs[f"in{i}"])
        inputs.append(
            Input(
                column.name,
                column.type,
                f"ARRAY<{wire}>" if column.width else wire,
                categories=g.accepted.get(i),
                below=g.below.get(i),
                width=column.width,
            )
        )
    return ScoringModel(
        onnx=made.SerializeToString(deterministic=True),
        signature=Signature(tuple(inputs), outputs_of(task, (tensor,), labels)),
        task=task,
        tensors=(tensor,),
        labels=labels,
        precision=width,
        metadata={**metadata, **({"labels": "stated"} if labels else {})},
    )


def without_denormals(g: Graph, x: str, width: Width) -> str:
    """Zero where a number has fewer than all digits: TensorFlow takes them so, as it compares."""
    import numpy as np

    least, zero = g.const(np.finfo(width).tiny), g.const([0.0], width)
    return g.node("Where", g.node("Less", g.node("Abs", x), least), zero, x)


def accept_indices(g: Graph, index: int, entries: int) -> None:
    """Note that an input, by its number, is an index of so many entries; others are refused."""
    g.below[index] = min(entries, g.below.get(index, entries))


def answer_of(result: Array, labels: tuple[Label, ...]) -> Answer:
    """A network's result as an answer of its framework.

    Probabilities with NaN among them are NaN altogether: beside it TensorFlow's softmax leaves
    zeros or more NaN, by a number's place in the processor's vectors.
    """
    import numpy as np

    from sqlml.convert import Answer

    table = result.reshape(len(result), -1)
    if not labels:
        return Answer(table[:, 0] if table.shape[1] == 1 else table)
    if table.shape[1] == 1:
        table = np.concatenate([1 - table, table], axis=1)
    table = np.where(np.isnan(table).any(axis=1, keepdims=True), np.nan, table)
    return Answer(np.asarray(labels)[table.argmax(axis=1)], table)


def _check_probabilities(name: str, shown: Array, labels: tuple[Label, ...]) -> None:
    import numpy as np

    table = shown.reshape(len(shown), -1)
    given = table.shape[1]
    if given != len(labels) and (given, len(labels)) != (1, 2):
        raise NotConvertibleError(
            name, f"its result has {given} columns, and {len(labels)} labels were stated."
        )
    known = table[np.isfinite(table).all(axis=1)]
    outside = (known < 0).any() or (known > 1 + _SUM).any()
    if outside or (given > 1 and (abs(known.sum(axis=1) - 1) > _SUM).any()):
        raise NotConvertibleError(
            name,
            "labels were stated, and its result is no probability: "
            f"{np.array2string(known[0], precision=3)} of the sample's first row.",
            "Let a softmax, or a sigmoid for one column, be its last step.",
        )
