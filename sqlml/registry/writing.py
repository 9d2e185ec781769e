"""Writing a version, in such a way that MLflow's own pages show it sensibly."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlml.errors import (
    AliasNotFoundError,
    ArgumentError,
    ReferenceNotAllowedError,
    VersionNotFoundError,
)
from sqlml.model import METADATA_FORMAT, ModelReference, ScoringModel
from sqlml.registry.lookup import (
    METADATA_SHA256,
    PARITY,
    SHA256,
    TASK,
    Version,
    asked,
    pages,
    registered,
    resolve,
)
from sqlml.registry.storage import METADATA_FILE, MODEL_FILE
from sqlml.types import SCALARS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.models import ModelSignature

EXAMPLE_ROWS = 5


def log(
    model: ScoringModel,
    name: str,
    *,
    parity_json: str,
    alias: str | None = None,
    description: str | None = None,
    input_example: pd.DataFrame | None = None,
) -> Version:
    """Write a verified model into the registry as a new version of `name`; set its alias.

    `parity_json` is the report of the comparison, a JSON object; its numbers become
    metrics. The version is an output of MLflow's active run, or of a run of its own. It
    appears last and complete: no reader sees one without its tags.
    Raises `ReferenceNotAllowedError` and `ArgumentError` before anything is written, and
    `RegistryUnavailableError`.

        >>> version = log(scoring, "churn", parity_json=report.to_json(),  # doctest: +SKIP
        ...               alias="champion", input_example=X_train.head())
        >>> str(version)                                                   # doctest: +SKIP
        'churn/1'
    """
    check_name(name, alias)
    parity = json.loads(parity_json)
    metadata = _metadata(model, parity)
    tags = {
        SHA256: model.sha256,
        METADATA_SHA256: hashlib.sha256(metadata).hexdigest(),
        PARITY: "ok" if parity.get("ok") else "failed",
        TASK: model.task,
    }

    import mlflow

    active = mlflow.active_run()  # MLflow keeps it by thread

    def write(client: MlflowClient) -> int:
        with _run(client, name, active) as run:
            logged = client.create_logged_model(
                run.info.experiment_id,
                name.replace(".", "_"),  # MLflow allows a dot in the name of a version only
                source_run_id=run.info.run_id,
                tags=tags,
                model_type="sqlml",
            )
            with tempfile.TemporaryDirectory(prefix="sqlml-") as directory:
                files = Path(directory)
                (files / MODEL_FILE).write_bytes(model.onnx)
                (files / METADATA_FILE).write_bytes(metadata)
                _mlmodel(model, logged, input_example, files)
                client.log_model_artifacts(logged.model_id, directory)
            client.finalize_logged_model(logged.model_id, "READY")
            _show_in_run(client, run, logged, parity)
            _ensure_registered(client, name)
            version = client.create_model_version(
                name,
                f"models:/{logged.model_id}",
                run.info.run_id,
                tags=tags,
                description=description,
                model_id=logged.model_id,
            )
            if alias is not None:
                client.set_registered_model_alias(name, alias, version.version)
        return int(version.version)

    number = asked(write, patience=None)
    return resolve(ModelReference(name, version=number))


def set_alias(name: str, alias: str, version: int) -> None:
    """Let `alias` name this version, and no other one any more.

    Raises `ModelNotFoundError`, `VersionNotFoundError`, `ReferenceNotAllowedError`,
    `ArgumentError` and `RegistryUnavailableError`.

        >>> set_alias("churn", "champion", 3)                              # doctest: +SKIP
    """
    check_name(name, alias)
    resolve(ModelReference(name, version=version))
    asked(lambda client: client.set_registered_model_alias(name, alias, str(version)))


def unset_alias(name: str, alias: str) -> None:
    """Let `alias` name no version of the model any more.

    Raises `ModelNotFoundError`, `AliasNotFoundError`, `ReferenceNotAllowedError` and
    `RegistryUnavailableError`.

        >>> unset_alias("churn", "challenger")                             # doctest: +SKIP
    """
    check_name(name)

    def write(client: MlflowClient) -> None:
        aliases = registered(client, name).aliases
        if alias not in aliases:
            raise AliasNotFoundError(name, alias, sorted(aliases))
        client.delete_registered_model_alias(name, alias)

    asked(write)


def drop(name: str, version: int | None = None) -> list[int]:
    """Take a model, or one version of it, out of the registry; the versions that are gone.

    Its aliases go with a version. What MLflow keeps are the runs and the files: `mlflow gc`
    is its own way to remove these.
    Raises `ModelNotFoundError`, `VersionNotFoundError`, `ReferenceNotAllowedError` and
    `RegistryUnavailableError`.

        >>> drop("churn", 2)                                               # doctest: +SKIP
        [2]
    """
    check_name(name)

    def write(client: MlflowClient) -> list[int]:
        registered(client, name)
        rows = pages(client.search_model_versions, f"name='{name}'")
        numbers = sorted(int(row.version) for row in rows)
        if version is None:
            client.delete_registered_model(name)
            return numbers
        if version not in numbers:
            raise VersionNotFoundError(name, version, numbers)
        client.delete_model_version(name, str(version))
        return [version]

    return asked(write)


def check_name(name: str, alias: str | None = None) -> None:
    """Refuse a name that SQL text could not carry, or an alias that MLflow would refuse.

    Raises `ReferenceNotAllowedError` and `ArgumentError`.

    >>> check_name("churn", "champion")
    """
    if ModelReference.parse(name) != ModelReference(name):
        raise ReferenceNotAllowedError(name)
    if alias is None:
        return
    if re.fullmatch(r"[vV]\d+", alias) or alias.lower() == "latest":
        raise ArgumentError(f"MLflow reserves the alias {alias!r}. Choose one such as 'champion'.")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", alias):
        raise ArgumentError(
            f"{alias!r} cannot be an alias: letters, digits, '_' and '-' can stand in one."
        )


def _metadata(model: ScoringModel, parity: dict[str, Any]) -> bytes:
    content = {"model": json.loads(model.to_json()), "parity": parity}
    return json.dumps(content, indent=2, ensure_ascii=False).encode()


@contextmanager
def _run(client: MlflowClient, name: str, active: Run | None) -> Iterator[Run]:
    """The author's own run where there is one, else a run of the model's name."""
    if active is not None:
        yield active
        return

    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.tracking.fluent import _get_experiment_id  # MLflow's own choice, which varies

    run = client.create_run(_get_experiment_id(), tags=resolve_tags(), run_name=name)
    try:
        yield run
    except BaseException:
        client.update_run(run.info.run_id, "FAILED")
        raise
    client.update_run(run.info.run_id, "FINISHED")


def _mlmodel(
    model: ScoringModel, logged: LoggedModel, example: pd.DataFrame | None, directory: Path
) -> None:
    from mlflow.models import Model

    described = Model(
        artifact_path=logged.artifact_location,
        run_id=logged.source_run_id,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
        signature=mlflow_signature(model),
        model_size_bytes=len(model.onnx),
    )
    described.add_flavor("sqlml", model=MODEL_FILE, metadata=METADATA_FILE, format=METADATA_FORMAT)
    if example is not None:
        # As MLflow writes a DataFrame itself; its own writer also tries to serve the model.
        described.saved_input_example_info = {
            "artifact_path": "input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        }
        rows = example.head(EXAMPLE_ROWS).to_json(orient="split", index=False)
        (directory / "input_example.json").write_text(rows, encoding="utf-8")
    described.save(str(directory / "MLmodel"))


def mlflow_signature(model: ScoringModel) -> ModelSignature:
    """The signature in MLflow's words; an input that may be missing is an optional one."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, Map, Schema

    def kind(sql: str) -> Any:
        # MLflow's maps have string keys; the keys here are labels, whose text serves.
        if inner := re.fullmatch(r"MAP<\w+,\s*(.+)>", sql):
            return Map(kind(inner[1]))
        if inner := re.fullmatch(r"ARRAY<(.+)>", sql):
            return Array(kind(inner[1]))
        return DataType[SCALARS[sql].mlflow]

    return ModelSignature(
        inputs=Schema(
            [
                ColSpec(kind(i.type), i.name, required=not i.takes_missing)
                for i in model.signature.inputs
            ]
        ),
        outputs=Schema([ColSpec(kind(o.type), o.name) for o in model.signature.outputs]),
    )


def _show_in_run(
    client: MlflowClient, run: Run, logged: LoggedModel, parity: dict[str, Any]
) -> None:
    from mlflow.entities import LoggedModelOutput, Metric

    now = int(time.time() * 1000)
    metrics = [
        Metric(
            f"parity_{key}", float(value), now, 0, model_id=logged.model_id, run_id=run.info.run_id
        )
        for key, value in parity.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    client.log_batch(run.info.run_id, metrics=metrics)


def _ensure_registered(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
