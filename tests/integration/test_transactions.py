"""Transactions are atomic with concurrent tasks, failed statements, lost connections, cancels."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import (
    Aborted,
    AgentRowsError,
    AlreadyExists,
    InvalidValue,
    NewEvent,
    NotFound,
    OutcomeUnknown,
    PostgresClient,
    Settings,
    StatementTimeout,
    Transaction,
    Unavailable,
)
from agentrows.gen import sessions as queries
from agentrows.stores.events import EventStore
from agentrows.stores.sessions import SessionStore
from support.postgres import as_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EVENT = NewEvent(id="e-1", user_id="mira", session_id="s-1", data="{}")
SLEEP = "SELECT pg_sleep(60)"


@pytest.fixture
async def single(migrated: str) -> AsyncIterator[PostgresClient]:
    """A client with one connection, so that a later statement meets its bad state."""
    settings = Settings(pool_max_size=1, acquire_timeout_s=5, retry_timeout_s=0)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        yield client


@pytest.fixture
async def watcher(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection outside the pool, to observe the others."""
    connection = await asyncpg.connect(migrated)
    yield connection
    await connection.close()


async def backend(client: PostgresClient) -> object:
    return await client.db.fetchval("SELECT pg_backend_pid()")


async def until_it_sleeps(watcher: asyncpg.Connection, pid: object) -> None:
    async with asyncio.timeout(10):
        while not await watcher.fetchval(
            "SELECT true FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'", pid
        ):
            await asyncio.sleep(0.01)


async def test_committed_rows_are_visible_after_the_block(client: PostgresClient) -> None:
    async with client.transaction() as tx:
        await tx.store_session("s-1", user_id="mira")
        await tx.store_events([EVENT])

        with pytest.raises(NotFound):
            await client.get_event("e-1", user_id="mira")

    assert (await client.get_event("e-1", user_id="mira")).data == "{}"


async def test_exception_rolls_block_back_and_is_raised_unchanged(
    client: PostgresClient,
) -> None:
    class OfTheCaller(Exception):
        pass

    with pytest.raises(OfTheCaller):
        async with client.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")
            raise OfTheCaller

    assert await client.list_sessions(user_id="mira") == []


async def test_driver_error_raised_by_the_block_is_not_translated(client: PostgresClient) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        async with client.transaction():
            raise asyncpg.UniqueViolationError("the caller's own")


@pytest.mark.parametrize("sqlstate", ["01000", "01004", "02000"])
async def test_error_with_sqlstate_of_a_warning_rolls_back_and_is_translated(
    client: PostgresClient, sqlstate: str
) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}'; END $$"

    with pytest.raises(AgentRowsError, match="refused"):
        await client.db.execute(raising)
    with pytest.raises(AgentRowsError, match="refused"):
        async with client.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")
            await tx.db.execute(raising)

    assert await client.list_sessions(user_id="mira") == []


async def test_statement_after_failed_one_raises_aborted(
    client: PostgresClient,
) -> None:
    with pytest.raises(Aborted):
        async with client.transaction() as tx:
            await tx.store_events([EVENT])
            with pytest.raises(AlreadyExists):
                await tx.store_events([EVENT])
            await tx.store_session("s-1", user_id="mira")

    assert await client.list_events_for_session("s-1", user_id="mira") == []


async def test_block_that_suppresses_failed_statement_raises_aborted(
    client: PostgresClient,
) -> None:
    with pytest.raises(Aborted, match="run it again"):
        async with client.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")
            with pytest.raises(ZeroDivisionError):
                await fail_in(tx)

    assert await client.list_sessions(user_id="mira") == []


async def fail_in(tx: Transaction) -> None:
    """Cause an error of the server and suppress it."""
    with contextlib.suppress(asyncpg.DivisionByZeroError, InvalidValue):
        await tx.db.execute("SELECT 1 / 0")
    raise ZeroDivisionError


async def test_value_refused_before_sending_does_not_abort_transaction(
    client: PostgresClient,
) -> None:
    async with client.transaction() as tx:
        with pytest.raises(InvalidValue):
            await tx.db.execute("SELECT $1::int", "no number")
        await tx.store_session("s-1", user_id="mira")

    assert len(await client.list_sessions(user_id="mira")) == 1


