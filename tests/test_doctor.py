"""The doctor: what is wrong, and the command that mends it."""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata

import pytest
from click.testing import CliRunner

from sqlml import doctor
from sqlml.cli import main
from sqlml.doctor import Check, Machine
from tests.cluster import environment


@pytest.fixture
def machine(spark):
    here = Machine()
    here.__dict__["spark"] = spark
    return here


def look(name, machine=None):
    return doctor._guarded(name, dict(doctor.CHECKS)[name], machine or Machine())


@pytest.mark.parametrize("name", [name for name, _ in doctor.CHECKS])
def test_a_machine_that_runs_these_tests_is_well(machine, name):
    check = look(name, machine)
    assert check.ok, check


def test_executors_tell_their_versions(machine):
    assert "onnxruntime" in look("executors", machine).found


def test_missing_java_is_answered_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(
        doctor.shutil, "which", lambda tool: "/usr/bin/dnf" if tool == "dnf" else None
    )
    check = look("Java")
    assert (check.ok, check.found) == (False, "not installed")
    assert check.advice == "sudo dnf install java-17-openjdk-headless"


def test_a_java_home_without_java_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    check = look("Java")
    assert not check.ok
    assert str(tmp_path) in check.found


def test_a_package_out_of_range_is_answered_with_the_range(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "version", lambda _: "0.1")
    check = look("onnxruntime")
    assert not check.ok
    assert check.advice.startswith(f'{sys.executable} -m pip install "onnxruntime')
    assert ">=" in check.advice


def test_a_missing_kernel_is_answered_with_what_compiles_it(monkeypatch):
    from sqlml.score import kernel

    monkeypatch.setattr(kernel, "LIBRARY", "none.bin")
    kernel.library.cache_clear()
    try:
        check = look("tree kernel")
    finally:
        kernel.library.cache_clear()
    assert not check.ok
    assert "C compiler" in check.advice
    assert "--force-reinstall" in check.advice


def test_a_registry_that_is_not_there_yet_is_not_made(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert "not there yet" in look("registry").found
    assert list(tmp_path.iterdir()) == []


def test_a_broken_registry_is_a_finding(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}")
    check = look("registry")
    assert not check.ok
    assert "[REGISTRY_UNAVAILABLE]" in check.found


def test_a_worker_that_lacks_a_package_is_answered_with_the_command(machine, tmp_path, monkeypatch):
    """Workers may run another Python than the driver: what it lacks is named, not sqlml."""
    python = environment.make(tmp_path / "poorer", ["numpy", "pyarrow"]) / "python3"
    monkeypatch.setattr(machine.spark.sparkContext, "pythonExec", str(python))
    check = look("executors", machine)
    assert not check.ok
    assert check.found.endswith(f"{platform.node()} ({python}) has onnxruntime missing")
    assert check.found.startswith("1 of 1 differ from the driver (python 3.")
    version = metadata.version("onnxruntime")
    wanted = f"On {platform.node()}: {python} -m pip install onnxruntime=={version}"
    assert check.advice == wanted


def test_a_worker_without_its_python_is_told(machine, monkeypatch):
    monkeypatch.setattr(machine.spark.sparkContext, "pythonExec", "python-of-nowhere")
    check = look("executors", machine)
    assert not check.ok
    assert "cannot run python-of-nowhere" in check.found
    assert len(check.found.splitlines()) == 1
    assert "PYSPARK_PYTHON" in check.advice


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_the_command_prints_marks_and_advice(monkeypatch, ok, code):
    found = Check("Java", ok, "17", "" if ok else "install it")
    monkeypatch.setattr(doctor, "examine", lambda _: iter([found]))
    shown = CliRunner().invoke(main, ["doctor"])
    assert shown.exit_code == code
    assert ("✓" if ok else "✗") in shown.output
    assert ("install it" in shown.output) is not ok
    as_json = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).output)
    assert as_json[0]["ok"] is ok
