"""EXPLAIN shows what the builders of our functions note, and whose query it was."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sqlml.errors import ArgumentError
from sqlml.spark import internals

NAMED = "== Models ==\n"


@pytest.fixture(scope="module", autouse=True)
def noting(spark):
    """`told(x)` is x and `told_rows(TABLE(t))` is t; each notes what it was called with."""

    def told(call: internals.Call) -> internals.Expression:
        (argument,) = call.arguments
        internals.note(f"told {argument.text}")
        if argument.type == "STRING":
            raise ArgumentError("told takes no text")
        return argument.handle

    def told_rows(call: internals.Call) -> internals.Plan:
        plan = call.arguments[0].handle
        columns = internals.plan_columns(plan, call.spark)
        internals.note(f"told rows of {', '.join(name for name, _ in columns)}")
        return plan

    function = internals.Function
    internals.install_functions(
        spark,
        scalar={"told": function("_FUNC_(x) - x", told)},
        table={"told_rows": function("_FUNC_(TABLE(t)) - t", told_rows)},
    )


def explained(spark, statement: str, *args) -> str:
    (row,) = spark.sql(statement, *args).collect()
    return row.plan


def noted(spark, statement: str, *args) -> list[str]:
    spark_says, _, notes = explained(spark, statement, *args).partition(NAMED)
    assert "Physical Plan" in spark_says or "WholeStageCodegen" in spark_says
    return notes.splitlines()


@pytest.mark.parametrize("mode", ["", "EXTENDED", "FORMATTED", "COST", "CODEGEN"])
def test_notes_come_after_sparks_own_output(spark, mode):
    text = explained(spark, f"EXPLAIN {mode} SELECT told(id) AS y FROM range(3)")
    plain = explained(spark, f"EXPLAIN {mode} SELECT id AS y FROM range(3)")
    assert text.endswith(f"\n{NAMED}told id\n")
    assert plain.splitlines()[0] == text.splitlines()[0]
    assert NAMED not in plain


def test_each_note_is_shown_once_in_the_order_of_the_calls(spark):
    query = (
        "SELECT told(id), told(id) AS again FROM told_rows(TABLE(SELECT id, id AS b FROM range(3)))"
    )
    assert noted(spark, f"EXPLAIN {query}") == ["told rows of id, b", "told id"]


def test_later_sessions_views_and_parameters(spark, other_spark):
    other_spark.sql("CREATE TEMPORARY VIEW h AS SELECT told(id) AS y FROM range(3)")
    assert noted(other_spark, "EXPLAIN SELECT * FROM h") == ["told id"]
    assert noted(spark, "/* how? */ explain SELECT told(:x) AS y", {"x": 1}) == ["told 1"]
    assert noted(spark, "EXPLAIN SELECT told(?) AS y", [2]) == ["told 2"]


def test_a_query_that_runs_leaves_nothing_for_the_next_explain(spark):
    spark.sql("SELECT told(id) FROM range(3)").collect()
    assert noted(spark, "EXPLAIN SELECT id AS y FROM range(3)") == []


def test_a_wrong_call_shows_its_error_alone(spark):
    wrong = "EXPLAIN SELECT told(id), told('a') FROM range(3)"
    lines = [row.plan for row in spark.sql(wrong).collect()]
    assert lines[0] == "Error occurred during query planning: "
    assert "told takes no text" in lines[1]
    assert NAMED.strip() not in lines
    assert noted(spark, "EXPLAIN SELECT told(id) FROM range(3)") == ["told id"]


def test_clients_at_the_same_time_see_their_own_notes(spark):
    """Half of the clients run queries: their notes are nobody's."""

    def client(number: int) -> list[str]:
        session = spark.newSession()
        if number % 2:
            session.sql(f"SELECT told({number}L), sum(told(id)) FROM range(9)").collect()
            return []
        first, second = number + 100, number + 200
        return noted(session, f"EXPLAIN SELECT told({first}L), told({second}L) FROM range(9)")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client, range(64)))
    for number, notes in enumerate(answers):
        expected = [f"told {number + 100}L", f"told {number + 200}L"]
        assert notes == ([] if number % 2 else expected)
