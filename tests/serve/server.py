"""`sqlml serve` as a subprocess, for tests and for load: started, waited for, stopped."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

START_SECONDS = 240
STOP_SECONDS = 60


class Server:
    """A running `sqlml serve` on free ports, with its tables in `home`.

    The registry is the environment's (MLFLOW_TRACKING_URI), or that of `env`. It is ready when
    the constructor returns, and gone after the `with` block.

        with Server(tmp_path, connect=True) as server:
            server.jdbc, server.port, server.connect
    """

    jdbc: str
    """jdbc:hive2://127.0.0.1:…"""
    port: int
    """For PyHive, and others that want a number; the host is 127.0.0.1."""
    connect: str | None
    """sc://127.0.0.1:…, where it was asked for."""

    def __init__(
        self,
        home: Path,
        *options: str,
        connect: bool = False,
        env: Mapping[str, str] | None = None,
        command: tuple[str, ...] = (sys.executable, "-m", "sqlml.serve"),
    ) -> None:
        home = home.resolve()
        home.mkdir(parents=True, exist_ok=True)
        self._output, self._errors = home / "stdout.txt", home / "stderr.txt"
        ports = ("--port", "0", *(("--connect-port", "0") if connect else ()))
        memory = () if command[0] != sys.executable else ("--conf", "spark.driver.memory=1g")
        with self._output.open("w") as output, self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*command, *ports, "--directory", str(home), *memory, *options],
                cwd=home,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,  # Ctrl-C reaches a whole group of processes
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise
        self.jdbc = self._said(r"^JDBC +(\S+)$")
        self.port = int(self.jdbc.rpartition(":")[2])
        self.connect = self._said(r"^Connect +(\S+)$") if connect else None

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._output.read_text()

    @property
    def errors(self) -> str:
        """What it logged so far."""
        return self._errors.read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to stop: its exit code, and the seconds it took."""
        start = time.monotonic()
        self.process.send_signal(how)
        code = self.process.wait(STOP_SECONDS)
        return code, time.monotonic() - start

    def kill(self) -> None:
        """End it and its JVM as a power cut would: SIGKILL, without any warning."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while not re.search(r"^Stop .*\n", self.output, re.MULTILINE):
            code = self.process.poll()
            if code is not None or time.monotonic() > end:
                what = "did not start" if code is None else f"ended with exit code {code}"
                raise RuntimeError(f"sqlml serve {what}:\n{self.output}{self.errors}")
            time.sleep(0.1)

    def _said(self, pattern: str) -> str:
        found = re.search(pattern, self.output, re.MULTILINE)
        assert found, self.output
        return found[1]
