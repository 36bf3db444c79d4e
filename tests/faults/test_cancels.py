"""Calls cancelled at each await, once and twice in a row, and clients closed during calls."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
from functools import partial
from typing import TYPE_CHECKING, get_args

import asyncpg
import pytest

from agentrows import (
    ClientClosed,
    ConfigError,
    OutcomeUnknown,
    PostgresClient,
    Settings,
    Unavailable,
    init_connection,
    startup,
)
from agentrows.db.connect import connect
from agentrows.db.pool import ConnectionPool
from support.cancelling import Moment, Stepped, cases, run
from support.postgres import as_role
from support.proxy import proxy_to, socket_of
from support.stores import event
from support.watching import (
    ASLEEP,
    IN_LOCKS,
    IN_USE,
    PATIENCE_S,
    SLEEP,
    Watcher,
    check_pool,
    hold_all,
    until,
    watch,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from agentrows import Agent, Page

    Use = Callable[[PostgresClient, str], Awaitable[None]]

SIZE = 2
ONE = Settings(pool_max_size=1, acquire_timeout_s=3)
SHORT_S = 0.3
SAMPLE = 1 if "AGENTROWS_ROUNDS" in os.environ else 7
"""The share of slow cases to run, 1 in this number; `make soak` runs all."""
COLD_S = 1e-6
"""An idle limit so short that every call opens a connection."""


@pytest.fixture
async def watcher(migrated: str) -> AsyncIterator[Watcher]:
    """A superuser's session, which can read the activity of other sessions."""
    async with watch(as_role(migrated, "postgres")) as watcher:
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


@contextlib.asynccontextmanager
async def a_client(dsn: str, *, own_pool: bool) -> AsyncGenerator[PostgresClient]:
    """Open a client with one connection, on its own pool or on an `asyncpg.Pool`."""
    if own_pool:
        async with PostgresClient.open(dsn, settings=ONE, migrations="off") as client:
            yield client
        return
    async with asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=1,
        init=init_connection,
        server_settings={"application_name": "agentrows"},
    ) as pool:
        yield await PostgresClient.from_pool(pool, settings=ONE)


USES = pytest.mark.parametrize("use", [one_statement, a_transaction, a_savepoint, a_stream])


async def halves(watcher: Watcher) -> int:
    """Count the transactions that were stored in part."""
    query = (
        "SELECT count(*) FROM session FULL JOIN event ON event.id = session.id"
        " WHERE session.id IS NULL OR event.id IS NULL"
    )
    return int(await watcher.db.fetchval(query))


async def cancel_everywhere(client: PostgresClient, watcher: Watcher, use: Use, of: int) -> int:
    """Cancel a use in every case, or in each `of`-th; return the number of effective cancels."""
    whole = await run(partial(use, client, "uncancelled"))
    cancelled = 0
    for number, (moment, waits) in enumerate(itertools.islice(cases(whole.waits), 0, None, of)):
        stepped = await run(partial(use, client, f"n-{number}"), *waits, moment=moment)
        cancelled += bool(stepped.cancels)
        await check_pool(client, watcher, size=SIZE)
    return cancelled


@USES
async def test_call_cancelled_at_any_await_leaves_pool_whole_and_nothing_partial(
    migrated: str, watcher: Watcher, use: Use
) -> None:
    async with PostgresClient.open(
        migrated, settings=Settings(pool_max_size=SIZE), migrations="off"
    ) as client:
        assert await cancel_everywhere(client, watcher, use, of=1) > 4

    assert use is one_statement or await halves(watcher) == 0


@USES
async def test_connecting_call_cancelled_at_any_await_leaves_pool_whole(
    migrated: str, watcher: Watcher, use: Use
) -> None:
    settings = Settings(pool_max_size=SIZE, pool_max_idle_s=COLD_S)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        of = 1 if use is one_statement else SAMPLE  # all uses open connections in the same way
        assert await cancel_everywhere(client, watcher, use, of=of) > 4

    assert use is one_statement or await halves(watcher) == 0


