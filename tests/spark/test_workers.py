"""Python workers are forked from a process that has imported what they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from sqlml.daemon import MODULES, without_zips
from sqlml.spark.internals import fork_workers_from

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@linux
def test_workers_come_from_it_with_the_installed_pyspark(spark):
    def look(_):
        import os

        import pyspark

        parent = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")
        return [(parent[1:3], pyspark.__file__)]

    ((started, file),) = spark.sparkContext.parallelize([0], 1).mapPartitions(look).collect()
    assert started == [b"-m", b"sqlml.daemon"]
    assert ".zip" not in file


def test_a_limit_that_ends_a_worker_leaves_scores_as_they_are(spark, table):
    """Spark stops a worker that is not read to its end; the next is forked anew."""
    query = "SELECT id, probability FROM PREDICT('churn', TABLE(customers), backend => 'onnx')"
    scores = {row.id: row.probability for row in spark.sql(query).collect()}
    for _ in range(3):
        found = spark.sql(f"{query} LIMIT 3").collect()
        assert [scores[row.id] for row in found] == [row.probability for row in found]


@linux
def test_no_thread_is_started_that_a_fork_would_lose():
    """jemalloc's, in pyarrow, begins again in the child."""
    code = f"""
import importlib, pathlib
for module in {MODULES}: importlib.import_module(module)
for thread in pathlib.Path("/proc/self/task").iterdir(): print((thread / "comm").read_text())
"""
    # Spark gives workers OMP_NUM_THREADS=1, or as many as a task has cores.
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    # A list: a thread that takes no name of its own has the main one's.
    assert len([name for name in done.stdout.split() if name != "jemalloc_bg_thd"]) == 1


def test_the_applications_own_daemon_stays(spark):
    settings = spark.sparkContext._jsc.sc().conf()
    fork_workers_from(spark, "another.daemon")
    assert settings.get("spark.python.daemon.module") == "sqlml.daemon"


def test_zips_are_left_out_only_if_they_are_of_the_pyspark_beside_them(tmp_path):
    home = Path(pyspark.__file__).parent
    own = str(home / "python" / "lib" / "pyspark.zip")
    other = str(tmp_path / "spark" / "python" / "lib" / "pyspark.zip")
    packages = str(home.parent)
    assert without_zips([own, packages]) == [packages]
    assert without_zips([other, packages]) == [other, packages]
    assert without_zips([own, str(tmp_path)]) == [own, str(tmp_path)]
