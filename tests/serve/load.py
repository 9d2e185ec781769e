"""Many JDBC clients at once, each answer checked, and what the server holds meanwhile.

SQLML_LOAD_CLIENTS=32 SQLML_LOAD_SECONDS=120 pytest -s tests/serve/test_load.py
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyhive.exc import DatabaseError

from .clients import assert_one_line, pyhive

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from .server import Server

SAMPLE_SECONDS = 10
SESSION_OPERATIONS = 8


@dataclass(frozen=True)
class Sample:
    """What the two processes of a server hold; memory in MB."""

    second: int
    operations: int
    python_rss: int
    python_files: int
    python_threads: int
    java_rss: int
    java_files: int
    java_threads: int
    java_heap: int | None
    """Used after a full collection; None without a JDK's jcmd."""
    java_metaspace: int | None

    def __str__(self) -> str:
        return (
            f"{self.second:5} s {self.operations:7} operations   "
            f"Python {self.python_rss:5} MB {self.python_files:4} files "
            f"{self.python_threads:4} threads   "
            f"Java {self.java_rss:5} MB {self.java_files:4} files {self.java_threads:4} threads, "
            f"heap {self.java_heap} MB, metaspace {self.java_metaspace} MB"
        )


@dataclass
class Load:
    """The clients' work: what was done, and every answer that was not the right one."""

    rows: pd.DataFrame
    fitted: dict[str, Any]
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._labels = self.fitted["churn"].predict(self.rows[["age", "tenure", "plan"]]).tolist()
        self._lock = threading.Lock()

    def run(self, server: Server, clients: int, seconds: float) -> None:
        """Load the server; the last of `samples` is taken when all clients have left."""
        with pyhive(server) as cursor:
            cursor.execute("CREATE DATABASE IF NOT EXISTS other")
        start = time.monotonic()
        end = start + seconds
        threads = [
            threading.Thread(target=self._client, args=(server, number, end), daemon=True)
            for number in range(clients)
        ]
        for thread in threads:
            thread.start()
        java = _child(server.process.pid)
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(SAMPLE_SECONDS, left))
            self._sample(server.process.pid, java, int(time.monotonic() - start))
        for thread in threads:
            thread.join(120)
        if any(thread.is_alive() for thread in threads):
            self.wrong.append("a client hangs")
        self._sample(server.process.pid, java, int(time.monotonic() - start))

    def report(self) -> str:
        """For people: a line for each sample, and the sums."""
        lines = [str(sample) for sample in self.samples]
        lines.append(f"{self.done.total()} operations, {len(self.wrong)} wrong: {dict(self.done)}")
        return "\n".join(lines + self.wrong[:10])

    def _client(self, server: Server, number: int, end: float) -> None:
        chance = random.Random(number)
        kinds = (
            self._score_table,
            self._score_values,
            self._score_rows,
            self._list_models,
            self._ask_wrongly,
            self._set,
            self._use,
            self._view,
        )
        while time.monotonic() < end:
            try:
                with pyhive(server, username=f"client{number}") as cursor:
                    for _ in range(SESSION_OPERATIONS):
                        if time.monotonic() > end:
                            break
                        self._work(chance.choice(kinds), cursor, chance)
            except Exception as error:
                self._record_wrong(f"session: {error!r}"[:9000])

    def _work(self, kind: Callable[..., None], cursor: Any, chance: random.Random) -> None:
        name = kind.__name__.lstrip("_")
        try:
            kind(cursor, chance)
        except Exception as error:
            self._record_wrong(f"{name}: {error!r}"[:9000])
        with self._lock:
            self.done[name] += 1

    def _record_wrong(self, what: str) -> None:
        with self._lock:
            self.wrong.append(what)

    def _score_table(self, cursor: Any, chance: random.Random) -> None:
        first = chance.randrange(len(self.rows) - 20)
        found = _answer(
            cursor,
            "SELECT id, prediction, probability FROM PREDICT('churn', TABLE(customers)) "
            f"WHERE id BETWEEN {first} AND {first + 9} ORDER BY id",
        )
        assert [row[:2] for row in found] == [
            (i, self._labels[i]) for i in range(first, first + 10)
        ]
        assert all(0.5 <= row[2] <= 1 for row in found)

    def _score_values(self, cursor: Any, chance: random.Random) -> None:
        age, tenure = round(chance.uniform(18, 90), 1), chance.randrange(100)
        query = f"SELECT predict('worth', age => {age}D, tenure => {tenure})"
        ((score,),) = _answer(cursor, query)
        model = self.fitted["worth"]
        expected = model.intercept_ + model.coef_ @ [age, tenure]
        assert abs(score - expected) < 1e-9, (score, expected)

    def _score_rows(self, cursor: Any, chance: random.Random) -> None:
        count = chance.randrange(1, 30)
        found = _answer(cursor, f"SELECT id, predict('churn', *) FROM customers WHERE id < {count}")
        assert sorted(found) == [(i, self._labels[i]) for i in range(count)]

    def _list_models(self, cursor: Any, chance: random.Random) -> None:
        names = _answer(cursor, chance.choice(["SHOW MODELS", "SELECT * FROM models()"]))
        assert {"churn", "worth"} <= {row[0] for row in names}

    def _ask_wrongly(self, cursor: Any, chance: random.Random) -> None:
        query, begins = chance.choice(
            [
                ("SELECT * FROM PREDICT('chrun', TABLE(customers))", "[MODEL_NOT_FOUND] No model"),
                ("SELECT predict('worth', 1D)", "[INPUT_COUNT] Model 'worth' takes 2 inputs"),
                ("SHOW MODELS LIKE", "[STATEMENT_SYNTAX] "),
            ]
        )
        try:
            cursor.execute(query)
        except DatabaseError as error:
            message = error.args[0].status.errorMessage
            assert message.startswith(begins), message
            assert_one_line(message)
        else:
            raise AssertionError(f"{query} gave no error")

    def _set(self, cursor: Any, chance: random.Random) -> None:
        value = chance.randrange(2, 50)
        cursor.execute(f"SET spark.sql.shuffle.partitions = {value}")
        ((_, found),) = _answer(cursor, "SET spark.sql.shuffle.partitions")
        assert int(found) == value
        cursor.execute("RESET spark.sql.shuffle.partitions")

    def _use(self, cursor: Any, chance: random.Random) -> None:
        for database in ("other", "default"):
            cursor.execute(f"USE {database}")
            assert _answer(cursor, "SELECT current_database()") == [(database,)]

    def _view(self, cursor: Any, chance: random.Random) -> None:
        first = chance.randrange(len(self.rows) - 10)
        cursor.execute(
            "CREATE OR REPLACE TEMPORARY VIEW mine AS SELECT * FROM "
            f"PREDICT('churn', TABLE(customers)) WHERE id BETWEEN {first} AND {first + 4}"
        )
        found = _answer(cursor, "SELECT id, prediction FROM mine")
        assert sorted(found) == [(i, self._labels[i]) for i in range(first, first + 5)]

    def _sample(self, python: int, java: int, second: int) -> None:
        heap, metaspace = _heap(java)
        of_python, of_java = _process(python), _process(java)
        self.samples.append(
            Sample(second, self.done.total(), *of_python, *of_java, heap, metaspace)
        )


def _answer(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (java,) = [int(c) for c in children if Path(f"/proc/{c}/comm").read_text().strip() == "java"]
    return java


def _process(pid: int) -> tuple[int, int, int]:
    """Resident memory in MB, open files, threads."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory, threads = (
        int(re.findall(rf"^{key}:\s+(\d+)", status, re.MULTILINE)[0])
        for key in ("VmRSS", "Threads")
    )
    return memory // 1024, len(os.listdir(f"/proc/{pid}/fd")), threads


def _heap(pid: int) -> tuple[int | None, int | None]:
    """Heap and metaspace in use, in MB, after a full collection."""
    if shutil.which("jcmd") is None:
        return None, None
    with contextlib.suppress(subprocess.SubprocessError):
        subprocess.run(["jcmd", str(pid), "GC.run"], capture_output=True, timeout=30, check=True)
        told = subprocess.run(
            ["jcmd", str(pid), "GC.heap_info"], capture_output=True, text=True, timeout=30
        ).stdout
        used = [int(kilobytes) // 1024 for kilobytes in re.findall(r"used (\d+)K", told)]
        return used[0], used[1]
    return None, None
