"""Connections lost before, during and after a statement, at BEGIN and at COMMIT."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import asyncpg
import pytest

from agentrows import (
    Aborted,
    NewMemory,
    NewTool,
    OutcomeUnknown,
    PoolTimeout,
    PostgresClient,
    Retry,
    Settings,
    Unavailable,
    init_connection,
)
from support.ledger import Ledger
from support.postgres import as_role
from support.proxy import COMMIT, Proxy, proxy_to, socket_of
from support.stores import event
from support.watching import IN_LOCKS, Watcher, check_pool, watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from agentrows.db.executor import Executor

Side = Literal["before", "after"]
Moment = Literal[Side, "during"]
SIZE = 3
BEGIN = b"BEGIN"
MOMENTS = pytest.mark.parametrize("moment", ["before", "during", "after"])
NOWHERE = 1
"""A port without a listener."""
REFUSE_ONCE = """
CREATE SEQUENCE refusals;
CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF nextval('refusals') = 1 THEN
        RAISE 'two writers crossed' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_once();
"""


@pytest.fixture
async def watcher(migrated: str) -> AsyncIterator[Watcher]:
    """A superuser's session, which can read the activity of other sessions."""
    async with watch(as_role(migrated, "postgres")) as watcher:
        yield watcher


@pytest.fixture
async def proxy(migrated: str) -> AsyncIterator[Proxy]:
    async with proxy_to(socket_of(migrated)) as proxy:
        yield proxy


@pytest.fixture
def retries() -> list[Retry]:
    """The retries that the client reported to the application."""
    return []


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@dataclass(frozen=True)
class Stage:
    """A client behind a proxy, with its retries and its ledger."""

    client: PostgresClient
    proxy: Proxy
    watcher: Watcher
    ledger: Ledger
    retries: list[Retry]

    @contextlib.asynccontextmanager
    async def losing(self, content: str, moment: Moment, table: str) -> AsyncGenerator[None]:
        """Lose the connection of the first statement that writes this content to a table."""
        if moment != "during":
            plan = self.proxy.cut_at(content.encode(), moment)
            yield
            assert plan.is_done
            return
        is_locked = asyncio.Event()
        cutting = asyncio.create_task(self._cut_one_that_waits(table, is_locked))
        await is_locked.wait()
        yield
        await cutting

    async def _cut_one_that_waits(self, table: str, is_locked: asyncio.Event) -> None:
        async with self.watcher.lock(table):
            is_locked.set()
            await self.watcher.until(IN_LOCKS)
            assert self.proxy.cut()


@pytest.fixture
async def stage(
    migrated: str, proxy: Proxy, watcher: Watcher, ledger: Ledger, retries: list[Retry]
) -> AsyncIterator[Stage]:
    """After each test, check the pool, and that the ledger agrees with the tables."""
    settings = Settings(pool_max_size=SIZE)
    async with PostgresClient.open(
        proxy.dsn(migrated), settings=settings, migrations="off", on_retry=retries.append
    ) as client:
        yield Stage(client, proxy, watcher, ledger, retries)
        await check_pool(client, watcher, size=SIZE)
        await ledger.check(watcher.db)


@MOMENTS
async def test_connection_lost_in_repeatable_statement_is_retried_stored_once(
    stage: Stage, moment: Moment
) -> None:
    async with stage.losing("s-lost", moment, "session"):
        await stage.ledger.repeatable(
            lambda: stage.client.store_session("s-lost", user_id="mira"), ("session", "s-lost")
        )

    assert stage.ledger.count("acknowledged") == 1
    assert {type(retry.error) for retry in stage.retries} == {Unavailable}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("at", ["BEGIN", "tool-1", "COMMIT;"])
async def test_connection_lost_in_repeatable_transaction_is_retried(
    stage: Stage, at: str, moment: Side
) -> None:
    plan = stage.proxy.cut_at(at.encode(), moment)
    tools = [NewTool(id="tool-1"), NewTool(id="tool-2")]

    await stage.ledger.repeatable(
        lambda: stage.client.refresh_tools_for_server("maps", group_kind="MCP", tools=tools),
        *(("tool", tool.id) for tool in tools),
    )

    assert plan.is_done
    assert stage.ledger.errors() == {}
    assert [(retry.attempt, type(retry.error)) for retry in stage.retries] == [(2, Unavailable)]


async def test_memories_are_stored_by_retry_after_server_rollback(stage: Stage) -> None:
    await stage.watcher.db.execute(REFUSE_ONCE.format(table="memory"))
    memory = NewMemory(id="m-1", agent_name="travel", user_id="mira", content="Rome")

    stored = await stage.ledger.repeatable(
        lambda: stage.client.store_agent_memories([memory]), ("memory", "m-1")
    )

    assert stored == 1
    assert [type(retry.error) for retry in stage.retries] == [Aborted]


