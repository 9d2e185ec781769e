"""Reading a version: two files, their checksums compared, kept in memory."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlml.errors import ChecksumMismatchError, ModelRejectedError
from sqlml.model import ModelReference, ScoringModel
from sqlml.registry import embedded
from sqlml.registry.contact import PATIENCE
from sqlml.registry.lookup import DEFAULT_ALIAS, Version, asked, registry_uri, resolve

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_FILE, METADATA_FILE = "model.onnx", "sqlml.json"

CACHE_BYTES = 1 << 30
"""Bytes of models that a process keeps; the least lately used go first."""
DOWNLOAD_PATIENCE = 600.0
"""Seconds for a model file. That the store answers is known from the small file before."""

_Content = tuple[ScoringModel, dict[str, Any]]


def load(reference: str) -> ScoringModel:
    """The model that a reference names, ready to score: `read(resolve(reference))`.

    >>> load("churn@champion").signature.inputs[0].name           # doctest: +SKIP
    'age'
    """
    return read(resolve(reference))


def read(version: Version) -> ScoringModel:
    """The model of a version, from the two files whose SHA-256 its tags tell.

    A process downloads a version once. No MLflow flavor is loaded, nothing is unpickled.
    Raises `ChecksumMismatchError`, `ModelRejectedError` where a file is not there, and
    `RegistryUnavailableError`.
    """
    return _cache.get(version)[0]


def parity(version: Version) -> dict[str, Any]:
    """The report of the comparison with the original, as publish stored it.

    Raises what `read` raises.
    """
    return _cache.get(version)[1]


class _Cache:
    """The versions lately read, by their checksums; each is downloaded by one thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, str], _Content] = OrderedDict()
        self._lock = threading.Lock()
        self._downloads: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)

    def get(self, version: Version) -> _Content:
        key = (version.sha256, version.metadata_sha256)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            download = self._downloads[key]
        with download:
            with self._lock:
                if key in self._kept:  # another thread downloaded it meanwhile
                    return self._kept[key]
            content = _download(version)
            with self._lock:
                self._kept[key] = content
                self._downloads.pop(key, None)
                self._evict()
        return content

    def _evict(self) -> None:
        while len(self._kept) > 1 and self._bytes() > self._most:
            self._kept.popitem(last=False)

    def _bytes(self) -> int:
        return sum(len(model.onnx) for model, _ in self._kept.values())

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


_cache = _Cache(CACHE_BYTES)


def _download(version: Version) -> _Content:
    metadata = _file(version, METADATA_FILE, version.metadata_sha256, PATIENCE)
    onnx = _file(version, MODEL_FILE, version.sha256, DOWNLOAD_PATIENCE)
    facts = json.loads(metadata)
    return ScoringModel.from_json(json.dumps(facts["model"]), onnx), facts["parity"]


def _file(version: Version, file: str, sha256: str, patience: float) -> bytes:
    content = _embedded(version, file)
    if content is None:
        content = asked(lambda client: _bytes(client, version, file), patience)
    if content is None:
        raise ModelRejectedError(
            f"The files of model '{version}' ({version.source}) have no {file}: "
            "deleted, or not to be seen from this machine. Publish the model again."
        )
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ChecksumMismatchError(str(version), sha256, found)
    return content


def _embedded(version: Version, file: str) -> bytes | None:
    wanted = ModelReference(version.name, version=version.version)
    found = embedded.find(registry_uri(), wanted, DEFAULT_ALIAS)
    return None if found is None else embedded.read(found, file)


def _bytes(client: MlflowClient, version: Version, file: str) -> bytes | None:
    """One file of a version, or None where the store says that it is not there."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from requests import HTTPError

    uri = client.get_model_version_download_uri(version.name, str(version.version))
    # download_artifacts() would list the directory first and draw a progress bar;
    # _download_file is the method that every artifact store, plugins too, implements.
    store = get_artifact_repository(uri, tracking_uri=client.tracking_uri)
    with tempfile.TemporaryDirectory(prefix="sqlml-") as directory:
        local = Path(directory) / file
        try:
            store._download_file(file, str(local))
            return local.read_bytes()
        except FileNotFoundError:
            return None
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
                return None
            raise
        except HTTPError as error:
            if error.response is not None and error.response.status_code == 404:
                return None
            raise
