"""A Spark Connect server that has nothing of sqlml: functions bring all that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .driver import application
from .standalone import SPARK_HOME
from .work import arguments, results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .standalone import Cluster
    from .work import Results, Work

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.connect.grpc.binding.port": "0",
    "spark.sql.session.timeZone": "UTC",
}


@pytest.fixture
def server(cluster: Cluster) -> Iterator[str]:
    """The URL of Spark's own Connect server, with no Python at all, on the cluster."""
    settings = [word for key, value in SETTINGS.items() for word in ("--conf", f"{key}={value}")]
    cluster.start(
        "connect",
        SPARK_HOME / "bin" / "spark-submit",
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
        *("--master", cluster.master, "--driver-memory", "1g"),
        *settings,
    )
    found = cluster.wait_for("connect", r"Connect server started at: \S*?:(\d+)")
    yield f"sc://127.0.0.1:{found[1]}"
    cluster.stop("connect")


def test_a_client_brings_the_code_that_scores(
    server: str, work: Work, here: Results, tmp_path: Path
) -> None:
    """`sqlml.register` and `sqlml.udf` give there what they give on local[2]."""
    rows = tmp_path / "rows"
    rows.mkdir()
    with application(server, tmp_path / "client") as client:
        client.call("score", **arguments(work, work.registered, rows))
    found = results(rows)
    assert found == {name: here[name] for name in [*work.registered, "column"]}
