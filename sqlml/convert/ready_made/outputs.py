"""The outputs of a graph as it came: what each is to a user.

No graph says whether it is a classifier. It is taken for one where it has a label and a
column of probabilities for each label, with the labels written in the graph, and where both
say the same of the sample; for a regressor where its one output bears the name, or comes of
the operator, by which converters make regressors. Else it is "other", and its outputs keep
their names. The file may say it itself, in its metadata: `sqlml.task`, and `sqlml.labels`
as a JSON list; or its author says the labels when publishing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sqlml.errors import NotConvertibleError, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.model import Label, Task

    Array = np.ndarray[Any, Any]

TASKS = ("regression", "classification", "other")

# What skl2onnx, onnxmltools and CatBoost call the output of a regressor.
_REGRESSORS = ("predict", "prediction", "predictions", "variable")
_REGRESSING = ("LinearRegressor", "SVMRegressor", "TreeEnsembleRegressor")

_CLASSIFYING = ("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier")
_LISTED = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")

_COMPARING = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")

# What a label may go through without becoming another.
_PASSING = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")

# The names of tensors in graphs of ours, which an output would shadow.
_TAKEN = re.compile(r"(c|i|in|t)[0-9]+")

_NEAR = 1e-5
"""What single precision may leave of a sum of one."""


@dataclass(frozen=True, slots=True)
class Result:
    """One output of the graph."""

    name: str
    tensor: str
    """What it holds; where a ZipMap makes the output, what that reads."""
    keys: tuple[Label, ...] = ()
    """A ZipMap's keys, in the order of the tensor's columns."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What the outputs are; `label` and `main` are numbers of outputs."""

    task: Task
    labels: tuple[Label, ...] = ()
    values: tuple[Label, ...] = ()
    """What stands for the labels in the graph's own label, in their order."""
    label: int | None = None
    """The predicted label."""
    main: int | None = None
    """The probabilities, or the prediction."""


def results_of(graph: onnx.GraphProto, kind: str) -> tuple[Result, ...]:
    """The outputs. Raises `NotConvertibleError` for sequences and maps but a ZipMap's."""
    maker = {name: node for node in graph.node for name in node.output}
    found = []
    for output in graph.output:
        node = maker.get(output.name)
        if node is not None and node.op_type == "ZipMap":
            found.append(Result(output.name, node.input[0], _listed(node)))
        elif output.type.WhichOneof("value") in (None, "tensor_type"):
            found.append(Result(output.name, output.name))
        else:
            raise NotConvertibleError(kind, f"output {output.name!r} is no tensor.")
    folded = [result.name.lower() for result in found]
    if len(set(folded)) < len(folded):
        raise NotConvertibleError(kind, "two of its outputs differ in upper and lower case only.")
    if taken := [result.name for result in found if _TAKEN.fullmatch(result.name)]:
        raise NotConvertibleError(
            kind, f"an output is called {taken[0]}, as tensors here are.", "Rename it."
        )
    return tuple(found)


def array_of(result: Result, raw: Any, rows: int, kind: str) -> Array:
    """What ONNX Runtime gave for one output: [N] or [N, K]."""
    if result.keys:
        raw = np.array([[row[key] for key in result.keys] for row in raw], np.float32)
    array = np.asarray(raw)
    if array.ndim not in (1, 2) or len(array) != rows:
        raise NotConvertibleError(
            kind,
            f"output {result.name!r} is of shape {list(array.shape)} for {rows} rows.",
            "Only a scalar or a list for each row is taken: [N] or [N, K].",
        )
    return array


def columns_of(array: Array) -> int:
    """How many numbers of a row an output has."""
    return 1 if array.ndim == 1 else int(array.shape[1])


def roles_of(
    model: onnx.ModelProto,
    results: Sequence[Result],
    arrays: Sequence[Array],
    stated: tuple[Label, ...],
    kind: str,
) -> Roles:
    """What the outputs are, from the graph and from what it gives for the sample.

    Raises `NotConvertibleError` where the file's metadata, or its author, says what its outputs
    are not.
    """
    told = {p.key: p.value for p in model.metadata_props}
    task, labels = told.get("sqlml.task"), stated
    if stated:
        task = "classification"
    elif task not in (None, *TASKS):
        raise NotConvertibleError(
            kind, f"its metadata says sqlml.task = {task!r}.", f"Known are {listed(TASKS)}."
        )
    else:
        labels = _told_labels(told.get("sqlml.labels"), kind)
    if task in (None, "classification"):
        found = _classifier(model, results, arrays, labels, certain=task is not None)
        if found is not None:
            return found
    one_float = len(results) == 1 and arrays[0].dtype.kind == "f"
    regressor = task == "regression" or (task is None and _is_regressor(model.graph, results[0]))
    if one_float and regressor:
        return Roles("regression", main=0)
    if task in ("classification", "regression"):
        raise NotConvertibleError(
            kind,
            f"its author states the labels {listed([repr(v) for v in stated])}, and its outputs "
            "do not fit them."
            if stated
            else f"its metadata says that its task is {task}, and its outputs do not fit that.",
            "A regressor has one output of floats; a classifier has probabilities, with a column "
            "for each of its labels in their order, or a label that the graph chooses from a "
            f"list, or both. Probabilities of two labels add up to one within {_NEAR:g}: they "
            "need not in half precision.",
        )
    return Roles("other")


