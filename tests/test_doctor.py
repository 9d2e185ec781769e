"""The doctor: what is wrong, and the command that mends it."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from sqlml import doctor
from sqlml.cli import main
from sqlml.doctor import Check, Machine


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


def test_a_registry_that_is_not_there_yet_is_not_made(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert "not there yet" in look("registry").found
    assert list(tmp_path.iterdir()) == []


def test_a_broken_registry_is_a_finding(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}")
    check = look("registry")
    assert not check.ok
    assert "[REGISTRY_UNAVAILABLE]" in check.found


def test_executors_that_lack_a_package_are_named(machine, monkeypatch):
    versions = iter(["2", "1"])

    def probe_of(_):
        mine = next(versions, "1")

        def probe(_rows):
            yield "host", {"python": "3.11", "onnxruntime": mine}

        return probe

    class Executors:
        defaultParallelism = 1

        def parallelize(self, *_):
            return self

        def mapPartitions(self, _):
            return self

        def collect(self):
            return [("worker-7", {"python": "3.11", "onnxruntime": "missing"})]

    there = Machine()
    there.__dict__["spark"] = type("Spark", (), {"sparkContext": Executors()})()
    monkeypatch.setattr(doctor, "_probe_of", probe_of)
    check = look("executors", there)
    assert not check.ok
    assert "worker-7: onnxruntime missing" in check.found
    assert "pip install onnxruntime==2" in check.advice


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