async def test_failure_inside_savepoint_does_not_abort_transaction(
    client: PostgresClient,
) -> None:
    async with client.transaction() as tx:
        await tx.store_events([EVENT])
        with pytest.raises(AlreadyExists):
            async with tx.db.transaction() as inner:
                await EventStore(inner).store_events([EVENT])

    assert len(await client.list_events_for_session("s-1", user_id="mira")) == 1


async def test_outer_transaction_raises_aborted_inside_inner_one(
    client: PostgresClient,
) -> None:
    async with client.transaction() as tx, tx.db.transaction() as inner:
        with pytest.raises(Aborted, match="inside this one"):
            await tx.store_session("s-1", user_id="mira")
        with pytest.raises(Aborted, match="inside this one"):
            await asyncio.create_task(tx.store_session("s-1", user_id="mira"))
        await SessionStore(inner).store_session("s-1", user_id="mira")

    assert len(await client.list_sessions(user_id="mira")) == 1


async def test_ended_transaction_raises_aborted(client: PostgresClient) -> None:
    async with client.transaction() as tx:
        pass

    with pytest.raises(Aborted, match="has ended"):
        await tx.store_session("s-1", user_id="mira")
    with pytest.raises(Aborted, match="has ended"):
        async with tx.db.transaction():
            pass


async def test_statement_of_another_task_cannot_follow_commit(
    client: PostgresClient,
) -> None:
    """Not between the server's answer to COMMIT and the next step of the block either."""
    is_ending = asyncio.Event()

    async def store_late(tx: Transaction) -> None:
        await is_ending.wait()
        while True:
            try:
                await tx.store_session("late", user_id="mira")
            except Unavailable:  # COMMIT is under way
                await asyncio.sleep(0)
            else:
                return

    async with client.transaction() as tx:
        late = asyncio.create_task(store_late(tx))
        await tx.store_session("s-1", user_id="mira")
        is_ending.set()

    with pytest.raises(Aborted, match="has ended"):
        await late
    assert [session.id for session in await client.list_sessions(user_id="mira")] == ["s-1"]


async def test_invalid_isolation_is_refused_by_name(client: PostgresClient) -> None:
    with pytest.raises(InvalidValue, match="isolation"):
        async with client.transaction(isolation="chaos"):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            pass


async def test_connection_lost_before_commit_raises_unavailable(
    single: PostgresClient, watcher: asyncpg.Connection
) -> None:
    pid = await backend(single)

    with pytest.raises(Unavailable):
        async with single.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")
            await watcher.execute("SELECT pg_terminate_backend($1)", pid)
            async with asyncio.timeout(10):
                while await watcher.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid
                ):
                    await asyncio.sleep(0.01)

    assert await single.list_sessions(user_id="mira") == []


async def test_application_functions_run_in_the_transaction(
    client: PostgresClient,
) -> None:
    async with client.transaction() as tx:
        await tx.store_session("s-1", user_id="mira", name="Rome")
        session = await queries.get_session(tx.db, id="s-1", user_id="mira")

    assert session
    assert session.name == "Rome"


async def test_tasks_sharing_a_transaction_take_turns(client: PostgresClient) -> None:
    async with client.transaction() as tx:
        await asyncio.gather(
            *(tx.store_session(f"s-{number}", user_id="mira") for number in range(20))
        )

    assert len(await client.list_sessions(user_id="mira")) == 20


async def test_store_transaction_becomes_savepoint_inside_transaction(
    client: PostgresClient,
) -> None:
    async with client.transaction() as tx:
        async with tx.db.transaction() as inner:
            await queries.insert_session(
                inner, id="s-1", user_id="mira", name=None, agent_id=None, source=None
            )
        with pytest.raises(ZeroDivisionError):
            async with tx.db.transaction() as inner:
                await queries.delete_session(inner, id="s-1", user_id="mira")
                raise ZeroDivisionError

    assert (await client.get_session("s-1", user_id="mira")).id == "s-1"


async def test_readonly_transaction_refuses_writes(client: PostgresClient) -> None:
    with pytest.raises(InvalidValue, match="read-only"):
        async with client.transaction(readonly=True) as tx:
            await tx.store_session("s-1", user_id="mira")