@MOMENTS
async def test_connection_lost_in_once_statement_raises_outcome_unknown(
    stage: Stage, moment: Moment
) -> None:
    async with stage.losing("It was lost.", moment, "feedback"):
        await stage.ledger.once(
            lambda: stage.client.store_feedback(
                user_id="mira", is_positive=True, feedback_text="It was lost."
            ),
            ("feedback", "It was lost."),
        )

    assert stage.ledger.errors() == {"OutcomeUnknown": 1}
    assert stage.retries == []
    if moment != "during":
        found = await stage.client.list_feedback(user_id="mira")
        assert len(found) == (moment == "after")


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_connection_lost_in_read_is_retried(stage: Stage, moment: Moment) -> None:
    await stage.ledger.once(lambda: stage.client.store_events([event("e-1")]), ("event", "e-1"))
    async with stage.losing("s-1", moment, "event"):
        found = await stage.client.list_events_for_session("s-1", user_id="mira")

    assert [each.id for each in found] == ["e-1"]


async def test_event_with_unknown_outcome_can_be_stored_again(stage: Stage) -> None:
    async with stage.losing("e-lost", "after", "event"):
        with pytest.raises(OutcomeUnknown):
            await stage.client.store_events([event("e-lost")])

    await stage.ledger.once(
        lambda: stage.client.store_events([event("e-lost")], on_duplicate="skip"),
        ("event", "e-lost"),
    )


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_connection_lost_at_begin_is_retried(stage: Stage, moment: Side) -> None:
    plan = stage.proxy.cut_at(BEGIN, moment)
    runs = 0

    async def store() -> None:
        nonlocal runs
        async with stage.client.transaction() as tx:
            runs += 1
            await tx.store_session("s-1", user_id="mira")

    await stage.ledger.once(store, ("session", "s-1"))

    assert plan.is_done
    assert (runs, len(stage.retries)) == (1, 1)


@MOMENTS
async def test_connection_lost_in_transaction_raises_unavailable_without_retry(
    stage: Stage, moment: Moment
) -> None:
    async def store() -> None:
        async with stage.client.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")
            await tx.store_feedback(user_id="mira", is_positive=True, feedback_text="It was lost.")

    async with stage.losing("It was lost.", moment, "feedback"):
        await stage.ledger.once(store, ("session", "s-1"), ("feedback", "It was lost."))

    assert stage.ledger.errors() == {"Unavailable": 1}
    assert stage.retries == []


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_connection_lost_at_commit_raises_outcome_unknown_and_is_atomic(
    stage: Stage, moment: Side
) -> None:
    plan = stage.proxy.cut_at(COMMIT, moment)

    async def store() -> None:
        async with stage.client.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")
            await tx.store_events([event("e-1")])

    await stage.ledger.once(store, ("session", "s-1"), ("event", "e-1"))

    assert plan.is_done
    assert stage.ledger.errors() == {"OutcomeUnknown": 1}
    assert stage.retries == []
    assert len(await stage.client.list_sessions(user_id="mira")) == (moment == "after")


async def test_commit_on_connection_ended_by_server_stores_nothing(
    migrated: str, watcher: Watcher
) -> None:
    """The server's last message has arrived, but not yet the end of the connection."""
    is_ending, heard = asyncio.Event(), asyncio.Event()

    async def keep_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(socket_of(migrated))

        async def answer() -> None:
            while content := await from_server.read(65536):
                writer.write(content)
            if is_ending.is_set():
                heard.set()
            else:
                writer.close()

        answering = asyncio.create_task(answer())
        while content := await reader.read(65536):
            to_server.write(content)
        await answering
        to_server.close()
        writer.close()

    server = await asyncio.start_server(keep_open, "127.0.0.1", 0)
    dsn = Proxy(0, server.sockets[0].getsockname()[1]).dsn(migrated)
    async with server, PostgresClient.open(dsn, migrations="off") as client:
        with pytest.raises(Unavailable):
            async with client.transaction() as tx:
                await tx.store_session("s-1", user_id="mira")
                is_ending.set()
                assert await watcher.terminate_all() == 1
                await heard.wait()
                for _ in range(3):  # until the driver has read it
                    await asyncio.sleep(0)

    assert await watcher.db.fetchval("SELECT count(*) FROM session") == 0


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_connection_lost_at_release_of_savepoint_stores_nothing(
    stage: Stage, moment: Side
) -> None:
    plan = stage.proxy.cut_at(b"RELEASE SAVEPOINT", moment)

    async def store() -> None:
        async with stage.client.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")
            await tx.refresh_tools_for_server("maps", group_kind="MCP", tools=[])

    await stage.ledger.once(store, ("session", "s-1"))

    assert plan.is_done
    assert stage.ledger.errors() == {"Unavailable": 1}


