"""The dbt project, built once against `sqlml serve` with the two models that it scores with."""

from __future__ import annotations

import runpy
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pyhive import hive

import sqlml
from tests.serve.server import Server

from .project import PACKAGE, Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .project import Run

SCHEMA = "dbt_sqlml"


@pytest.fixture(scope="package")
def train() -> dict[str, Any]:
    """What train.py of the project defines."""
    return runpy.run_path(str(PACKAGE / "integration" / "train.py"))


@pytest.fixture(scope="package")
def customers() -> pd.DataFrame:
    return pd.read_csv(PACKAGE / "integration" / "seeds" / "customers.csv")


@pytest.fixture(scope="package")
def dbt_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A registry of these tests' own: the versions of `churn` are counted."""
    home = tmp_path_factory.mktemp("dbt-registry")
    with pytest.MonkeyPatch.context() as env:
        env.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
        env.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(home / "artifacts"))
        yield


@pytest.fixture(scope="package")
def published(
    dbt_registry: None, train: dict[str, Any], customers: pd.DataFrame
) -> dict[str, sqlml.PublishedModel]:
    """The first versions of `churn` and `spend`."""
    known = customers.dropna()
    inputs = train["INPUTS"]
    return {
        "churn": sqlml.publish(train["churn"](known), "churn", sample=known[inputs]),
        "spend": sqlml.publish(train["spend"](customers), "spend", sample=customers[inputs]),
    }


@pytest.fixture(scope="package")
def server(
    tmp_path_factory: pytest.TempPathFactory, published: dict[str, sqlml.PublishedModel]
) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("dbt-server")
    with Server(home, "--conf", "spark.sql.shuffle.partitions=2") as server:
        yield server


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Project:
    """The project with its package installed."""
    project = Project(tmp_path_factory.mktemp("dbt"), server.port)
    installed = project.dbt("deps")
    assert installed.code == 0, installed.output
    return project


@pytest.fixture(scope="package")
def first_build(project: Project) -> Run:
    return project.dbt("build")


@pytest.fixture(scope="package")
def rows(server: Server) -> Callable[[str], pd.DataFrame]:
    """The rows of a table that dbt made, by customer."""

    def rows(table: str) -> pd.DataFrame:
        with hive.connect("127.0.0.1", server.port, database=SCHEMA) as connection:
            cursor = connection.cursor()
            cursor.execute(f"SELECT * FROM {table} ORDER BY customer_id")
            names = [column[0].rpartition(".")[2] for column in cursor.description]
            return pd.DataFrame(cursor.fetchall(), columns=names)

    return rows
