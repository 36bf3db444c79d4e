"""A test's view of a client's sessions on the server, and of its pool."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from agentrows import PostgresClient

PATIENCE_S: Final = 60.0
OURS: Final = "FROM pg_stat_activity WHERE application_name = 'agentrows' AND datname = $1"
PIDS: Final = f"SELECT pid {OURS} ORDER BY pid"
IN_TRANSACTIONS: Final = f"SELECT count(*) {OURS} AND state LIKE 'idle in transaction%'"
IN_LOCKS: Final = f"SELECT count(*) {OURS} AND wait_event_type = 'Lock'"
IN_USE: Final = f"SELECT count(*) {OURS} AND state <> 'idle'"
ASLEEP: Final = f"SELECT count(*) {OURS} AND wait_event = 'PgSleep'"
TERMINATE: Final = f"SELECT count(pg_terminate_backend(pid, 5000)) {OURS}"
SLEEP: Final = "SELECT pg_sleep(60)"
PID: Final = "SELECT pg_backend_pid()"


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition is true."""
    async with asyncio.timeout(PATIENCE_S):
        while not await is_so():
            await asyncio.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Watcher:
    """A session in addition to those of the client, on the same database."""

    dsn: str
    db: asyncpg.Connection

    async def count(self, query: str) -> int:
        """Run one of the queries above."""
        name = await self.db.fetchval("SELECT current_database()")
        return int(await self.db.fetchval(query, name))

    async def pids(self) -> list[int]:
        """Return the server processes of the client."""
        name = await self.db.fetchval("SELECT current_database()")
        return [row["pid"] for row in await self.db.fetch(PIDS, name)]

    async def until(self, query: str, expected: int = 1) -> None:
        """Wait until one of the queries above returns this."""

        async def is_so() -> bool:
            return await self.count(query) == expected

        await until(is_so)

    async def until_sessions(self, at_most: int) -> None:
        """Wait until the client has no more sessions than this."""

        async def is_so() -> bool:
            return len(await self.pids()) <= at_most

        await until(is_so)

    async def terminate_all(self) -> int:
        """End every server process of the client, and wait until it is gone."""
        return await self.count(TERMINATE)

    @contextlib.asynccontextmanager
    async def lock(self, table: str) -> AsyncGenerator[None]:
        """Block every write to a table during this block."""
        other = await asyncpg.connect(self.dsn)
        try:
            async with other.transaction():
                await other.execute(f"LOCK TABLE {table} IN SHARE MODE")
                yield
        finally:
            await other.close()


@contextlib.asynccontextmanager
async def watch(dsn: str) -> AsyncGenerator[Watcher]:
    """Watch a database for a block."""
    db = await asyncpg.connect(dsn)
    try:
        yield Watcher(dsn, db)
    finally:
        await db.close()


async def hold_all(client: PostgresClient, size: int) -> set[int]:
    """Take every connection of the pool at the same time; return their server processes."""
    async with contextlib.AsyncExitStack() as stack:
        pids: set[int] = set()
        for _ in range(size):
            tx = await stack.enter_async_context(client.transaction())
            pid = await tx.db.fetchval(PID)
            assert isinstance(pid, int)
            pids.add(pid)
    return pids


async def check_pool(client: PostgresClient, watcher: Watcher, *, size: int) -> None:
    """Check that the pool can deliver all of its connections at once, and has no other."""
    held = await hold_all(client, size)
    assert len(held) == size
    await watcher.until(IN_TRANSACTIONS, 0)
    await watcher.until_sessions(size)
    assert set(await watcher.pids()) <= held
