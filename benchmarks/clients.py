"""How contenders connect: each library as its own documentation recommends."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any

import asyncpg

from agentrows import PostgresClient, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg_pool import AsyncConnectionPool
    from sqlalchemy.ext.asyncio import AsyncEngine

CONNECTIONS = 10


@contextlib.asynccontextmanager
async def agentrows_client(
    dsn: str,
    *,
    size: int = CONNECTIONS,
    merge_lookups: bool = True,
    memory_model: str | None = None,
) -> AsyncIterator[PostgresClient]:
    """Open our client with this number of connections, on agentrows_memory with a model."""
    settings = Settings(
        pool_min_size=size,
        pool_max_size=size,
        merge_lookups=merge_lookups,
        memory_table="agentrows" if memory_model else "kagent",
        memory_model=memory_model,
    )
    async with PostgresClient.open(dsn, settings=settings, migrations="off") as client:
        yield client


@contextlib.asynccontextmanager
async def asyncpg_pool(dsn: str, *, reset: bool = True) -> AsyncIterator[asyncpg.Pool]:
    """Open asyncpg's own pool, with its defaults or without the reset on release."""

    async def leave_as_it_is(_connection: asyncpg.Connection) -> None:
        pass

    options: dict[str, Any] = {} if reset else {"reset": leave_as_it_is}
    async with asyncpg.create_pool(
        dsn, min_size=CONNECTIONS, max_size=CONNECTIONS, **options
    ) as pool:
        yield pool


class FreeList:
    """Bare asyncpg connections that take turns: the lowest cost of sharing connections."""

    def __init__(self, connections: list[asyncpg.Connection]) -> None:
        self._free = connections
        self._places = asyncio.Semaphore(len(connections))

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        """Fetch a row on the connection that was returned last."""
        async with self._places:
            connection = self._free.pop()
            try:
                return await connection.fetchrow(query, *args)
            finally:
                self._free.append(connection)

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """Fetch rows on the connection that was returned last."""
        async with self._places:
            connection = self._free.pop()
            try:
                return await connection.fetch(query, *args)
            finally:
                self._free.append(connection)


@contextlib.asynccontextmanager
async def free_list(dsn: str) -> AsyncIterator[FreeList]:
    """Open bare connections."""
    connections = [await asyncpg.connect(dsn) for _ in range(CONNECTIONS)]
    yield FreeList(list(connections))
    for connection in connections:
        await connection.close()


@contextlib.asynccontextmanager
async def psycopg_pool(dsn: str, **options: object) -> AsyncIterator[AsyncConnectionPool[Any]]:
    """Open psycopg's pool, in autocommit mode, so that a read costs one round trip."""
    from psycopg_pool import AsyncConnectionPool

    async with AsyncConnectionPool(
        dsn,
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
        kwargs={"autocommit": True, **options},
        open=False,
    ) as pool:
        await pool.wait()
        yield pool


def percent(sql: str) -> str:
    """Return a statement with psycopg's placeholders; each parameter occurs once, in order."""
    return re.sub(r"\$\d", "%s", sql)


def named(sql: str) -> str:
    """Return a statement for SQLAlchemy's text(), as sqlc-gen-python writes it."""
    return re.sub(r"\$(\d)", r":p\1", sql.replace(":", r"\:"))


def sqlalchemy_url(dsn: str) -> str:
    """Return SQLAlchemy's spelling of a DSN, for its asyncpg dialect."""
    return dsn.replace("postgresql://", "postgresql+asyncpg://", 1).replace(":@/", "@/", 1)


@contextlib.asynccontextmanager
async def sqlalchemy_engine(dsn: str) -> AsyncIterator[AsyncEngine]:
    """Open an engine with its defaults, with as many connections as the others have."""
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(sqlalchemy_url(dsn), pool_size=CONNECTIONS, max_overflow=0)
    yield engine
    await engine.dispose()
