"""What the registry holds: references to versions, and the lists of both."""

from __future__ import annotations

import dataclasses
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from sqlml.errors import (
    AliasNotFoundError,
    ModelNotFoundError,
    ModelRejectedError,
    RegistryUnavailableError,
    SqlmlError,
    VersionNotFoundError,
)
from sqlml.model import ModelReference
from sqlml.registry import embedded
from sqlml.registry.contact import PATIENCE, ask, is_down

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

T = TypeVar("T")

_logger = logging.getLogger("sqlml.registry")

DEFAULT_ALIAS = "champion"

SHA256, METADATA_SHA256 = "sqlml.sha256", "sqlml.metadata_sha256"
PARITY, TASK = "sqlml.parity", "sqlml.task"


@dataclass(frozen=True, slots=True)
class Version:
    """One published version of a model. Equal bytes have equal `sha256`."""

    name: str
    version: int
    aliases: tuple[str, ...]
    sha256: str
    """Of model.onnx."""
    metadata_sha256: str
    """Of sqlml.json."""
    task: str
    parity_ok: bool
    created: datetime
    """In UTC."""
    description: str
    source: str
    """Where MLflow keeps the files: a URI."""
    run_id: str | None

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One registered model, for lists."""

    name: str
    latest_version: int | None
    champion_version: int | None
    task: str | None
    """Of the latest version; None where sqlml did not publish that one."""
    description: str
    created: datetime
    updated: datetime


# The last good answer for each reference, for the time when the registry is away.
_resolved: dict[tuple[str, ModelReference], Version] = {}


def resolve(reference: str | ModelReference) -> Version:
    """The one version that a reference names now.

    `churn` alone is the version under the alias `champion`, else the latest. While the
    registry does not answer, a reference that this process resolved before keeps its
    version, and a warning is logged.
    Raises `ModelNotFoundError`, `VersionNotFoundError`, `AliasNotFoundError`,
    `ModelRejectedError` for a version that sqlml did not publish,
    `ReferenceNotAllowedError`, and `RegistryUnavailableError`, all within 15 seconds.

        >>> resolve("churn@champion").version                          # doctest: +SKIP
        3
    """
    wanted = ModelReference.parse(reference) if isinstance(reference, str) else reference
    uri = registry_uri()
    try:
        known = None if is_down(uri) else embedded.find(uri, wanted, DEFAULT_ALIAS)
        version = _row(known) if known else asked(lambda client: _version(client, wanted))
    except RegistryUnavailableError as error:
        before = _resolved.get((uri, wanted))
        if before is None:
            raise
        _logger.warning("%s Going on with %s, as resolved before.", error, before)
        return before
    _resolved[uri, wanted] = version
    return version


def versions(name: str) -> list[Version]:
    """Every version of the model that sqlml published, the oldest first.

    Raises `ModelNotFoundError`, `ReferenceNotAllowedError`, `RegistryUnavailableError`.
    """
    name = ModelReference.parse(name).name

    def look(client: MlflowClient) -> list[Version]:
        aliases: dict[str, list[str]] = {}
        for alias, number in registered(client, name).aliases.items():
            aliases.setdefault(str(number), []).append(alias)
        rows = pages(client.search_model_versions, f"name='{name}'")
        found = [
            # A search leaves the aliases out.
            dataclasses.replace(_row(row), aliases=tuple(sorted(aliases.get(str(row.version), ()))))
            for row in rows
            if SHA256 in row.tags
        ]
        return sorted(found, key=lambda v: v.version)

    return asked(look)


def models() -> list[ModelRow]:
    """Every model in the registry, by name, those published without sqlml too.

    Raises `RegistryUnavailableError`.
    """
    return asked(
        lambda client: sorted(
            (_model_row(m) for m in pages(client.search_registered_models)), key=lambda m: m.name
        )
    )


def model(name: str) -> ModelRow:
    """One model of the registry, published without sqlml or not.

    Raises `ModelNotFoundError`, `RegistryUnavailableError`.
    """
    return asked(lambda client: _model_row(registered(client, name)))


def registry_uri() -> str:
    """The MLflow registry in use: MLflow's own setting, `mlflow.set_registry_uri` or
    MLFLOW_REGISTRY_URI, else the tracking URI.

    MLflow also takes one from the settings of the Spark session that Python used last; those are
    the client's to change, and where models come from is not.
    """
    tracking = embedded.tracking_uri()
    given = os.environ.get("MLFLOW_REGISTRY_URI")  # which set_registry_uri sets too
    if given or not tracking.startswith("databricks"):
        return given or tracking
    import mlflow

    return str(mlflow.get_registry_uri())


def asked(question: Callable[[MlflowClient], T], patience: float | None = PATIENCE) -> T:
    """The answer of MLflow's client; see `contact.ask`."""
    uri = registry_uri()
    return ask(uri, lambda: question(_client(embedded.tracking_uri(), uri)), patience)


