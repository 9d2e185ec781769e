"""Hive's JDBC driver, which DBeaver, Tableau and Java programs use."""

from __future__ import annotations

import threading
import time

import pytest
from py4j.protocol import Py4JJavaError

from .clients import LONG_QUERY, assert_one_line

SCORED = "SELECT * FROM PREDICT('churn', TABLE(customers)) ORDER BY id"


@pytest.fixture
def statement(connection):
    statement = connection.createStatement()
    yield statement
    statement.close()


def table_of(results):
    """The rows of a java.sql.ResultSet."""
    width = results.getMetaData().getColumnCount()
    rows = []
    while results.next():
        rows.append([results.getObject(i + 1) for i in range(width)])
    return rows


def message_of(raised):
    error = raised.value.java_exception
    return error.getMessage()


def test_a_scored_result_has_names_and_types(statement):
    about = statement.executeQuery(SCORED).getMetaData()
    columns = range(1, about.getColumnCount() + 1)
    assert [(about.getColumnName(i), about.getColumnTypeName(i)) for i in columns] == [
        ("id", "int"),
        ("age", "double"),
        ("tenure", "int"),
        ("plan", "string"),
        ("prediction", "string"),
        ("probability", "double"),
        ("probabilities", "map"),
    ]
    types = [about.getColumnType(i) for i in columns]
    integer, double, text, other = 4, 8, 12, 2000  # java.sql.Types
    assert types == [integer, double, integer, text, text, double, other]


def test_scores_are_the_models(statement, rows, fitted):
    inputs = rows[["age", "tenure", "plan"]]
    found = table_of(statement.executeQuery(SCORED))
    assert [row[0] for row in found] == rows.id.tolist()
    assert [row[4] for row in found] == fitted["churn"].predict(inputs).tolist()
    best = fitted["churn"].predict_proba(inputs).max(axis=1)
    assert [row[5] for row in found] == pytest.approx(best.tolist())
    assert found[0][6].startswith('{"no":')


def test_a_view_over_predict_is_listed_with_its_columns(connection, statement):
    """What a BI tool asks for before it shows a table."""
    statement.execute("CREATE VIEW scored AS SELECT id, prediction, probability FROM "
                      "PREDICT('churn@champion', TABLE(customers))")  # fmt: skip
    about = connection.getMetaData()
    tables = about.getTables(None, "default", "%", None)
    listed = {}
    while tables.next():
        listed[tables.getString("TABLE_NAME")] = tables.getString("TABLE_TYPE")
    assert (listed["customers"], listed["scored"]) == ("TABLE", "VIEW")
    found = about.getColumns(None, "default", "scored", "%")
    columns = []
    while found.next():
        columns.append((found.getString("COLUMN_NAME"), found.getString("TYPE_NAME")))
    assert columns == [("id", "INT"), ("prediction", "STRING"), ("probability", "DOUBLE")]
    statement.execute("DROP VIEW scored")


def test_a_prepared_statement_binds_the_inputs_of_a_score(connection, fitted):
    prepared = connection.prepareStatement(
        "SELECT id, predict('worth', age => age + ?, tenure => ?) FROM customers WHERE plan = ?"
        " AND id < ?"
    )
    prepared.setDouble(1, 1.5)
    prepared.setInt(2, 10)
    prepared.setString(3, "pro")
    prepared.setInt(4, 20)
    found = table_of(prepared.executeQuery())
    statement = connection.createStatement()
    ages = table_of(
        statement.executeQuery("SELECT id, age FROM customers WHERE plan = 'pro' AND id < 20")
    )
    assert len(found) > 1
    slope, other = fitted["worth"].coef_
    expected = [(age + 1.5) * slope + 10 * other + fitted["worth"].intercept_ for _, age in ages]
    assert [score for _, score in found] == pytest.approx(expected)


def test_a_query_is_cancelled_from_another_thread(statement):
    """What the Stop button of a SQL editor does."""
    threading.Timer(2, statement.cancel).start()
    start = time.monotonic()
    with pytest.raises(Py4JJavaError) as raised:
        statement.executeQuery(LONG_QUERY)
    assert time.monotonic() - start < 60
    assert "cancel" in message_of(raised).lower()


def test_a_query_ends_after_its_timeout(statement):
    statement.setQueryTimeout(2)
    start = time.monotonic()
    with pytest.raises(Py4JJavaError) as raised:
        statement.executeQuery(LONG_QUERY)
    assert time.monotonic() - start < 60
    assert "timed out" in message_of(raised)


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("SELECT * FROM PREDICT('chrun', TABLE(customers))", "MODEL_NOT_FOUND"),
        ("SELECT * FROM PREDICT('churn/9', TABLE(customers))", "VERSION_NOT_FOUND"),
        ("SELECT * FROM PREDICT('churn', TABLE(SELECT id FROM customers))", "INPUT_MISSING"),
        ("SELECT predict('churn', *) FROM (SELECT '1' AS age, 2 AS tenure, 'a' AS plan)",
         "INPUT_TYPE"),
        ("CREATE MODEL churn FORM 'runs:/1/model'", "STATEMENT_SYNTAX"),
        ("DROP MODEL nothing", "MODEL_NOT_FOUND"),
    ],
)  # fmt: skip
def test_a_wrong_query_gives_one_line_and_leaves_the_session_usable(statement, query, condition):
    with pytest.raises(Py4JJavaError) as raised:
        statement.executeQuery(query)
    message = message_of(raised)
    assert message.startswith(f"[{condition}] ")
    assert_one_line(message)
    assert raised.value.java_exception.getSQLState() == "42000"
    assert table_of(statement.executeQuery("SELECT 1")) == [[1]]


def test_sparks_own_errors_come_as_sparks_own(statement):
    with pytest.raises(Py4JJavaError) as raised:
        statement.executeQuery("SELECT nothing FROM customers")
    assert "[UNRESOLVED_COLUMN.WITH_SUGGESTION]" in message_of(raised)


def test_sql_runs_no_code_of_the_client(statement):
    """Who may send SQL to a server may not run Java or a shell on it."""
    for query in (
        "SELECT reflect('java.lang.System', 'getenv', 'HOME')",
        "SELECT TRANSFORM(id) USING 'cat' FROM customers",
    ):
        with pytest.raises(Py4JJavaError) as raised:
            statement.executeQuery(query)
        assert "RESTRICTED_MODE" in message_of(raised)
