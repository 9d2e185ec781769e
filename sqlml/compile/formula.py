"""A model as formulas over its inputs: its raw results, and which rows it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx

from sqlml import types
from sqlml.compile.expressions import Arena, Expr
from sqlml.compile.operators import read_graph
from sqlml.errors import NotCompilableError
from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlml.compile.facts import Fact
    from sqlml.model import ScoringModel
    from sqlml.signature import Input, Output


@dataclass(frozen=True, slots=True)
class Field:
    """One raw result (see `ScoringModel.raw`)."""

    output: Output
    cells: tuple[Expr, ...]
    """One, or the elements of an array."""


@dataclass(frozen=True, slots=True)
class Formula:
    """What a model computes for a row, as expressions over its inputs in their wire types."""

    fields: tuple[Field, ...]
    taken: Expr
    """Whether the model takes the row at all; where it does not, every field is NULL."""
    whole: frozenset[int] = frozenset()
    """The inputs, by number, that are whole numbers in SQL."""

    @property
    def outputs(self) -> tuple[Expr, ...]:
        """The cells of all fields."""
        return tuple(cell for field in self.fields for cell in field.cells)

    @property
    def inputs(self) -> tuple[int, ...]:
        """The inputs that are read, in order: those with no weight, in no split, are not."""
        found = {x.value for x in walk((*self.outputs, self.taken)) if x.op == "input"}
        return tuple(sorted(found))


def formula(model: ScoringModel, facts: Mapping[int, Fact] | None = None) -> Formula:
    """A model as formulas; `facts` are what a query's filters leave of its inputs, by number.

    Raises `NotCompilableError`, which names the operator that has no form.
    """
    arena = Arena()
    fields = model.signature.inputs
    inputs = _inputs(model, arena)
    found = _tensors(model, arena, inputs, [t.name for t in model.tensors])
    made = []
    for tensor, raw in zip(model.tensors, model.raw, strict=True):
        cells = found[tensor.name]
        if raw.name == "probability_1":
            cells = cells[1:]
        kind = raw.type.removeprefix("ARRAY<").removesuffix(">")
        made.append(Field(raw, tuple(arena.cast(c, numpy_name(kind)) for c in cells)))
    finite = [x for f, x in zip(fields, inputs, strict=True) if _needs_only_finite(f, x)]
    tests = [_all_finite(arena, [x for x in finite if x.dtype == kind]) for kind in _FLOATS]
    for field, x in zip(fields, inputs, strict=True):
        if x not in finite:
            tests.append(_taken(arena, field, x))
    whole = frozenset(i for i, field in enumerate(fields) if field.type in types.INTEGERS)
    plain = Formula(tuple(made), arena.balanced("and", tests), whole)
    return _specialised(plain, facts) if facts else plain


def cells(model: ScoringModel, names: Sequence[str]) -> list[Expr]:
    """The elements of some tensors of a model's graph. Raises as `formula`."""
    arena = Arena()
    tensors = _tensors(model, arena, _inputs(model, arena), names)
    return [cell for tensor in tensors.values() for cell in tensor]


def _inputs(model: ScoringModel, arena: Arena) -> list[Expr]:
    fields = model.signature.inputs
    arrays = [field.name for field in fields if field.width is not None]
    if arrays:
        raise NotCompilableError(f"Input {arrays[0]!r} is an ARRAY, which has no form in SQL.")
    return [arena.input(i, numpy_name(field.wire)) for i, field in enumerate(fields)]


def _tensors(
    model: ScoringModel, arena: Arena, inputs: Sequence[Expr], names: Sequence[str]
) -> dict[str, list[Expr]]:
    proto = onnx.load_from_string(model.onnx)
    initialised = {t.name for t in proto.graph.initializer}
    given = [i.name for i in proto.graph.input if i.name not in initialised]
    found = read_graph(proto, arena, dict(zip(given, inputs, strict=True)), names)
    return {name: list(found[name].cells.flat) for name in names}


