"""What is read is what was published, byte for byte, and nothing else is opened."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from sqlml import registry
from sqlml.errors import ChecksumMismatchError, ModelRejectedError
from sqlml.registry import storage


def files_of(version):
    from mlflow import MlflowClient

    return Path(MlflowClient().get_model_version_download_uri(version.name, str(version.version)))


def test_a_model_comes_back_as_it_was_logged(logged, times):
    version = logged(times(3))
    assert registry.read(version) == times(3)
    assert registry.parity(version)["rows"] == 120


@pytest.mark.parametrize("file", ["model.onnx", "sqlml.json"])
def test_a_changed_byte_is_noticed(logged, times, file):
    version = logged(times(3))
    path = files_of(version) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(ChecksumMismatchError, match="churn/1"):
        registry.load("churn")


@pytest.mark.parametrize("file", ["model.onnx", "sqlml.json"])
def test_a_lost_file_is_named(logged, times, file):
    version = logged(times(3))
    (files_of(version) / file).unlink()

    with pytest.raises(ModelRejectedError, match=file):
        registry.load("churn")


def test_files_that_somebody_added_are_not_read(logged, times):
    version = logged(times(3))
    (files_of(version) / "MLmodel").write_text("flavors: {python_function: {loader_module: evil}}")
    (files_of(version) / "model.pkl").write_bytes(b"\x80\x04.")

    assert registry.load("churn") == times(3)


def test_a_version_is_downloaded_once(logged, times, monkeypatch):
    version = logged(times(3))
    first = registry.read(version)
    monkeypatch.setattr(storage, "_download", lambda _: pytest.fail("downloaded again"))
    assert registry.read(version) is first


def test_the_models_kept_in_memory_are_bounded(logged, times, monkeypatch):
    cache = storage._Cache(most=len(times(1).onnx) + 1)
    versions = [logged(times(factor)) for factor in (1, 2)]
    for version in versions:
        cache.get(version)
    assert list(cache._kept) == [(versions[1].sha256, versions[1].metadata_sha256)]


def test_mlflow_shows_the_version_sensibly(logged, times):
    import mlflow
    import pandas as pd

    example = pd.DataFrame({"age": [1.5, None]})
    version = logged(times(3), alias="champion", description="Who leaves", input_example=example)

    client = mlflow.MlflowClient()
    shown = client.get_model_version("churn", "1")
    assert shown.tags["sqlml.parity"] == "ok"
    assert shown.tags["sqlml.sha256"] == times(3).sha256
    assert shown.description == "Who leaves"
    run = client.get_run(version.run_id)
    assert (run.info.run_name, run.info.status) == ("churn", "FINISHED")
    assert run.data.metrics["parity_max_abs_error"] == 1e-12
    assert run.data.metrics["parity_rows"] == 120
    assert run.outputs.model_outputs[0].model_id in version.source
    facts = mlflow.models.get_model_info("models:/churn/1")
    assert list(facts.flavors) == ["sqlml"]
    assert not facts.signature.inputs.inputs[0].required
    assert facts.signature.outputs.input_names() == ["prediction"]
    loaded = mlflow.models.Model.load("models:/churn/1").load_input_example("models:/churn/1")
    pd.testing.assert_frame_equal(loaded, example)


def test_a_model_joins_the_run_it_was_trained_in(logged, times):
    import mlflow

    with mlflow.start_run(run_name="training") as run:
        version = logged(times(3))
        assert mlflow.active_run().info.run_id == run.info.run_id
    assert version.run_id == run.info.run_id


def test_a_failed_upload_leaves_no_version(logged, times, monkeypatch):
    from mlflow import MlflowClient

    def fail(*_):
        raise OSError("disk full")

    # A context of its own: undo() would undo the fixture's registry too.
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifacts", fail)
        with pytest.raises(Exception, match="disk full"):
            logged(times(3))
    assert MlflowClient().search_registered_models() == []


def test_the_terminal_stays_quiet(tmp_path, monkeypatch, capfd, caplog, times, forget):
    """MLflow tells of its tables and registrations; sqlml's own output says what matters."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'new.db'}")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(tmp_path / "artifacts"))
    forget()
    with caplog.at_level(logging.INFO):
        registry.log(times(1), "churn", parity_json=json.dumps({"ok": True}))
        registry.load("churn")
    out, err = capfd.readouterr()
    # An earlier test's Spark may close a connection meanwhile.
    logged = [r.getMessage() for r in caplog.records if not r.name.startswith("py4j")]
    assert (out, err, logged) == ("", "", [])


def test_probabilities_are_a_map_in_mlflows_signature(times):
    import dataclasses

    from sqlml.registry.writing import mlflow_signature
    from sqlml.signature import Output, Signature

    model = times(1)
    outputs = (
        Output("probabilities", "MAP<STRING, DOUBLE>"),
        Output("embedding", "ARRAY<FLOAT>"),
    )
    signature = mlflow_signature(
        dataclasses.replace(model, signature=Signature(model.signature.inputs, outputs))
    )
    assert (
        str(signature.outputs.input_dict()["probabilities"].type) == "Map(str -> DataType.double)"
    )
