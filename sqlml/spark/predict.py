"""PREDICT: the table form and the scalar forms, as rewrites of the plan at analysis.

The name is resolved to one version, the inputs are bound, and what is returned is plain
Catalyst around one Arrow UDF; the optimizer does the rest.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlml import registry
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
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import Column

    from sqlml.model import ScoringModel
    from sqlml.spark.internals import Argument, Call

_TABLE_FORM = "PREDICT('churn', TABLE(customers))"
_ORDER = ("model", "data", "prefix")
_TSQL_ARGUMENTS = ("outputs", "data_alias", "alias")


def predict_table(call: Call) -> internals.Plan:
    """`PREDICT(model, TABLE(…) [, prefix => '…'])`: every input column, then the outputs."""
    given = _table_arguments(call)
    model = _resolve(given.model, "PREDICT")
    inputs = model.scoring.signature.inputs
    columns = internals.plan_columns(given.data, call.spark)
    offers = [Offer(name, kind, quoted(name)) for name, kind in columns]
    places = bind_columns(model.reference, inputs, offers, case_sensitive=call.case_sensitive)
    casts = [
        f"CAST(`{columns[place][0].replace('`', '``')}` AS {field.wire})"
        for field, place in zip(inputs, places, strict=True)
    ]

    def score(derived: Callable[[Column], Mapping[str, Column]]) -> internals.Plan:
        return internals.score(given.data, casts, raw_udf(model.scoring), derived, call.spark)

    if given.outputs is not None:
        return _tsql_form(call, given, columns, model, score)
    names = [given.prefix + o.name for o in model.scoring.signature.outputs]
    taken = {n if call.case_sensitive else n.lower() for n, _ in columns}
    clashing = [n for n in names if (n if call.case_sensitive else n.lower()) in taken]
    if clashing:
        raise OutputNameClashError(model.reference, clashing)

    def derived(raw: Column) -> dict[str, Column]:
        made = outputs.derive(model.scoring, raw)
        return {given.prefix + name: column for name, column in made.items()}

    return score(derived)


def _tsql_form(
    call: Call,
    given: _TableArguments,
    columns: Sequence[tuple[str, str]],
    model: _Resolved,
    score: Callable[[Callable[[Column], Mapping[str, Column]]], internals.Plan],
) -> internals.Plan:
    """The columns that WITH names, under an alias of their own beside the data's."""
    named = internals.columns_of(given.outputs or "", call.spark)
    # The data may have columns of these names: d.score and p.score are two.
    hidden = {name: f"sqlml_{i}_{uuid.uuid4().hex[:8]}" for i, (name, _) in enumerate(named)}

    def derived(raw: Column) -> dict[str, Column]:
        made = tsql.derive(model.scoring, model.reference, raw, named)
        return {hidden[name]: column for name, column in made.items()}

    data = [
        (name, name, given.data_alias) for name, _ in internals.plan_columns(given.data, call.spark)
    ]
    scores = [(hidden[name], name, given.alias) for name, _ in named]
    return internals.renamed(score(derived), [*data, *scores], call.spark)


def predict_scalar(call: Call) -> internals.Expression:
    """`predict(model, …)`: the prediction."""
    return _scalar(call, outputs.predict)


def predict_proba(call: Call) -> internals.Expression:
    """`predict_proba(model, …)`: the probability of each label, as a map."""

    def probabilities(model: ScoringModel, raw: Column) -> Column:
        if not model.has_probabilities or model.task != "classification":
            raise OutputMissingError(
                f"predict_proba needs a classifier with probabilities; model "
                f"{call.arguments[0].text} is for {model.task.replace('_', ' ')} and gives "
                f"{', '.join(o.name for o in model.signature.outputs)}. Use predict."
            )
        return outputs.derive(model, raw)["probabilities"]

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
        if name not in (*_ORDER, *_TSQL_ARGUMENTS):
            raise ArgumentError(
                f"PREDICT has no argument {argument.name!r}; it takes MODEL, DATA and prefix. "
                f"Write {_TABLE_FORM}"
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
                f"Write {name} => 'churn_'."
            )
        texts[name] = text
    return _TableArguments(given["model"], given["data"].handle, **texts)


def _scalar(call: Call, output: Callable[[ScoringModel, Column], Column]) -> internals.Expression:
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
    columns = []
    for field, place in zip(inputs, places, strict=True):
        column = internals.column_of(arguments[place].handle, call.spark)
        narrow = arguments[place].type == field.wire
        columns.append(column if narrow else column.cast(field.wire))
    raw = raw_udf(model.scoring)(*columns)
    return internals.expression_of(output(model.scoring, raw), call.spark)


def _resolve(argument: Argument, function: str) -> _Resolved:
    reference = internals.constant_text(argument)
    if reference is None:
        raise ModelNotConstantError(argument.text, function)
    return _Resolved(reference, registry.load(reference))
