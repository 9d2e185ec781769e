"""Start Spark with its servers, watch them, and stop them in time."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sqlml.errors import SparkStoppedError
from sqlml.serve.addresses import check_authentication, check_free
from sqlml.serve.selfcheck import check_sessions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from pyspark.sql import SparkSession

    from sqlml.spark.internals.endpoints import JdbcServer

STOP_SECONDS = 6.0
"""How long clients and queries have to end; then they are cut off."""

WATCH_SECONDS = 1.0

SETTINGS = {
    # A client of Spark Connect gets one line for an error, not the stack of the server.
    "spark.sql.connect.serverStacktrace.enabled": "false",
    # Who can send SQL must not run code by it: reflect, java_method, TRANSFORM.
    "spark.sql.restrictedMode.enabled": "true",
    # Spark's log does not go there, and its default place is shared by all servers of a user.
    "spark.hadoop.hive.server2.logging.operation.enabled": "false",
    # Py4j keeps a connection and a thread of Python for each Java thread that ever asked Python
    # something, so threads wait for a next client, a day and not seconds, before they end.
    "spark.hadoop.hive.server2.thrift.worker.keepalive.time": "86400s",
    "spark.hadoop.hive.server2.async.exec.keepalive.time": "86400s",
    # A stopping server waits so long for each query, 10 seconds by default.
    "spark.hadoop.hive.server2.async.exec.shutdown.timeout": "1s",
}


@dataclass(frozen=True)
class Options:
    """What `sqlml serve` can be told."""

    host: str = "127.0.0.1"
    port: int = 10000
    """0 is any free port."""
    connect_port: int | None = None
    """0 is any free port, None is no Spark Connect."""
    directory: str = "."
    """Where metastore_db and spark-warehouse are."""
    master: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)
    """Settings of Spark; these win over `SETTINGS`."""
    trust_pickle: bool = False


def serve(options: Options) -> None:
    """Serve JDBC, and Spark Connect on request, until SIGTERM or Ctrl-C; then return.

    Every session has PREDICT, which is tried before the address is printed.
    Raises `PortInUseError`, `AuthenticationMissingError`, `SelfCheckError`,
    `SparkIncompatibleError`, and `SparkStoppedError` where Spark ends by itself.

        >>> serve(Options(port=0))                                        # doctest: +SKIP
    """
    from sqlml.spark.session import local_session

    check_free(options.host, "--port", options.port)
    if options.connect_port is not None:
        check_free(options.host, "--connect-port", options.connect_port)
    _on_signals(_interrupt)
    spark: SparkSession | None = None
    server: JdbcServer | None = None
    with tempfile.TemporaryDirectory(prefix="sqlml-serve-") as scratch:
        try:
            spark = local_session(
                "sqlml serve",
                directory=options.directory,
                master=options.master,
                conf=_settings(options, scratch),
            )
            _on_signals(_interrupt)  # Spark has taken SIGINT
            server = _start(spark, options)
            _watch(spark, server)
        except KeyboardInterrupt:
            pass
        finally:
            _on_signals(signal.SIG_IGN)
            if spark is not None:
                _stop(spark, server)


def _settings(options: Options, scratch: str) -> dict[str, str]:
    hive = {
        # Hive leaves a directory for each session in the one of the system, and logs an error
        # where the second is not there.
        "spark.hadoop.hive.downloaded.resources.dir": f"{scratch}/${{hive.session.id}}",
        "spark.hadoop.hive.exec.local.scratchdir": scratch,
    }
    address = {
        "spark.hadoop.hive.server2.thrift.bind.host": options.host,
        "spark.hadoop.hive.server2.thrift.port": str(options.port),
        "spark.hadoop.hive.server2.thrift.http.port": str(options.port),
        "spark.connect.grpc.binding.address": options.host,
        "spark.connect.grpc.binding.port": str(options.connect_port or 0),
    }
    return SETTINGS | hive | dict(options.conf) | address


def _start(spark: SparkSession, options: Options) -> JdbcServer:
    from sqlml.spark.installation import install
    from sqlml.spark.internals import endpoints

    connect = options.connect_port is not None
    check_authentication(spark, options.host, connect=connect)
    install(spark, trust_pickle=options.trust_pickle)
    server = endpoints.start_jdbc(spark, options.host)
    sessions = check_sessions(spark, server)
    urls = {"JDBC": server.url}
    if connect:
        urls["Connect"] = f"sc://{options.host}:{endpoints.start_connect(spark)}"
    _print_ready(urls, sessions)
    return server


def _print_ready(urls: dict[str, str], sessions: str) -> None:
    from sqlml import registry

    names = [model.name for model in registry.models()]
    query = f"SELECT * FROM describe_model('{names[0]}')" if names else "SELECT * FROM models()"
    lines = urls | {
        "Try": f'{_beeline()} -u "{urls["JDBC"]}" -e "{query}"',
        "Stop": f"Ctrl-C, or kill {os.getpid()}",
    }
    print(f"sqlml serve is ready: PREDICT answered in two {sessions}.")
    print("\n".join(f"{name:8} {text}" for name, text in lines.items()), flush=True)


def _beeline() -> str:
    """PySpark's beeline, where this environment is not activated too."""
    if shutil.which("beeline"):
        return "beeline"
    return f'PATH="{Path(sys.executable).parent}:$PATH" beeline'


def _watch(spark: SparkSession, server: JdbcServer) -> NoReturn:
    from sqlml.spark.internals import endpoints

    while endpoints.is_serving(spark, server):
        time.sleep(WATCH_SECONDS)
    raise SparkStoppedError


def _stop(spark: SparkSession, server: JdbcServer | None) -> None:
    from sqlml.spark.internals import endpoints

    # The JVM may go while a thread asks it something, which py4j logs with a traceback.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    # In a thread of its own: it may hang, and a signal may have left this thread's connection to
    # the JVM between a question and its answer.
    stopping = threading.Thread(
        target=endpoints.stop_serving, args=(spark, server), name="stop", daemon=True
    )
    stopping.start()
    stopping.join(STOP_SECONDS)
    failed = sys.exc_info()[0] is not None
    endpoints.end_jvm(spark, stopped=not stopping.is_alive(), failed=failed)


def _on_signals(action: object) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, action)  # type: ignore[arg-type]


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
