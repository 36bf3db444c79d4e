"""Socket options of a connection, so that a dead network is noticed while nothing is sent."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

    from agentrows.db.dsn import SocketOptions
    from agentrows.db.sources import Connection

__all__ = ["SERVER_KEEPALIVE", "enable_keepalive", "shut_down"]

IDLE_S: Final = 30
"""Seconds without traffic before the first probe; also keeps NAT tables from dropping the entry."""
INTERVAL_S: Final = 10
COUNT: Final = 3
LOST_S: Final = IDLE_S + INTERVAL_S * COUNT
"""Seconds until a connection whose peer acknowledges nothing is closed."""
SERVER_KEEPALIVE: Final = {
    "tcp_keepalives_idle": str(IDLE_S),
    "tcp_keepalives_interval": str(INTERVAL_S),
    "tcp_keepalives_count": str(COUNT),
    "tcp_user_timeout": str(LOST_S * 1000),
}
"""The same for the server's end; ignored by the server where its platform lacks an option."""
TRANSPORT: Final = "_transport"
"""The driver offers no other way to the socket, and takes none that is connected already."""


def enable_keepalive(connection: Connection, options: SocketOptions) -> None:
    """Let the kernel probe an idle connection; a platform's missing options are left out.

    `options` are those of the DSN, which win over the constants of this module. As in libpq, a zero
    means the default of the operating system.
    """
    sock = _socket(connection)
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if options.keepalives is not False:
        idle_s = _chosen(options.keepalives_idle_s, IDLE_S)
        _set(sock, socket.SOL_SOCKET, "SO_KEEPALIVE", 1)
        _set(sock, socket.IPPROTO_TCP, "TCP_KEEPIDLE", idle_s)
        _set(sock, socket.IPPROTO_TCP, "TCP_KEEPALIVE", idle_s)  # the name on macOS
        interval_s = _chosen(options.keepalives_interval_s, INTERVAL_S)
        _set(sock, socket.IPPROTO_TCP, "TCP_KEEPINTVL", interval_s)
        _set(sock, socket.IPPROTO_TCP, "TCP_KEEPCNT", _chosen(options.keepalives_count, COUNT))
    user_timeout_ms = _chosen(options.tcp_user_timeout_ms, LOST_S * 1000)
    _set(sock, socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", user_timeout_ms)


def _chosen(from_dsn: int | None, default: int) -> int:
    return default if from_dsn is None else from_dsn


def _set(sock: socket.socket, level: int, name: str, value: int) -> None:
    """Set a socket option that the platform has, unless its value is 0."""
    option = getattr(socket, name, None)
    if option is not None and value > 0:
        with contextlib.suppress(OSError):  # the connection was lost already
            sock.setsockopt(level, option, value)


def shut_down(connection: Connection) -> None:
    """Close a connection whose event loop is closed, so that its session ends."""
    sock = _socket(connection)
    if sock is not None:
        # uvloop has closed the socket with its loop, and offers no `shutdown`.
        with contextlib.suppress(OSError, TypeError):
            sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(RuntimeError):  # the event loop is closed
        connection.terminate()


def _socket(connection: Connection) -> socket.socket | None:
    transport: asyncio.Transport | None = getattr(connection, TRANSPORT, None)
    return None if transport is None else transport.get_extra_info("socket")
