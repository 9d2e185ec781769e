"""The servers for clients of an application: HiveServer2 for JDBC, and Spark Connect."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError, Py4JJavaError

from sqlml.errors import SparkIncompatibleError
from sqlml.spark.internals.jvm import JavaObject, bridge, context, java_session, jvm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

# For the JVM's own last steps; its queries and connections have ended before.
_END_OF_JVM_SECONDS = 3.0


@dataclass(frozen=True)
class JdbcServer:
    """A running HiveServer2 endpoint."""

    url: str
    """What a JDBC client connects to."""
    handle: JavaObject


def jdbc_authentication(spark: SparkSession) -> str:
    """How HiveServer2 makes sure who a client is: NONE, NOSASL, LDAP, KERBEROS, CUSTOM or PAM."""
    return _hadoop(spark, "hive.server2.authentication", "NONE").upper()


def jdbc_encrypted(spark: SparkSession) -> bool:
    """Whether JDBC clients come over TLS, for which they need a trust store."""
    return _hadoop(spark, "hive.server2.use.SSL", "false").lower() == "true"


def connect_authenticates(spark: SparkSession) -> bool:
    """Whether Spark Connect clients must show a token."""
    variable = jvm(spark).java.lang.System.getenv("SPARK_CONNECT_AUTHENTICATE_TOKEN")
    return bool(context(spark).getConf().get("spark.connect.authenticate.token") or variable)


def start_jdbc(spark: SparkSession, host: str) -> JdbcServer:
    """Start HiveServer2 with the address that the application's settings have.

    Raises `SparkIncompatibleError` where this Spark was built without it.
    """
    try:
        bridge(spark).leaveHivesFunctionsOut()
        # The second argument: a thread that fails must not end the JVM without a word.
        found = jvm(spark).org.apache.spark.sql.hive.thriftserver.HiveThriftServer2
        handle = found.startWithSparkSession(java_session(spark), False)
    except (TypeError, Py4JError) as error:
        raise SparkIncompatibleError(f"HiveServer2 did not start: {_first_line(error)}") from error
    (port,) = [
        service.getPortNumber()
        for service in handle.getServices()
        if service.getClass().getSimpleName().startswith("Thrift")
    ]
    options = ""
    if _hadoop(spark, "hive.server2.transport.mode", "binary").lower() == "http":
        path = _hadoop(spark, "hive.server2.thrift.http.path", "cliservice")
        options += f";transportMode=http;httpPath={path}"
    if jdbc_encrypted(spark):
        options += ";ssl=true"
    elif jdbc_authentication(spark) == "NOSASL":
        options += ";auth=noSasl"
    return JdbcServer(f"jdbc:hive2://{host}:{port}/{options}".rstrip("/"), handle)


def start_connect(spark: SparkSession) -> int:
    """Start Spark Connect with the address that the application's settings have: its port."""
    service = _connect(spark)
    service.start(context(spark)._jsc.sc())
    return int(service.localPort())


def query_over_jdbc(
    spark: SparkSession, url: str, user: str, password: str, queries: Sequence[str]
) -> None:
    """Run queries in one new session that Hive's JDBC driver opens; `RuntimeError` where one fails.

    The error is the first line of the server's.
    """
    java = jvm(spark)
    properties = java.java.util.Properties()
    properties.setProperty("user", user)
    properties.setProperty("password", password)
    try:
        connection = java.org.apache.hive.jdbc.HiveDriver().connect(url, properties)
        try:
            statement = connection.createStatement()
            for query in queries:
                statement.executeQuery(query).next()
        finally:
            connection.close()
    except Py4JJavaError as error:
        raise RuntimeError(_first_line(error)) from error


def is_serving(spark: SparkSession, server: JdbcServer) -> bool:
    """Whether the JVM, its SparkContext and HiveServer2 are there."""
    process = _process(spark)
    if process is not None and process.poll() is not None:
        return False
    try:
        stopped = context(spark)._jsc.sc().isStopped()
        return not stopped and str(server.handle.getServiceState()) == "STARTED"
    except (Py4JError, OSError):
        return False


def stop_serving(spark: SparkSession, server: JdbcServer | None) -> None:
    """Cancel what runs, close the servers, and stop the application, unless it has ended."""
    with contextlib.suppress(Py4JError, OSError):
        context(spark).cancelAllJobs()
        if server is not None:
            server.handle.stop()
        if _connect(spark).started():
            nothing = jvm(spark).scala.Option.empty()
            _connect(spark).stop(nothing, nothing)
        spark.stop()


def end_jvm(spark: SparkSession, *, stopped: bool, failed: bool) -> None:
    """End the JVM that belongs to this process; where it has not `stopped`, by force.

    One of spark-submit ends after this process by itself, but waits a minute for clients that stay
    connected; so it is told to. After an error it is not: what this process says goes through it.
    """
    process = _process(spark)
    if process is None:
        if not stopped:
            _in_runtime(spark, "halt", 1)  # without its shutdown hooks, which may be waiting
        elif not failed:
            _in_runtime(spark, "exit", 0)
        return
    try:
        process.communicate(timeout=_END_OF_JVM_SECONDS if stopped else 0)  # closes what it reads
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _in_runtime(spark: SparkSession, method: str, status: int) -> None:
    def run() -> None:
        with contextlib.suppress(Py4JError, OSError):  # nobody is left to answer
            getattr(jvm(spark).java.lang.Runtime.getRuntime(), method)(status)

    # This thread's connection may be one that a signal has left with half an answer.
    thread = threading.Thread(target=run, name="end", daemon=True)
    thread.start()
    thread.join(_END_OF_JVM_SECONDS)


def _connect(spark: SparkSession) -> JavaObject:
    service = jvm(spark).org.apache.spark.sql.connect.service
    return getattr(getattr(service, "SparkConnectService$"), "MODULE$")


def _process(spark: SparkSession) -> subprocess.Popen[bytes] | None:
    process: subprocess.Popen[bytes] | None = context(spark)._gateway.proc
    return process


def _hadoop(spark: SparkSession, key: str, default: str) -> str:
    # With hive-site.xml and all of spark.hadoop.… and spark.hive.…, as the server reads it.
    return str(java_session(spark).sessionState().newHadoopConf().get(key, default))


def _first_line(error: Exception) -> str:
    if isinstance(error, Py4JJavaError):
        cause = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        text = str(cause.getMessage() or cause)
    else:
        text = str(error)
    return text.strip().splitlines()[0]
