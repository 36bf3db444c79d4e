"""The embedded server of a run, and the client of a process on it."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from agentrows import PostgresClient, migrate
from agentrows.bridge import OpenedAdapter
from agentrows.db.embedded import load_get_server
from support.postgres import FAST, Server

if TYPE_CHECKING:
    from collections.abc import Generator

DSN: Final = "AGENTROWS_SUITE_DSN"


@contextmanager
def migrated_server() -> Generator[str]:
    """Start a server, and return the DSN of a database at the newest version of every track."""
    folder = Path(tempfile.mkdtemp(prefix="agentrows-suites-"))
    postgres = load_get_server()(folder, cleanup_mode="delete", start=False)
    postgres.ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a") as conf:
        conf.write("\n".join(("", *FAST, "")))
    postgres.start()
    try:
        server = Server(postgres)
        name = server.create_database()
        server.migrate(name, migrate.builtin_tracks())
        yield server.dsn(name)
    finally:
        postgres.cleanup()


def dsn() -> str:
    """Return the DSN of the run's database."""
    return os.environ[DSN]


async def query(sql: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Run a statement as the superuser, and return its rows."""
    connection = await asyncpg.connect(dsn())
    try:
        return [tuple(row) for row in await connection.fetch(sql, *arguments)]
    finally:
        await connection.close()


@contextmanager
def client_in_thread() -> Generator[PostgresClient]:
    """Open a client on the run's database, in an event loop in a thread of its own."""
    with OpenedAdapter(lambda: PostgresClient.connect(dsn()), lambda client: client) as client:
        yield client
