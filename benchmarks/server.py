"""The PostgreSQL server of the benchmarks, and a description of the machine.

An embedded server with its own defaults (so every commit is on disk before it is answered), except
for what SETTINGS says. A server of one's own takes its place with `--dsn`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import platform
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from agentrows import migrate
from agentrows.db.embedded import load_get_server

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS: Final = ("shared_buffers = 1GB", "max_wal_size = 8GB", "max_connections = 400")
PACKAGES: Final = (
    "agentrows",
    "asyncpg",
    "psycopg",
    "sqlalchemy",
    "langgraph-checkpoint-postgres",
    "google-adk",
    "openai-agents",
    "pydantic",
    "uvloop",
)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; makes migrated databases."""

    dsn: str
    names: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Create a database at the newest version, give its DSN, drop it at the end."""
        name = f"bench_{os.getpid()}_{next(self.names)}"
        asyncio.run(self._run(f'CREATE DATABASE "{name}"'))
        dsn = urlunsplit(urlsplit(self.dsn)._replace(path=f"/{name}"))
        try:
            asyncio.run(migrate.up(dsn, migrate.builtin_tracks()))
            yield dsn
        finally:
            asyncio.run(self._run(f'DROP DATABASE "{name}" WITH (FORCE)'))

    def show(self, statement: str) -> str:
        """Return the one value of a query."""
        return str(asyncio.run(self._run(statement)))

    async def _run(self, statement: str) -> object:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


@contextlib.contextmanager
def start_server(dsn: str | None) -> Iterator[Server]:
    """Give the server at this DSN, or an embedded one that ends with the block."""
    if dsn is not None:
        yield Server(dsn)
        return
    directory = Path(tempfile.mkdtemp(prefix="agentrows-bench-"))
    postgres = load_get_server()(directory, cleanup_mode="delete", start=False)
    postgres.ensure_pgdata_inited()
    with (directory / "postgresql.conf").open("a") as conf:
        conf.write("\n".join(("", *SETTINGS, "")))
    postgres.start()
    try:
        yield Server(str(postgres.get_uri()))
    finally:
        postgres.cleanup()


def describe_machine(server: Server) -> dict[str, str]:
    """Return what the figures depend on, in words."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "server": server.show("SELECT split_part(version(), ' on ', 1)"),
        "settings": ", ".join(
            f"{name} {server.show(f'SHOW {name}')}"
            for name in ("shared_buffers", "fsync", "synchronous_commit")
        ),
        "packages": ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name))),
        "load": f"{os.getloadavg()[0]:.1f} at the start",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
