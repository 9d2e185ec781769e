"""Start, stop, kill and start again: nothing is lost, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from py4j.protocol import Py4JJavaError
from pyhive import hive
from thrift.transport.TTransport import TTransportException

import sqlml.serve.__main__

from .clients import LONG_QUERY, SPARK_HOME, beeline, create_customers, jdbc_connection, pyhive
from .server import Server

SUBMIT = (str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]")


def java_of(server):
    """The process id of the server's JVM."""
    found = subprocess.run(
        ["pgrep", "-P", str(server.process.pid), "java"], capture_output=True, text=True, check=True
    )
    return int(found.stdout)


def is_running(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def port_is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def serve(*options, **environment):
    """A server that should refuse to start."""
    return subprocess.run(
        [sys.executable, "-m", "sqlml.serve", *map(str, options)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def last_line(text):
    return text.strip().splitlines()[-1]


def test_a_killed_server_starts_again_with_its_tables_and_models(
    tmp_path, own_registry, published, rows, fitted
):
    """First without a warning, from Python; then by SIGTERM, while clients are connected and a
    query runs.
    """
    first = Server(tmp_path, env=own_registry)
    with pyhive(first) as cursor:
        cursor.execute(create_customers(rows))
        cursor.execute("CREATE VIEW scored AS SELECT * FROM PREDICT('churn', TABLE(customers))")
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(30)

    second = Server(tmp_path, env=own_registry)
    with pyhive(second) as cursor:
        cursor.execute("SELECT prediction FROM scored ORDER BY id")
        expected = fitted["churn"].predict(rows[["age", "tenure", "plan"]])
        assert [row[0] for row in cursor.fetchall()] == expected.tolist()

    java = java_of(second)
    idle, busy = (hive.connect("127.0.0.1", port=second.port) for _ in range(2))
    idle.cursor().execute("SELECT 1")
    busy.cursor().execute(LONG_QUERY, async_=True)
    time.sleep(2)
    code, seconds = second.stop(signal.SIGTERM)
    assert (code, is_running(java), port_is_free(second.port)) == (0, False, True)
    assert seconds < 10
    assert "Traceback" not in second.errors


def test_ctrl_c_stops_a_server_of_spark_submit(tmp_path, own_registry, published):
    """The way to a cluster; the master and the memory are spark-submit's."""
    settings = ("--driver-memory", "1g", "--conf", "spark.sql.shuffle.partitions=3")
    command = (*SUBMIT, *settings, sqlml.serve.__main__.__file__)
    environment = own_registry | {
        "SPARK_HOME": str(SPARK_HOME),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_MASTER": "local[7]",
    }
    server = Server(tmp_path, connect=True, env=environment, command=command)
    try:
        done = beeline(server, "SET spark.master", "SET spark.sql.shuffle.partitions",
                       "SELECT predict('worth', age => 30D, tenure => 2) > 0")  # fmt: skip
        master, partitions, score = done.stdout.split()
        assert master == "spark.master,local[2]"
        assert partitions == "spark.sql.shuffle.partitions,3"
        assert score == "true"
        busy = hive.connect("127.0.0.1", port=server.port)
        busy.cursor().execute(LONG_QUERY, async_=True)
        time.sleep(2)
        start = time.monotonic()
        os.killpg(server.process.pid, signal.SIGINT)
        server.process.wait(60)
        assert time.monotonic() - start < 10
        assert port_is_free(server.port)
    finally:
        server.kill()


def test_a_server_whose_jvm_dies_says_so_and_ends(tmp_path, own_registry, published):
    with Server(tmp_path, env=own_registry) as server:
        os.kill(java_of(server), signal.SIGKILL)
        assert server.process.wait(30) == 1
        assert last_line(server.errors).startswith("[SPARK_STOPPED] Spark has stopped")


@pytest.mark.parametrize("option", ["--port", "--connect-port"])
def test_a_port_that_is_taken_is_refused_at_once(tmp_path, option):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        start = time.monotonic()
        done = serve("--port", 0, option, port, "--directory", tmp_path)
    assert time.monotonic() - start < 10
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"[PORT_IN_USE] Port {port} of 127.0.0.1 is taken")
    assert f"{option} 0" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_another_machine_is_refused_at_once(tmp_path):
    done = serve("--host", "192.0.2.1", "--port", 0, "--directory", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("[ARGUMENT_INVALID] The server cannot listen on 192.0.2.1:0")


def test_other_machines_need_a_password(tmp_path):
    done = serve("--host", "0.0.0.0", "--port", 0, "--directory", tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    message = last_line(done.stderr)
    assert message.startswith("[AUTHENTICATION_MISSING] On 0.0.0.0 other machines could connect")
    assert "Set hive.server2.authentication in $SPARK_CONF_DIR/hive-site.xml" in message


AUTHENTICATOR = """
public class OnlyAnna implements org.apache.hive.service.auth.PasswdAuthenticationProvider {
  public void Authenticate(String user, String password)
      throws javax.security.sasl.AuthenticationException {
    if (!"anna".equals(user) || !"secret".equals(password)) {
      throw new javax.security.sasl.AuthenticationException("not you");
    }
  }
}
"""


HIVE_SITE = """<configuration>
  <property><name>hive.server2.authentication</name><value>CUSTOM</value></property>
  <property>
    <name>hive.server2.custom.authentication.class</name><value>OnlyAnna</value>
  </property>
</configuration>"""


@pytest.fixture
def site(tmp_path, own_registry):
    """The environment of a site whose hive-site.xml asks for passwords, by a class of its own."""
    javac = shutil.which("javac")
    assert javac, "a JDK is needed to compile the class"
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "OnlyAnna.java").write_text(AUTHENTICATOR)
    (conf / "hive-site.xml").write_text(HIVE_SITE)
    jars = str(SPARK_HOME / "jars" / "*")
    # Spark's configuration directory is on the class path.
    subprocess.run([javac, "-cp", jars, "-d", conf, conf / "OnlyAnna.java"], check=True)
    return own_registry | {"SPARK_CONF_DIR": str(conf)}


def test_a_server_with_passwords_checks_itself_with_one_and_lets_nobody_else_in(
    tmp_path, site, published, jvm
):
    anna = {"SQLML_SERVE_USER": "anna", "SQLML_SERVE_PASSWORD": "secret"}
    with Server(tmp_path / "home", "--host", "0.0.0.0", env=site | anna) as server:
        assert "PREDICT answered in two JDBC sessions" in server.output
        url = server.jdbc.replace("0.0.0.0", "127.0.0.1")
        with jdbc_connection(jvm, url, "anna", "secret") as connection:
            result = connection.createStatement().executeQuery("SELECT name FROM models()")
            assert result.next()
        for password in ("wrong", ""):
            refused = pytest.raises(Py4JJavaError, match="Peer indicated failure")
            with refused, jdbc_connection(jvm, url, "anna", password):
                pass
        assert (tmp_path / "home" / "metastore_db").is_dir()


def test_without_a_password_a_server_checks_itself_inside(tmp_path, site, published):
    with Server(tmp_path / "home", env=site) as server:
        assert "PREDICT answered in two internal sessions" in server.output
        address = {"host": "127.0.0.1", "port": server.port, "username": "anna", "auth": "CUSTOM"}
        with pytest.raises(TTransportException, match="Error validating the login"):
            hive.connect(**address, password="wrong")
        hive.connect(**address, password="secret").close()


def test_a_server_that_cannot_open_its_own_sessions_does_not_start(tmp_path, site, published):
    wrong = {"SQLML_SERVE_USER": "anna", "SQLML_SERVE_PASSWORD": "wrong"}
    done = serve("--port", 0, "--directory", tmp_path / "home", **site, **wrong)
    assert done.returncode == 1
    assert done.stdout == ""
    message = last_line(done.stderr)
    assert message.startswith("[SELF_CHECK_FAILED] The server has stopped: PREDICT did not answer")


def test_what_the_user_configures_wins(tmp_path, own_registry, published):
    """spark-defaults.conf over our defaults, --conf over both."""
    conf = tmp_path / "conf"
    conf.mkdir()
    warehouse = tmp_path / "elsewhere"
    (conf / "spark-defaults.conf").write_text(
        "# of the site\n"
        f"spark.sql.warehouse.dir   {warehouse}\n"
        "spark.sql.shuffle.partitions=5\n"
        "spark.sql.ansi.enabled: false\n"
    )
    environment = own_registry | {"SPARK_CONF_DIR": str(conf)}
    with (
        Server(tmp_path, "--conf", "spark.sql.shuffle.partitions=6", env=environment) as server,
        pyhive(server) as cursor,
    ):
        found = {}
        for key in ("warehouse.dir", "shuffle.partitions", "ansi.enabled"):
            cursor.execute(f"SET spark.sql.{key}")
            found[key] = cursor.fetchone()[1].removeprefix("file:")
        assert found == {
            "warehouse.dir": str(warehouse),
            "shuffle.partitions": "6",
            "ansi.enabled": "false",
        }
