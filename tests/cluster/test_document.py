"""docs/cluster.md is true: its commands run, in their order, against a cluster."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import sqlml
from tests.documents import blocks

from . import environment
from .standalone import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .standalone import Cluster

BLOCKS = blocks(Path(__file__).parents[2] / "docs" / "cluster.md")
MASTER = "spark://spark-master:7077"
OWN_FUNCTION = """
def version(_):
    import sqlml
    yield sqlml.__version__

print("on executors:", *spark.sparkContext.parallelize([0], 1).mapPartitions(version).collect())
"""


@pytest.fixture(scope="module")
def own_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A registry in which `churn` is the document's."""
    home = tmp_path_factory.mktemp("document-registry")
    with pytest.MonkeyPatch.context() as env:
        env.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
        env.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(home / "artifacts"))
        yield


@pytest.fixture(scope="module")
def said(
    cluster: Cluster, own_registry: None, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """What each block of shell commands prints, in one shell and one directory.

    The document takes for given a model `churn`, and an archive of an environment.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rows = pd.DataFrame(
        {"age": np.arange(60) % 50, "plan": ["pro", "basic"] * 30, "tenure": np.arange(60)}
    )
    encode = make_column_transformer((OneHotEncoder(), ["plan"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression(max_iter=1000))
    sqlml.publish(model.fit(rows, np.where(rows["age"] > 25, "yes", "no")), "churn", sample=rows)

    home = tmp_path_factory.mktemp("document")
    libraries = environment.make(home / "unpacked", ["numpy", "pyarrow", "onnxruntime"])
    with tarfile.open(home / "environment.tar.gz", "w:gz") as archive:
        archive.add(libraries.parent, ".")
    (score,) = (block.code for block in BLOCKS if block.language == "python")
    (home / "score.py").write_text(score)

    mark = "-- end of block --"
    script = ["set -e"]
    for block in BLOCKS:
        if block.language == "sh":
            if "--py-files" in block.code:
                script.append(f"cat >> score.py <<'END'\n{OWN_FUNCTION}END")
            script += [block.code.replace(MASTER, cluster.master), f"echo '{mark}'"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=home,
        env=clean_environment()
        | {"PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "numpy==" in (home / "executors.txt").read_text()
    return done.stdout.split(mark)


def test_the_doctor_finds_nothing_wrong(said: list[str]) -> None:
    """Executors that lack only sqlml are well: it is shipped."""
    (line,) = (line for line in said[0].splitlines() if "executors" in line)
    assert line.startswith("✓ executors")
    assert "2 on 1 host, python 3." in line
    assert line.endswith("sqlml is shipped to them")


def test_the_command_line_scores_on_the_cluster(said: list[str]) -> None:
    """`sqlml sql` with SPARK_MASTER runs there."""
    assert "yes" in said[2]


def test_an_archive_is_the_python_of_executors(said: list[str]) -> None:
    """spark-submit with an environment of NumPy, pyarrow and ONNX Runtime scores."""
    assert "| 40| pro|    12|       yes|" in said[3]
    assert "on executors" not in said[3]


def test_py_files_bring_the_package_for_functions_of_ones_own(said: list[str]) -> None:
    """A user's function imports sqlml on an executor."""
    assert "yes" in said[4]
    assert f"on executors: {sqlml.__version__}" in said[4]
