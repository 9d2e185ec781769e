"""One server with models and a table, and the clients that its users have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway
from py4j.protocol import get_return_value

import sqlml

from .clients import SPARK_HOME, create_customers, jdbc_connection, pyhive
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = 120


@pytest.fixture(autouse=True)
def py4j_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """PySpark lets py4j look every error up in PySpark's own JVM; the one here is another."""
    monkeypatch.setattr("py4j.java_gateway.get_return_value", get_return_value)


@pytest.fixture(scope="package")
def rows() -> pd.DataFrame:
    """The table `customers`."""
    rng = np.random.default_rng(11)
    return pd.DataFrame(
        {
            "id": range(ROWS),
            "age": rng.uniform(18, 90, ROWS).round(1),
            "tenure": rng.integers(0, 120, ROWS),
            "plan": rng.choice(["basic", "plus", "pro"], ROWS),
        }
    )


@pytest.fixture(scope="package")
def fitted(rows: pd.DataFrame) -> dict[str, Any]:
    """`churn` has labels of text and takes age, tenure and plan; `worth` is a regression."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encode = make_column_transformer(
        (StandardScaler(), ["age", "tenure"]), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
    )
    inputs = rows[["age", "tenure", "plan"]]
    leaves = np.where(rows["age"] + 9 * (rows["plan"] == "pro") > 55, "yes", "no")
    return {
        "churn": make_pipeline(encode, LogisticRegression()).fit(inputs, leaves),
        "worth": LinearRegression().fit(
            inputs[["age", "tenure"]], rows["age"] * 2 - rows["tenure"]
        ),
    }


@pytest.fixture(scope="package")
def own_registry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a registry that only these tests and their servers use."""
    home = tmp_path_factory.mktemp("serve-registry")
    return {
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(home / "artifacts"),
    }


@pytest.fixture(scope="package")
def publish(own_registry: dict[str, str]) -> Callable[..., sqlml.PublishedModel]:
    """sqlml.publish into the registry of the server, from outside of it."""

    def publish(model: Any, name: str, sample: pd.DataFrame, **more: Any) -> sqlml.PublishedModel:
        with pytest.MonkeyPatch.context() as env:
            for key, value in own_registry.items():
                env.setenv(key, value)
            return sqlml.publish(model, name, sample=sample, **more)

    return publish


@pytest.fixture(scope="package")
def published(
    publish: Callable[..., sqlml.PublishedModel], fitted: dict[str, Any], rows: pd.DataFrame
) -> dict[str, sqlml.PublishedModel]:
    """Both models, in the registry of the server."""
    return {
        name: publish(model, name, rows[list(model.feature_names_in_)], alias="champion")
        for name, model in fitted.items()
    }


@pytest.fixture(scope="package")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    own_registry: dict[str, str],
    published: dict[str, sqlml.PublishedModel],
    rows: pd.DataFrame,
) -> Iterator[Server]:
    """JDBC and Spark Connect, with the models and the table `customers`."""
    home = tmp_path_factory.mktemp("server")
    with Server(home, connect=True, env=own_registry) as server:
        with pyhive(server) as cursor:
            cursor.execute(create_customers(rows))
        yield server


@pytest.fixture
def cursor(server: Server) -> Iterator[Any]:
    """A cursor of a new PyHive session of the shared server."""
    with pyhive(server) as cursor:
        yield cursor


@pytest.fixture(scope="package")
def jvm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A JVM with Hive's JDBC driver, and nothing of ours."""
    (py4j,) = (SPARK_HOME / "jars").glob("py4j-*.jar")
    log = (tmp_path_factory.mktemp("jvm") / "log.txt").open("w")
    port, process = launch_gateway(
        jarpath=str(py4j),
        classpath=str(SPARK_HOME / "jars" / "*"),
        javaopts=["-Xmx256m", "--add-opens=java.base/java.nio=ALL-UNNAMED"],
        die_on_exit=True,
        redirect_stdout=log,
        redirect_stderr=log,
        return_proc=True,
    )
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port))
    yield gateway.jvm
    gateway.shutdown()
    process.stdin.close()
    process.wait(30)
    log.close()


@pytest.fixture
def connection(jvm: Any, server: Server) -> Iterator[Any]:
    """A java.sql.Connection of the shared server."""
    with jdbc_connection(jvm, server.jdbc) as connection:
        yield connection
