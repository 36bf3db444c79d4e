"""A server with PostgreSQL's protocol that sends only errors."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Generator

SSL_REQUESTS: Final = (80877103, 80877104)  # TLS, GSSAPI
CANCEL_REQUEST: Final = 80877102
RESETS_AFTER_S: Final = 0.1
"""Time for the client to read an error before its connection is reset."""
PARAMETERS: Final = {
    "server_version": "18.0",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
}


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


class FailingServer:
    """Accepts the startup unless `at` is "startup"; every statement ends in an ErrorResponse."""

    def __init__(self) -> None:
        self.sqlstate = "XX000"
        self.severity = "ERROR"
        self.at: Literal["startup", "statement"] = "statement"
        self.resets = False
        """Whether a FATAL error to a statement is followed by a reset of the connection."""
        self.port = 0

    @property
    def dsn(self) -> str:
        """A DSN that reaches it."""
        return f"postgresql://mira@127.0.0.1:{self.port}/shop?sslmode=disable"

    @property
    def _error(self) -> bytes:
        fields = {
            "S": self.severity,
            "V": self.severity,
            "C": self.sqlstate,
            "M": "it does not\nwork \x1b[31m today",
            "D": "of line 1",
            "H": "try another day",
        }
        body = b"".join(f"{key}{value}\0".encode() for key, value in fields.items())
        return _message(b"E", body + b"\0")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                if await self._start(reader, writer):
                    await self._refuse_statements(reader, writer)
        finally:
            writer.close()

    async def _start(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while True:
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            (code,) = struct.unpack("!i", (await reader.readexactly(length - 4))[:4])
            if code == CANCEL_REQUEST:
                return False
            if code not in SSL_REQUESTS:
                break
            writer.write(b"N")
        if self.at == "startup":
            writer.write(self._error)
            await writer.drain()
            return False
        writer.write(_message(b"R", struct.pack("!i", 0)))
        for name, value in PARAMETERS.items():
            writer.write(_message(b"S", f"{name}\0{value}\0".encode()))
        writer.write(_message(b"K", struct.pack("!ii", 7, 7)) + _message(b"Z", b"I"))
        await writer.drain()
        return True

    async def _refuse_statements(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        failed = False
        while True:
            kind = await reader.readexactly(1)
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            await reader.readexactly(length - 4)
            if kind == b"X":
                return
            if kind == b"S":
                failed = False
                writer.write(_message(b"Z", b"I"))
            elif kind == b"Q":
                writer.write(self._error + _message(b"Z", b"I"))
            elif kind != b"H" and not failed:
                failed = True
                writer.write(self._error)
            await writer.drain()
            if self.severity == "FATAL" and failed:
                if self.resets:
                    await asyncio.sleep(RESETS_AFTER_S)
                    sock: socket.socket = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return


@contextlib.contextmanager
def failing_server() -> Generator[FailingServer]:
    """Run such a server in a thread during a block."""
    server = FailingServer()
    ready, loop = threading.Event(), asyncio.new_event_loop()

    def work() -> None:
        asyncio.set_event_loop(loop)
        listening = loop.run_until_complete(asyncio.start_server(server.serve, "127.0.0.1", 0))
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()
        loop.run_forever()
        listening.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
