"""Which inputs a model's results depend on.

An input of weight zero, one that no tree splits on, a category without weight: none of them
is read from storage, so none may rule a row out.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sqlml.compile.forest import inputs_read, program
from sqlml.compile.forest.graph import reads
from sqlml.compile.formula import cells, formula, walk
from sqlml.errors import NotCompilableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlml.model import ScoringModel

    Array = np.ndarray[Any, Any]


def used_inputs(model: ScoringModel) -> frozenset[int]:
    """The inputs, by number, on which an output depends; maybe some more, never fewer.

    >>> import numpy as np, sqlml
    >>> from sklearn.linear_model import Lasso
    >>> X = np.array([[0.0, 5.0], [1.0, 4.0], [2.0, 5.0], [3.0, 4.0]])
    >>> used_inputs(sqlml.convert(Lasso(0.01).fit(X, X[:, 0]), sample=X))
    frozenset({0})
    """
    proto = onnx.load_from_string(model.onnx)
    changed, sums = _without_trees(proto)
    shorter = dataclasses.replace(model, onnx=changed)
    try:
        # Of a sum that stands for trees, a label may always be the same: what is behind it tells
        # nothing of the trees.
        made = [*formula(shorter).outputs, *cells(shorter, sums)]
    except NotCompilableError:
        try:
            return frozenset(inputs_read(program(model)))
        except NotCompilableError:
            return _reachable(proto)
    return frozenset(x.value for x in walk(made) if x.op == "input")


def inputs_given(model: ScoringModel) -> tuple[int, ...]:
    """The inputs that an engine must be given: those used, and those that may rule a row out.

    One at least, from which it sees how many rows there are.
    """
    fields = model.signature.inputs
    found = [i for i, field in enumerate(fields) if not field.takes_everything]
    if len(found) < len(fields):
        found = sorted({*found, *used_inputs(model)})
    return tuple(found or [0])


def _without_trees(proto: onnx.ModelProto) -> tuple[bytes, list[str]]:
    """The graph with sums of the features that trees split on in the place of the trees, and the
    names of these sums.

    It depends on the same inputs, and is short, however many splits there are. The weights of the
    sums are random, lest columns of one category take each other's place in a sum, or one output
    another's: then nothing would be left of them. As would be of a sum with NaN, in the place of
    which other random numbers stand.
    """
    random = np.random.default_rng(0)
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    nodes: list[onnx.NodeProto] = []
    sums: list[str] = []
    for node in proto.graph.node:
        if node.op_type != "TreeEnsemble":
            nodes.append(node)
            continue
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        split_on = _split_on(given)
        features = split_on if len(split_on) else np.zeros(1, np.int64)
        weight = random.uniform(1, 2, (len(features), given["n_targets"])) * bool(len(split_on))
        weight = weight.astype(numpy_helper.to_array(given["nodes_splits"]).dtype)
        out = node.output[0]
        sums.append(out)
        missing = random.uniform(1, 2, (1, len(features))).astype(weight.dtype)
        made = {f"{out}_features": features, f"{out}_weights": weight, f"{out}_missing": missing}
        for name, values in made.items():
            changed.graph.initializer.append(numpy_helper.from_array(values, name))
        read, absent, filled = f"{out}_read", f"{out}_absent", f"{out}_filled"
        nodes += [
            helper.make_node("Gather", [node.input[0], f"{out}_features"], [read], axis=1),
            helper.make_node("IsNaN", [read], [absent]),
            helper.make_node("Where", [absent, f"{out}_missing", read], [filled]),
            helper.make_node("MatMul", [filled, f"{out}_weights"], [out]),
        ]
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    return bytes(changed.SerializeToString()), sums


def _split_on(given: Mapping[str, Any]) -> Array:
    """The features that matter to a TreeEnsemble; a tree of one leaf is a node like this too."""
    ends = [np.asarray(given[f"nodes_{side}nodeids"]) for side in ("true", "false")]
    leafs = [np.asarray(given[f"nodes_{side}leafs"]) for side in ("true", "false")]
    idle = (ends[0] == ends[1]) & (leafs[0] == leafs[1])
    return np.unique(np.asarray(given["nodes_featureids"])[~idle])


def _reachable(proto: onnx.ModelProto) -> frozenset[int]:
    """The inputs from which there is a way to an output."""
    wanted = {output.name for output in proto.graph.output}
    for node in reversed(proto.graph.node):
        if wanted.intersection(node.output):
            wanted.update(reads(node))
    constants = {t.name for t in proto.graph.initializer}
    names = [i.name for i in proto.graph.input if i.name not in constants]
    return frozenset(i for i, name in enumerate(names) if name in wanted)
