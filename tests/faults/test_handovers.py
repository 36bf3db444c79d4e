"""Connections lost between the pool and the call that they are delivered to."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Literal

import asyncpg
import pytest

from agentrows import (
    NewMemory,
    NewTool,
    PostgresClient,
    Settings,
    Unavailable,
    init_connection,
)
from support.ledger import Ledger
from support.postgres import as_role
from support.proxy import proxy_to, socket_of
from support.stores import event
from support.watching import PATIENCE_S, Watcher, check_pool, watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentrows import Transaction
    from agentrows.db.sources import Connection

    Call = Callable[[PostgresClient, Ledger], Awaitable[object]]

Side = Literal["before", "after"]


async def look_up(client: PostgresClient, _ledger: Ledger) -> None:
    await client.list_sessions(user_id="mira")


async def repeatable(client: PostgresClient, ledger: Ledger) -> None:
    await ledger.repeatable(lambda: client.store_session("s-1", user_id="mira"), ("session", "s-1"))


async def once(client: PostgresClient, ledger: Ledger) -> None:
    await ledger.once(lambda: client.store_events([event("e-1")]), ("event", "e-1"))


async def transaction(client: PostgresClient, ledger: Ledger) -> None:
    async def store() -> None:
        async with client.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")

    await ledger.once(store, ("session", "s-1"))


async def repeated_transaction(client: PostgresClient, ledger: Ledger) -> None:
    tools = [NewTool(id="tool-1")]
    await ledger.repeatable(
        lambda: client.refresh_tools_for_server("maps", group_kind="MCP", tools=tools),
        ("tool", "tool-1"),
    )


async def batch(client: PostgresClient, ledger: Ledger) -> None:
    memory = NewMemory(id="m-1", agent_name="travel", user_id="mira", content="Rome")
    await ledger.repeatable(lambda: client.store_agent_memories([memory]), ("memory", "m-1"))


async def stream(client: PostgresClient, _ledger: Ledger) -> None:
    async with contextlib.aclosing(client.stream_events_for_session("s-1", user_id="mira")) as rows:
        assert [row async for row in rows] == []


async def export(client: PostgresClient, _ledger: Ledger) -> None:
    async with contextlib.aclosing(client.export_user("mira")) as rows:
        assert [row async for row in rows] == []


async def copy(client: PostgresClient, _ledger: Ledger) -> None:
    await client.db.copy_records_to_table("feedback", records=[], columns=["feedback_text"])


CALLS: tuple[Call, ...] = (
    *(look_up, repeatable, once, transaction, repeated_transaction, batch, stream, export, copy),
)


def connection_of(tx: Transaction) -> Connection:
    return tx.db._source.connection  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]


@pytest.fixture
async def watcher(migrated: str) -> AsyncIterator[Watcher]:
    async with watch(as_role(migrated, "postgres")) as watcher:
        yield watcher


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_connection_lost_during_delivery_is_replaced(
    migrated: str, watcher: Watcher, call: Call
) -> None:
    """The waiter's future has the connection, but its task has not run yet."""
    ledger = Ledger()
    settings = Settings(pool_max_size=1, acquire_timeout_s=5)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        async with client.transaction() as tx:
            connection = connection_of(tx)
            waiting = asyncio.ensure_future(call(client, ledger))
            for _ in range(5):  # until it waits for the connection
                await asyncio.sleep(0)
        connection.terminate()
        async with asyncio.timeout(PATIENCE_S):
            await waiting

        assert ledger.errors() == {}
        await check_pool(client, watcher, size=1)
    await ledger.check(watcher.db)


async def test_savepoint_on_lost_connection_ends_the_transaction(
    migrated: str, watcher: Watcher
) -> None:
    settings = Settings(pool_max_size=1, acquire_timeout_s=5)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(Unavailable):
                async with client.transaction() as tx:
                    connection_of(tx).terminate()
                    for _ in range(2):  # the second one would wait for the first forever
                        with pytest.raises(Unavailable):
                            async with tx.db.transaction():
                                pass
                    await tx.store_session("s-1", user_id="mira")

        await check_pool(client, watcher, size=1)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "call",
    [transaction, repeated_transaction, batch, stream, export],
    ids=lambda call: call.__name__,
)
async def test_connection_lost_at_begin_is_retried_on_application_pool(
    migrated: str, watcher: Watcher, call: Call, moment: Side
) -> None:
    ledger = Ledger()
    async with (
        proxy_to(socket_of(migrated)) as proxy,
        asyncpg.create_pool(
            proxy.dsn(migrated),
            min_size=1,
            max_size=1,
            init=init_connection,
            server_settings={"application_name": "agentrows"},
        ) as pool,
    ):
        client = await PostgresClient.from_pool(pool)
        plan = proxy.cut_at(b"BEGIN", moment)
        async with asyncio.timeout(PATIENCE_S):
            await call(client, ledger)

        assert plan.is_done
        assert ledger.errors() == {}
        await check_pool(client, watcher, size=1)
    await ledger.check(watcher.db)