async def test_conflicting_serializable_transactions_raise_aborted(
    client: PostgresClient,
) -> None:
    async def count_then_store(name: str, both_read: asyncio.Barrier) -> None:
        async with client.transaction(isolation="serializable") as tx:
            found = await tx.list_sessions(user_id="mira")
            await both_read.wait()
            await tx.store_session(f"{name}-{len(found)}", user_id="mira")

    both_read = asyncio.Barrier(2)
    outcomes = await asyncio.gather(
        count_then_store("a", both_read), count_then_store("b", both_read), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes if outcome] == [Aborted]
    assert len(await client.list_sessions(user_id="mira")) == 1


async def test_cancelled_statement_leaves_clean_connection(
    single: PostgresClient, watcher: asyncpg.Connection
) -> None:
    before = await backend(single)
    running = asyncio.create_task(single.db.execute(SLEEP))
    await until_it_sleeps(watcher, before)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await backend(single) == before


async def test_transaction_cancelled_twice_is_rolled_back_and_pool_is_whole(
    single: PostgresClient, watcher: asyncpg.Connection
) -> None:
    pid = await backend(single)

    async def work() -> None:
        async with single.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")
            await tx.db.execute(SLEEP)

    running = asyncio.create_task(work())
    await until_it_sleeps(watcher, pid)
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await single.list_sessions(user_id="mira") == []
    assert await single.db.fetchval("SELECT pg_current_xact_id_if_assigned()") is None


@pytest.mark.parametrize(
    ("declared", "expected"), [("repeatable", Unavailable), ("once", OutcomeUnknown)]
)
async def test_connection_lost_in_statement_raises_its_declared_error(
    declared: str,
    expected: type[Exception],
    single: PostgresClient,
    watcher: asyncpg.Connection,
) -> None:
    pid = await backend(single)
    statements = single.db.repeatable if declared == "repeatable" else single.db.once
    running = asyncio.create_task(statements.execute(SLEEP))
    await until_it_sleeps(watcher, pid)

    await watcher.execute("SELECT pg_terminate_backend($1)", pid)

    with pytest.raises(expected):
        await running
    assert await backend(single) != pid


async def test_undecodable_reply_is_not_retried(client: PostgresClient, migrated: str) -> None:
    """The driver caches a type that has changed, and raises after it has received the rows."""
    admin = await asyncpg.connect(as_role(migrated, "postgres"))
    try:
        await admin.execute(
            "CREATE TYPE place AS (x int); CREATE TABLE counted (n int, at place);"
            "INSERT INTO counted VALUES (0, ROW(1)); GRANT ALL ON counted TO PUBLIC"
        )
        count = "UPDATE counted SET n = n + 1 RETURNING n, at"
        await client.db.fetchrow(count)
        await admin.execute("ALTER TYPE place ADD ATTRIBUTE y int")

        with pytest.raises(OutcomeUnknown):
            await client.db.fetchrow(count)

        assert await admin.fetchval("SELECT n FROM counted") == 2
        assert await client.db.fetchval(count) == 3
    finally:
        await admin.close()


async def test_connection_lost_in_transaction_raises_unavailable(
    single: PostgresClient, watcher: asyncpg.Connection
) -> None:
    pid = await backend(single)

    async def work() -> None:
        async with single.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")
            await tx.db.execute(SLEEP)

    running = asyncio.create_task(work())
    await until_it_sleeps(watcher, pid)
    await watcher.execute("SELECT pg_terminate_backend($1)", pid)

    with pytest.raises(Unavailable):
        await running
    assert await single.list_sessions(user_id="mira") == []


async def test_slow_statement_is_cancelled_and_connection_stays_usable(
    single: PostgresClient,
) -> None:
    pid = await backend(single)

    with pytest.raises(StatementTimeout):
        await single.with_timeout(0.05).db.repeatable.execute(SLEEP)

    assert await backend(single) == pid


async def test_cancelled_transaction_frees_locks_after_early_cancel_request(
    client: PostgresClient,
) -> None:
    # The server ignores a cancel that overtakes its statement; now and then one of these does.
    for _ in range(40):
        locked = asyncio.Event()

        async def lock_and_wait(locked: asyncio.Event = locked) -> None:
            async with client.transaction() as tx:
                await tx.store_session("s-1", user_id="mira")
                locked.set()
                await tx.db.execute(SLEEP)

        task = asyncio.create_task(lock_and_wait())
        async with asyncio.timeout(10):
            await locked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