def _told_labels(text: str | None, kind: str) -> tuple[Label, ...]:
    if text is None:
        return ()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    plain = isinstance(found, list) and all(isinstance(v, str | int | float) for v in found)
    if not plain or len({type(v) for v in found}) != 1:
        raise NotConvertibleError(
            kind, f"its metadata says sqlml.labels = {text!r}.", 'Write a list: ["no", "yes"].'
        )
    return tuple(found)


def _is_regressor(graph: onnx.GraphProto, result: Result) -> bool:
    maker = {name: node.op_type for node in graph.node for name in node.output}
    return result.name.lower() in _REGRESSORS or maker.get(result.tensor) in _REGRESSING


def _classifier(
    model: onnx.ModelProto,
    results: Sequence[Result],
    arrays: Sequence[Array],
    labels: tuple[Label, ...],
    *,
    certain: bool,
) -> Roles | None:
    """The outputs as a classifier's; `certain`: the file says that they are."""
    named = [i for i, a in enumerate(arrays) if columns_of(a) == 1 and a.dtype.kind in "biOU"]
    floats = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    if len(named) > 1 or len(floats) > 1 or len(named) + len(floats) < len(results):
        return None
    label = named[0] if named else None
    main = floats[0] if floats else None
    keys = results[main].keys if main is not None else ()
    values: tuple[Label, ...] = ()
    if label is not None:
        known = _labels_of(model, results[label].tensor) or keys
        values = _as_elements(known, arrays[label])
    own = values or keys
    places = [v for v in own if type(v) is int] == list(range(len(own)))
    if not labels:
        labels = own
    elif own and own != labels and not (places and len(own) == len(labels)):
        return None  # the graph knows other labels
    if len(labels) < 2 or len(set(labels)) < len(labels):
        return None
    if not certain and label is None:
        return None
    if label is not None and len(values) != len(labels):
        return None  # what else the label may be is not known
    if main is None:
        return Roles("classification", labels, values, label)
    width = columns_of(arrays[main])
    if width != len(labels) and not (certain and width == 1 and len(labels) == 2):
        return None
    shown = probabilities(arrays[main])
    if not _are_probabilities(shown):
        return None
    if label is not None and not certain and not _agree(shown, arrays[label], values):
        return None
    return Roles("classification", labels, values, label, main)


def probabilities(array: Array) -> Array:
    """[N, K] doubles; of one column, which is the second label's, both labels'."""
    wide = array.reshape(len(array), -1).astype(np.float64)
    return np.hstack([1 - wide, wide]) if wide.shape[1] == 1 else wide


def _are_probabilities(values: Array) -> bool:
    """Whether the numbers are from 0 to 1, and those of two labels add up to 1."""
    known = values[~np.isnan(values).any(axis=1)]
    within = bool(np.all((known >= -_NEAR) & (known <= 1 + _NEAR)))
    return within and (values.shape[1] > 2 or bool(np.all(abs(known.sum(axis=1) - 1) <= _NEAR)))


def _agree(values: Array, label: Array, labels: tuple[Label, ...]) -> bool:
    """Whether the label is one of the most probable in each row."""
    at = {v: i for i, v in enumerate(labels)}
    index = np.array([at.get(v, -1) for v in label.ravel().tolist()])
    known = ~np.isnan(values).any(axis=1)
    if np.any(index[known] < 0):
        return False
    chosen = values[np.arange(len(values)), index]
    return bool(np.all(chosen[known] >= values[known].max(axis=1) - _NEAR))


def _as_elements(labels: tuple[Label, ...], label: Array) -> tuple[Label, ...]:
    """The labels as values of the label's own tensor; none where they cannot be."""
    kind = label.dtype.kind
    if kind in "OU":
        return labels if all(isinstance(v, str) for v in labels) else ()
    if not all(isinstance(v, int) for v in labels):
        return ()
    return tuple(bool(v) for v in labels) if kind == "b" else tuple(int(v) for v in labels)


def _labels_of(model: onnx.ModelProto, tensor: str) -> tuple[Label, ...]:
    """The labels that the maker of a label chooses from, in the order of its scores."""
    graph = model.graph
    maker = {name: node for node in graph.node for name in node.output}
    constants = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    while (node := maker.get(tensor)) is not None:
        if node.op_type in _CLASSIFYING:
            return _listed(node) if tensor == node.output[0] else ()
        if node.op_type in ("ArrayFeatureExtractor", "Gather"):
            chosen = constants.get(node.input[0])
            return () if chosen is None else _plain(numpy_helper.to_array(chosen).ravel().tolist())
        if node.op_type == "ArgMax":
            axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
            return tuple(range(_width(model, node.input[0]))) if axis in (1, -1) else ()
        if node.op_type in _COMPARING:
            return (0, 1)
        if node.op_type not in _PASSING:
            return ()
        tensor = node.input[0]
    return ()


def _width(model: onnx.ModelProto, tensor: str) -> int:
    """The columns of a matrix; 0 where ONNX cannot tell."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    for value in (*graph.value_info, *graph.input, *graph.output):
        shape = value.type.tensor_type.shape.dim
        if value.name == tensor and len(shape) == 2:
            return int(shape[1].dim_value)
    return 0


def _listed(node: onnx.NodeProto) -> tuple[Label, ...]:
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return _plain(next((given[name] for name in _LISTED if given.get(name)), ()))


def _plain(values: Sequence[Any]) -> tuple[Label, ...]:
    return tuple(v.decode() if isinstance(v, bytes) else v for v in values)
