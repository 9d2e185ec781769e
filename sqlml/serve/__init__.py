"""`sqlml serve`: PREDICT for people who have no Python, over JDBC and Spark Connect.

    server      start, watch, stop
    addresses   the addresses it may listen on
    selfcheck   two JDBC sessions with PREDICT, before anybody else comes

One process has Spark's driver, HiveServer2 and Spark Connect. Every session that a client opens
has its own settings, current database and temporary views, and PREDICT.
"""

from sqlml.serve.server import Options, serve

__all__ = ["Options", "serve"]
