"""A call that is cancelled wherever it waits, once and twice in a row; a client that is closed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from agentrows import PostgresClient, Settings
from support.cancelling import cases, run
from support.stores import event
from support.watching import Watcher, check_whole, watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Use = Callable[[PostgresClient, str], Awaitable[None]]

SIZE = 2
COLD_S = 1e-6
"""Connections that have been idle for so long are closed: every call opens one."""


@pytest.fixture
async def watcher(migrated: str) -> AsyncIterator[Watcher]:
    async with watch(migrated) as watcher:
        yield watcher


async def one_statement(client: PostgresClient, name: str) -> None:
    await client.store_events([event(name)])


async def a_transaction(client: PostgresClient, name: str) -> None:
    async with client.transaction() as tx:
        await tx.store_session(name, user_id="mira")
        await tx.store_events([event(name)])


async def a_savepoint(client: PostgresClient, name: str) -> None:
    async with client.transaction() as tx:
        await tx.store_session(name, user_id="mira")
        await tx.refresh_tools_for_server(name, group_kind="MCP", tools=[])
        await tx.store_events([event(name)])


async def a_stream(client: PostgresClient, name: str) -> None:  # noqa: ARG001
    async with contextlib.aclosing(client.stream_events_for_session("s-1", user_id="mira")) as rows:
        async for _ in rows:
            pass


USES = pytest.mark.parametrize("use", [one_statement, a_transaction, a_savepoint, a_stream])


async def halves(watcher: Watcher) -> int:
    """Count the transactions that happened in part."""
    query = (
        "SELECT count(*) FROM session FULL JOIN event ON event.id = session.id"
        " WHERE session.id IS NULL OR event.id IS NULL"
    )
    return int(await watcher.db.fetchval(query))


@USES
@pytest.mark.parametrize("pool", ["warm", "cold"])
async def test_wherever_a_call_is_cancelled_the_pool_is_whole_and_nothing_half_done(
    migrated: str, watcher: Watcher, use: Use, pool: str
) -> None:
    settings = Settings(pool_max_size=SIZE, pool_max_idle_s=COLD_S if pool == "cold" else 300)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        whole = await run(lambda: use(client, "uncancelled"))
        cancelled = 0
        for number, (moment, waits) in enumerate(cases(whole.waits)):
            stepped = await run(lambda n=number: use(client, f"n-{n}"), *waits, moment=moment)
            cancelled += bool(stepped.cancels)
            await check_whole(client, watcher, size=SIZE)

        assert cancelled >= whole.waits
        if use is not one_statement:
            assert await halves(watcher) == 0
