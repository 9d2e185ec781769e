"""One cluster for all tests here, and a driver that has its two workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import environment
from .application import score
from .driver import application
from .standalone import standalone
from .work import arguments, publish, results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from .driver import Driver
    from .standalone import Cluster
    from .work import Results, Work

UNEVEN = "uneven-python"


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and the workers `one` and `two`, on which executors find two Pythons.

    python3 has the libraries but not sqlml; UNEVEN is the same on `one`, and lacks ONNX
    Runtime on `two`.
    """
    home = tmp_path_factory.mktemp("cluster")
    paths = {}
    for worker in ("one", "two"):
        libraries = ["numpy", "pyarrow", "pandas", "onnxruntime"]
        complete = environment.make(home / f"{worker}-python", libraries)
        poorer = environment.make(home / f"{worker}-poorer", libraries[:3])
        uneven = complete if worker == "one" else poorer
        # Not a link: Python would take itself for the one beside it.
        (complete / UNEVEN).write_text(f'#!/bin/sh\nexec "{uneven / "python3"}" "$@"\n')
        (complete / UNEVEN).chmod(0o755)
        paths[worker] = complete
    with standalone(home / "spark", paths) as running:
        yield running


@pytest.fixture(scope="package")
def uneven_python() -> str:
    """A command that on the worker `two` is a Python without ONNX Runtime."""
    return UNEVEN


@pytest.fixture(scope="package")
def work(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """The models, published, with their rows and the queries over them."""
    return publish(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="package")
def here(spark: SparkSession, work: Work, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the queries give on local[2]."""
    directory = tmp_path_factory.mktemp("here")
    score(spark, **arguments(work, work.predict | work.registered, directory))
    return results(directory)


@pytest.fixture(scope="module")
def driver(
    cluster: Cluster, registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    """A driver on the cluster, with PREDICT installed."""
    home = tmp_path_factory.mktemp("driver") / "application"
    with application(cluster.master, home) as running:
        yield running
