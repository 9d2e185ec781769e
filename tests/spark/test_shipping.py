"""The code that scores travels with its function: what a worker has installed does not matter."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark import SparkContext, cloudpickle

import sqlml
from sqlml.spark import shipping
from sqlml.spark.shipping import on_executors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    Call = tuple[Callable[..., Any], tuple[Any, ...]]

WORKER = """
import pickle, sys
from pathlib import Path

for file in sys.argv[1:]:
    function, arguments = pickle.loads(Path(file).read_bytes())
    try:
        print(function(*arguments).to_pylist())
    except Exception as error:
        print(f"{type(error).__module__}.{type(error).__name__}: {error}")
print(*sorted({name.partition(".")[0] for name in sys.modules if name.startswith("sqlml")}))
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions are made as for a Spark whose workers are not this Python."""
    monkeypatch.setattr(SparkContext, "_active_spark_context", None)


@pytest.fixture
def work(tmp_path: Path) -> Callable[..., list[str]]:
    """Do calls, pickled as Spark pickles, in one process, whose own sqlml is broken.

    What is printed: a line for each call, and which packages named like sqlml are loaded.
    """
    installed = tmp_path / "sqlml"
    installed.mkdir()
    (installed / "__init__.py").write_text("raise RuntimeError('another version')")

    def run(*calls: Call) -> list[str]:
        files = [tmp_path / str(i) for i in range(len(calls))]
        for file, call in zip(files, calls, strict=True):
            file.write_bytes(cloudpickle.dumps(call))
        done = subprocess.run(
            [sys.executable, "-c", WORKER, *files],
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


FETCHED = ["fetched metadata", "fetched onnx"]


@pytest.fixture(scope="module")
def double() -> sqlml.ScoringModel:
    """A model of one input that gives twice of it."""
    from sklearn.linear_model import LinearRegression

    rows = np.arange(8.0).reshape(-1, 1)
    return sqlml.convert(LinearRegression().fit(rows, 2 * rows[:, 0]), sample=rows)


def prediction(model: sqlml.ScoringModel, values: pa.Array) -> Call:
    """A call of what a registered function runs."""
    parts = {"metadata": model.to_json(), "onnx": model.onnx}

    def fetch(part: str) -> str | bytes:
        print("fetched", part)
        return parts[part]

    return on_executors("prediction.predict"), ((model.key, "onnx", fetch, None), [values], {})


@pytest.fixture
def another_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Let what is made from now on be of a version whose predictions are all NULL."""
    ours = dict(shipping._sources())

    def change() -> None:
        place = "sqlml.score.prediction"
        changed = ours[place].replace("return outputs[predicted.name]", "return pa.nulls(1)")
        assert changed != ours[place]
        monkeypatch.setattr(shipping, "_sources", lambda: (ours | {place: changed}).items())
        shipping._executor_side.cache_clear()

    yield change
    shipping._executor_side.cache_clear()


@pytest.mark.usefixtures("cluster")
def test_a_worker_scores_with_the_code_that_came_along(
    work: Callable[..., list[str]], double: sqlml.ScoringModel
) -> None:
    """The package that is installed there is not even imported."""
    *fetched, scores, packages = work(prediction(double, pa.array([1.0, 4.0])))
    assert fetched == FETCHED
    assert eval(scores) == pytest.approx([2, 8])
    assert packages == shipping._executor_side()[0]
    assert packages != "sqlml"


@pytest.mark.usefixtures("cluster")
def test_versions_of_two_applications_do_not_mix(
    work: Callable[..., list[str]],
    double: sqlml.ScoringModel,
    another_version: Callable[[], None],
) -> None:
    """Each function runs its own version in a worker that serves both, and keeps its model."""
    ours = prediction(double, pa.array([3.0]))
    another_version()
    theirs = prediction(double, pa.array([3.0]))
    *said, packages = work(ours, theirs, ours, theirs)
    number = said[2]
    assert said == [*FETCHED, number, *FETCHED, "[None]", number, "[None]"]
    assert eval(number) == pytest.approx([6])
    assert len(packages.split()) == 2


@pytest.mark.usefixtures("cluster")
def test_an_error_of_ours_keeps_its_name(
    work: Callable[..., list[str]], double: sqlml.ScoringModel
) -> None:
    """A user reads `sqlml.errors`, whatever the package is called in the worker."""
    *_, message, _ = work(prediction(double, pa.array(["x"])))
    assert message.startswith("sqlml.errors.InputTypeError: [INPUT_TYPE] Input ")


def test_the_executor_side_imports_nothing_that_stays_behind() -> None:
    """Each import of sqlml, in functions too, is of a module that is shipped."""
    sources = dict(shipping._sources())
    assert "sqlml.score.onnxruntime" in sources
    for name, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert not any(a.name.split(".")[0] == "sqlml" for a in node.names), name
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlml"):
                modules = {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
                assert modules & sources.keys(), f"{name} imports {node.module}"


def test_nothing_is_shipped_to_this_very_python(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop's workers import the package; those of another Python get the code."""
    here = len(cloudpickle.dumps(on_executors("prediction.raw")))
    monkeypatch.setattr(spark.sparkContext, "pythonExec", "python-of-another-environment")
    elsewhere = len(cloudpickle.dumps(on_executors("prediction.raw")))
    assert here < 8_000
    assert 20_000 < elsewhere < 100_000
