"""Clients do not see each other's settings, and all have PREDICT."""

from __future__ import annotations

import contextlib

import pytest
from pyhive.exc import DatabaseError

from .clients import pyhive


def answer(cursor, query):
    cursor.execute(query)
    return cursor.fetchall()


def test_two_clients_have_their_own_database_settings_and_views(server):
    with pyhive(server) as anna, pyhive(server) as ben:
        for name, cursor in (("anna", anna), ("ben", ben)):
            for statement in (
                f"CREATE DATABASE IF NOT EXISTS {name}",
                f"USE {name}",
                f"CREATE TABLE someone AS SELECT '{name}' AS name, 40D AS age, 3 AS tenure",
                f"SET spark.sql.shuffle.partitions = {len(name)}",
                "SET TIME ZONE " + ("'UTC'" if name == "anna" else "'Asia/Tokyo'"),
                f"CREATE TEMPORARY VIEW mine AS SELECT '{name}' AS owner",
                f"CREATE TEMPORARY VIEW only_{name} AS SELECT 1",
            ):
                cursor.execute(statement)
        for name, cursor, zone in (("anna", anna, "UTC"), ("ben", ben, "Asia/Tokyo")):
            ask = "SELECT current_database(), current_timezone(), (SELECT owner FROM mine)"
            assert answer(cursor, ask) == [(name, zone, name)]
            shown = answer(cursor, "SET spark.sql.shuffle.partitions")
            assert shown == [("spark.sql.shuffle.partitions", str(len(name)))]
            scored = answer(cursor, "SELECT name, prediction FROM PREDICT('worth', TABLE(someone))")
            assert [row[0] for row in scored] == [name]
        with pytest.raises(DatabaseError):
            ben.execute("SELECT * FROM only_anna")
        for cursor in (anna, ben):
            cursor.execute("DROP TABLE someone")
            cursor.execute("USE default")
        for name in ("anna", "ben"):
            anna.execute(f"DROP DATABASE {name}")


def test_a_client_cannot_put_its_own_predict_before_ours(server):
    """A function of a session must not change what PREDICT means in it."""
    ask = "SELECT predict('worth', age => 30D, tenure => 2)"
    with pyhive(server) as cursor:
        (before,) = answer(cursor, ask)
        with contextlib.suppress(DatabaseError):
            cursor.execute("CREATE TEMPORARY FUNCTION predict(a STRING, b DOUBLE) RETURN 0D")
        assert answer(cursor, ask) == [before]


def test_a_global_temporary_view_is_shared(server):
    with pyhive(server) as anna, pyhive(server) as ben:
        anna.execute("CREATE GLOBAL TEMPORARY VIEW shared AS SELECT 41D AS age, 3 AS tenure")
        query = "SELECT prediction FROM PREDICT('worth', TABLE(global_temp.shared))"
        assert answer(anna, query) == answer(ben, query)
        anna.execute("DROP VIEW global_temp.shared")
