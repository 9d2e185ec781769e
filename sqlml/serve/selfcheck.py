"""What a server makes sure of before it says that it is ready."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sqlml.errors import SelfCheckError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlml.spark.internals.endpoints import JdbcServer

SESSIONS = 2
QUERIES = ("DESCRIBE FUNCTION predict", "SELECT * FROM models()")


def check_sessions(spark: SparkSession, server: JdbcServer) -> str:
    """Run PREDICT's own queries in two new sessions: how they were opened, for people.

    They are JDBC sessions of this server. Where it asks for a password, SQLML_SERVE_USER and
    SQLML_SERVE_PASSWORD give it; without these, and over TLS, they are sessions of Spark's.
    Raises `SelfCheckError` where PREDICT does not answer in one.
    """
    from sqlml.spark.internals import endpoints

    open_to_all = endpoints.jdbc_authentication(spark) in ("NONE", "NOSASL")
    user = os.environ.get("SQLML_SERVE_USER", "sqlml" if open_to_all else "")
    password = os.environ.get("SQLML_SERVE_PASSWORD", "")
    over_jdbc = bool(user) and not endpoints.jdbc_encrypted(spark)
    kind = "JDBC sessions" if over_jdbc else "internal sessions"
    for number in range(1, SESSIONS + 1):
        try:
            if over_jdbc:
                endpoints.query_over_jdbc(spark, server.url, user, password, QUERIES)
            else:
                _query_inside(spark)
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise SelfCheckError(f"session {number} of {SESSIONS} {kind}", reason) from error
    return kind


def _query_inside(spark: SparkSession) -> None:
    session = spark.newSession()
    for query in QUERIES:
        session.sql(query).collect()
