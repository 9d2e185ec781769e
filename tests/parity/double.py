"""A stand-in framework: originals whose answers a test writes down itself."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from sqlml.model import ScoringModel, Tensor, outputs_of
from sqlml.signature import Input, Signature

from .tampering import as_tensor, graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert import Answer

DOUBLE = onnx.TensorProto.DOUBLE


@dataclass(frozen=True)
class Model:
    """An original: a function of its rows, an [N, columns] array."""

    says: Callable[[np.ndarray], Answer]


def module() -> types.ModuleType:
    """The converter module of the stand-in; `answer` is all that verify needs."""
    made: Any = types.ModuleType("double_framework")
    made.recognises = lambda model: isinstance(model, Model)
    made.answer = lambda model, rows: model.says(np.asarray(rows, dtype=np.float64))
    return made


def doubling() -> ScoringModel:
    """prediction = 2 x."""
    proto = graph(
        [helper.make_node("Mul", ["in0", "two"], ["prediction"])],
        {"in0": DOUBLE},
        {"prediction": (DOUBLE, ["N", 1])},
        [as_tensor([2.0], "two")],
    )
    tensors = (Tensor("prediction", "DOUBLE"),)
    signature = Signature((Input("x", "DOUBLE", "DOUBLE"),), outputs_of("regression", tensors))
    return ScoringModel(proto.SerializeToString(), signature, "regression", tensors)


def coin(probability_of_b: float) -> ScoringModel:
    """A classifier of "a" and "b" that says the same of every row."""
    proto = graph(
        [
            helper.make_node("Mul", ["in0", "zero"], ["none"]),
            helper.make_node("Add", ["none", "proba"], ["probabilities"]),
        ],
        {"in0": DOUBLE},
        {"probabilities": (DOUBLE, ["N", 2])},
        [as_tensor([0.0], "zero"), as_tensor([[1 - probability_of_b, probability_of_b]], "proba")],
    )
    tensors, labels = (Tensor("probabilities", "DOUBLE", 2),), ("a", "b")
    outputs = outputs_of("classification", tensors, labels)
    return ScoringModel(
        proto.SerializeToString(),
        Signature((Input("x", "DOUBLE", "DOUBLE"),), outputs),
        "classification",
        tensors,
        labels,
    )
