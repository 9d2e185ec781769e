"""A model's file is opened where that runs nobody's code, or where it is trusted."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import sqlml
from sqlml.convert import is_file, opened
from sqlml.convert.keras.file import opened as opened_keras
from sqlml.errors import DependencyMissingError, ModelRejectedError, NotConvertibleError
from sqlml.publish import open_source

ROWS = pd.DataFrame({"a": [0.5, 2.0, -1.0], "b": [1.0, -3.0, 0.25]})


@pytest.fixture
def keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    return keras


@pytest.fixture
def program(tmp_path):
    """A module, and the file of its exported program."""
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    rows = torch.export.Dim("N")
    exported = torch.export.export(module.eval(), (torch.zeros(4, 2),), dynamic_shapes=({0: rows},))
    torch.export.save(exported, tmp_path / "model.pt2")
    return module, str(tmp_path / "model.pt2")


def test_a_keras_file_scores_as_the_model_that_was_saved(keras, tmp_path):
    """A loss of its author's own is no part of the model, and is not opened."""
    layers = [keras.Input((2,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(loss=lambda y, p: (y - p) ** 2)
    path = tmp_path / "model.keras"
    model.save(path)

    scoring = sqlml.convert(path, sample=ROWS)
    report = sqlml.verify(scoring, model, ROWS)
    assert report.ok, report
    assert sqlml.verify(scoring, str(path), ROWS).ok


def test_a_keras_file_with_code_is_refused_unopened(keras, tmp_path):
    layers = [keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    with pytest.raises(NotConvertibleError, match=r"^\[NOT_CONVERTIBLE\] .*Lambda"):
        opened(tmp_path / "model.keras")


def test_a_layer_of_the_authors_own_is_named_and_not_imported(keras, tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(
        "import keras, pathlib\n"
        "pathlib.Path('imported').touch()\n"
        "class Doubled(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return 2 * x\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    save = (
        "import keras, theirs\n"
        "keras.Sequential([keras.Input((2,)), theirs.Doubled()]).save('model.keras')"
    )
    subprocess.run([sys.executable, "-c", save], check=True, env=os.environ, cwd=tmp_path)
    (tmp_path / "imported").unlink()
    with pytest.raises(NotConvertibleError, match=r"theirs\.Doubled"):
        opened_keras(tmp_path / "model.keras")
    assert not (tmp_path / "imported").exists()


def test_an_exported_program_has_to_be_trusted(program):
    module, path = program
    with pytest.raises(ModelRejectedError, match="--trust-pickle"):
        open_source(path)
    with pytest.raises(ModelRejectedError, match=r"torch\.export\.load"):
        sqlml.convert(path, sample=ROWS)

    loaded = open_source(path, trust_pickle=True)
    assert sqlml.verify(sqlml.convert(loaded, sample=ROWS), module, ROWS).ok


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("model.h5", "model.save('model.keras')"),
        ("model.pth", "torch.export.save"),
        ("model.joblib", "sqlml.publish(model, …)"),
    ],
)
def test_other_files_are_refused_with_what_to_do(tmp_path, name, advice):
    (tmp_path / name).write_bytes(b"whatever")
    with pytest.raises(NotConvertibleError) as refused:
        opened(str(tmp_path / name))
    assert advice in str(refused.value)


def test_a_saved_model_is_told_from_a_directory(tmp_path):
    assert not is_file(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    assert is_file(tmp_path)
    with pytest.raises(NotConvertibleError, match="Give the directory"):
        opened(tmp_path / "saved_model.pb")


def test_a_saved_model_needs_tensorflow_which_is_said_with_the_command(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(DependencyMissingError, match=r"pip install 'sqlml\[tensorflow\]'"):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["model.keras", "model.pt2"])
def test_a_damaged_file_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ModelRejectedError, match="cannot be opened") as refused:
        open_source(str(tmp_path / name), trust_pickle=True)
    assert "\n" not in str(refused.value)


def test_what_is_no_path_stays_as_it_is():
    array = np.zeros(2)
    assert opened(array) is array
    assert not is_file("runs:/4f2ab1/model")
    assert not is_file("s3://bucket/model.keras")


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_missing_backend_is_said_with_the_command(keras, tmp_path, backend):
    """Keras alone installs nothing that it could run on."""
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['jax'] = None\n"
        "from sqlml.convert import opened\n"
        "opened('model.keras')"
    )
    env = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert "pip install 'sqlml[tensorflow]', or set KERAS_BACKEND=torch" in done.stderr