async def test_connection_lost_in_stream_raises_after_rows_in_order(stage: Stage) -> None:
    events = [event(f"e-{number}") for number in range(1200)]
    await stage.ledger.once(
        lambda: stage.client.store_events(events), *(("event", each.id) for each in events)
    )
    seen: list[str] = []

    with pytest.raises(Unavailable):
        async with contextlib.aclosing(
            stage.client.stream_events_for_session("s-1", user_id="mira")
        ) as rows:
            async for row in rows:
                seen.append(row.id)
                if len(seen) == 500:
                    stage.proxy.cut()

    assert seen == [each.id for each in events][:500]
    assert stage.retries == []


async def test_connections_lost_while_idle_are_replaced(stage: Stage) -> None:
    """Otherwise the outcome of a once statement would be unknown."""
    await check_pool(stage.client, stage.watcher, size=SIZE)
    assert await stage.watcher.terminate_all() == SIZE
    await stage.proxy.until_unused()

    texts = [f"verdict {number}" for number in range(3 * SIZE)]
    await asyncio.gather(
        *(
            stage.ledger.once(
                partial(
                    stage.client.store_feedback,
                    user_id="mira",
                    is_positive=True,
                    feedback_text=text,
                ),
                ("feedback", text),
            )
            for text in texts
        )
    )

    assert stage.ledger.errors() == {}
    assert stage.retries == []


@pytest.mark.parametrize("declared", ["repeatable", "once"])
async def test_failed_connect_is_retried_for_every_statement(
    migrated: str, proxy: Proxy, ledger: Ledger, watcher: Watcher, declared: str
) -> None:
    retries: list[Retry] = []

    def heal(retry: Retry) -> None:
        retries.append(retry)
        if len(retries) == 3:
            proxy.upstream = socket_of(migrated)

    async with PostgresClient.open(
        proxy.dsn(migrated), settings=Settings(pool_max_size=SIZE), migrations="off", on_retry=heal
    ) as client:
        proxy.upstream = NOWHERE
        proxy.cut()
        await watcher.until_sessions(0)
        if declared == "repeatable":
            await ledger.repeatable(
                lambda: client.store_session("s-1", user_id="mira"), ("session", "s-1")
            )
        else:
            await ledger.once(lambda: client.store_events([event("e-1")]), ("event", "e-1"))
        await check_pool(client, watcher, size=SIZE)

    assert ledger.errors() == {}
    assert [retry.attempt for retry in retries] == [2, 3, 4]
    await ledger.check(watcher.db)


async def test_transaction_waits_for_server_that_restarts(
    migrated: str, proxy: Proxy, watcher: Watcher
) -> None:
    async with PostgresClient.open(
        proxy.dsn(migrated),
        settings=Settings(pool_max_size=SIZE),
        migrations="off",
        on_retry=lambda _: setattr(proxy, "upstream", socket_of(migrated)),
    ) as client:
        proxy.upstream = NOWHERE
        proxy.cut()
        await watcher.until_sessions(0)
        async with client.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")

        assert len(await client.list_sessions(user_id="mira")) == 1


async def test_lost_connection_is_raised_at_once_without_retries(
    migrated: str, proxy: Proxy, retries: list[Retry]
) -> None:
    settings = Settings(retry_timeout_s=0)
    async with PostgresClient.open(
        proxy.dsn(migrated), settings=settings, migrations="off", on_retry=retries.append
    ) as client:
        proxy.cut_at(b"s-lost", "before")
        with pytest.raises(Unavailable):
            await client.store_session("s-lost", user_id="mira")

        assert retries == []
        assert await client.list_sessions(user_id="mira") == []


@pytest.mark.parametrize("bound", ["retry_timeout_s", "with_timeout"])
async def test_unreachable_server_raises_unavailable_at_deadline(
    migrated: str, proxy: Proxy, retries: list[Retry], bound: str
) -> None:
    settings = Settings(retry_timeout_s=0.5 if bound == "retry_timeout_s" else 600)
    async with PostgresClient.open(
        proxy.dsn(migrated), settings=settings, migrations="off", on_retry=retries.append
    ) as client:
        proxy.upstream = NOWHERE
        proxy.cut()
        stores = client if bound == "retry_timeout_s" else client.with_timeout(0.5)
        async with asyncio.timeout(30):
            with pytest.raises(Unavailable):
                await stores.store_session("s-1", user_id="mira")
            with pytest.raises(Unavailable):
                await stores.store_events([event("e-1")])

    assert len(retries) >= 2


