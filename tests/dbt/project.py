"""A copy of sql/dbt on which real dbt is run, and what a run says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE = Path(__file__).parents[2] / "sql" / "dbt"

# Made by `make test`, beside the environment of the tests.
DBT = Path(f"{sys.prefix}-dbt", "bin", "dbt")

RUN_SECONDS = 400

# What dbt leaves in a directory where somebody ran it.
LEFTOVERS = shutil.ignore_patterns("dbt_packages", "target", "logs", "package-lock.yml")


@dataclass(frozen=True)
class Run:
    """One run of dbt."""

    code: int
    output: str
    results: dict[str, dict[str, Any]]
    """What run_results.json says of each node, by the node's last name."""

    def statuses(self) -> dict[str, str]:
        return {name: result["status"] for name, result in self.results.items()}


class Project:
    """The integration project with its package, in a directory where dbt may write."""

    def __init__(self, home: Path, port: int) -> None:
        shutil.copytree(PACKAGE, home / "dbt", ignore=LEFTOVERS)
        self.directory = home / "dbt" / "integration"
        self._environment = os.environ | {"SQLML_PORT": str(port)}

    def dbt(self, *arguments: str) -> Run:
        """Run dbt; its exit code is not judged."""
        assert DBT.exists(), f"{DBT} is missing: make test makes it"
        results = self.directory / "target" / "run_results.json"
        results.unlink(missing_ok=True)
        process = subprocess.run(
            [str(DBT), "--no-use-colors", *arguments],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        found = json.loads(results.read_text())["results"] if results.exists() else []
        return Run(process.returncode, process.stdout, {_name(r["unique_id"]): r for r in found})

    @contextmanager
    def also(self, files: Mapping[str, str]) -> Iterator[None]:
        """The project with these files, as long as the block lasts."""
        before = {
            path: path.read_text() if path.exists() else None
            for path in map(self.directory.joinpath, files)
        }
        for path, text in zip(before, files.values(), strict=True):
            path.write_text(text)
        try:
            yield
        finally:
            for path, text in before.items():
                if text is None:
                    path.unlink()
                else:
                    path.write_text(text)


def _name(unique_id: str) -> str:
    """test.sqlml_integration.spend_is_plausible.0a1b → spend_is_plausible."""
    kind, _, name, *_ = unique_id.split(".")
    return unique_id.split(".")[3] if kind == "unit_test" else name
