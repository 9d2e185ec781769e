"""A model as Spark SQL that runs without this package: an expression, or a function of it.

The outputs follow from the raw results as in `spark/outputs.py`, the third time: here they are
expressions like the rest of the model, so that a tree has its labels in its leaves. Tests hold
them together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from sqlml.compile.expressions import Arena
from sqlml.compile.formula import formula, numpy_name, walk
from sqlml.compile.sql import check_length, not_null
from sqlml.compile.text import Writer, literal
from sqlml.errors import OutputMissingError, did_you_mean, listed, quoted
from sqlml.model import label_type
from sqlml.signature import struct_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlml.compile.expressions import Expr
    from sqlml.compile.formula import Formula
    from sqlml.model import ScoringModel
    from sqlml.signature import Input

RESERVED = frozenset(
    """
    all and any as authorization both call case cast check collate collation collations column
    constraint create cross current_catalog current_database current_date current_path
    current_schema current_time current_timestamp current_user distinct else end escape except
    execute false fetch filter for foreign from full grant group grouping__id having in inner
    intersect into is join lateral leading left localtime localtimestamp natural not null offset on
    only or order outer overlaps primary recursive references right select session_user some sql
    table then time to trailing true union unique unknown user using when where with within
    """.split()  # noqa: SIM905
)
"""Words that Spark may take for something else than a column: the reserved ones of its ANSI mode
(https://spark.apache.org/docs/latest/sql-ref-ansi-compliance.html), and functions that are
called without parentheses."""


_WIDTH = 96
_WORD = re.compile(r"(?:'(?:\\.|[^'\\])*'|`[^`]*`|[^\s'`])+", re.S)


def to_sql(scoring_model: ScoringModel, output: str | None = None) -> str:
    """A model as a Spark SQL expression over columns with the names of its inputs.

    It runs in any session of Spark 4, without this package, and gives the scores of PREDICT:
    NULL for the rows that the model does not take. `output` is one of the table form, or the
    probability of one label, `probabilities['yes']`; without it, what `predict` gives: a label,
    a number, a STRUCT of several outputs. The same model gives the same text.

    Raises `NotCompilableError`, which names the operator that has no form, or says that the
    text would be too long, and `OutputMissingError`.

    >>> from sklearn.tree import DecisionTreeClassifier
    >>> import numpy as np
    >>> from sqlml import convert
    >>> X, y = np.array([[1.0], [2.0]]), np.array(["no", "yes"])
    >>> print(to_sql(convert(DecisionTreeClassifier().fit(X, y), sample=X)))
    CASE WHEN CAST(x0 AS FLOAT) IS NOT NULL AND NOT isnan(CAST(x0 AS FLOAT)) THEN IF((CAST(x0 AS
    FLOAT) <= 1.5F), 'no', 'yes') END
    """
    made = formula(scoring_model)
    columns = [f"CAST({_name(i.name)} AS {i.wire})" for i in scoring_model.signature.inputs]
    return _text(made, scoring_model, _chosen(scoring_model, made, output), columns)


def create_function(
    scoring_model: ScoringModel, name: str, output: str | None = None, comment: str = ""
) -> str:
    """`to_sql` as a statement that makes a SQL function, with the model's inputs as parameters.

    `name` may have a schema before it. Raises what `to_sql` raises.
    """
    made = formula(scoring_model)
    chosen = _chosen(scoring_model, made, output)
    inputs = scoring_model.signature.inputs
    columns = [_parameter(i, name.split(".")[-1]) for i in inputs]
    body = _text(made, scoring_model, chosen, columns)
    parameters = ", ".join(f"{_name(i.name)} {i.type}" for i in inputs)
    return (
        f"CREATE FUNCTION {'.'.join(map(_name, name.split('.')))}({parameters})\n"
        f"RETURNS {chosen.type}\n"
        f"COMMENT {literal(comment, 'str')}\n"
        f"RETURN {body};"
    )


def _parameter(field: Input, function: str) -> str:
    name = _name(field.name)
    if field.name.lower() in RESERVED:  # a parameter `user` alone would be the function user()
        name = f"{_name(function)}.{name}"
    return name if field.type == field.wire else f"CAST({name} AS {field.wire})"


def _name(name: str) -> str:
    return f"`{name}`" if name.lower() in RESERVED else quoted(name)


# --- the text ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Output:
    """An output of a row that the model takes."""

    type: str
    cells: tuple[Expr, ...]
    form: Callable[..., str] = str
    """From the texts of the cells to that of the output."""


def _text(made: Formula, model: ScoringModel, output: _Output, columns: Sequence[str]) -> str:
    roots = (*output.cells, made.taken)
    check_length(roots)
    if made.taken.is_literal and not made.taken.value:
        return f"CAST(NULL AS {output.type})"
    fields, names = model.signature.inputs, dict(enumerate(columns))
    for x in walk(roots):
        if x.op == "input" and fields[x.value].takes_missing:
            names[x.value] = not_null(columns[x.value], x.dtype)
    writer = Writer(names)
    text = output.form(*map(writer.text, output.cells))
    if not made.taken.is_literal:
        tests = " AND ".join(_test(x, writer) for x in _parts(made.taken))
        text = f"CASE WHEN {tests} THEN {text} END"
    return _wrapped(text)


def _test(x: Expr, writer: Writer) -> str:
    """One input's part in whether a row is taken: NULL or false for a NULL that it does not take.

    Inputs that take no NULL stay NULL in the text, then: nothing else is computed of such a row.
    """
    if x.op == "not" and x.args[0].op == "isnan":
        text = writer.text(x.args[0].args[0])
        return f"{text} IS NOT NULL AND NOT isnan({text})"
    return writer.text(x)


def _parts(x: Expr) -> list[Expr]:
    """What must all be true."""
    found, left = [], [x]
    while left:
        part = left.pop()
        if part.op == "and":
            left.extend(reversed(part.args))
        else:
            found.append(part)
    return found


def _wrapped(text: str) -> str:
    """Lines for people, broken where there is a space outside of quotes."""
    lines = [""]
    for word in _WORD.findall(text):
        if len(lines[-1]) + len(word) >= _WIDTH:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


# --- the outputs ------------------------------------------------------------------------------


def _chosen(model: ScoringModel, made: Formula, output: str | None) -> _Output:
    outputs = _outputs(model, made)
    if output is None:
        predicted = model.signature.predicted
        return _struct(model, outputs) if predicted is None else outputs[predicted.name]
    if output not in outputs:
        raise OutputMissingError(
            f"The model has no output {output!r}.{did_you_mean(output, outputs)} "
            f"It has {listed(list(outputs))}."
        )
    return outputs[output]


def _struct(model: ScoringModel, outputs: Mapping[str, _Output]) -> _Output:
    parts = [(_name(o.name), outputs[o.name]) for o in model.signature.outputs]

    def form(*texts: str) -> str:
        left = iter(texts)
        fields = (f"{part.form(*islice(left, len(part.cells)))} AS {n}" for n, part in parts)
        return f"struct({', '.join(fields)})"

    cells = tuple(cell for _, part in parts for cell in part.cells)
    return _Output(struct_type(model.signature.outputs), cells, form)


def _outputs(model: ScoringModel, made: Formula) -> dict[str, _Output]:
    """What can be asked for, by name."""
    raw = {field.output.name: field.cells for field in made.fields}
    if model.task == "classification":
        return _classification(model, raw)
    outputs = model.signature.outputs
    if model.task == "regression" and len(outputs) > 1:
        targets = zip(outputs, raw["prediction"], strict=True)
        return {o.name: _Output(o.type, (cell,)) for o, cell in targets}
    return {
        o.name: _Output(o.type, raw[o.name], _call("array") if o.type.startswith("ARRAY<") else str)
        for o in outputs
    }


def _classification(model: ScoringModel, raw: Mapping[str, tuple[Expr, ...]]) -> dict[str, _Output]:
    arena, kind = Arena(), label_type(model.labels)
    labels = tuple(arena.literal(label, numpy_name(kind)) for label in model.labels)
    cells = raw.get("probabilities", ())
    if "probability_1" in raw:
        (second,) = raw["probability_1"]
        one = arena.literal(1, "float64")
        first = _at_leaves(arena, lambda p: arena.apply("sub", one, p), [second])
        cells = (first or arena.apply("sub", one, second), second)
    index = raw.get("label", ())
    outputs = {"prediction": _predicted(arena, kind, labels, cells, index)}
    if cells:
        outputs["probability"] = _predicted(arena, "DOUBLE", cells, cells, index)
        pairs = tuple(x for pair in zip(labels, cells, strict=True) for x in pair)
        outputs["probabilities"] = _Output(f"MAP<{kind}, DOUBLE>", pairs, _call("map"))
        for label, cell in zip(model.labels, cells, strict=True):
            text = literal(label, "str") if isinstance(label, str) else str(label).lower()
            outputs[f"probabilities[{text}]"] = _Output("DOUBLE", (cell,))
    return outputs


def _predicted(
    arena: Arena,
    kind: str,
    values: tuple[Expr, ...],
    cells: tuple[Expr, ...],
    index: tuple[Expr, ...],
) -> _Output:
    """That of `values`, one for each label, whose label is predicted.

    That is the first of the most probable ones, unless the graph gives the `index` itself. NaN
    is the largest of all numbers, for Spark and for numpy.argmax.
    """
    among = values if values is cells else ()

    def known(*given: Expr) -> Expr:
        """Of constants."""
        numbers = [x.value for x in given]
        place = int(numbers[0]) if index else int(np.argmax(numbers))
        return given[len(index) + place] if among else values[place]

    found = _at_leaves(arena, known, (*index, *among) if index else cells)
    if found is None and not index and len(cells) == 2:
        first, second = cells
        # Less than a half: then the second is more, and none of them is NaN.
        is_second = arena.apply("lt", first, arena.literal(0.5, "float64"))
        greater = arena.apply("max", second, first)
        found = greater if among else arena.apply("where", is_second, *reversed(values))
    if found is not None:
        return _Output(kind, (found,))
    if index:
        return _Output(kind, (*index, *values), _at)
    return _Output(kind, cells, _greatest) if among else _Output(kind, (*cells, *values), _first)


def _call(function: str) -> Callable[..., str]:
    return lambda *texts: f"{function}({', '.join(texts)})"


def _at(index: str, *values: str) -> str:
    return f"get(array({', '.join(values)}), CAST({index} AS INT))"


def _greatest(*cells: str) -> str:
    return f"array_max(array({', '.join(cells)}))"


def _first(*texts: str) -> str:
    """The label of the first of the greatest."""
    half = len(texts) // 2
    pairs = enumerate(zip(texts[:half], texts[half:], strict=True))
    rows = (f"struct({cell} AS p, {-i} AS place, {label} AS label)" for i, (cell, label) in pairs)
    return f"array_max(array({', '.join(rows)})).label"


def _at_leaves(arena: Arena, function: Callable[..., Expr], args: Sequence[Expr]) -> Expr | None:
    """A function of decision trees with the same tests, as one tree; None for anything else."""
    known: dict[tuple[Expr, ...], Expr | None] = {}

    def at(*args: Expr) -> Expr | None:
        if args not in known:
            known[args] = below(*args)
        return known[args]

    def below(*args: Expr) -> Expr | None:
        if all(x.is_literal for x in args):
            return function(*args)
        tests = {x.args[0] if x.op == "where" else None for x in args if not x.is_literal}
        test = tests.pop()
        if test is None or tests:
            return None
        yes, no = (at(*(x if x.is_literal else x.args[side] for x in args)) for side in (1, 2))
        return None if yes is None or no is None else arena.apply("where", test, yes, no)

    return at(*args)
