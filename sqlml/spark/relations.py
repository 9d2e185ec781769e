"""The registry's facts as relations, for clients that need a SELECT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlml import registry
from sqlml.compile import prepare
from sqlml.errors import ArgumentError, ModelNotConstantError
from sqlml.spark import internals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.spark.internals import Argument, Call


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
    """One row per input, in the order of positional calls, one per output, and the backend.

    With `extended => true` a column `value`, and a row for each property of the version.
    """
    arguments, extended = _without_extended(call)
    version = registry.resolve(_model_name(call, arguments))
    model = registry.read(version)
    signature, prepared = model.signature, prepare(model)
    rows: list[dict[str, Any]] = [
        {"role": "input", "name": i.name, "type": i.type, "missing_allowed": i.takes_missing}
        for i in signature.inputs
    ]
    rows += [{"role": "output", "name": o.name, "type": o.type} for o in signature.outputs]
    rows.append({"role": "backend", "name": prepared.backend, "type": prepared.reason})
    columns = "role STRING, name STRING, type STRING, missing_allowed BOOLEAN"
    if extended:
        rows += [
            {"role": "property", "name": name, "type": kind, "value": value}
            for name, kind, value in (
                *_properties(version),
                ("backend", "STRING", prepared.backend),
                ("backend_reason", "STRING", prepared.reason),
            )
        ]
        columns += ", value STRING"
    return internals.rows_plan(rows, columns, call.spark)


def _properties(version: registry.Version) -> list[tuple[str, str, str]]:
    """Name, type and text of each fact about a version."""
    report = registry.parity(version)
    return [
        ("model", "STRING", version.name),
        ("version", "INT", str(version.version)),
        ("aliases", "STRING", ", ".join(version.aliases)),
        ("task", "STRING", version.task),
        ("description", "STRING", version.description),
        ("created", "TIMESTAMP", version.created.isoformat()),
        ("sha256", "STRING", version.sha256),
        ("parity_ok", "BOOLEAN", str(version.parity_ok).lower()),
        ("rows_compared", "BIGINT", str(report["rows"])),
        ("max_abs_error", "DOUBLE", str(report["max_abs_error"])),
        ("source", "STRING", version.source),
        ("run_id", "STRING", version.run_id or ""),
    ]


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


def _without_extended(call: Call) -> tuple[list[Argument], bool]:
    """The arguments but for `extended => true`, and whether that was there."""
    rest = [a for a in call.arguments if (a.name or "").lower() != "extended" or not a.explicit]
    extended = next((a for a in call.arguments if a not in rest), None)
    return rest, extended is not None and extended.text.lower() == "true"


def _model_name(call: Call, arguments: Sequence[Argument] | None = None) -> str:
    given = call.arguments if arguments is None else arguments
    if len(given) != 1:
        raise ArgumentError(
            f"{call.function} takes one argument, the model. Write {call.function}('churn')."
        )
    name = internals.constant_text(given[0])
    if name is None:
        raise ModelNotConstantError(given[0].text, call.function)
    return name
