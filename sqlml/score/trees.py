"""The engine for tree ensembles: a kernel in C over columns, exact to the last bit.

It runs the programs that `sqlml.compile.forest` makes. What a graph computes before and after
its trees is computed by ONNX Runtime, as in the other engine.
"""

from __future__ import annotations

import ctypes
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.errors import ModelRejectedError
from sqlml.score.kernel import Call, Column, Group, KernelMissing, library
from sqlml.score.onnxruntime import Graph, as_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlml.model import ScoringModel

    Vector = np.ndarray[Any, Any]

__all__ = ["Engine", "KernelMissing"]

_MAGIC = b"sqlml trees 1\n"


class Engine:
    """A program of trees, loaded. Its memory is that of the program's bytes, and a few blocks.

    Raises `KernelMissing` where the compiled library cannot be loaded, and
    `ModelRejectedError` for a program that is not sound. `level` chooses among the paths of
    the kernel, `kernel.LEVELS`; None is the best of this CPU.
    """

    def __init__(self, model: ScoringModel, program: bytes, level: int | None = None) -> None:
        self._library = library()
        best = int(self._library.sqlml_level())
        self._level = best if level is None else min(level, best)
        header, arrays = _unpacked(program)
        self._columns = header["columns"]
        self._results = header["results"]
        self._reads: list[int] = header["inputs_read"]
        self._before = _Part(header["before"], arrays)
        self._after = _Part(header["after"], arrays)
        self._ensembles = [_Ensemble(e, arrays, len(self._columns)) for e in header["ensembles"]]
        size = max(e.scratch(self._library) for e in self._ensembles)
        self._scratch = np.empty(size + 64, np.uint8)
        self._structs = (Column * max(len(self._columns), 1))()

    def run(self, columns: Sequence[Vector]) -> Sequence[Vector]:
        rows = len(columns[self._reads[0] if self._reads else 0])
        before = self._before.run([as_matrix(columns[i]) for i in self._before.feeds])
        held = []
        for struct, column in zip(self._structs, self._columns, strict=False):
            values = _values(column, columns, before)
            struct.data = values.__array_interface__["data"][0]
            struct.stride = values.strides[0]
            struct.is_double = column["wide"]
            held.append(values)  # until the kernel has read it
        scratch = self._scratch.__array_interface__["data"][0]
        sums = [
            e.run(self._library, self._structs, rows, scratch + -scratch % 64, self._level)
            for e in self._ensembles
        ]
        labels = [e.labels_of(scores) for e, scores in zip(self._ensembles, sums, strict=True)]
        sources = {"sum": sums, "label": labels, "before": before}
        feeds = [
            as_matrix(columns[i]) if kind == "input" else sources[kind][i]
            for kind, i in self._after.feeds
        ]
        sources["after"] = self._after.run(feeds)
        return [sources[kind][i] for kind, i in self._results]


class _Part:
    """The graph before or after the trees; none gives nothing."""

    def __init__(self, header: Mapping[str, Any] | None, arrays: Sequence[Vector]) -> None:
        self.feeds: list[Any] = header["feeds"] if header else []
        self._graph = (
            Graph(arrays[header["graph"]].tobytes(), header["outputs"]) if header else None
        )

    def run(self, tensors: Sequence[Vector]) -> Sequence[Vector]:
        return self._graph.run(tensors) if self._graph else []


def _values(column: Mapping[str, Any], columns: Sequence[Vector], before: Sequence[Vector]) -> Any:
    """One feature's numbers, float32 or float64, at any stride."""
    kind, i = column["source"]
    values = (as_matrix(columns[i]) if kind == "input" else before[i])[:, column["place"]]
    with np.errstate(over="ignore"):
        for cast in column["casts"]:
            values = values.astype(cast)
    return np.asarray(values, np.float64 if column["wide"] else np.float32)


