"""What sqlml adds to the parsing of a statement: medians beside Spark's parser alone.

    python benchmarks/statements.py

Both are called over py4j, alternating, in one process.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import sqlml
from sqlml.spark.session import local_session

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = ", ".join(f"sum(CASE WHEN c{i} > {i} THEN c{i} ELSE 0 END) AS s{i}" for i in range(200))
STATEMENTS = {
    "a SELECT without the word MODEL": "SELECT a, b FROM t WHERE a > 1",
    "a SELECT with it": "SELECT model, price FROM cars WHERE model = 'x'",
    "200 expressions without it": f"SELECT {COLUMNS} FROM t GROUP BY k",
    "200 expressions with it": f"SELECT {COLUMNS} FROM t GROUP BY model",
    "and with PREDICT": f"SELECT {COLUMNS} FROM PREDICT('churn', TABLE(t)) GROUP BY model",
}
REPETITIONS = 300


def main() -> None:
    """Print a table: milliseconds of Spark alone, with sqlml, and the difference."""
    spark = local_session("sqlml benchmark", hive=False)
    try:
        plain = spark._jsparkSession.sessionState().sqlParser()
        sqlml.install(spark)
        ours = spark._jsparkSession.sessionState().sqlParser()
        print(f"{'milliseconds, median of ' + str(REPETITIONS):34} Spark   sqlml   added")
        for name, text in STATEMENTS.items():
            alone, with_ours = _medians(
                lambda text=text: plain.parsePlan(text), lambda text=text: ours.parsePlan(text)
            )
            print(f"{name:34} {alone:5.2f}   {with_ours:5.2f}   {with_ours - alone:5.2f}")
    finally:
        spark.stop()


def _medians(*calls: Callable[[], Any]) -> list[float]:
    times: list[list[float]] = [[] for _ in calls]
    for repetition in range(REPETITIONS + 50):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            if repetition >= 50:  # the first ones warm the JVM up
                taken.append((time.perf_counter() - start) * 1000)
    return [statistics.median(taken) for taken in times]


if __name__ == "__main__":
    main()
