"""beeline, as people and shell scripts use it."""

from __future__ import annotations

import os
import queue
import subprocess
import threading

from sklearn.linear_model import LinearRegression

from .clients import SPARK_HOME, assert_one_line, beeline


class Session:
    """A beeline that stays open: statements go in, rows come out."""

    def __init__(self, server):
        self._process = subprocess.Popen(
            [SPARK_HOME / "bin" / "beeline", "-u", server.jdbc, "-n", "anna", "--silent=true",
             "--outputformat=csv2", "--showHeader=false"],
            env={**os.environ, "SPARK_HOME": str(SPARK_HOME)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line.strip())

    def ask(self, query):
        """The first row of a query, which must begin with "answer"."""
        self._process.stdin.write(f"{query};\n")
        self._process.stdin.flush()
        while True:
            line = self._lines.get(timeout=120)
            if line.startswith("answer"):
                return line.removeprefix("answer,")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def test_a_script_scores_a_table(server, rows, fitted):
    done = beeline(
        server, "SELECT id, prediction FROM PREDICT('churn', TABLE(customers)) ORDER BY id"
    )
    assert done.returncode == 0
    expected = fitted["churn"].predict(rows[["age", "tenure", "plan"]])
    assert done.stdout.split() == [f"{i},{label}" for i, label in enumerate(expected)]


def test_a_wrong_query_is_one_line_and_a_failed_script(server):
    done = beeline(server, "SELECT * FROM PREDICT('chrun', TABLE(customers))")
    assert done.returncode != 0
    (error,) = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
    assert error.startswith("Error: [MODEL_NOT_FOUND] No model 'chrun'. Did you mean 'churn'?")
    assert_one_line(error)


def test_a_model_published_later_is_there_in_a_session_that_is_open(server, publish, rows):
    """One session is opened before, one after a third party has published the model."""
    score = "SELECT 'answer', predict('later', age => 30D)"
    with Session(server) as before:
        assert before.ask("SELECT 'answer', 1") == "1"
        sample = rows[["age"]]
        publish(LinearRegression().fit(sample, 2 * sample.age + 1), "later", sample)
        with Session(server) as after:
            assert float(before.ask(score)) == float(after.ask(score))
            publish(LinearRegression().fit(sample, sample.age), "later", sample)
            assert round(float(before.ask(score)), 6) == round(float(after.ask(score)), 6) == 30