class _Ensemble:
    """One ensemble's groups of trees as the kernel takes them."""

    def __init__(self, header: Mapping[str, Any], arrays: Sequence[Vector], columns: int) -> None:
        self._sums, self._result = np.dtype(header["sums"]), np.dtype(header["result"])
        self._width: int = header["width"]
        self._aggregate: int = header["aggregate"]
        self._divide: int = header["divide"]
        labels = header["labels"]
        kind = object if labels and isinstance(labels[0], str) else np.int64
        self._labels = None if labels is None else np.array(labels, kind)
        self._base = None if header["base"] is None else arrays[header["base"]]
        groups = [
            {k: arrays[v] if k in Group.arrays else v for k, v in g.items()}
            for g in header["groups"]
        ]
        for group in groups:
            _check(group, columns, self._width, self._sums)
        self._held = groups  # the arrays live as long as what points into them
        self._lines = max((g["lines"] for g in groups if g["dense"]), default=0)
        self._groups = (Group * len(groups))(*(_struct(g) for g in groups))

    def scratch(self, kernel: Any) -> int:
        """The bytes that the kernel works in."""
        nodes = [int(g["trees"]["nodes"].max(initial=0)) for g in self._held if g["dense"]]
        walked = [len(g["columns"]) for g in self._held if not g["dense"]]
        return int(kernel.sqlml_scratch(self._lines, max(nodes, default=0), max(walked, default=0)))

    def run(self, kernel: Any, columns: Any, rows: int, scratch: int, level: int) -> Vector:
        """[rows, outputs]: the aggregated leaves."""
        start = (0, np.inf, -np.inf)[self._aggregate]
        out = np.full((self._width, rows), start, self._sums)
        call = Call(
            self._groups,
            len(self._groups),
            columns,
            rows,
            out.ctypes.data,
            self._sums == np.float64,
            self._aggregate,
            scratch,
            level,
        )
        kernel.sqlml_trees(ctypes.byref(call), self._lines)
        with np.errstate(all="ignore"):
            if self._divide:
                out /= self._sums.type(self._divide)
            if self._base is not None:
                out += self._base[:, None]
            elif self._aggregate or self._width == 1:
                out += self._sums.type(0)  # -0.0 becomes 0.0, as in ONNX Runtime
            return np.ascontiguousarray(out.T.astype(self._result, copy=False))

    def labels_of(self, scores: Vector) -> Vector:
        """A classifier's choice: the first of the highest scores."""
        return scores[:, 0] if self._labels is None else self._labels[scores.argmax(axis=1)]


def _struct(group: Mapping[str, Any]) -> Group:
    fields = {
        "is_dense": group["dense"],
        "n_features": len(group["columns"]),
        "n_trees": len(group["trees"]),
        "feature_bits": group.get("feature_bits", 0),
    }
    pointers = {
        name: group[name].__array_interface__["data"][0] for name in Group.arrays if name in group
    }
    return Group(**fields, **pointers)


# ---- reading a program ------------------------------------------------------------------


