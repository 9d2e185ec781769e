"""PREDICT: the table form and the scalar forms, as rewrites of the plan at analysis.

The name is resolved to one version, the inputs are bound, and what is returned is plain
Catalyst around one Arrow UDF; the optimizer does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlml import registry
from sqlml.compile import Prepared, prepare, prepare_for_python
from sqlml.compile.codes import as_sql
from sqlml.compile.cost import has_room, is_small
from sqlml.compile.sql import expression, steps
from sqlml.compile.text import written_size
from sqlml.errors import (
    ArgumentError,
    ModelNotConstantError,
    OutputMissingError,
    OutputNameClashError,
    quoted,
)
from sqlml.spark import internals, outputs, tsql
from sqlml.spark.binding import Offer, bind_arguments, bind_columns
from sqlml.spark.distribute import raw_udf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.model import ScoringModel
    from sqlml.spark.internals import Argument, Call

_Derived = Callable[[outputs.Raw], Mapping[str, str]]

_TABLE_FORM = "PREDICT('churn', TABLE(customers))"
_ORDER = ("model", "data", "prefix")
_OPTIONS = ("backend",)
MOST_WRITTEN = 600
"""Operations of an expression that the scalar form repeats where its outputs need it again."""
_TEXT = "sqlml_text"
_TSQL_ARGUMENTS = ("outputs", "data_alias", "alias")
_EXAMPLES = dict.fromkeys(_TSQL_ARGUMENTS, "'…'") | {"prefix": "'churn_'", "backend": "'sql'"}


def predict_table(call: Call) -> internals.Plan:
    """`PREDICT(model, TABLE(…) [, prefix => '…'])`: every input column, then the outputs."""
    given = _table_arguments(call)
    model = _resolve(given.model, "PREDICT")
    inputs = model.scoring.signature.inputs
    columns = internals.plan_columns(given.data, call.spark)
    offers = [Offer(name, kind, quoted(name)) for name, kind in columns]
    case_sensitive = call.case_sensitive
    places = bind_columns(model.reference, inputs, offers, case_sensitive=case_sensitive)
    known = internals.facts(given.data, call.spark)
    facts = {i: known[place] for i, place in enumerate(places) if place in known}
    prepared = prepare(model.scoring, facts, given.backend)
    fused = prepared.formula is not None and prepared.fused
    is_crowded = fused and not has_room([kind for _, kind in columns], len(prepared.inputs))
    more = f"; outside of it beside {len(columns)} columns" if is_crowded else ""
    _note("PREDICT", model.reference, prepared, more)
    named = {i: f"`{columns[place][0].replace('`', '``')}`" for i, place in enumerate(places)}
    casts = {i: f"CAST({named[i]} AS {field.wire})" for i, field in enumerate(inputs)}

    def score(derived: _Derived) -> internals.Plan:
        if prepared.formula is not None:
            whole = {i: f"CAST({named[i]} AS BIGINT)" for i in prepared.formula.whole}
            read = tuple((i, casts[i], whole.get(i, "")) for i in prepared.formula.inputs)
            together = fused and not is_crowded
            chain, results = steps(prepared.formula, read, internals.MARK, fused=together)
            small = together and is_small(prepared.size, len(columns))
            return internals.compute(
                given.data, chain, results, derived, call.spark, fused=together, small=small
            )
        shipped = [
            as_sql(casts[i], inputs[i], prepared.texts[i]) if i in prepared.texts else casts[i]
            for i in prepared.inputs
        ]

        def from_raw(raw: str) -> Mapping[str, str]:
            return derived(outputs.fields_of(model.scoring, raw))

        return internals.score(given.data, shipped, raw_udf(prepared), from_raw, call.spark)

    if given.outputs is not None:
        return _tsql_form(call, given, columns, model, score)
    names = [given.prefix + o.name for o in model.scoring.signature.outputs]
    taken = {n if case_sensitive else n.lower() for n, _ in columns}
    clashing = [n for n in names if (n if case_sensitive else n.lower()) in taken]
    if clashing:
        raise OutputNameClashError(model.reference, clashing)

    def derived(fields: outputs.Raw) -> dict[str, str]:
        made = outputs.derive(model.scoring, fields)
        return {given.prefix + name: column for name, column in made.items()}

    return score(derived)


def _tsql_form(
    call: Call,
    given: _TableArguments,
    columns: Sequence[tuple[str, str]],
    model: _Resolved,
    score: Callable[[_Derived], internals.Plan],
) -> internals.Plan:
    """The columns that WITH names, under an alias of their own beside the data's."""
    named = internals.columns_of(given.outputs or "", call.spark)
    # The data may have columns of these names: d.score and p.score are two.
    hidden = {name: f"{internals.MARK}_out{i}" for i, (name, _) in enumerate(named)}

    def derived(fields: outputs.Raw) -> dict[str, str]:
        made = tsql.derive(model.scoring, model.reference, fields, named)
        return {hidden[name]: column for name, column in made.items()}

    data = [(name, name, given.data_alias) for name, _ in columns]
    scores = [(hidden[name], name, given.alias) for name, _ in named]
    return internals.renamed(score(derived), [*data, *scores], call.spark)


def predict_scalar(call: Call) -> internals.Expression:
    """`predict(model, …)`: the prediction."""
    return _scalar(call, outputs.predict)


