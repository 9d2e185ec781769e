"""The registry of models, which is MLflow; nothing else in sqlml knows MLflow.

    log       a verified model becomes a version
    resolve   a reference becomes one version
    read      a version becomes a ScoringModel again, its bytes checked against its tags
    load      both: what a reference names, ready to score

A version is an MLflow model that holds two files of ours, `model.onnx` and `sqlml.json`
(signature and parity report), and bears their SHA-256 as tags. Reading one opens these
two files and nothing else: no flavor is loaded, nothing is unpickled, no code is run.

Which registry: MLflow's own tracking and registry URI (MLFLOW_TRACKING_URI, or
`mlflow.set_tracking_uri`), by default SQLite, `mlflow.db` in the working directory.
"""

from __future__ import annotations

from sqlml.registry.lookup import (
    DEFAULT_ALIAS,
    ModelRow,
    Version,
    model,
    models,
    registry_uri,
    resolve,
    versions,
)
from sqlml.registry.source import input_example, open_source, sample_of_source
from sqlml.registry.storage import load, parity, read
from sqlml.registry.writing import check_name, drop, log, set_alias, unset_alias

__all__ = [
    "DEFAULT_ALIAS",
    "ModelRow",
    "Version",
    "check_name",
    "drop",
    "input_example",
    "load",
    "log",
    "model",
    "models",
    "open_source",
    "parity",
    "read",
    "registry_uri",
    "resolve",
    "sample_of_source",
    "set_alias",
    "unset_alias",
    "versions",
]
