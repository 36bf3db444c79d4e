"""Socket options that detect a dead network, and the end of a statement on a lost connection."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final

import asyncpg

if TYPE_CHECKING:
    import asyncio

    from agentrows.db.dsn import SocketOptions
    from agentrows.db.sources import Connection

__all__ = ["SERVER_KEEPALIVE", "enable_keepalive", "end_statement_at_loss", "shut_down"]

IDLE_S: Final = 30
"""Seconds without traffic before the first probe; short enough for the tables of NAT devices."""
INTERVAL_S: Final = 10
COUNT: Final = 3
LOST_S: Final = IDLE_S + INTERVAL_S * COUNT
"""Seconds until a connection is closed if its peer acknowledges nothing."""
SERVER_KEEPALIVE: Final = {
    "tcp_keepalives_idle": str(IDLE_S),
    "tcp_keepalives_interval": str(INTERVAL_S),
    "tcp_keepalives_count": str(COUNT),
    "tcp_user_timeout": str(LOST_S * 1000),
}
"""The same for the server's side; the server ignores options that its platform lacks."""
TRANSPORT: Final = "_transport"
"""A private attribute: the driver has no public access to its socket and accepts no open one."""


def enable_keepalive(connection: Connection, options: SocketOptions) -> None:
    """Enable keepalive probes of the kernel, with the options that the platform has.

    `options` of the DSN override the constants of this module. As in libpq, zero means the default
    of the operating system.
    """
    sock = _socket(connection)
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if options.keepalives is not False:
        idle_s = _override(options.keepalives_idle_s, IDLE_S)
        _set_option(sock, socket.SOL_SOCKET, "SO_KEEPALIVE", 1)
        _set_option(sock, socket.IPPROTO_TCP, "TCP_KEEPIDLE", idle_s)
        _set_option(sock, socket.IPPROTO_TCP, "TCP_KEEPALIVE", idle_s)  # the name on macOS
        interval_s = _override(options.keepalives_interval_s, INTERVAL_S)
        _set_option(sock, socket.IPPROTO_TCP, "TCP_KEEPINTVL", interval_s)
        _set_option(
            sock, socket.IPPROTO_TCP, "TCP_KEEPCNT", _override(options.keepalives_count, COUNT)
        )
    user_timeout_ms = _override(options.tcp_user_timeout_ms, LOST_S * 1000)
    _set_option(sock, socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", user_timeout_ms)


def end_statement_at_loss(connection: asyncpg.Connection) -> None:
    """Make a statement raise ConnectionDoesNotExistError if its connection is lost.

    The driver does so itself, except after a FATAL error with an SQLSTATE for warnings and a
    reset: then it fails on its immutable error, and the statement would wait without end.
    """
    transport: asyncio.BaseTransport | None = getattr(connection, TRANSPORT, None)
    if transport is None:
        return
    protocol = transport.get_protocol()

    def end_statement(_: object) -> None:
        # Without effect on a connection that has no statement.
        protocol.connection_lost(asyncpg.ConnectionDoesNotExistError("the connection was lost"))

    connection.add_termination_listener(end_statement)


def _override(from_dsn: int | None, default: int) -> int:
    return default if from_dsn is None else from_dsn


def _set_option(sock: socket.socket, level: int, name: str, value: int) -> None:
    """Set a socket option if the platform has it and the value is not 0."""
    option = getattr(socket, name, None)
    if option is not None and value > 0:
        with contextlib.suppress(OSError):  # the connection was lost already
            sock.setsockopt(level, option, value)


def shut_down(connection: Connection) -> None:
    """Close a connection after its event loop was closed, which ends its session."""
    sock = _socket(connection)
    if sock is not None:
        # uvloop has closed the socket together with its loop, and has no `shutdown`.
        with contextlib.suppress(OSError, TypeError):
            sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(RuntimeError):  # the event loop is closed
        connection.terminate()


def _socket(connection: Connection) -> socket.socket | None:
    transport: asyncio.Transport | None = getattr(connection, TRANSPORT, None)
    return None if transport is None else transport.get_extra_info("socket")
