"""Where the contest takes place: one directory with its tables and registry, and one Spark."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlml.bench import data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from pyspark.sql import SparkSession
    from rich.console import Console

    from sqlml.bench.case import Case
    from sqlml.bench.data import Maker

TRAINING_ROWS = 50_000

_SAMPLE = 500
"""Rows that a model is published with."""
_REGISTRY_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


class Stage:
    """What all workloads share: options, tables, published models, Spark."""

    def __init__(
        self, home: Path, *, seed: int, rows_scale: float, repeat: int, console: Console
    ) -> None:
        self.home = home
        self.seed = seed
        self.repeat = repeat
        self._rows_scale = rows_scale
        self._console = console
        self._start = time.monotonic()
        self._published: dict[int, tuple[Any, str]] = {}
        self._tables: set[str] = set()

    def say(self, text: str) -> None:
        self._console.print(f"{time.monotonic() - self._start:6.0f} s  {text}", markup=False)

    def rows(self, full: int) -> int:
        return max(data.FILES, round(full * self._rows_scale))

    @cached_property
    def spark(self) -> SparkSession:
        """Started when it is needed, with PREDICT."""
        from sqlml.spark.installation import install
        from sqlml.spark.session import local_session

        spark = local_session(
            "sqlml bench", hive=False, directory=self.home, conf={"spark.driver.memory": "4g"}
        )
        # Workers that end without an error are no news; errors of contestants are caught.
        spark.sparkContext.setLogLevel("OFF")
        install(spark)
        return spark

    def stop_spark(self) -> None:
        if "spark" in self.__dict__:
            self.spark.stop()
            del self.spark
            self._tables.clear()

    @property
    def cores(self) -> int:
        return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1

    def table(self, name: str, make: Maker, full_rows: int) -> str:
        """A view over rows of that kind, made once a run; its name tells how many they are."""
        rows = self.rows(full_rows)
        view = f"{name}_{rows}"
        if view not in self._tables:
            self.spark.read.parquet(str(self.files(name, make, rows))).createTempView(view)
            self._tables.add(view)
        return view

    def files(self, name: str, make: Maker, rows: int) -> Path:
        """The same as Parquet files, of so many rows whatever the scale."""
        place = self.home / "data" / f"{name}_{rows}"
        if not place.exists():
            self.say(f"writing {rows:,} rows of {name}")
            data.write(make, name, rows, self.seed, place)
        return place

    def training(self, name: str, make: Maker) -> pd.DataFrame:
        """Rows to train on, which are not among those that are scored."""
        random = data.generator(self.seed, f"training on {name}", 0)
        rows = min(TRAINING_ROWS, max(2_000, self.rows(10 * TRAINING_ROWS)))
        frame: pd.DataFrame = make(random, 0, rows).to_pandas()
        return frame

    def publish(self, case: Case) -> str:
        """The name under which SQL finds the model; published once."""
        from sqlml.publish import publish

        key = id(case.model)  # which stays its own: the model is kept
        if key not in self._published:
            name = f"bench-{len(self._published) + 1}"
            self.say(f"publishing {case.name}")
            publish(case.model, name, sample=case.sample[:_SAMPLE], alias="champion")
            self._published[key] = case.model, name
        return self._published[key][1]


@contextlib.contextmanager
def work_in(home: Path) -> Iterator[None]:
    """Work in `home` with an empty registry of its own, whatever registry the user has."""
    before = {name: os.environ.pop(name, None) for name in _REGISTRY_VARIABLES}
    for part in ("data", "mlruns"):
        shutil.rmtree(home / part, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    (home / "mlflow.db").unlink(missing_ok=True)
    os.environ[_REGISTRY_VARIABLES[0]] = f"sqlite:///{home / 'mlflow.db'}"
    try:
        with contextlib.chdir(home):
            yield
    finally:
        shutil.rmtree(home / "data", ignore_errors=True)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
