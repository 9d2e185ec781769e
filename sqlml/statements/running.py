"""What a command does: the registry is changed, and its answer becomes rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, assert_never

from sqlml import registry
from sqlml.errors import (
    ArgumentError,
    ModelExistsError,
    ModelNotFoundError,
    ModelRejectedError,
    ReferenceNotAllowedError,
    VersionNotFoundError,
)
from sqlml.model import ModelReference
from sqlml.publish import open_source, publish, read_labels
from sqlml.statements.commands import Command, CreateModel, DropModel, SetAlias, UnsetAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.registry import Version

Row = dict[str, Any]


def run(command: Command, read_table: Callable[[str], Any], trust_pickle: bool) -> list[Row]:
    """See `sqlml.statements.run`."""
    match command:
        case CreateModel():
            return [_create(command, read_table, trust_pickle)]
        case SetAlias(name, alias, version):
            registry.set_alias(name, alias, version)
            return [{"name": name, "alias": alias, "version": version}]
        case UnsetAlias(name, alias):
            registry.unset_alias(name, alias)
            return [{"name": name, "alias": alias, "version": None}]
        case DropModel():
            return _drop(command)
        case _:
            assert_never(command)


def _create(command: CreateModel, read_table: Callable[[str], Any], trust_pickle: bool) -> Row:
    registry.check_name(command.name, command.alias)
    alias = _alias(command)
    original = _published(command.source)
    if original is not None:
        version = _copy(original, command, alias)
    else:
        version = _publish(command, alias, read_table, trust_pickle)
    report = registry.parity(version)
    return {
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "task": version.task,
        "sha256": version.sha256,
        "rows_compared": report["rows"],
        "max_abs_error": report["max_abs_error"],
    }


def _alias(command: CreateModel) -> str | None:
    """The alias of the new version: what was asked for, else what the bare name needs.

    Raises `ModelExistsError` where the model is there and is not to be replaced.
    """
    try:
        known = registry.model(command.name)
    except ModelNotFoundError:
        return command.alias
    if not command.replace and known.latest_version is not None:
        raise ModelExistsError(command.name)
    if command.alias is None and known.champion_version is not None:
        return registry.DEFAULT_ALIAS
    return command.alias


def _published(source: str) -> Version | None:
    """The version that sqlml published, if that is the source."""
    if not source.startswith("models:/"):
        return None
    try:
        reference = ModelReference.parse(source)
    except ReferenceNotAllowedError:
        return None
    if str(reference).startswith("m-") and str(reference) == reference.name:
        return None  # MLflow's id of a logged model
    try:
        return registry.resolve(reference)
    except ModelRejectedError:
        return None


def _copy(original: Version, command: CreateModel, alias: str | None) -> Version:
    """The same verified bytes under another name, with the same report."""
    if command.sample is not None:
        raise ArgumentError(
            f"{command.source} is a published version: it is copied with its report, and has "
            "no original to compare a sample with. Leave sample out."
        )
    if command.labels is not None:
        raise ArgumentError(
            f"{command.source} is a published version, and has its labels. Leave labels out."
        )
    return registry.log(
        registry.read(original),
        command.name,
        parity_json=json.dumps(registry.parity(original)),
        alias=alias,
        description=command.description or original.description,
    )


def _publish(
    command: CreateModel,
    alias: str | None,
    read_table: Callable[[str], Any],
    trust_pickle: bool,
) -> Version:
    """Convert, verify and publish the source, as its author would in Python.

    Of a sample table, `publish` keeps some thousand rows: it holds them in the driver's
    memory, and scores them with the original.
    """
    model = open_source(command.source, trust_pickle=trust_pickle)
    if command.sample is not None:
        sample = read_table(command.sample)
    else:
        sample = registry.sample_of_source(command.source, "WITH (sample = 'your_table')")
    published = publish(
        model,
        command.name,
        sample=sample,
        alias=alias,
        description=command.description,
        labels=None if command.labels is None else read_labels(command.labels),
    )
    return registry.resolve(ModelReference(published.name, version=published.version))


def _drop(command: DropModel) -> list[Row]:
    try:
        versions = registry.drop(command.name, command.version)
    except (ModelNotFoundError, VersionNotFoundError):
        if command.if_exists:
            return []
        raise
    return [{"name": command.name, "versions": versions}]
