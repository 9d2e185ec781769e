"""Which backend scores a model, and why.

`sql`    one expression in Spark's own generated code: no Python, nothing shipped
`trees`  our kernel for tree ensembles, in a Python worker
`onnx`   ONNX Runtime in a Python worker: everything

The first of them that can, unless it is known to be slower than the next.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import onnx

from sqlml.compile.codes import Coded, coded
from sqlml.compile.cost import BUDGET, bytecode, inputs_bytecode
from sqlml.compile.forest import program
from sqlml.compile.formula import Formula, formula, walk
from sqlml.compile.pruning import pruned
from sqlml.compile.text import shared
from sqlml.compile.usage import inputs_given
from sqlml.errors import ArgumentError, NotCompilableError, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlml.compile.facts import Fact
    from sqlml.model import ScoringModel

Backend = Literal["sql", "trees", "onnx"]
BACKENDS: tuple[Backend, ...] = ("sql", "trees", "onnx")

MOST_OPERATIONS = 3_000
"""Of an expression outside of whole-stage code: Spark plans and compiles more for seconds."""

FEW_TREES, FEW_SPLITS = 10, 400
"""Ensembles up to here score faster as an expression outside of whole-stage code than in Python:
4 million rows through a tree of depth 8 take 3.1 s there, 7.4 s in the kernel and 2.2 s without
a score (`sqlml bench 2`). A few hundred thousand rows of numbers take the same in both."""

_KEPT = 64
_lock = threading.RLock()
_made: OrderedDict[tuple[Any, ...], Prepared] = OrderedDict()


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A model, ready for one backend."""

    model: ScoringModel = field(repr=False)
    backend: Backend
    reason: str
    """Why this backend, for a person."""
    inputs: tuple[int, ...]
    """The inputs that must be given, by their numbers; the others have no part in the result."""
    formula: Formula | None = field(default=None, repr=False)
    """For `sql`."""
    fused: bool = True
    """For `sql`: it fits into whole-stage code."""
    size: int = 0
    """For `sql`: about how many bytes of generated code it is."""
    program: bytes = field(default=b"", repr=False)
    """What the engine of a worker runs."""
    key: str = ""
    """The identity of the program."""
    texts: Mapping[int, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """For `trees` and `onnx`: the inputs that the program takes as numbers, see `codes`."""


def prepare(
    model: ScoringModel,
    facts: Mapping[int, Fact] | None = None,
    backend: str | None = None,
    *,
    plain: bool = False,
) -> Prepared:
    """The model, ready for the backend that is best for it, or for a given one.

    `facts`: what a query's filters say of the inputs, by number; the result is then right for
    rows of which they hold. `plain`: a Python worker gets texts as texts.
    Raises `NotCompilableError` where a given backend has no form for the model, and names the
    operator, and `ArgumentError` for a backend that there is not.
    """
    if backend is not None and backend not in BACKENDS:
        raise ArgumentError(f"There is no backend {backend!r}; there are {listed(BACKENDS)}.")
    known = dict(facts or {})
    key = (model.key, backend, plain, tuple(sorted(known.items(), key=lambda item: item[0])))
    with _lock:
        if key not in _made:
            _made[key] = _prepared(model, known, backend, plain)
            if len(_made) > _KEPT:
                _made.popitem(last=False)
        _made.move_to_end(key)
        return _made[key]


def prepare_for_python(model: ScoringModel, *, plain: bool = False) -> Prepared:
    """The model, ready for the better of the backends that work in Python."""
    try:
        return prepare(model, backend="trees", plain=plain)
    except NotCompilableError:
        return prepare(model, backend="onnx", plain=plain)


def _prepared(
    model: ScoringModel, facts: Mapping[int, Fact], backend: str | None, plain: bool
) -> Prepared:
    if backend == "sql":
        made = formula(model, facts)
        if (size := _operations(made)) > MOST_OPERATIONS:
            raise NotCompilableError(
                f"As an expression the model would have {size:,} operations, and "
                f"{MOST_OPERATIONS:,} are the most."
            )
        return _as_sql(model, made)
    if backend == "trees":
        return _as_trees(model, facts, plain)
    if backend == "onnx":
        return _as_onnx(model, "asked for", plain)
    try:
        made = formula(model, facts)
    except NotCompilableError as error:
        why_not_sql = _told(error)
    else:
        candidate = _as_sql(model, made)
        if candidate.fused:
            return candidate
        why_not_sql = f"{candidate.reason}"
        if _operations(made) <= MOST_OPERATIONS and _has_few_trees(model):
            return candidate
    try:
        return prepare(model, facts, backend="trees", plain=plain)
    except NotCompilableError as error:
        if _has_trees(model):
            return _as_onnx(model, _told(error), plain)
    return _as_onnx(model, why_not_sql, plain)


def _operations(made: Formula) -> int:
    return sum(1 for _ in walk((*made.outputs, made.taken)))


def _told(error: NotCompilableError) -> str:
    return str(error).removeprefix("[NOT_COMPILABLE] ").rstrip(".")


def _as_sql(model: ScoringModel, made: Formula) -> Prepared:
    size = bytecode(made, shared((*made.outputs, made.taken)))
    fused = size <= BUDGET
    where = "within" if fused else "beyond"
    reason = (
        f"an expression over {_count(len(made.inputs), 'input')}, about {size:,} bytes of "
        f"generated code, {where} the {BUDGET:,} of whole-stage code"
    )
    size += inputs_bytecode(made)
    return Prepared(model, "sql", reason, made.inputs, formula=made, fused=fused, size=size)


def _as_trees(model: ScoringModel, facts: Mapping[int, Fact], plain: bool) -> Prepared:
    smaller = pruned(model, facts)
    if facts and smaller is model:
        return prepare(model, backend="trees", plain=plain)
    trees, splits = ensemble_size(smaller)
    reason = f"{_count(trees, 'tree')} with {_count(splits, 'split')}, in the tree kernel"
    if smaller is not model:
        all_splits = _count(ensemble_size(model)[1], "split")
        reason += f"; of {all_splits} the query's filters decide the rest"
    return _in_python(smaller, "trees", reason, program, plain)


def ensemble_size(model: ScoringModel) -> tuple[int, int]:
    """Trees and splits of the graph's ensembles."""
    trees = splits = 0
    for node in onnx.load_from_string(model.onnx).graph.node:
        given = {a.name: a for a in node.attribute}
        if "tree_roots" in given:
            trees += len(given["tree_roots"].ints)
            splits += len(given["nodes_featureids"].ints)
        elif "nodes_treeids" in given:
            trees += len(set(given["nodes_treeids"].ints))
            splits += sum(mode != b"LEAF" for mode in given["nodes_modes"].strings)
    return trees, splits


def _as_onnx(model: ScoringModel, reason: str, plain: bool) -> Prepared:
    return _in_python(model, "onnx", reason, lambda made: made.onnx, plain)


def _in_python(
    model: ScoringModel,
    backend: Backend,
    reason: str,
    program_of: Callable[[ScoringModel], bytes],
    plain: bool,
) -> Prepared:
    outside = Coded(model, {}) if plain else coded(model)
    made, inputs = outside.model, inputs_given(model)
    key = f"{made.key} {backend} {inputs}"
    texts = {i: outside.texts[i] for i in inputs if i in outside.texts}
    return Prepared(made, backend, reason, inputs, program=program_of(made), key=key, texts=texts)


def _has_few_trees(model: ScoringModel) -> bool:
    trees, splits = ensemble_size(model)
    return trees <= FEW_TREES and splits <= FEW_SPLITS


def _has_trees(model: ScoringModel) -> bool:
    return b"TreeEnsemble" in model.onnx


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
