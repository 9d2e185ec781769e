"""The embedded registry is read without MLflow's client, and says what the client says."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from sqlml import registry
from sqlml.errors import ModelRejectedError
from sqlml.model import ModelReference
from sqlml.registry import embedded, lookup

REFERENCES = ("churn", "churn@champion", "churn@old", "churn/1", "churn/3", "other")
ABSENT = ("churn/2", "churn/9", "churn@nobody", "nobody", "churn@latest")


@pytest.fixture
def filled(logged, times, home):
    """Three versions of churn, of which the second is deleted, and a model without aliases."""
    from mlflow import MlflowClient

    for factor in (1, 2, 3):
        logged(times(factor), description=f"times {factor}")
    logged(times(4), "other")
    registry.set_alias("churn", "champion", 1)
    registry.set_alias("churn", "old", 1)
    MlflowClient().delete_model_version("churn", "2")
    return home


def found(reference: str) -> embedded.Found | None:
    uri, wanted = registry.registry_uri(), ModelReference.parse(reference)
    return embedded.find(uri, wanted, lookup.DEFAULT_ALIAS)


def by_mlflow(reference: str) -> registry.Version:
    wanted = ModelReference.parse(reference)
    return lookup.asked(lambda client: lookup._version(client, wanted))


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_version_is_the_one_that_mlflow_names(filled, reference):
    assert lookup._row(found(reference)) == by_mlflow(reference)


@pytest.mark.parametrize("reference", ABSENT)
def test_what_is_not_there_is_mlflows_to_answer(filled, reference):
    assert found(reference) is None


def test_the_tables_of_the_installed_mlflow_are_known(filled):
    """Where this fails, compare the tables, then add the revision to `SCHEMAS`."""
    with closing(sqlite3.connect(filled / "mlflow.db")) as database:
        assert database.execute("SELECT * FROM alembic_version").fetchone()[0] in embedded.SCHEMAS


def test_other_tables_are_mlflows_to_read(filled):
    with closing(sqlite3.connect(filled / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
    assert found("churn") is None


def test_a_locked_file_is_mlflows_to_wait_for(filled):
    with closing(sqlite3.connect(filled / "mlflow.db")) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert found("churn") is None


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1", "sqlite:///mlflow.db?timeout=3", "sqlite:///absent.db", "mlruns"]
)
def test_other_registries_are_mlflows(filled, uri):
    assert embedded.find(uri, ModelReference("churn"), lookup.DEFAULT_ALIAS) is None


def test_workspaces_are_mlflows(filled, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    assert found("churn") is None


def test_a_version_of_others_is_refused_as_ever(pickled_churn):
    with pytest.raises(ModelRejectedError, match="was not published with sqlml"):
        registry.resolve("foreign")


@pytest.mark.parametrize("files", ["s3://bucket/model", "file://other/model", "mlruns/model"])
def test_files_elsewhere_are_mlflows_to_fetch(filled, files):
    import dataclasses

    version = dataclasses.replace(found("churn"), files=files)
    assert embedded.read(version, "model.onnx") is None


@pytest.mark.parametrize("setting", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", None])
def test_a_new_process_reads_a_model_without_importing_mlflow(filled, setting):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    if setting:
        environment[setting] = f"sqlite:///{filled / 'mlflow.db'}"
    code = (
        "import sys; from sqlml import registry; print(registry.load('churn/3').key); "
        "assert 'mlflow' not in sys.modules"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=filled, capture_output=True, text=True)
    assert done.stdout.strip() == registry.load("churn/3").key, done.stderr


def test_runs_of_older_days_in_mlruns_leave_the_choice_to_mlflow(filled, monkeypatch):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.delitem(sys.modules, "mlflow")
    assert embedded.tracking_uri() == f"sqlite:///{filled / 'mlflow.db'}"
    (filled / "mlruns" / "0").mkdir(parents=True, exist_ok=True)
    (filled / "mlruns" / "0" / "meta.yaml").touch()
    monkeypatch.setattr(embedded, "_asked_of_mlflow", lambda: "MLflow's answer")
    assert embedded.tracking_uri() == "MLflow's answer"
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    assert embedded.tracking_uri() == mlflow.get_tracking_uri()