@USES
async def test_cancelled_call_leaves_application_pool_whole_and_logs_nothing(
    migrated: str, watcher: Watcher, use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncpg.create_pool(
        migrated,
        min_size=0,
        max_size=SIZE,
        init=init_connection,
        server_settings={"application_name": "agentrows"},
    ) as pool:
        client = await PostgresClient.from_pool(pool)
        assert await cancel_everywhere(client, watcher, use, of=SAMPLE) > 0

    gc.collect()
    assert use is one_statement or await halves(watcher) == 0
    assert [each.getMessage() for each in caplog.records if each.name == "asyncio"] == []


async def test_open_cancelled_at_any_await_leaves_no_session(
    migrated: str, watcher: Watcher
) -> None:
    settings = Settings(pool_min_size=SIZE, pool_max_size=SIZE)

    async def connect() -> None:
        client = await PostgresClient.connect(migrated, settings=settings, migrations="off")
        await client.close()

    whole = await run(connect)
    for moment, waits in itertools.islice(cases(whole.waits), 0, None, SAMPLE):
        await run(connect, *waits, moment=moment)
        await watcher.until_sessions(0)


async def test_connection_delivered_to_cancelled_waiter_goes_to_next_waiter(
    migrated: str, watcher: Watcher
) -> None:
    settings = Settings(pool_max_size=1, acquire_timeout_s=PATIENCE_S)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        for moment in get_args(Moment):
            async with client.transaction():
                first = asyncio.create_task(run(client.list_agents, 1, moment=moment))
                await asyncio.sleep(0)
                next_one = asyncio.create_task(client.list_agents())
                await asyncio.sleep(0)
            assert (await first).cancels == 1
            assert await next_one == []
            await check_pool(client, watcher, size=1)


async def test_slot_given_to_cancelled_waiter_goes_to_next_waiter(
    migrated: str, watcher: Watcher
) -> None:
    """The earlier connection is lost, so the next waiter gets a slot, not a connection."""
    settings = Settings(pool_max_size=1, acquire_timeout_s=PATIENCE_S)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        for moment in get_args(Moment):
            first, next_one = await lose_before(client, watcher, moment)
            assert (await first).cancels == 1
            assert await next_one == []
            await check_pool(client, watcher, size=1)


async def lose_before(
    client: PostgresClient, watcher: Watcher, moment: Moment
) -> tuple[asyncio.Task[Stepped[Page[Agent]]], asyncio.Task[Page[Agent]]]:
    """Lose the only connection while two calls wait for it, and cancel the first of these."""
    tx = await (block := client.transaction()).__aenter__()
    first = asyncio.create_task(run(client.list_agents, 1, moment=moment))
    await asyncio.sleep(0)
    next_one = asyncio.create_task(client.list_agents())
    await asyncio.sleep(0)
    assert await watcher.terminate_all() == 1
    with pytest.raises(Unavailable) as lost:
        await tx.list_agents()
    await block.__aexit__(Unavailable, lost.value, None)
    return first, next_one


@pytest.mark.parametrize(("times", "own_pool"), [(0, True), (1, True), (2, True), (1, False)])
async def test_executemany_is_cancellable_while_server_accepts_no_rows(
    migrated: str, watcher: Watcher, times: int, *, own_pool: bool
) -> None:
    """Without a second cancellation the driver waits forever for a reply to unsent rows."""
    await watcher.db.execute("CREATE TABLE number (n int UNIQUE, padding text)")
    await watcher.db.execute("GRANT ALL ON number TO PUBLIC")
    rows = [(n, "x" * 4096) for n in range(4096)]
    async with contextlib.AsyncExitStack() as stack:
        other = await stack.enter_async_context(watch(watcher.dsn))
        await stack.enter_async_context(other.db.transaction())
        await other.db.execute("INSERT INTO number VALUES (0)")
        client = await stack.enter_async_context(a_client(migrated, own_pool=own_pool))
        call = asyncio.create_task(
            client.db.executemany(
                "INSERT INTO number VALUES ($1, $2)", rows, timeout=None if times else SHORT_S
            )
        )
        if times:
            await watcher.until(IN_LOCKS)
        for _ in range(times):
            call.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([call], timeout=PATIENCE_S)
        assert call.done()
        assert call.cancelled() or isinstance(call.exception(), OutcomeUnknown)
        await check_pool(client, watcher, size=1)
    assert await watcher.db.fetchval("SELECT count(*) FROM number") <= 1


async def test_surplus_connections_are_closed_when_load_falls(
    migrated: str, watcher: Watcher
) -> None:
    settings = Settings(pool_max_size=SIZE, pool_max_idle_s=0.2)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        assert len(await hold_all(client, SIZE)) == SIZE

        async def is_one() -> bool:
            await client.ping()
            return len(await watcher.pids()) == 1

        await until(is_one)
        await check_pool(client, watcher, size=SIZE)


async def test_closed_client_raises_client_closed_and_close_is_repeatable(
    migrated: str, watcher: Watcher
) -> None:
    client = await PostgresClient.connect(
        migrated, settings=Settings(pool_max_size=SIZE), migrations="off"
    )
    await check_pool(client, watcher, size=SIZE)

    await asyncio.gather(client.close(), client.close())
    await client.close()

    await watcher.until_sessions(0)
    for call in (client.ping, lambda: client.store_events([event("e-1")])):
        with pytest.raises(ClientClosed):
            await call()
    with pytest.raises(ClientClosed):
        async with client.transaction():
            pass


async def test_close_waits_for_running_calls_and_fails_waiting_calls(
    migrated: str, watcher: Watcher
) -> None:
    settings = Settings(pool_max_size=1, acquire_timeout_s=PATIENCE_S)
    client = await PostgresClient.connect(migrated, settings=settings, migrations="off")
    async with watcher.lock("session"):
        running = asyncio.create_task(client.store_session("s-1", user_id="mira"))
        await watcher.until(IN_LOCKS)
        waiting = [asyncio.create_task(client.list_agents()) for _ in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(client.close())
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in told] == [ClientClosed] * 3
        assert not closing.done()

    assert (await running).id == "s-1"
    await closing
    await watcher.until_sessions(0)


@pytest.mark.parametrize("declared", ["repeatable", "once", "transaction"])
async def test_close_interrupts_call_that_does_not_end(
    migrated: str, watcher: Watcher, declared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "CLOSE_TIMEOUT_S", 0.05)
    client = await PostgresClient.connect(migrated, migrations="off")
    statements = {"repeatable": client.db.repeatable, "once": client.db.once}

    async def sleep() -> None:
        if declared != "transaction":
            await statements[declared].execute(SLEEP)
        async with client.transaction() as tx:
            await tx.db.execute(SLEEP)

    running = asyncio.create_task(sleep())
    await watcher.until(ASLEEP)
    await client.close()

    with pytest.raises(OutcomeUnknown if declared == "once" else Unavailable):
        await running
    await watcher.until_sessions(0)


async def test_close_ends_when_server_is_silent(migrated: str, watcher: Watcher) -> None:
    async with proxy_to(socket_of(migrated)) as proxy:
        client = await PostgresClient.connect(
            proxy.dsn(migrated), settings=Settings(pool_max_size=SIZE), migrations="off"
        )
        await check_pool(client, watcher, size=SIZE)
        proxy.stall()
        async with asyncio.timeout(PATIENCE_S):
            await client.close()
        proxy.flow()
        await watcher.until_sessions(0)


async def test_close_at_the_time_limit_of_a_call_leaves_no_session(
    migrated: str, watcher: Watcher
) -> None:
    """The task that resets the connection is cancelled before it starts."""
    pool = ConnectionPool(
        partial(connect, migrated), min_size=1, max_size=1, max_idle_s=60, acquire_timeout_s=1
    )
    connection = await pool.acquire()
    closing = asyncio.create_task(pool.close(timeout_s=0))
    for _ in range(2):  # the time is over, and the next step interrupts the open connections
        await asyncio.sleep(0)

    pool.release(connection, asyncio.CancelledError())
    assert not closing.done()
    await closing

    assert connection.is_closed()
    await watcher.until_sessions(0)


async def test_close_ends_after_a_fault_while_a_call_runs(migrated: str, watcher: Watcher) -> None:
    client = await PostgresClient.connect(
        migrated, settings=Settings(pool_max_size=SIZE), migrations="off"
    )
    await check_pool(client, watcher, size=SIZE)
    assert await watcher.terminate_all() == SIZE  # the pool was exhausted
    async with watcher.lock("session"):
        running = asyncio.create_task(client.store_session("s-1", user_id="mira"))
        await watcher.until(IN_LOCKS)
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
    await asyncio.gather(running, closing)
    await watcher.until_sessions(0)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it is not closed
def test_event_loop_that_ends_rolls_back_only_uncommitted_work(
    migrated: str,
) -> None:
    clients: list[PostgresClient] = []
    tasks: list[asyncio.Task[None]] = []

    async def work() -> None:
        client = await PostgresClient.connect(
            migrated, settings=Settings(pool_max_size=SIZE), migrations="off"
        )
        clients.append(client)
        inside = asyncio.Event()

        async def begin() -> None:
            async with client.transaction() as tx:
                await tx.store_session("half", user_id="mira")
                inside.set()
                await tx.db.execute(SLEEP)

        tasks.append(asyncio.create_task(begin()))
        await inside.wait()
        await client.store_session("s-1", user_id="mira")

    async def look() -> None:
        async with watch(migrated) as watcher:
            await watcher.until(IN_USE, 0)
            assert await watcher.db.fetchval("SELECT array_agg(id) FROM session") == ["s-1"]
            with pytest.raises(ConfigError, match="another event loop"):
                await clients[0].ping()
            clients.clear()
            tasks.clear()
            gc.collect()
            await watcher.until_sessions(0)

    asyncio.run(work())
    asyncio.run(look())
