"""One Spark application and one registry for the whole test run, both in a temporary directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

# Before anything loads OpenMP: threads that spin while they wait make training on a busy
# machine five times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


ONE_SERVER = ("serve", "cluster", "dbt", "tensorflow")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What goes to one worker when tests run side by side: a model of the zoo; whatever shares
    a server; else a file.
    """
    here = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(here)
        case = getattr(item, "callspec", None) and item.callspec.params.get("case")
        if path.name == "test_zoo.py" and case:
            together = str(case)
        elif path.parts[0] in ONE_SERVER:
            together = path.parts[0]
        else:
            together = str(path)
        item.add_marker(pytest.mark.xdist_group(together))


@pytest.fixture(scope="session", autouse=True)
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a fresh MLflow registry, which child processes and executors see too."""
    home = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as env:
        env.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
        # Else artifacts land in ./mlruns, which is the repository.
        env.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(home / "artifacts"))
        env.delenv("MLFLOW_REGISTRY_URI", raising=False)
        yield os.environ["MLFLOW_TRACKING_URI"]


@pytest.fixture(scope="session")
def spark_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the test session keeps its tables."""
    return tmp_path_factory.mktemp("spark")


@pytest.fixture(scope="session")
def spark(registry: str, spark_home: Path) -> Iterator[SparkSession]:
    """A local session with PREDICT installed; its catalogue is in memory."""
    from pyspark.sql import SparkSession

    import sqlml

    with pytest.MonkeyPatch.context() as env:
        # Workers run "python3" of the PATH otherwise, which need not be this environment.
        env.setenv("PYSPARK_PYTHON", sys.executable)
        session = (
            SparkSession.builder.master("local[2]")
            .appName("sqlml tests")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.connect.grpc.binding.address", "127.0.0.1")
            .config("spark.connect.grpc.binding.port", "0")
            .config("spark.driver.memory", "2g")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.warehouse.dir", str(spark_home / "warehouse"))
            .config("spark.sql.catalogImplementation", "in-memory")
            .config("spark.sql.session.timeZone", "UTC")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")
        sqlml.install(session)
        yield session
        session.stop()


@pytest.fixture
def other_spark(spark: SparkSession) -> SparkSession:
    """A second session of the same application, opened after `install`: what a client gets."""
    return spark.newSession()
