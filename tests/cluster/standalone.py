"""A Spark standalone cluster: a master and workers as processes on 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SPARK_HOME = Path(pyspark.__file__).parent
START_SECONDS = 120
STOP_SECONDS = 30
_SMALL = {"SPARK_DAEMON_MEMORY": "256m"}


@dataclass
class Cluster:
    """A running master, and the processes that were started around it."""

    home: Path
    """Where the processes keep their logs and the workers their work directories."""
    master: str = ""
    """spark://127.0.0.1:…"""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    pythons: dict[str, Path] = field(default_factory=dict)
    """Worker, and the directory on its PATH where its executors find Python."""

    def start_master(self) -> None:
        self.start("master", *_daemon("master.Master"), env=_SMALL)
        self.master = self.wait_for("master", r"Starting Spark master at (spark://\S+)")[1]
        self.wait_for("master", r"New state: ALIVE")

    def start_workers(self, pythons: Mapping[str, Path]) -> None:
        """Start workers of one core and 1 GiB, and wait until the master has them."""
        self.pythons |= pythons
        for name, path in pythons.items():
            work = self.home / name
            work.mkdir()
            options = ("--cores", "1", "--memory", "1g", "--work-dir", str(work), self.master)
            self.start(
                name,
                *_daemon("worker.Worker"),
                *options,
                cwd=work,
                env=_SMALL
                | {
                    "PATH": f"{path}{os.pathsep}{os.environ['PATH']}",
                    "SPARK_LOCAL_DIRS": str(work),
                },
            )
        for name in pythons:
            self.wait_for(name, r"Successfully registered with master")

    def start(
        self, name: str, *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] = {}
    ) -> None:
        """Start a process of this Spark, whose output becomes the log of that name."""
        with self._log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=cwd or self.home,
                env=clean_environment() | env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, name: str, pattern: str) -> re.Match[str]:
        """Wait until a process has logged something."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.processes[name].poll() is None:
            if found := re.search(pattern, self._log(name).read_text()):
                return found
            time.sleep(0.1)
        raise RuntimeError(f"{name} did not start:\n{self._log(name).read_text()[-3000:]}")

    def kill(self, name: str) -> None:
        """End a process as a power cut would; the executors of a worker end with it."""
        self.processes[name].kill()
        self.processes[name].wait(STOP_SECONDS)

    def stop(self, *names: str) -> None:
        """End processes; without names, all of them."""
        ending = [self.processes.pop(name) for name in names or reversed([*self.processes])]
        for process in ending:
            process.terminate()
        for process in ending:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)

    def _log(self, name: str) -> Path:
        return self.home / f"{name}.log"


def _daemon(main: str) -> tuple[str | Path, ...]:
    ports = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
    return (SPARK_HOME / "bin" / "spark-class", f"org.apache.spark.deploy.{main}", *ports)


def clean_environment() -> dict[str, str]:
    """This process's environment without what would show other Pythons its packages."""
    ours = ("PYSPARK_", "PYTHON", "SPARK_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


@contextlib.contextmanager
def standalone(home: Path, pythons: Mapping[str, Path]) -> Iterator[Cluster]:
    """A cluster of a master and workers, by name and where their executors find Python."""
    home.mkdir()
    cluster = Cluster(home)
    try:
        cluster.start_master()
        cluster.start_workers(pythons)
        yield cluster
    finally:
        cluster.stop()
