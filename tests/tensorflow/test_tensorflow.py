"""Models that were trained and published where TensorFlow is score here, where it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

import sqlml

from . import saved_models
from .models import LABELS, PUBLISHED, REFUSED

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Made by `make test`, beside the environment of the tests.
PYTHON = Path(f"{sys.prefix}-tensorflow", "bin", "python")
ROOT = Path(__file__).parents[2]
SECONDS = 500


@pytest.fixture(scope="session")
def published(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the rows and answers of every model; the models are in the registry."""
    assert PYTHON.exists(), "make test makes this environment"
    home = tmp_path_factory.mktemp("tensorflow")
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [str(PYTHON), "-m", "tests.tensorflow.models", str(home)],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return home


def test_neither_environment_has_the_others_frameworks() -> None:
    """`sqlml[tensorflow]` pulls in neither PyTorch nor boosters, and nothing pulls it in."""
    code = "from importlib.util import find_spec as f; print([n for n in {} if f(n)])"

    def found(python: str | Path, names: list[str]) -> str:
        call = [str(python), "-c", code.format(names)]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()

    others = ["torch", "xgboost", "lightgbm", "skl2onnx", "tensorflow"]
    assert found(PYTHON, others) == "['tensorflow']"
    assert found(sys.executable, ["tensorflow"]) == "[]"


@pytest.mark.parametrize("name", [*PUBLISHED, *saved_models.PUBLISHED])
def test_spark_gives_tensorflows_own_scores(
    name: str, published: Path, spark: SparkSession
) -> None:
    rows = pq.read_table(published / f"{name}.parquet")
    expected = rows["expected"].to_pylist()
    spark.read.parquet(str(published / f"{name}.parquet")).createOrReplaceTempView("tf_rows")
    call = f"PREDICT('tensorflow_{name}', TABLE(SELECT * EXCEPT (expected) FROM tf_rows))"
    scored = spark.sql(f"SELECT * FROM {call} ORDER BY row").toArrow().to_pylist()
    assert sum(e is not None for e in expected) > len(expected) // 2
    for says, row, given in zip(expected, scored, rows.to_pylist(), strict=True):
        if sqlml.load(f"tensorflow_{name}").labels:
            numbers = row["probabilities"] and [dict(row["probabilities"])[k] for k in LABELS]
            if says is not None and np.isnan(says).any():
                says = [np.nan] * len(says)  # what else is there depends on the processor
            else:
                assert row["prediction"] == (says and LABELS[np.argmax(says)]), given
        else:
            names = [k for k in row if k == "prediction" or k.startswith("prediction_")]
            numbers = [row[k] for k in names]
            numbers = None if None in numbers else numbers
        if says is None:
            assert numbers is None, given
        else:
            assert np.allclose(numbers, says, rtol=1e-5, atol=1e-5, equal_nan=True), given


STEPS = {
    "hashed": "Hashing",
    "several_unknown": "StringLookup",
    "words": "TextVectorization",
    **saved_models.SAID,
}


@pytest.mark.parametrize("name", [*REFUSED, *saved_models.REFUSED])
def test_what_has_no_form_is_refused_with_the_step(name: str, published: Path) -> None:
    said = json.loads((published / "refused.json").read_text())
    assert set(said) == {*REFUSED, *saved_models.REFUSED}, said
    condition = "MODEL_REJECTED" if "reach beyond" in STEPS[name] else "NOT_CONVERTIBLE"
    assert said[name].startswith(f"[{condition}]")
    assert STEPS[name] in said[name]
