"""The process of `application.py`, from the side of a test."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .standalone import STOP_SECONDS, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER_SECONDS = 240


class Driver:
    """A running application; `call` asks it to do something and returns the answer."""

    def __init__(self, process: subprocess.Popen[str], home: Path) -> None:
        self._process, self.home = process, home

    def call(self, do: str, **arguments: Any) -> Any:
        self.ask(do, **arguments)
        return self.answer()

    def ask(self, do: str, **arguments: Any) -> None:
        assert self._process.stdin
        print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)

    def answer(self) -> Any:
        """What the application says to what it was asked; `ApplicationError` if it failed."""
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError(f"no answer: {(self.home / 'stderr').read_text()[-3000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise ApplicationError(answer["error"])
        return answer["result"]

    def tasks(self) -> dict[str, int]:
        """How many tasks each executor has finished so far."""
        done: dict[str, int] = {}
        (log,) = self.home.glob("app-*")
        for line in log.read_text().splitlines():
            event = json.loads(line)
            if event["Event"] == "SparkListenerTaskEnd" and not event["Task Info"]["Failed"]:
                executor = event["Task Info"]["Executor ID"]
                done[executor] = done.get(executor, 0) + 1
        return done


class ApplicationError(Exception):
    """The message of an error in the application."""


@contextlib.contextmanager
def application(url: str, home: Path, python: str = "python3") -> Iterator[Driver]:
    """An application on the Spark at `url`; executors run the command `python`."""
    home.mkdir()
    with (home / "stderr").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("application.py"), url, str(home)],
            cwd=home,
            env=clean_environment() | {"PYSPARK_PYTHON": python},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        with process:
            try:
                yield Driver(process, home)
            finally:
                assert process.stdin
                process.stdin.close()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