def predict_proba(call: Call) -> internals.Expression:
    """`predict_proba(model, …)`: the probability of each label, as a map."""

    def probabilities(model: ScoringModel, fields: outputs.Raw) -> str:
        if not model.has_probabilities or model.task != "classification":
            raise OutputMissingError(
                f"predict_proba needs a classifier with probabilities; model "
                f"{call.arguments[0].text} is for {model.task.replace('_', ' ')} and gives "
                f"{', '.join(o.name for o in model.signature.outputs)}. Use predict."
            )
        return outputs.derive(model, fields)["probabilities"]

    return _scalar(call, probabilities)


@dataclass(frozen=True)
class _Resolved:
    reference: str
    scoring: ScoringModel


@dataclass(frozen=True)
class _TableArguments:
    model: Argument
    data: internals.Plan
    prefix: str = ""
    backend: str | None = None
    # What `statements` makes of the T-SQL form.
    outputs: str | None = None
    data_alias: str = ""
    alias: str = ""


def _table_arguments(call: Call) -> _TableArguments:
    given: dict[str, Argument] = {}
    for place, argument in enumerate(call.arguments):
        if argument.explicit:
            name = (argument.name or "").lower()
        elif place < len(_ORDER):
            name = _ORDER[place]
        else:
            raise ArgumentError(f"PREDICT takes a model, a table and a prefix. Write {_TABLE_FORM}")
        if name not in (*_ORDER, *_OPTIONS, *_TSQL_ARGUMENTS):
            raise ArgumentError(
                f"PREDICT has no argument {argument.name!r}; it takes MODEL, DATA, prefix and "
                f"backend. Write {_TABLE_FORM}"
            )
        if name in given:
            raise ArgumentError(f"PREDICT was given {name.upper()} twice. Write {_TABLE_FORM}")
        given[name] = argument
    for name in ("model", "data"):
        if name not in given:
            raise ArgumentError(f"PREDICT lacks its {name.upper()}. Write {_TABLE_FORM}")
    if given["data"].type != "TABLE":
        raise ArgumentError(
            f"The DATA of PREDICT must be a table, found {given['data'].text}. "
            f"Write {_TABLE_FORM} or TABLE(SELECT …)."
        )
    texts = {}
    for name in given.keys() - {"model", "data"}:
        text = internals.constant_text(given[name])
        if text is None:
            raise ArgumentError(
                f"The {name} of PREDICT must be a constant string, found {given[name].text}. "
                f"Write {name} => {_EXAMPLES[name]}."
            )
        texts[name] = text
    return _TableArguments(given["model"], given["data"].handle, **texts)


def _scalar(call: Call, output: Callable[[ScoringModel, outputs.Raw], str]) -> internals.Expression:
    if not call.arguments:
        raise ArgumentError(
            f"{call.function} lacks its model. Write {call.function}('churn', age, plan)."
        )
    model = _resolve(call.arguments[0], call.function)
    inputs = model.scoring.signature.inputs
    arguments: Sequence[Argument] = call.arguments[1:]
    if len(arguments) == 1 and arguments[0].type == "STRUCT" and not arguments[0].explicit:
        arguments = internals.struct_fields(arguments[0], call.spark)
    offers = [Offer(a.name, a.type, a.text, a.explicit) for a in arguments]
    places = bind_arguments(model.reference, inputs, offers, case_sensitive=call.case_sensitive)
    prepared = _for_expression(model.scoring)
    _note(call.function, model.reference, prepared)
    if prepared.formula is not None:
        names = {i: f"sqlml_input_{i}" for i in prepared.inputs}
        casts = {i: f"CAST({name} AS {inputs[i].wire})" for i, name in names.items()}
        values = {name: arguments[places[i]].handle for i, name in names.items()}
        made = prepared.formula
        fields = {f.output.name: f"({expression(made, f, casts)})" for f in made.fields}
        return internals.filled(output(model.scoring, fields), values, call.spark)
    columns = []
    for i in prepared.inputs:
        argument, wire = arguments[places[i]], inputs[i].wire
        if i in prepared.texts:
            text = as_sql(f"CAST({_TEXT} AS STRING)", inputs[i], prepared.texts[i])
            number = internals.filled(text, {_TEXT: argument.handle}, call.spark)
            columns.append(internals.column_of(number, call.spark))
            continue
        column = internals.column_of(argument.handle, call.spark)
        columns.append(column if argument.type == wire else column.cast(wire))
    raw = internals.expression_of(raw_udf(prepared)(*columns), call.spark)
    text = output(model.scoring, outputs.fields_of(model.scoring, "sqlml_raw"))
    return internals.filled(text, {"sqlml_raw": raw}, call.spark)


def _for_expression(model: ScoringModel) -> Prepared:
    """The backend for the scalar forms: an expression only where it may be repeated."""
    prepared = prepare(model)
    if prepared.formula is None:
        return prepared
    written = written_size([*prepared.formula.outputs, prepared.formula.taken])
    short = prepared.fused and written <= MOST_WRITTEN
    return prepared if short else prepare_for_python(model)


def _note(function: str, reference: str, prepared: Prepared, more: str = "") -> None:
    """What EXPLAIN says of a call."""
    why = prepared.reason + more
    internals.note(f"{function}('{reference}'): backend {prepared.backend}, {why}")


def _resolve(argument: Argument, function: str) -> _Resolved:
    reference = internals.constant_text(argument)
    if reference is None:
        raise ModelNotConstantError(argument.text, function)
    return _Resolved(reference, registry.load(reference))
