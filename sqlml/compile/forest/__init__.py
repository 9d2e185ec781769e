"""A graph's tree ensembles → the program of the engine `trees`.

Every test of a node becomes one of integers in the order of the numbers, and each node says
where a missing value goes. Nothing is rounded, so the leaves reached, and their sums in the
order of the trees, are those of ONNX Runtime to the last bit.

A program is a header in JSON and arrays; `sqlml/score/trees.py` reads it. Around the ensembles
the graph stays ONNX: what is computed before them and after them are graphs of their own,
mostly a link or nothing at all.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from sqlml.compile.forest.graph import Column, Cut, reads
from sqlml.compile.forest.lowering import groups_of
from sqlml.compile.forest.trees import parse, refused
from sqlml.errors import NotCompilableError

if TYPE_CHECKING:
    from sqlml.compile.forest.trees import Ensemble
    from sqlml.model import ScoringModel

MAGIC = b"sqlml trees 1\n"


def program(model: ScoringModel) -> bytes:
    """The program of a model's tree ensembles, for `sqlml.score.trees.Engine`.

    Raises `NotCompilableError` for a graph without trees, and for what the kernel cannot
    compute to the bit as ONNX Runtime does; the message names the operator and the reason.

    >>> import numpy as np, sqlml
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> model = sqlml.convert(DecisionTreeRegressor().fit(X, X[:, 0]), sample=X)
    >>> program(model)[:11]
    b'sqlml trees'
    """
    cut = Cut(onnx.load_from_string(model.onnx))
    if not cut.ensembles:
        raise NotCompilableError("The graph has no tree ensemble: nothing for the tree kernel.")
    if any(field.terms for field in model.signature.inputs):
        # What stands before the trees is computed for a whole batch, and a text is a wide row.
        raise NotCompilableError("The graph takes texts apart: nothing for the tree kernel.")
    packer = _Packer()
    columns: dict[Column, int] = {}
    ensembles = [
        _compiled(cut, packer, columns, parse(node, cut.element(node.input[0])))
        for node in cut.ensembles
    ]
    made = {
        name: [kind, i]
        for i, e in enumerate(ensembles)
        for kind, name in e.pop("outputs").items()
        if name
    }
    before = list(dict.fromkeys(c.source for c in columns if c.source not in cut.inputs))
    results, after = _after(cut, made, before)
    header = {
        "columns": [
            {
                "source": _source(cut, before, c.source),
                "place": c.place,
                "casts": c.casts,
                "wide": c.wide,
            }
            for c in columns
        ],
        "ensembles": ensembles,
        "results": results,
        "before": None,
        "after": None,
    }
    fed = set()
    if before:
        feeds = _inputs_of(cut, before)
        header["before"] = {
            "graph": packer.add(np.frombuffer(cut.part(feeds, before), np.uint8)),
            "feeds": [cut.inputs.index(name) for name in feeds],
            "outputs": before,
        }
        fed.update(feeds)
    if after:
        outputs, feeds = after
        header["after"] = {
            "graph": packer.add(np.frombuffer(cut.part(feeds, outputs), np.uint8)),
            "feeds": [made[name] if name in made else _source(cut, before, name) for name in feeds],
            "outputs": outputs,
        }
        fed.update(name for name in feeds if name in cut.inputs)
    fed.update(c.source for c in columns if c.source in cut.inputs)
    header["inputs_read"] = sorted(cut.inputs.index(name) for name in fed)
    return packer.bytes(header)


def inputs_read(program: bytes) -> tuple[int, ...]:
    """The model inputs that a program reads, by their numbers."""
    start = len(MAGIC) + 8
    length = int.from_bytes(program[start - 8 : start], "little")
    return tuple(json.loads(program[start : start + length])["inputs_read"])


def _compiled(cut: Cut, packer: _Packer, columns: dict[Column, int], e: Ensemble) -> dict[str, Any]:
    """One ensemble in the header; its arrays go to the packer, its columns to the others."""
    if e.labels is not None and e.width < 3:
        raise refused(e.operator, "ONNX Runtime has rules of its own for two classes.")
    features = cut.columns(e.input, int(e.feature.max(initial=-1)) + 1)
    used = np.unique(e.feature[e.mode >= 0]).tolist()
    number = np.zeros(len(features), np.int64)
    for i in used:
        if i < len(features):
            number[i] = columns.setdefault(features[i], len(columns))
    wide = np.array([c.wide for c in features], np.bool_)
    whole = np.array([_is_whole(cut, c) for c in features], np.bool_)
    groups = groups_of(e, number, wide, whole)
    arrays = [
        {k: packer.add(v) if isinstance(v, np.ndarray) else v for k, v in group.items()}
        for group in groups
    ]
    return {
        "outputs": dict(zip(("sum", "label"), e.outputs[::-1], strict=False)),
        "labels": None if e.labels is None else e.labels.tolist(),
        "sums": e.dtype.name,
        "result": e.result.name,
        "width": e.width,
        "aggregate": {"MIN": 1, "MAX": 2}.get(e.aggregate, 0),
        "divide": len(e.roots) if e.aggregate == "AVERAGE" else 0,
        "base": None if e.base is None else packer.add(e.base),
        "groups": arrays,
    }


def _is_whole(cut: Cut, column: Column) -> bool:
    """Whether a column has integers only, of at most 32 bits."""
    kind = cut.element(column.source)
    return kind.kind in "biu" and kind.itemsize <= 4


def _after(
    cut: Cut, made: dict[str, list[Any]], before: list[str]
) -> tuple[list[list[Any]], tuple[list[str], list[str]] | None]:
    """Where each output of the model comes from; and, if needed, the graph after the trees.

    That graph's outputs and inputs, by name.
    """
    results: list[list[Any]] = []
    outputs: list[str] = []
    for name in cut.outputs:
        source = name
        while (node := cut.maker.get(source)) is not None and node.op_type == "Identity":
            source = node.input[0]
        if source in made:
            results.append(made[source])
        else:
            results.append(["after", len(outputs)])
            outputs.append(name)
    if not outputs:
        return results, None
    return results, (outputs, _inputs_of(cut, outputs, [*made, *before]))


def _inputs_of(cut: Cut, outputs: list[str], known: list[str] | None = None) -> list[str]:
    """The graph inputs, and the tensors among `known`, from which the outputs follow."""
    ends = [*cut.inputs, *(known or [])]
    read = {name for node in cut.ancestors(outputs, stop=ends) for name in reads(node)}
    return [name for name in ends if name in read]


def _source(cut: Cut, before: list[str], name: str) -> list[Any]:
    if name in cut.inputs:
        return ["input", cut.inputs.index(name)]
    return ["before", before.index(name)]


class _Packer:
    """Arrays one after another, each at a multiple of 64 bytes."""

    def __init__(self) -> None:
        self._arrays: list[np.ndarray[Any, Any]] = []

    def add(self, array: np.ndarray[Any, Any]) -> int:
        """The array's number."""
        self._arrays.append(np.ascontiguousarray(array))
        return len(self._arrays) - 1

    def bytes(self, header: dict[str, Any]) -> bytes:
        places, at = [], 0
        for array in self._arrays:
            kind = array.dtype.str if array.dtype.names is None else array.dtype.descr
            places.append([kind, len(array), at])
            at += -(-array.nbytes // 64) * 64
        text = json.dumps({**header, "arrays": places}).encode()
        head = MAGIC + len(text).to_bytes(8, "little") + text
        parts = [head, bytes(-len(head) % 64)]
        for array in self._arrays:
            parts += [array.tobytes(), bytes(-array.nbytes % 64)]
        return b"".join(parts)
