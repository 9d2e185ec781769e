"""README.md is true: its code runs in the order in which it stands, its tables are the code's."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from sqlml.cli import main
from sqlml.convert import CONVERTERS

from .documents import Block, blocks, run_sql
from .zoo import ZOO, spark_ml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


BLOCKS = blocks(ROOT / "README.md")
PYTHON = [b for b in BLOCKS if b.language == "python"]
SQL = [b for b in BLOCKS if b.language == "sql"]
SHELL = [b for b in BLOCKS if b.language == "sh"]


@pytest.fixture(scope="module")
def reader(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What the README takes for given: a model, its training rows, a session with customers.

    The Python blocks have run.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    home = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "age": rng.uniform(18, 90, 500).round(1),
            "plan": rng.choice(["basic", "plus", "pro"], 500),
            "tenure": rng.integers(0, 120, 500),
        }
    )
    leaves = np.where(rows["age"] - rows["tenure"] + rng.normal(0, 20, 500) > 0, "yes", "no")
    prepare = make_column_transformer(
        (StandardScaler(), ["age", "tenure"]), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
    )
    session = spark.newSession()
    customers = rows.assign(id=range(500), country="NL")
    session.createDataFrame(customers).createOrReplaceTempView("customers")
    names = {
        "model": make_pipeline(prepare, LogisticRegression()).fit(rows, leaves),
        "X_train": rows,
        "spark": session,
    }
    with pytest.MonkeyPatch.context() as env:
        env.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
        env.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(home / "artifacts"))
        for block in PYTHON:
            exec(block.code, names)
        yield names


@pytest.mark.parametrize("block", SQL, ids=str)
def test_sql_runs(block: Block, reader: dict[str, Any]) -> None:
    """Each query of the README has rows, or the error that stands below it."""
    run_sql(reader["spark"], block)


def test_the_python_is_four_lines() -> None:
    """The README promises four, and the first block has them."""
    assert len(PYTHON[0].code.strip().splitlines()) == 4


def test_commands_exist() -> None:
    """Targets of the Makefile and subcommands of sqlml; CI runs the test command."""
    commands = [shlex.split(line) for block in SHELL for line in block.code.strip().splitlines()]
    makefile = (ROOT / "Makefile").read_text()
    for program, name, *_ in commands:
        if program == "make":
            assert re.search(rf"^{name}:.*##", makefile, re.M), name
        else:
            assert program == "sqlml"
            assert name in main.commands
    assert ["make", "test"] in commands
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()


def table_of_frameworks() -> dict[str, list[str]]:
    """Extra → the cells of its row; ONNX itself needs none."""
    rows = re.findall(r"^\| .*?\| `sqlml(?:\[(\w+)\])?` \|(.*)\|$", README, re.M)
    return {extra or "onnx": [cell.strip() for cell in rest.split("|")] for extra, rest in rows}


def test_every_framework_is_in_the_table() -> None:
    """A row for each converter, with the versions of its extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"] | {"onnx": project["dependencies"]}
    table = table_of_frameworks()
    assert sorted(table) == sorted(CONVERTERS)
    for extra, (versions, _) in table.items():
        assert any(requirement.endswith(versions) for requirement in extras[extra]), extra


@pytest.mark.parametrize("extra", sorted(CONVERTERS))
def test_every_estimator_in_the_table_is_in_the_zoo(extra: str, spark: SparkSession) -> None:
    """Whatever the table names is scored against its own framework by the zoo's tests."""
    named = re.findall(r"`(\w+)`", table_of_frameworks()[extra][1])
    assert named
    assert sorted(set(named) - classes_in_zoo(extra)) == []


def classes_in_zoo(extra: str) -> set[str]:
    """The names of the classes that a framework's cases are made of."""
    if extra == "spark":
        return set(spark_ml.TRAINED)
    if extra == "tensorflow":  # not in this environment
        sources = (ROOT / "tests" / "tensorflow" / f"{n}.py" for n in ("models", "saved_models"))
        return {n for s in sources for n in re.findall(r"\b(?:layers|tf)\.(\w+)", s.read_text())}
    found = set()
    for case in ZOO:
        if case.id.startswith(f"{extra}-"):
            model = case.fitted.model
            parts = [model]
            if hasattr(model, "get_params"):
                parts += model.get_params(deep=True).values()
            if hasattr(model, "model"):  # the results of a statsmodels model
                parts.append(model.model)
            if hasattr(model, "modules"):  # a network, whose layers are modules of PyTorch
                parts += [*model.modules(), *getattr(model, "layers", ())]
            found |= {type(part).__name__ for part in parts}
    return found
