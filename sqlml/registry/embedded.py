"""The embedded registry, read as SQLite: what a query asks of it, without MLflow's client.

Importing MLflow and opening its stores takes two seconds, in which the first query of every
process would wait. A registry in SQLite, which is MLflow's default, is a file beside the data, so
one version is looked up in its tables, and its files are read where they lie. Nothing is written
here, and nothing is answered but "this version": whatever is not as expected (another store,
another schema, workspaces, a locked file, no such version) is None, and MLflow's to answer.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    from sqlml.model import ModelReference

SCHEMAS = frozenset({"dc11669786a5"})
"""The revisions of MLflow's tables that are known here, as its `alembic_version` names them."""

_LOCKED = 0.5
"""Seconds to wait for a writer; MLflow's client waits longer."""


@dataclass(frozen=True, slots=True)
class Found:
    """A version as its tables have it; the names are those of MLflow's `ModelVersion`."""

    name: str
    version: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    creation_timestamp: int
    description: str | None
    source: str
    run_id: str | None
    files: str
    """A path or URI."""


def tracking_uri() -> str:
    """MLflow's tracking URI, which importing it would tell."""
    mlflow = sys.modules.get("mlflow")
    if mlflow is not None and hasattr(mlflow, "get_tracking_uri"):  # a thread may be importing it
        return str(mlflow.get_tracking_uri())
    given = os.environ.get("MLFLOW_TRACKING_URI")
    # MLflow's default is mlflow.db in the working directory, if ./mlruns has no runs of older days.
    if given or any(Path("mlruns").glob("[0-9]*/meta.yaml")) or not Path("mlflow.db").exists():
        return given or _asked_of_mlflow()
    return f"sqlite:///{Path('mlflow.db').absolute()}"


def _asked_of_mlflow() -> str:
    import mlflow

    return str(mlflow.get_tracking_uri())


def find(uri: str, wanted: ModelReference, default_alias: str) -> Found | None:
    """The version that a reference names in the registry at `uri`, or None: ask MLflow."""
    path = _database(uri)
    if path is None or (wanted.alias or "").lower() == "latest":  # a name that MLflow reserves
        return None
    try:
        with closing(
            sqlite3.connect(path.as_uri() + "?mode=ro", timeout=_LOCKED, uri=True)
        ) as database:
            database.execute("BEGIN")  # one state of the registry for all that is read
            return _found(database, wanted, default_alias)
    except sqlite3.Error:
        return None


def read(found: Found, file: str) -> bytes | None:
    """The bytes of one file of a version that lies on this machine, or None: ask MLflow."""
    address = urlsplit(found.files)
    if address.scheme not in ("", "file") or address.netloc:
        return None
    place = url2pathname(address.path) if address.scheme else found.files
    if not Path(place).is_absolute():
        return None
    try:
        return (Path(place) / file).read_bytes()
    except OSError:
        return None


def _database(uri: str) -> Path | None:
    """The file of a registry in SQLite whose URI has nothing but a path."""
    plain = re.fullmatch(r"sqlite:///([^?#%]+)", uri)
    if plain is None or os.environ.get("MLFLOW_ENABLE_WORKSPACES"):
        return None
    path = Path(plain[1]).absolute()
    return path if path.exists() else None


def _found(
    database: sqlite3.Connection, wanted: ModelReference, default_alias: str
) -> Found | None:
    (schema,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    if schema not in SCHEMAS:
        return None
    number = wanted.version
    if number is None:
        alias = database.execute(
            "SELECT version FROM registered_model_aliases "
            "WHERE workspace = 'default' AND name = ? AND alias = ?",
            (wanted.name, wanted.alias or default_alias),
        ).fetchone()
        if alias is None and wanted.alias is not None:
            return None
        number = None if alias is None else alias[0]
    row = database.execute(
        "SELECT version, creation_time, description, source, run_id, storage_location "
        "FROM model_versions WHERE workspace = 'default' AND name = ? "
        "AND current_stage <> 'Deleted_Internal' AND (version = ? OR ? IS NULL) "
        "ORDER BY version DESC LIMIT 1",
        (wanted.name, number, number),
    ).fetchone()
    if row is None:
        return None
    key = (wanted.name, row[0])
    one = "WHERE workspace = 'default' AND name = ? AND version = ?"
    aliases = database.execute(f"SELECT alias FROM registered_model_aliases {one}", key)
    tags = database.execute(f"SELECT key, value FROM model_version_tags {one}", key)
    version, created, description, source, run_id, location = row
    return Found(
        name=wanted.name,
        version=version,
        aliases=tuple(alias for (alias,) in aliases.fetchall()),
        tags=dict(tags.fetchall()),
        creation_timestamp=created,
        description=description,
        source=source,
        run_id=run_id,
        files=location or source,
    )