@pytest.mark.parametrize("declared", ["repeatable", "once"])
async def test_statement_rolled_back_by_server_is_retried(stage: Stage, declared: str) -> None:
    table = "session" if declared == "repeatable" else "feedback"
    await stage.watcher.db.execute(REFUSE_ONCE.format(table=table))

    if declared == "repeatable":
        await stage.ledger.repeatable(
            lambda: stage.client.store_session("s-1", user_id="mira"), ("session", "s-1")
        )
    else:
        await stage.ledger.once(
            lambda: stage.client.store_feedback(
                user_id="mira", is_positive=True, feedback_text="Good."
            ),
            ("feedback", "Good."),
        )

    assert stage.ledger.errors() == {}
    assert [type(retry.error) for retry in stage.retries] == [Aborted]


@pytest.mark.parametrize("how", ["copy", "executemany"])
@pytest.mark.parametrize("given", ["list", "generator"])
async def test_rows_of_a_generator_are_not_retried(stage: Stage, how: str, given: str) -> None:
    """A retry would store only the rows that the first attempt did not consume."""
    await stage.watcher.db.execute("CREATE TABLE number (n int); GRANT ALL ON number TO PUBLIC")
    await stage.watcher.db.execute(REFUSE_ONCE.format(table="number"))
    numbers = [(number,) for number in range(10)]
    rows = numbers if given == "list" else (row for row in numbers)

    is_logged = pytest.raises(Aborted) if given == "generator" else contextlib.nullcontext()
    with is_logged:
        if how == "copy":
            await stage.client.db.copy_records_to_table("number", records=rows)
        else:
            await stage.client.db.executemany("INSERT INTO number VALUES ($1)", rows)

    stored = await stage.watcher.db.fetchval("SELECT count(*) FROM number")
    assert stored == (len(numbers) if given == "list" else 0)


async def test_statement_rolled_back_in_transaction_raises_aborted(
    stage: Stage,
) -> None:
    await stage.watcher.db.execute(REFUSE_ONCE.format(table="session"))

    async def store() -> None:
        async with stage.client.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")

    await stage.ledger.once(store, ("session", "s-1"))
    assert stage.ledger.errors() == {"Aborted": 1}
    assert stage.retries == []

    stage.ledger.writes.clear()
    await stage.ledger.once(store, ("session", "s-1"))


async def test_exhausted_pool_is_not_retried(
    migrated: str, watcher: Watcher, retries: list[Retry]
) -> None:
    settings = Settings(pool_max_size=SIZE, acquire_timeout_s=0.05)
    async with PostgresClient.open(
        migrated, settings=settings, migrations="off", on_retry=retries.append
    ) as client:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(SIZE):
                await stack.enter_async_context(client.transaction())
            with pytest.raises(PoolTimeout):
                await client.ping()
            with pytest.raises(PoolTimeout):
                await client.store_events([event("e-1")])
            with pytest.raises(PoolTimeout):
                async with client.transaction():
                    pass
        await check_pool(client, watcher, size=SIZE)

    assert retries == []


async def test_arguments_are_freed_after_pool_timeout(
    client: PostgresClient,
) -> None:
    """They are freed without a garbage collection, because an overload would fill the memory."""

    class Text(str):
        __slots__ = ("__weakref__",)

    kept: list[weakref.ref[Text]] = []

    async def call(db: Executor) -> None:
        text = Text("x")
        kept.append(weakref.ref(text))
        with pytest.raises(PoolTimeout):
            await db.fetchval("SELECT $1::text", text)

    async with contextlib.AsyncExitStack() as stack:
        for _ in range(Settings().pool_max_size):
            await stack.enter_async_context(client.transaction())
        quick = client.with_timeout(0.01).db
        gc.disable()
        try:
            await asyncio.create_task(call(quick))
            await asyncio.sleep(0)  # the event loop references the callback of this task
            assert kept[0]() is None
        finally:
            gc.enable()


async def test_error_of_retry_hook_does_not_end_the_call(
    migrated: str, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_retry: Retry) -> None:
        raise ZeroDivisionError

    async with PostgresClient.open(proxy.dsn(migrated), migrations="off", on_retry=fail) as client:
        proxy.cut_at(b"s-lost", "before")
        await client.store_session("s-lost", user_id="mira")

        assert len(await client.list_sessions(user_id="mira")) == 1

    assert "on_retry" in caplog.text


async def test_application_pool_is_used_with_retries(
    migrated: str, proxy: Proxy, ledger: Ledger, watcher: Watcher, retries: list[Retry]
) -> None:
    async with asyncpg.create_pool(
        proxy.dsn(migrated), min_size=1, max_size=SIZE, init=init_connection
    ) as pool:
        client = await PostgresClient.from_pool(pool, on_retry=retries.append)
        proxy.cut_at(b"s-lost", "after")
        await ledger.repeatable(
            lambda: client.store_session("s-lost", user_id="mira"), ("session", "s-lost")
        )

    assert ledger.errors() == {}
    assert [type(retry.error) for retry in retries] == [Unavailable]
    await ledger.check(watcher.db)