def _specialised(plain: Formula, facts: Mapping[int, Fact]) -> Formula:
    """What the facts leave of a formula. It adds up in the same order, to the same bits."""
    arena, made = Arena(facts), dict[Expr, Expr]()
    work = [(x, False) for x in (*plain.outputs, plain.taken)]
    while work:
        x, is_ready = work.pop()
        if x in made:
            continue
        if is_ready:
            made[x] = arena.again(x, [made[a] for a in x.args])
        else:
            work += [(x, True), *((a, False) for a in x.args)]
    fields = tuple(Field(f.output, tuple(made[c] for c in f.cells)) for f in plain.fields)
    return Formula(fields, made[plain.taken], plain.whole)


_FLOATS = ("float32", "float64")


def _needs_only_finite(field: Input, x: Expr) -> bool:
    unbounded = not field.has_limits and field.categories is None and field.below is None
    refuses = not (field.takes_missing or field.takes_infinite)
    return x.dtype in _FLOATS and refuses and unbounded


def _all_finite(arena: Arena, inputs: Sequence[Expr]) -> Expr:
    """Zero times NaN or infinity is NaN: one sum in the place of a test for each input."""
    if not inputs:
        return arena.literal(True, "bool")
    zero = arena.literal(0, inputs[0].dtype)
    nothing = arena.balanced("add", [arena.apply("mul", x, zero) for x in inputs])
    return arena.apply("eq", nothing, zero)


def _taken(arena: Arena, field: Input, x: Expr) -> Expr:
    """The rows that one input does not rule out; the twin of `score.conform`."""
    yes = arena.literal(True, "bool")
    if x.dtype == "str":
        missing = arena.equal_to(x, MISSING_STRING)
    elif x.dtype.startswith("float"):
        missing = arena.apply("isnan", x)
    else:
        missing = arena.apply("not", arena.present(x))
    found = yes if field.takes_missing else arena.apply("not", missing)
    if x.dtype.startswith("float"):
        # Comparisons are false for NaN too, which makes the test for it idle.
        within = _within(arena, field, x)
        if within is not None:
            if field.takes_infinite:
                infinite = arena.literal(np.inf, x.dtype)
                either = arena.apply("eq", arena.apply("abs", x), infinite)
                within = arena.apply("or", within, either)
            found = arena.apply("or", within, missing) if field.takes_missing else within
    if field.categories is not None:
        keys = dict.fromkeys(field.categories, True)
        known = arena.lookup(x, keys, False, "bool")
        if field.takes_missing:
            known = arena.apply("or", known, missing)
        found = arena.apply("and", found, known)
    if field.below is not None:
        low, high = arena.literal(0, x.dtype), arena.literal(field.below - 1, x.dtype)
        index = arena.apply("and", arena.apply("le", low, x), arena.apply("le", x, high))
        found = arena.apply("and", found, index)
    return found


def _within(arena: Arena, field: Input, x: Expr) -> Expr | None:
    """Whether a number is none of those that are ruled out; None where no number is."""
    ends = None if field.takes_infinite else float(np.finfo(x.dtype).max)
    if not field.has_limits:
        if ends is None:
            return None
        return arena.apply("le", arena.apply("abs", x), arena.literal(ends, x.dtype))
    largest = ends if field.largest is None else field.largest
    smallest = ends if field.smallest is None else -field.smallest
    tests = []
    if largest is not None:
        tests.append(arena.apply("le", x, arena.literal(largest, x.dtype)))
    if smallest is not None:
        tests.append(arena.apply("le", arena.literal(-smallest, x.dtype), x))
    return arena.balanced("and", tests)


def numpy_name(sql: str) -> str:
    """NumPy's name of a Spark SQL type of the type table.

    >>> numpy_name("DOUBLE"), numpy_name("STRING")
    ('float64', 'str')
    """
    return "str" if sql == "STRING" else types.SCALARS[sql].arrow


def walk(outputs: Iterable[Expr]) -> Iterable[Expr]:
    """Every expression below some others, and these, once."""
    seen: set[Expr] = set()
    stack = list(outputs)
    while stack:
        x = stack.pop()
        if x not in seen:
            seen.add(x)
            yield x
            stack.extend(x.args)
