"""A host that lacks a library: which one, and what to type there."""

from __future__ import annotations

import json
import platform
import subprocess
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .driver import ApplicationError, application
from .standalone import clean_environment
from .work import MODELS, published_name

if TYPE_CHECKING:
    from .standalone import Cluster
    from .work import Work

SQLML = Path(sysconfig.get_path("scripts"), "sqlml")
INSTALL = f"-m pip install onnxruntime=={metadata.version('onnxruntime')}"


def test_scoring_names_the_host_and_the_command(
    cluster: Cluster, work: Work, tmp_path: Path
) -> None:
    """Without ONNX Runtime a query fails with one line that says where to install it.

    Here both workers lack it: where one has it, Spark tries the task again and may succeed.
    """
    view = next(iter(MODELS))
    with application(cluster.master, tmp_path / "driver", str(poorer(cluster))) as driver:
        query = f"SELECT * FROM PREDICT('{published_name(view)}', TABLE({view}))"
        rows = {"views": work.views, "functions": {}, "columns": {}, "directory": str(tmp_path)}
        with pytest.raises(ApplicationError) as raised:
            driver.call("score", queries={"scores": query}, **rows)
    message = str(raised.value)
    line = message.strip().splitlines()[-1]
    assert "Traceback" not in message
    assert f"[DEPENDENCY_MISSING] The executor on {platform.node()} cannot import" in line
    assert f"{poorer(cluster)} {INSTALL}" in line


def test_the_doctor_names_the_host_and_the_command(
    cluster: Cluster, uneven_python: str, tmp_path: Path
) -> None:
    """It looks at each executor, and takes it for no fault that sqlml is on none."""
    check = doctor(cluster, uneven_python, tmp_path)
    assert not check["ok"]
    assert check["found"].startswith("1 of 2 differ from the driver")
    assert f"{platform.node()} ({poorer(cluster)}) has onnxruntime missing" in check["found"]
    assert check["advice"] == f"On {platform.node()}: {poorer(cluster)} {INSTALL}"


def poorer(cluster: Cluster) -> Path:
    """The Python without ONNX Runtime."""
    return cluster.pythons["two"].parents[1] / "two-poorer" / "bin" / "python3"


def doctor(cluster: Cluster, python: str, directory: Path) -> dict[str, str]:
    """What `sqlml doctor` says of the executors of the cluster."""
    done = subprocess.run(
        [SQLML, "doctor", "--master", cluster.master, "--json"],
        cwd=directory,
        env=clean_environment() | {"PYSPARK_PYTHON": python},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout, done.stderr
    (check,) = (c for c in json.loads(done.stdout) if c["name"] == "executors")
    return check
