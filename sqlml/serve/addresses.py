"""The addresses that a server may listen on."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING

from sqlml.errors import ArgumentError, AuthenticationMissingError, PortInUseError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def check_free(host: str, option: str, port: int) -> None:
    """Raise `PortInUseError` where another process has the port.

    `option` is the one of the command line that the port came from.

    >>> check_free("127.0.0.1", "--port", 0)
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the servers do; else a port whose clients have just left counts as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(host, option, port) from None
        raise ArgumentError(
            f"The server cannot listen on {host}:{port} ({error.strerror}). "
            f"Give an address of this machine with --host, and a free port with {option}."
        ) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)


def check_authentication(spark: SparkSession, host: str, *, connect: bool) -> None:
    """Raise `AuthenticationMissingError` where the network could send SQL without a password."""
    from sqlml.spark.internals import endpoints

    if is_loopback(host):
        return
    if endpoints.jdbc_authentication(spark) in ("NONE", "NOSASL"):
        # HiveServer2 reads the rest of what it needs for this from that file alone.
        remedy = "Set hive.server2.authentication in $SPARK_CONF_DIR/hive-site.xml"
        raise AuthenticationMissingError(host, "JDBC", remedy)
    if connect and not endpoints.connect_authenticates(spark):
        remedy = "Set SPARK_CONNECT_AUTHENTICATE_TOKEN in the environment"
        raise AuthenticationMissingError(host, "Spark Connect", remedy)
