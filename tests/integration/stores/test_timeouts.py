"""with_timeout: a slow statement is cancelled, and the connection is used again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentrows import OutcomeUnknown, PostgresClient, Settings, StatementTimeout

if TYPE_CHECKING:
    import asyncpg

ONE_CONNECTION = Settings(pool_max_size=1, acquire_timeout_s=5)
LONG = "SELECT pg_sleep(30)"


async def sleep_in_a_transaction(client: PostgresClient) -> None:
    async with client.transaction() as tx:
        await tx.store_session("lost", user_id="mira")
        await tx.with_timeout(0.1).db.execute(LONG)


async def test_slow_statement_in_a_transaction_is_cancelled_and_rolled_back(
    migrated: str,
) -> None:
    async with PostgresClient.open(migrated, settings=ONE_CONNECTION, migrations="off") as client:
        for _ in range(3):
            async with asyncio.timeout(10):
                with pytest.raises(StatementTimeout):
                    await sleep_in_a_transaction(client)
            assert await client.list_sessions(user_id="mira") == []
        assert (await client.store_session("s-1", user_id="noor")).id == "s-1"


async def test_a_repeatable_statement_that_takes_too_long_is_cancelled(migrated: str) -> None:
    async with PostgresClient.open(migrated, settings=ONE_CONNECTION, migrations="off") as client:
        for _ in range(3):
            async with asyncio.timeout(10):
                with pytest.raises(StatementTimeout) as raised:
                    await client.with_timeout(0.1).db.repeatable.execute(LONG)
            assert isinstance(raised.value, TimeoutError)
            assert isinstance(raised.value.__cause__, TimeoutError)
            await client.ping()


async def test_slow_application_statement_raises_outcome_unknown(
    migrated: str,
) -> None:
    # A statement on `client.db` may not be repeatable, and a cancel may come too late.
    async with PostgresClient.open(migrated, settings=ONE_CONNECTION, migrations="off") as client:
        for _ in range(3):
            async with asyncio.timeout(10):
                with pytest.raises(OutcomeUnknown):
                    await client.with_timeout(0.1).db.execute(LONG)
            await client.ping()


async def test_a_call_of_a_store_that_waits_too_long_for_a_lock_is_cancelled(
    migrated: str, db: asyncpg.Connection
) -> None:
    async with PostgresClient.open(migrated, settings=ONE_CONNECTION, migrations="off") as client:
        await client.store_session("s-1", user_id="mira", name="old")
        async with db.transaction():
            await db.execute("UPDATE session SET name = 'theirs'")
            async with asyncio.timeout(10):
                with pytest.raises(StatementTimeout):
                    await client.with_timeout(0.1).store_session("s-1", user_id="mira", name="new")
            assert (await client.get_session("s-1", user_id="mira")).name == "old"
        assert (await client.get_session("s-1", user_id="mira")).name == "theirs"


async def test_with_timeout_leaves_the_client_it_came_from_as_it_was(
    client: PostgresClient,
) -> None:
    short = client.with_timeout(0.05)
    assert await client.db.repeatable.fetchval("SELECT pg_sleep(0.2)::text") == ""
    with pytest.raises(StatementTimeout):
        await short.db.repeatable.fetchval("SELECT pg_sleep(5)::text")


async def test_cancelled_transaction_leaves_no_rows_and_no_stuck_connection(
    migrated: str,
) -> None:
    async with PostgresClient.open(migrated, settings=ONE_CONNECTION, migrations="off") as client:
        for _ in range(3):
            started = asyncio.Event()

            async def store_and_wait(started: asyncio.Event = started) -> None:
                async with client.transaction() as tx:
                    await tx.store_session("lost", user_id="mira")
                    started.set()
                    await tx.db.execute(LONG)

            async with asyncio.timeout(10):
                task = asyncio.create_task(store_and_wait())
                await started.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await client.list_sessions(user_id="mira") == []
