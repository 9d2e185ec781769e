"""The clients of a server, each as its users use it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyspark
from pyhive import hive

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from .server import Server

SPARK_HOME = Path(pyspark.__file__).parent
LONG_QUERY = "SELECT count(*) FROM range(3000000) a JOIN range(3000000) b ON (a.id + b.id) % 7 = 8"


def create_customers(rows: pd.DataFrame) -> str:
    """CREATE TABLE customers, with the rows in the statement."""
    values = ", ".join(f"({r.id}, {r.age}D, {r.tenure}, '{r.plan}')" for r in rows.itertuples())
    return f"CREATE TABLE customers AS SELECT * FROM VALUES {values} AS t(id, age, tenure, plan)"


@contextlib.contextmanager
def pyhive(server: Server, **more: Any) -> Iterator[Any]:
    """A cursor of a new PyHive session."""
    with contextlib.closing(hive.connect("127.0.0.1", port=server.port, **more)) as connection:
        yield connection.cursor()


def beeline(
    server: Server, *statements: str, user: str = "anna"
) -> subprocess.CompletedProcess[str]:
    """Run statements in one beeline, as a shell script would: CSV on its standard output."""
    options = ["--silent=true", "--outputformat=csv2", "--showHeader=false"]
    queries = [part for statement in statements for part in ("-e", statement)]
    done = subprocess.run(
        [SPARK_HOME / "bin" / "beeline", "-u", server.jdbc, "-n", user, *options, *queries],
        env={**os.environ, "SPARK_HOME": str(SPARK_HOME)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    # It prints its prompt even where nobody types.
    done.stdout = re.sub(r"^(0: jdbc:\S+> )+", "", done.stdout, flags=re.MULTILINE)
    return done


@contextlib.contextmanager
def jdbc_connection(jvm: Any, url: str, user: str = "anna", password: str = "") -> Iterator[Any]:
    """A java.sql.Connection."""
    properties = jvm.java.util.Properties()
    properties.setProperty("user", user)
    properties.setProperty("password", password)
    connection = jvm.org.apache.hive.jdbc.HiveDriver().connect(url, properties)
    try:
        yield connection
    finally:
        connection.close()


def assert_one_line(message: str) -> None:
    """What a SQL user may be shown: no stack of Java's or Python's."""
    assert "\tat " not in message
    assert "Traceback" not in message
    assert "Exception" not in message
    assert len(message.strip().splitlines()) == 1, message
