"""One migrated database for all tests of the stores, emptied before each; a second way into it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from agentrows import init_connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from support.postgres import Server


@pytest.fixture(scope="session")
def stores_database(server: Server, template: str) -> Iterator[str]:
    """The DSN of a migrated database, which the tests of the stores use one after another."""
    name = server.create_database(template)
    yield server.dsn(name)
    server.drop_database(name)


@pytest.fixture
def migrated(stores_database: str) -> str:
    """The DSN of a migrated database without rows; a clone for each test takes four times as long.

    A test that changes the schema does so in a transaction that it undoes.
    """
    asyncio.run(empty(stores_database))
    return stores_database


@pytest_asyncio.fixture
async def db(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of another program to the database of `client`."""
    connection = await asyncpg.connect(migrated)
    await init_connection(connection)
    yield connection
    await connection.close()


async def empty(dsn: str) -> None:
    """Remove the rows of every table that has some, but the migrations'."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' "
            "AND relnamespace = 'public'::regnamespace AND relname !~ 'schema_migrations'"
        )
        names = [str(row[0]) for row in tables]
        assert "memory" in names
        filled: list[str] = []
        for name in names:
            if await connection.fetchval(f"SELECT true FROM {name} LIMIT 1"):  # noqa: S608
                filled.append(name)  # noqa: PERF401  the driver runs one statement at a time
        if filled:
            await connection.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
    finally:
        await connection.close()
