"""PyHive, and SQLAlchemy and pandas through it."""

from __future__ import annotations

import time

import pandas as pd
import pytest
import sqlalchemy
from pyhive.exc import DatabaseError
from TCLIService.ttypes import TOperationState

from .clients import LONG_QUERY, assert_one_line

SCORED = "SELECT id, age, prediction, probability, probabilities FROM PREDICT('churn', TABLE(customers)) ORDER BY id"  # noqa: E501


@pytest.fixture
def engine(server):
    engine = sqlalchemy.create_engine(f"hive://127.0.0.1:{server.port}/default")
    yield engine
    engine.dispose()


def test_pyhive_gives_scores_with_names_and_types(cursor, rows, fitted):
    cursor.execute(SCORED)
    assert [column[:2] for column in cursor.description] == [
        ("id", "INT_TYPE"),
        ("age", "DOUBLE_TYPE"),
        ("prediction", "STRING_TYPE"),
        ("probability", "DOUBLE_TYPE"),
        ("probabilities", "MAP_TYPE"),
    ]
    found = cursor.fetchall()
    expected = fitted["churn"].predict(rows[["age", "tenure", "plan"]])
    assert [row[2] for row in found] == expected.tolist()


def test_pyhive_binds_parameters(cursor, fitted):
    cursor.execute("SELECT predict('worth', age => %s, tenure => %s)", (40.5, 12))
    expected = fitted["worth"].predict(pd.DataFrame({"age": [40.5], "tenure": [12]}))
    assert cursor.fetchone() == pytest.approx(tuple(expected))


def test_pyhive_runs_asynchronously(cursor, rows):
    cursor.execute(SCORED, async_=True)
    end = time.monotonic() + 120
    while cursor.poll().operationState in (
        TOperationState.INITIALIZED_STATE,
        TOperationState.PENDING_STATE,
        TOperationState.RUNNING_STATE,
    ):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert cursor.poll().operationState == TOperationState.FINISHED_STATE
    assert len(cursor.fetchall()) == len(rows)


def test_pyhive_cancels_a_query_and_goes_on(cursor):
    cursor.execute(LONG_QUERY, async_=True)
    time.sleep(1)
    cursor.cancel()
    assert cursor.poll().operationState == TOperationState.CANCELED_STATE
    cursor.execute("SELECT 1")
    assert cursor.fetchone() == (1,)


def test_an_error_is_one_line_in_pyhive(cursor):
    with pytest.raises(DatabaseError) as raised:
        cursor.execute("SELECT * FROM PREDICT('chrun', TABLE(customers))")
    message = raised.value.args[0].status.errorMessage
    assert message.startswith("[MODEL_NOT_FOUND] No model 'chrun'. Did you mean 'churn'?")
    assert_one_line(message)
    cursor.execute("SELECT 1")
    assert cursor.fetchone() == (1,)


def test_sqlalchemy_runs_text(engine, rows):
    query = sqlalchemy.text(
        "SELECT prediction, count(*) AS n FROM PREDICT('churn', TABLE(customers)) GROUP BY 1"
    )
    with engine.connect() as connection:
        found = {row.prediction: row.n for row in connection.execute(query)}
    assert set(found) == {"yes", "no"}
    assert sum(found.values()) == len(rows)


def test_sqlalchemy_reflects_a_table_and_selects_from_it(engine, rows):
    table = sqlalchemy.Table("customers", sqlalchemy.MetaData(), autoload_with=engine)
    assert [column.name for column in table.columns] == ["id", "age", "tenure", "plan"]
    with engine.connect() as connection:
        query = sqlalchemy.select(table.c.id, table.c.age).where(table.c.id < 3)
        found = connection.execute(query.order_by(table.c.id)).all()
    assert found == [(row.id, row.age) for row in rows.head(3).itertuples()]


def test_pandas_reads_scores(engine, rows, fitted):
    found = pd.read_sql_query(SCORED, engine)
    assert found.age.tolist() == rows.age.tolist()
    assert found.prediction.tolist() == fitted["churn"].predict(
        rows[["age", "tenure", "plan"]]
    ).tolist()  # fmt: skip
