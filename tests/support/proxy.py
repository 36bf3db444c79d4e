"""A TCP proxy in front of PostgreSQL that cuts connections at chosen points."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    Moment = Literal["before", "after"]

COMMIT: Final = b"COMMIT;"
READY: Final = tuple(b"Z\x00\x00\x00\x05" + state for state in (b"I", b"T", b"E"))
"""ReadyForQuery, the end of every reply."""


@dataclass(slots=True)
class Plan:
    """Cut the first connection that sends this, before or after the server has processed it."""

    content: bytes
    moment: Moment
    is_done: bool = False


@dataclass(eq=False, slots=True)
class Link:
    """A connection of a client, and the matching one with the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    plan: Plan | None = None
    """Replies are not passed on: the connection is cut before the client gets one."""
    is_silent: bool = False
    """Bytes are read and not passed on, as by a firewall that dropped the connection."""

    cuts_after_reply: bool = False
    """The next reply is passed on completely, then the connection is cut."""

    def cut(self) -> None:
        """Cut both, with all bytes that are not passed on yet."""
        for writer in (self.client, self.server):
            writer.transport.abort()


@dataclass(slots=True)
class Proxy:
    """Passes bytes on until a test changes that."""

    upstream: int | Path
    """A port of 127.0.0.1, or a server's socket."""
    port: int = 0
    links: set[Link] = field(default_factory=set[Link])
    accepted: int = 0
    """The number of connections so far."""
    rewrite: tuple[bytes, bytes] = (b"", b"")
    """Bytes of the server, and the replacement of equal length that the client gets."""
    _is_over: bool = False
    _plan: Plan | None = None
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _serving: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])

    def dsn(self, direct: str) -> str:
        """Return the DSN of a database by way of this proxy, from its direct DSN."""
        parts = urlsplit(direct)
        return f"postgresql://{parts.username}@127.0.0.1:{self.port}{parts.path}"

    def cut(self) -> int:
        """Cut every connection at once; return their number."""
        links = [*self.links]
        for link in links:
            link.cut()
        return len(links)

    def cut_at(self, content: bytes, moment: Moment) -> Plan:
        """Cut the connection that next sends this: `before` the server gets it, or its reply."""
        self._plan = Plan(content, moment)
        return self._plan

    def silence(self) -> None:
        """Pass nothing on for the connections that are open now; new ones work."""
        for link in self.links:
            link.is_silent = True

    def stall(self) -> None:
        """Accept connections and bytes, and pass nothing on."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass on all waiting and coming bytes."""
        self._flows.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        self.accepted += 1
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        try:
            server_reader, server_writer = await self._connect()
            link = Link(writer, server_writer)
            self.links.add(link)
            try:
                await _first_of(self._to_server(reader, link), self._to_client(server_reader, link))
            finally:
                self.links.discard(link)
                link.cut()
        except OSError:
            writer.transport.abort()
        finally:
            self._serving.discard(task)

    async def until_unused(self) -> None:
        """Wait until every connection has ended, and its client has read that."""
        if self._serving:
            await asyncio.wait(self._serving)
        await asyncio.sleep(0.05)  # the events of the closed sockets are handled in this loop

    async def end(self) -> None:
        """Cut every connection, and wait until all tasks have ended."""
        self._is_over = True
        self.flow()
        self.cut()
        if self._serving:
            await asyncio.wait(self._serving)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await self._flows.wait()
        if self._is_over:
            raise ConnectionAbortedError
        if isinstance(self.upstream, int):
            return await asyncio.open_connection("127.0.0.1", self.upstream)
        return await asyncio.open_unix_connection(self.upstream)

    async def _to_server(self, reader: asyncio.StreamReader, link: Link) -> None:
        while data := await reader.read(65536):
            await self._flows.wait()
            if link.is_silent:
                continue
            if self._plan is not None and self._plan.content in data:
                link.plan, self._plan = self._plan, None
                if link.plan.moment == "before":
                    link.plan.is_done = True
                    return
            link.server.write(data)
            await link.server.drain()

    async def _to_client(self, reader: asyncio.StreamReader, link: Link) -> None:
        end = b""
        while data := await reader.read(65536):
            await self._flows.wait()
            if link.is_silent:
                continue
            if link.plan is not None:
                end = (end + data)[-len(READY[0]) :]
                if end in READY:
                    link.plan.is_done = True
                    return
                continue
            link.client.write(data.replace(*self.rewrite) if self.rewrite[0] else data)
            await link.client.drain()
            if link.cuts_after_reply and data.endswith(READY):
                return


async def _first_of(*directions: Coroutine[None, None, None]) -> None:
    """Wait until one direction has ended, and end the other."""
    tasks = [asyncio.create_task(direction) for direction in directions]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def socket_of(dsn: str) -> Path:
    """Return the socket in a DSN of the embedded server."""
    [folder] = parse_qs(urlsplit(dsn).query)["host"]
    return Path(folder) / ".s.PGSQL.5432"


@contextlib.asynccontextmanager
async def proxy_to(upstream: int | Path) -> AsyncGenerator[Proxy]:
    """A proxy in front of a port of 127.0.0.1, or of a server's socket."""
    proxy = Proxy(upstream)
    proxy.flow()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