def _unpacked(program: bytes) -> tuple[dict[str, Any], list[Vector]]:
    """The header, and the arrays where they stand in the program's bytes."""
    if not program.startswith(_MAGIC):
        raise ModelRejectedError("These are not the bytes of a tree program of this version.")
    start = len(_MAGIC) + 8
    length = int.from_bytes(program[start - 8 : start], "little")
    try:
        header = json.loads(program[start : start + length])
        first = -(-(start + length) // 64) * 64
        arrays = []
        for kind, count, at in header["arrays"]:
            dtype = np.dtype(kind if isinstance(kind, str) else [tuple(f) for f in kind])
            if dtype.hasobject:
                raise ValueError("an array of objects")
            arrays.append(np.frombuffer(program, dtype, count, first + at))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelRejectedError(f"The tree program is damaged: {error}") from error
    return header, arrays


def _check(g: Mapping[str, Any], columns: int, width: int, sums: np.dtype[Any]) -> None:
    """That no number of a group leads the kernel out of an array."""
    trees = g["trees"].astype([(n, np.int64) for n in g["trees"].dtype.names])
    sound = [
        g["leaves"].dtype == sums,
        _within(g["columns"], columns),
        _within(g["votes"], width),
        np.all(trees["vote_at"] + trees["votes"] <= len(g["votes"])),
        *(_dense_is_sound(g, trees) if g["dense"] else _walk_is_sound(g, trees)),
    ]
    if not all(sound):
        raise ModelRejectedError("The tree program is damaged: a number is out of range.")


def _within(values: Vector, end: Any) -> bool:
    return bool(np.all((values >= 0) & (values < end)))


def _starts(at: Vector, size: Vector, end: int) -> bool:
    """Whether pieces follow each other from the first entry to the last."""
    return bool(np.array_equal(at, np.cumsum(size) - size) and int(size.sum()) == end)


def _dense_is_sound(g: Mapping[str, Any], trees: Vector) -> list[Any]:
    features, lines = len(g["columns"]), g["lines"]
    depth, search_at = g["depth"].astype(np.int64), g["search_at"].astype(np.int64)
    if len(depth) != features or len(search_at) != features or len(g["sorted_at"]) != features:
        return [False]
    levels = np.minimum(depth, 8)
    wide, ordered = g["sorted_at"].astype(np.int64), g["sorted"]
    ends = wide + (1 << levels)
    test_at = g["test_at"].astype(np.int64)
    nodes, counts = trees["nodes"], g["term_counts"].astype(np.int64).reshape(-1, 16)
    place = np.arange(len(g["nodes"])) - np.repeat(trees["node_at"], nodes)[: len(g["nodes"])]
    terms_of = np.repeat(2 * nodes + 2, counts.sum(axis=1))
    beyond = np.arange(16) >= trees["planes"][:, None]
    return [
        0 <= lines <= 1 << 16,
        np.all(depth <= 8),
        np.all(search_at + np.maximum(16, 1 << levels) <= len(g["search"])),
        len(ordered) == len(g["wide"]),
        np.all(ends <= len(ordered)) and np.all(ordered[ends - 1] == np.iinfo(np.int32).max),
        len(test_at) == features + 1 and np.all(np.diff(test_at) >= 0),
        test_at[-1] == len(g["tests"]),
        _within(g["tests"]["line"], lines) and _within(g["tests"]["from"], lines),
        _starts(trees["node_at"], nodes, len(g["nodes"])),
        _within(g["nodes"]["line"], lines),
        _within(g["nodes"]["from"], 2 * place + 2),
        _within(trees["planes"], 16) and len(counts) == len(trees) and not counts[beyond].any(),
        _starts(trees["term_at"], counts.sum(axis=1), len(g["terms"])),
        len(terms_of) == len(g["terms"]) and _within(g["terms"], terms_of),
        _starts(trees["leaf_at"], trees["votes"] << trees["planes"] % 16, len(g["leaves"])),
    ]


def _walk_is_sound(g: Mapping[str, Any], trees: Vector) -> list[Any]:
    features, bits = len(g["columns"]), g["feature_bits"]
    sorted_at, sorted_n = g["sorted_at"].astype(np.int64), g["sorted_n"].astype(np.int64)
    if not 1 <= bits <= 24 or any(len(a) != features for a in (sorted_n, g["missing_low"])):
        return [False]
    steps, nodes = g["steps"], trees["nodes"]
    sound = _starts(trees["node_at"], nodes, len(steps)) and bool(np.all(nodes > 0))
    if not sound or not _starts(sorted_at, sorted_n, len(g["wide"])):
        return [False]
    pieces = np.split(steps, np.cumsum(nodes)[:-1])  # one by one: copies of all are large
    every = zip(pieces, trees["planes"].tolist(), strict=True)
    return [
        _starts(trees["leaf_at"], trees["votes"] * trees["planes"], len(g["leaves"])),
        *(_tree_is_sound(piece, leaves, features, bits) for piece, leaves in every),
    ]


def _tree_is_sound(steps: Vector, leaves: int, features: int, bits: int) -> bool:
    """Whether children come later, in the tree, and leaves and features are there."""
    leaf = steps["next"] >= 1 << 31
    inner = steps["next"][~leaf]
    child = inner >> bits
    return (
        bool(np.all((child > np.flatnonzero(~leaf)) & (child < len(steps) - 1)))
        and _within(inner & ((1 << bits) - 1), features)
        and _within(steps["key"][leaf], leaves)
    )
