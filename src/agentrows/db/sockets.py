"""Socket options of a connection, so that a dead network is noticed while nothing is sent."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

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
CLIENT_KEEPALIVE: Final = {
    "TCP_KEEPIDLE": IDLE_S,
    "TCP_KEEPALIVE": IDLE_S,  # the name on macOS
    "TCP_KEEPINTVL": INTERVAL_S,
    "TCP_KEEPCNT": COUNT,
    "TCP_USER_TIMEOUT": LOST_S * 1000,
}

TRANSPORT: Final = "_transport"
"""The driver offers no other way to the socket, and takes none that is connected already."""


def enable_keepalive(connection: Connection) -> None:
    """Let the kernel probe an idle connection; a platform's missing options are left out."""
    sock = _socket(connection)
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):  # the connection was lost already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in CLIENT_KEEPALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


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
