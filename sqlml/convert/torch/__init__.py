"""PyTorch: modules and exported programs → ONNX, by PyTorch's own exporter.

A module's `forward` takes tensors, a SQL query has columns:

* one parameter gets all columns side by side, [N, columns], in the module's own floating type; a
  column of arrays of whole numbers that is the only one stays whole;
* of several, each must have the name of a column and gets it: whole numbers as int64 [N], which is
  what an embedding takes, other numbers as [N, 1], arrays as [N, elements].

The result is one tensor of numbers, [N] or [N, K]; see `network` for what it means.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sqlml.convert.torch.tensors import column_input, fed, form_of, is_program, name_of
from sqlml.errors import DependencyMissingError

if TYPE_CHECKING:
    from sqlml.convert import Answer
    from sqlml.model import ScoringModel
    from sqlml.sample import Sample

EXPORTED_ROWS = 4
"""Rows of the sample with which the exporter follows a module."""


def recognises(model: object) -> bool:
    """A module, of whatever class, or an exported program."""
    kinds = {(kind.__module__, kind.__name__) for kind in type(model).__mro__}
    return ("torch.nn.modules.module", "Module") in kinds or is_program(model)


def convert(model: Any, sample: Sample) -> ScoringModel:
    """The module as a ScoringModel that computes in the module's own floating type.

    `model`: a module, or `Labelled`. Raises `NotConvertibleError` for a forward whose parameters
    are not the columns, for results of another form, and for what PyTorch's exporter refuses;
    `SampleError` for columns of text.
    """
    for package in ("torch", "onnxscript"):
        if find_spec(package) is None:
            raise DependencyMissingError("PyTorch models", "torch")
    import torch

    from sqlml.convert.graph import Graph
    from sqlml.convert.network import accept_indices, scoring_model, unlabelled
    from sqlml.convert.torch.exporting import embeddings, exported, shown_of

    model, labels = unlabelled(model)
    form = form_of(model, sample.columns)
    shown = shown_of(model, form, sample.container(sample.frame))
    few = sample.container(sample.frame.head(EXPORTED_ROWS))
    proto = exported(model, form, few)
    g = Graph()
    tensors = [column_input(g, i, column, form) for i, column in enumerate(sample.columns)]
    feeds = {
        value.name: fed(g, parameter, tensors, form.width)
        for value, parameter in zip(proto.graph.input, form.parameters, strict=True)
    }
    for index, entries in embeddings(proto, form):
        accept_indices(g, index, entries)
    (result,) = g.inline(proto, feeds, [value.name for value in proto.graph.output])
    metadata = {
        "framework": "torch",
        "estimator": name_of(model),
        "versions": {"torch": torch.__version__},
    }
    return scoring_model(g, sample, result, shown, labels, form.width, metadata)


def answer(model: Any, rows: Any) -> Answer:
    """What the module itself gives, in evaluation mode."""
    from sqlml.convert.network import answer_of, unlabelled
    from sqlml.convert.torch.exporting import run

    model, labels = unlabelled(model)
    return answer_of(run(model, rows), labels)
