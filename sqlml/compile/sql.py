"""Formulas as SQL: in steps, for a plan; or as one expression, for a person."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from sqlml.compile.formula import walk
from sqlml.compile.guard import witness
from sqlml.compile.text import (
    SQL_TYPES,
    Writer,
    literal,
    place,
    places,
    shared,
    written_size,
)
from sqlml.errors import NotCompilableError
from sqlml.signature import MISSING_STRING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlml.compile.expressions import Expr
    from sqlml.compile.formula import Field, Formula

MAX_WRITTEN = 10_000
"""Nodes of one expression written out; more would take Spark seconds to read."""


Columns = dict[str, str]
"""Columns that are computed side by side: name → SQL."""


@functools.lru_cache(maxsize=64)
def steps(
    formula: Formula, read: tuple[tuple[int, str, str], ...], mark: str, *, fused: bool
) -> tuple[list[Columns], Columns]:
    """A formula as a chain of SELECTs, each over those before, and the raw results over them all.

    `read`: for each input that the formula reads, the SQL text of it in its wire type and, of a
    whole number, as a BIGINT. The
    names made here begin with `mark`. What is used more than once is a column of its own.
    Where it is not `fused`, each SELECT keeps itself out of whole-stage code.
    """
    inputs = _inputs(formula)
    columns = {index: text for index, text, _ in read}
    numbers = {index: text for index, _, text in read}
    names: dict[int, str] = {}
    first: Columns = {}
    looked_up = places(formula.outputs, formula.taken, formula.whole)
    for index, x in inputs.items():
        names[index] = f"{mark}_{index}"
        # A place is found here, and not in the model's own method, which is the shorter for it.
        by_place = x in looked_up
        text = place(numbers[index]) if by_place else not_null(columns[index], x.dtype)
        first[names[index]] = text
    if not fused:
        column = next(iter(first.values()))
        lambda_ = f"zip_with(array({column}), array({column}), (x, y) -> true)[0]"
        first[f"{mark}_never"] = f"({_never(list(inputs.values()), first.values())}) AND {lambda_}"

    def step(text: str, kind: str) -> str:
        return text if fused else _apart(text, kind, mark, next(iter(names.values())))

    found = witness(formula)
    known: dict[Expr, str] = {}
    depth: dict[Expr, int] = {}
    levels: dict[int, Columns] = {}
    written = shared([*formula.outputs, formula.taken], found[1:] if found else ())
    for number, x in enumerate(written):
        within = [depth[y] for y in walk(x.args) if y in depth]
        depth[x] = 1 + max(within, default=0)
        text, known[x] = Writer(names, known, looked_up).text(x), f"{mark}_s{number}"
        levels.setdefault(depth[x], {})[known[x]] = step(text, SQL_TYPES[x.dtype])
    if found is not None:
        test, value = found
        writer, zero = Writer(names, known, looked_up), literal(0, value.dtype)
        quick = {test: f"({writer.text(value)} * {zero} = {zero} OR {writer.text(test)})"}
        text = Writer(names, known | quick, looked_up).text(formula.taken)
        # A column: the inputs end here, and are not handed on to where the results are made.
        known[formula.taken] = f"{mark}_taken"
        below = [depth[y] for y in walk([value, formula.taken]) if y in depth]
        level = levels.setdefault(1 + max(below, default=0), {})
        level[known[formula.taken]] = step(text, "BOOLEAN")
    writer = Writer(names, known, looked_up)
    results = {
        f.output.name: step(_field(f, formula.taken, writer), f.output.type) for f in formula.fields
    }
    return [*([first] if first else []), *(levels[i] for i in sorted(levels))], results


def _never(inputs: Sequence[Expr], columns: Iterable[str]) -> str:
    """A condition that no row meets, which Spark does not see even where it knows some values."""
    tests = []
    for x, text in zip(inputs, columns, strict=True):
        if x.dtype == "str":
            tests.append(f"{text} < ''")
        elif x.dtype == "bool":
            tests.append(f"{text} < false")
        elif x.dtype.startswith("float"):
            tests.append(f"abs({text}) < {literal(0, x.dtype)}")
        else:
            tests.append(f"({text} & {literal(1, x.dtype)}) < {literal(0, x.dtype)}")
    return " OR ".join(tests)


def _apart(text: str, kind: str, mark: str, column: str) -> str:
    """The same, but Spark cannot fuse it: an operator that it has no code for is in a branch
    that is never taken.

    The projection then leaves whole-stage code, and is compiled as many small methods. Of the
    functions with a lambda, Spark 4.3 has code for transform, filter and exists, but not for
    zip_with. Every column has one, since those that nobody asks for are pruned.
    """
    never = f"zip_with(array({column}), array({column}), (x, y) -> CAST(NULL AS {kind}))[0]"
    return f"IF({mark}_never, {never}, {text})"


def expression(formula: Formula, field: Field, columns: Mapping[int, str]) -> str:
    """One raw result as one expression over columns as in `steps`, none of them NULL unread.

    Raises `NotCompilableError` where it would be too long for anyone.
    """
    check_length([*field.cells, formula.taken])
    inputs = _inputs(formula)
    names = {index: not_null(columns[index], x.dtype) for index, x in inputs.items()}
    return _field(field, formula.taken, Writer(names))


def check_length(roots: Sequence[Expr]) -> None:
    """`NotCompilableError` for what would be too long, written as one expression."""
    size = written_size(roots)
    if size > MAX_WRITTEN:
        raise NotCompilableError(
            f"As one expression the model would have {size:,} operations, and {MAX_WRITTEN:,} "
            "are the most. PREDICT scores it."
        )


def _inputs(formula: Formula) -> dict[int, Expr]:
    found = {x.value: x for x in walk((*formula.outputs, formula.taken)) if x.op == "input"}
    return dict(sorted(found.items()))


def not_null(text: str, dtype: str) -> str:
    """NULL as the value that stands for it, where the type has one."""
    if dtype == "str":
        return f"coalesce({text}, {literal(MISSING_STRING, 'str')})"
    if dtype.startswith("float"):
        return f"coalesce({text}, CAST('NaN' AS {SQL_TYPES[dtype]}))"
    return text


def _field(field: Field, taken: Expr, writer: Writer) -> str:
    cells = [writer.text(cell) for cell in field.cells]
    is_array = field.output.type.startswith("ARRAY<")
    text = f"array({', '.join(cells)})" if is_array else cells[0]
    if taken.is_literal:
        return text if taken.value else f"CAST(NULL AS {field.output.type})"
    return f"CASE WHEN {writer.text(taken)} THEN {text} END"
