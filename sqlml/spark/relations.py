"""The registry's facts as relations, for clients that need a SELECT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlml import registry
from sqlml.errors import ArgumentError, ModelNotConstantError
from sqlml.spark import internals

if TYPE_CHECKING:
    from sqlml.spark.internals import Call


def models(call: Call) -> internals.Plan:
    """One row per model of the registry."""
    if call.arguments:
        raise ArgumentError("models() takes no arguments.")
    rows = [
        {
            "name": m.name,
            "latest_version": m.latest_version,
            "champion_version": m.champion_version,
            "task": m.task,
            "description": m.description,
            "created": m.created.isoformat(),
            "updated": m.updated.isoformat(),
        }
        for m in registry.models()
    ]
    return internals.rows_plan(
        rows,
        "name STRING, latest_version INT, champion_version INT, task STRING, "
        "description STRING, created TIMESTAMP, updated TIMESTAMP",
        call.spark,
    )


def model_versions(call: Call) -> internals.Plan:
    """One row per version of a model, the oldest first."""
    rows = [
        {
            "name": v.name,
            "version": v.version,
            "aliases": list(v.aliases),
            "task": v.task,
            "parity_ok": v.parity_ok,
            "sha256": v.sha256,
            "description": v.description,
            "created": v.created.isoformat(),
        }
        for v in registry.versions(_model_name(call))
    ]
    return internals.rows_plan(
        rows,
        "name STRING, version INT, aliases ARRAY<STRING>, task STRING, parity_ok BOOLEAN, "
        "sha256 STRING, description STRING, created TIMESTAMP",
        call.spark,
    )


def describe_model(call: Call) -> internals.Plan:
    """One row per input, in the order of positional calls, then one per output."""
    signature = registry.load(_model_name(call)).signature
    rows: list[dict[str, Any]] = [
        {"role": "input", "name": i.name, "type": i.type, "missing_allowed": i.takes_missing}
        for i in signature.inputs
    ]
    rows += [{"role": "output", "name": o.name, "type": o.type} for o in signature.outputs]
    return internals.rows_plan(
        rows, "role STRING, name STRING, type STRING, missing_allowed BOOLEAN", call.spark
    )


def model_parity(call: Call) -> internals.Plan:
    """One row: how the published model was compared with the original."""
    version = registry.resolve(_model_name(call))
    report = registry.parity(version)
    row = {
        "name": version.name,
        "version": version.version,
        "ok": report["ok"],
        "rows_compared": report["rows"],
        "label_mismatches": report["label_mismatches"],
        "max_abs_error": report["max_abs_error"],
        "max_rel_error": report["max_rel_error"],
        "bound": report["bound"],
        "versions": report["versions"],
        "checked": report["created"],
    }
    return internals.rows_plan(
        [row],
        "name STRING, version INT, ok BOOLEAN, rows_compared BIGINT, label_mismatches BIGINT, "
        "max_abs_error DOUBLE, max_rel_error DOUBLE, bound DOUBLE, versions MAP<STRING, STRING>, "
        "checked TIMESTAMP",
        call.spark,
    )


def _model_name(call: Call) -> str:
    if len(call.arguments) != 1:
        raise ArgumentError(
            f"{call.function} takes one argument, the model. Write {call.function}('churn')."
        )
    name = internals.constant_text(call.arguments[0])
    if name is None:
        raise ModelNotConstantError(call.arguments[0].text, call.function)
    return name