@lru_cache(maxsize=8)
def _client(tracking: str, registry: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking, registry)


def _version(client: MlflowClient, wanted: ModelReference) -> Version:
    alias = wanted.alias if wanted.version is None else None
    if wanted.version is not None:
        found = _or_none(client.get_model_version, wanted.name, str(wanted.version))
    else:
        found = _or_none(client.get_model_version_by_alias, wanted.name, alias or DEFAULT_ALIAS)
    if found is None and wanted.version is None and alias is None:
        latest = registered(client, wanted.name).latest_versions
        found = max(latest, key=lambda v: int(v.version), default=None)
    if found is None:
        raise _not_found(client, wanted)
    return _row(found)


def _not_found(client: MlflowClient, wanted: ModelReference) -> SqlmlError:
    model = registered(client, wanted.name)
    if wanted.alias is not None:
        return AliasNotFoundError(wanted.name, wanted.alias, sorted(model.aliases))
    rows = pages(client.search_model_versions, f"name='{wanted.name}'")
    return VersionNotFoundError(
        wanted.name, wanted.version, sorted(int(row.version) for row in rows)
    )


def registered(client: MlflowClient, name: str) -> RegisteredModel:
    """What MLflow has of a model; raises `ModelNotFoundError`."""
    model = _or_none(client.get_registered_model, name)
    if model is None:
        known = [m.name for m in pages(client.search_registered_models)]
        raise ModelNotFoundError(name, known)
    return model


def _or_none(get: Callable[..., Any], *arguments: str) -> Any:
    """What MLflow has under a name, or None where it answers that there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return get(*arguments)
    except MlflowException as error:
        # A missing alias is an invalid parameter to some stores, to others a missing resource.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"):
            return None
        raise


def pages(search: Callable[..., Any], filter_string: str | None = None) -> Iterator[Any]:
    """Everything that a search of MLflow's client finds."""
    token = None
    while True:
        page = search(filter_string=filter_string, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _row(found: ModelVersion | embedded.Found) -> Version:
    tags = found.tags
    if SHA256 not in tags or METADATA_SHA256 not in tags:
        raise ModelRejectedError(
            f"Version {found.version} of {found.name!r} was not published with sqlml, and only "
            f"verified ONNX is scored. Publish it: sqlml publish models:/{found.name}/"
            f"{found.version} --name {found.name} --sample rows.parquet"
        )
    return Version(
        name=found.name,
        version=int(found.version),
        aliases=tuple(sorted(found.aliases)),
        sha256=tags[SHA256],
        metadata_sha256=tags[METADATA_SHA256],
        task=tags.get(TASK, "other"),
        parity_ok=tags.get(PARITY) == "ok",
        created=_utc(found.creation_timestamp),
        description=found.description or "",
        source=found.source,
        run_id=found.run_id or None,
    )


def _model_row(model: RegisteredModel) -> ModelRow:
    latest = max(model.latest_versions, key=lambda v: int(v.version), default=None)
    champion = model.aliases.get(DEFAULT_ALIAS)
    return ModelRow(
        name=model.name,
        latest_version=None if latest is None else int(latest.version),
        champion_version=None if champion is None else int(champion),
        task=None if latest is None else latest.tags.get(TASK),
        description=model.description or (latest.description if latest else None) or "",
        created=_utc(model.creation_timestamp),
        updated=_utc(model.last_updated_timestamp),
    )


def _utc(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
