"""A TCP proxy in front of PostgreSQL that delays each byte, in a process of its own.

    python benchmarks/delay.py DSN MILLISECONDS

Half of the time passes on the way to the server, and half on the way back. The port is printed; the
proxy ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK: Final = 65_536
USUAL_PORT: Final = 5432


@contextlib.contextmanager
def delayed(dsn: str, round_trip_ms: float) -> Iterator[str]:
    """Yield a DSN of the same database behind a proxy; the same DSN without a round trip."""
    if not round_trip_ms:
        yield dsn
        return
    process = subprocess.Popen(  # noqa: S603  this file
        [sys.executable, __file__, dsn, str(round_trip_ms)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout  # noqa: S101  a pipe, see above
        port = int(process.stdout.readline())
        parts = urlsplit(dsn)
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        yield urlunsplit(parts._replace(netloc=f"{login}127.0.0.1:{port}", query=""))
    finally:
        process.communicate()


class Proxy:
    """Connects each client with the server of a DSN, and delays both directions."""

    def __init__(self, dsn: str, delay_s: float) -> None:
        self._server = urlsplit(dsn)
        self._delay_s = delay_s

    async def serve(self) -> None:
        """Serve clients until the standard input ends."""
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)

    async def _link(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        server_reader, server_writer = await self._connect()
        await asyncio.gather(
            self._pass_on(client_reader, server_writer), self._pass_on(server_reader, client_writer)
        )

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        [host] = parse_qs(self._server.query).get("host", [self._server.hostname or "localhost"])
        port = self._server.port or USUAL_PORT
        if host.startswith("/"):
            return await asyncio.open_unix_connection(Path(host) / f".s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Write each chunk after the delay, in order."""
        loop = asyncio.get_running_loop()
        due = 0.0
        data = b"first"
        while data:
            try:
                data = await reader.read(CHUNK)
            except ConnectionError:
                data = b""
            # Later than the chunk before, because the loop does not order equal times.
            due = max(loop.time() + self._delay_s, due + 1e-7)
            if data:
                loop.call_at(due, writer.write, data)
            else:
                loop.call_at(due, writer.close)


def main() -> None:
    """Serve the proxy that the arguments describe."""
    dsn, round_trip_ms = sys.argv[1:]
    # epoll waits for whole milliseconds; select is precise to the microsecond.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(Proxy(dsn, float(round_trip_ms) / 2000).serve())


if __name__ == "__main__":
    main()
