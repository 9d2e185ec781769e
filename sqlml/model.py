"""ScoringModel: the one thing that is scored. ModelReference: how a user names one.

A ScoringModel's ONNX graph has a fixed form, so that no layer above needs to know where
a model came from:

* inputs `in0 … inN`, in the order of the signature, each of shape [N, 1] and of the
  input's `wire` type;
* outputs by role: `prediction` (numbers, [N, 1], or [N, K] for K targets),
  `probabilities` ([N, K], in the order of `labels`), `label` ([N] int64, an index into
  `labels`), `score` ([N, 1]). Task "other" keeps its graph's own output names.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from sqlml.errors import ReferenceNotAllowedError
from sqlml.signature import Output, Signature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Task = Literal["regression", "classification", "clustering", "outlier_detection", "other"]
Precision = Literal["float32", "float64"]
Label = str | int | float | bool

BOUNDS: dict[Precision, float] = {"float32": 1e-5, "float64": 1e-9}
"""How far two scores may lie apart, by the width in which the graph computes."""

METADATA_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Tensor:
    """One output of the graph."""

    name: str
    type: str
    """The Spark SQL type of one element."""
    width: int | None = None
    """Columns of an [N, K] output; None for one value a row ([N] or [N, 1])."""


@dataclass(frozen=True)
class ScoringModel:
    """A converted model: ONNX bytes and what is needed to read its inputs and outputs.

    `labels` are a classifier's classes in the order of its probabilities; `precision` is
    the width in which the graph computes, which sets the bounds of parity.
    """

    onnx: bytes = field(repr=False)
    signature: Signature
    task: Task
    tensors: tuple[Tensor, ...]
    labels: tuple[Label, ...] = ()
    precision: Precision = "float64"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Where it came from: framework, estimator, library versions."""
    golden: bytes = field(default=b"", repr=False)
    """Rows and their scores, for a machine with another runtime (`sqlml.golden`)."""

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the ONNX bytes, in hexadecimal: the identity of the model."""
        return hashlib.sha256(self.onnx).hexdigest()

    @cached_property
    def key(self) -> str:
        """The identity of the model as it is scored: its graph, signature and labels."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def has_probabilities(self) -> bool:
        return any(t.name == "probabilities" for t in self.tensors)

    @property
    def raw(self) -> tuple[Output, ...]:
        """What an engine computes for a row, from which every output is derived.

        Numbers widen to DOUBLE. The probabilities of two labels travel as one number, the
        second label's: the first one's is one minus it.
        """
        return tuple(_raw(t, self.task) for t in self.tensors)

    def to_json(self) -> str:
        """Everything but the ONNX bytes, for the metadata file."""
        return json.dumps(
            {
                "format": METADATA_FORMAT,
                "sha256": self.sha256,
                "task": self.task,
                "labels": list(self.labels),
                "precision": self.precision,
                "signature": dataclasses.asdict(self.signature),
                "tensors": [dataclasses.asdict(t) for t in self.tensors],
                "metadata": dict(self.metadata),
                "golden": base64.b64encode(self.golden).decode(),
            },
            indent=2,
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str, onnx: bytes) -> ScoringModel:
        """The model of a metadata file (see `to_json`) and its ONNX bytes."""
        facts = json.loads(text)
        return cls(
            onnx=onnx,
            signature=Signature.from_dict(facts["signature"]),
            task=facts["task"],
            tensors=tuple(Tensor(**t) for t in facts["tensors"]),
            labels=tuple(facts["labels"]),
            precision=facts["precision"],
            metadata=facts["metadata"],
            golden=base64.b64decode(facts.get("golden", "")),
        )


def _raw(tensor: Tensor, task: Task) -> Output:
    scalar = "DOUBLE" if task != "other" and tensor.type in ("FLOAT", "DOUBLE") else tensor.type
    if tensor.name == "probabilities" and task == "classification" and tensor.width == 2:
        return Output("probability_1", "DOUBLE")
    return Output(tensor.name, scalar if tensor.width is None else f"ARRAY<{scalar}>")


def label_type(labels: Sequence[Label]) -> str:
    """The Spark SQL type of a classifier's labels.

    >>> label_type(["no", "yes"]), label_type([0, 1]), label_type([False, True])
    ('STRING', 'BIGINT', 'BOOLEAN')
    """
    kinds = {type(label) for label in labels}
    names = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "STRING"}
    if len(kinds) != 1 or not kinds <= names.keys():
        raise TypeError(f"Labels must be all of one kind, found {labels!r}")
    return names[kinds.pop()]


def outputs_of(
    task: Task,
    tensors: Sequence[Tensor],
    labels: Sequence[Label] = (),
) -> tuple[Output, ...]:
    """The output columns of the table form, by task (the contract's table).

    Several targets are numbered from 1: no framework so far knows them by name.

    >>> [f"{o.name} {o.type}" for o in outputs_of("classification",
    ...     [Tensor("probabilities", "FLOAT", 2)], ["no", "yes"])]
    ['prediction STRING', 'probability DOUBLE', 'probabilities MAP<STRING, DOUBLE>']
    """
    given = {t.name for t in tensors}
    if task == "regression":
        count = tensors[0].width or 1
        names = [f"prediction_{i + 1}" for i in range(count)] if count > 1 else ["prediction"]
        return tuple(Output(name, "DOUBLE") for name in names)
    if task == "classification":
        kind = label_type(labels)
        prediction = (Output("prediction", kind),)
        if "probabilities" not in given:
            return prediction
        return (
            *prediction,
            Output("probability", "DOUBLE"),
            Output("probabilities", f"MAP<{kind}, DOUBLE>"),
        )
    if task in ("clustering", "outlier_detection"):
        score = (Output("score", "DOUBLE"),) if "score" in given else ()
        return (Output("prediction", "BIGINT"), *score)
    return tuple(Output(t.name, t.type if t.width is None else f"ARRAY<{t.type}>") for t in tensors)


# MLflow takes nearly any name; SQL text, file paths and URIs are safe with these.
_NAME = r"[A-Za-z0-9_.\-]{1,128}"
_REFERENCE = re.compile(
    rf"(?:models:/)?(?P<name>{_NAME})(?:@(?P<alias>{_NAME})|/(?P<version>[1-9][0-9]{{0,8}}))?"
)


@dataclass(frozen=True, slots=True)
class ModelReference:
    """How a user names a model: at most one of `alias` and `version` is given.

    Neither: the version under the alias `champion`, else the latest.
    """

    name: str
    alias: str | None = None
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> ModelReference:
        """Read `churn`, `churn@champion`, `churn/3`, `models:/churn@champion`, `models:/churn/3`.

        Raises `ReferenceNotAllowedError` for anything else: no paths, no other schemes.

        >>> ModelReference.parse("models:/churn/3")
        ModelReference(name='churn', alias=None, version=3)
        """
        match = _REFERENCE.fullmatch(text.strip())
        if match is None or set(match["name"]) == {"."}:
            raise ReferenceNotAllowedError(text)
        version = int(match["version"]) if match["version"] else None
        return cls(match["name"], match["alias"], version)

    def __str__(self) -> str:
        if self.alias is not None:
            return f"{self.name}@{self.alias}"
        return self.name if self.version is None else f"{self.name}/{self.version}"
