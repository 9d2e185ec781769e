"""What XGBoost's and LightGBM's converters share: scores, signature, the model around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlml.convert.categories import Categories, code_column, codes_of
from sqlml.convert.graph import DOUBLE, INT64, STRING, Graph, wire_of
from sqlml.convert.links import ELEMENT
from sqlml.errors import NotConvertibleError, SampleError, did_you_mean, listed
from sqlml.model import ScoringModel, Tensor, outputs_of
from sqlml.signature import Input, Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sqlml.convert.ensemble import Width
    from sqlml.model import Label
    from sqlml.sample import Sample

_WIRE: dict[Width, str] = {"float32": "FLOAT", "float64": "DOUBLE"}

ONE_HOT = "One-hot encode the categories in a pipeline, and publish that."


@dataclass(frozen=True, slots=True)
class Scores:
    """What a booster's nodes give: one tensor in one role of a ScoringModel."""

    task: Literal["regression", "classification"]
    role: Literal["prediction", "probabilities", "label"]
    tensor: str
    """[N, width]; [N] int64 for a label."""
    width: int = 1
    labels: tuple[Label, ...] = ()
    decision: str | None = None
    """[N, 1] or [N, K] doubles: decision_function, where the framework has it."""


# ---- raw sums → what the framework's predict gives -------------------------------------


def label_above(g: Graph, x: str, threshold: float, dtype: Width) -> str:
    """[N] int64: 1 where the one column is above the threshold."""
    above = g.node("Cast", g.node("Greater", x, g.const(threshold, dtype)), to=INT64)
    return g.node("Reshape", above, g.const([-1], "int64"))


# ---- a model of its own ----------------------------------------------------------------


def check_columns(
    kind: str,
    sample: Sample,
    names: Sequence[str] | None,
    width: int,
    categories: Collection[int] = (),
) -> None:
    """That the sample's columns are numbers, and the model's features in its own order.

    `names`: the names under which the model knows its features; None: it knows the order.
    `categories`: the columns, by number, that may hold categories.
    """
    for i, column in enumerate(sample.columns):
        if i in categories:
            continue
        if column.categorical:
            raise NotConvertibleError(kind, f"column {column.name!r} is categorical.", ONE_HOT)
        if column.type == "STRING":
            raise SampleError(
                f"Column {column.name!r} of the sample is STRING: {kind} takes numbers. {ONE_HOT}"
            )
    found = [column.name for column in sample.columns]
    if names is None or sample.as_array:
        if len(found) != width:
            raise SampleError(
                f"{kind} was trained on {width} columns, the sample has {len(found)}."
            )
        return
    expected = list(names)
    if found == expected:
        return
    if absent := [name for name in expected if name not in found]:
        raise SampleError(
            f"{kind} was trained on {listed(absent)}: not among the columns of the sample, "
            f"{listed(found)}.{did_you_mean(absent[0], found)}"
        )
    if more := [name for name in found if name not in expected]:
        raise SampleError(f"{kind} was not trained on {listed(more)}: leave it out of the sample.")
    raise SampleError(
        f"{kind} takes its columns in the order of its training, {listed(expected)}; the "
        f"sample has {listed(found)}. Give sample[[…]] in that order."
    )


def scoring_model(
    nodes: Callable[[Graph, Any, str, Mapping[int, Categories]], Scores],
    model: Any,
    sample: Sample,
    dtype: Width,
    metadata: Mapping[str, Any],
    categories: Mapping[int, Sequence[Any]],
    wire: Width | None = None,
    unknown_is_refused: bool = False,
) -> ScoringModel:
    """The ScoringModel of a booster whose features are the sample's columns.

    `categories`: by the number of a column, its values in the order of the model's codes;
    `unknown_is_refused`: whether the original raises for other ones.
    `wire`: the width of the other inputs, where it is not the one in which the booster computes.
    """
    g = Graph()
    features: list[str] = []
    coded: dict[int, Categories] = {}
    for i, column in enumerate(sample.columns):
        if i not in categories:
            features.append(g.input(f"in{i}", ELEMENT[wire or dtype]))
            continue
        codes = codes_of(type(model).__name__, column, categories[i])
        text = column.type == "STRING"
        coded[i] = Categories(g.input(f"in{i}", STRING if text else DOUBLE), codes, text)
        features.append(code_column(g, coded[i], wire or dtype))
    scores = nodes(g, model, g.concat(features), coded)
    element = INT64 if scores.role == "label" else ELEMENT[dtype]
    g.output(scores.role, scores.tensor, element, None if scores.role == "label" else scores.width)
    many = scores.role == "probabilities" or scores.width > 1
    kind = "BIGINT" if scores.role == "label" else _WIRE[dtype]
    tensors = (Tensor(scores.role, kind, scores.width if many else None),)
    onnx = g.finish()  # may narrow inputs
    return ScoringModel(
        onnx=onnx.SerializeToString(deterministic=True),
        signature=Signature(
            tuple(
                Input(
                    column.name,
                    column.type,
                    wire=wire_of(element),
                    categories=tuple(coded[i].codes) if unknown_is_refused and i in coded else None,
                )
                for i, (column, element) in enumerate(
                    zip(sample.columns, g.inputs.values(), strict=True)
                )
            ),
            outputs_of(scores.task, tensors, scores.labels),
        ),
        task=scores.task,
        tensors=tensors,
        labels=scores.labels,
        precision=dtype,
        metadata=dict(metadata),
    )
