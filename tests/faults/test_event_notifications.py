"""Notifications of stored events: every method that stores one, the payload, and times without."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from agentrows import NewEvent, PostgresClient, Settings, init_connection
from agentrows.gen import events
from agentrows.stores import event_tails
from support.postgres import SUPERUSER, as_role
from support.proxy import proxy_to, socket_of
from support.servers import own_server
from support.stores import event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    Store = Callable[[PostgresClient], Awaitable[object]]

NEVER_S: Final = 600.0
"""An interval in which no test ends: only a notification lets a tail read."""
NOTIFYING: Final = Settings(tail_interval_s=NEVER_S, notify_events=True, migrations="off")
CHATS: Final = {"user_id": "mira", "agent_id": "travel"}


@pytest.fixture
async def client(migrated: str) -> AsyncIterator[PostgresClient]:
    """A client that notifies and listens, with a session that has one event."""
    async with PostgresClient.open(migrated, settings=NOTIFYING) as client:
        await client.store_session("s-1", user_id="mira", agent_id="travel")
        await client.store_events([event("e-1")])
        yield client


@pytest.fixture
async def db(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of another program."""
    connection = await asyncpg.connect(as_role(migrated, SUPERUSER))
    yield connection
    await connection.close()


@contextlib.asynccontextmanager
async def waiting_tail(
    client: PostgresClient, *, listens: bool = True
) -> AsyncGenerator[Callable[[], Awaitable[str]]]:
    """A tail after the first event of the session, as a function that returns the next id."""
    first = await client.get_event("e-1", user_id="mira")
    tail = client.tail_events("s-1", user_id="mira", after=first)
    ids: asyncio.Queue[str] = asyncio.Queue()

    async def follow() -> None:
        async for each in tail:
            await ids.put(each.id)

    async def next_id() -> str:
        async with asyncio.timeout(30):
            return await ids.get()

    following = asyncio.ensure_future(follow())
    try:
        async with asyncio.timeout(30):
            while not is_listening(client) if listens else not is_waiting(client):
                await asyncio.sleep(0.01)
        yield next_id
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await tail.aclose()


def is_waiting(client: PostgresClient) -> bool:
    return bool(client._tails._waiting)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def is_listening(client: PostgresClient) -> bool:
    """Return whether a tail of the client waits, and notifications arrive."""
    tails = client._tails  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return is_waiting(client) and tails._is_listening  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


async def store_in_transaction(client: PostgresClient) -> None:
    async with client.transaction() as tx:
        await tx.store_events([event("e-2")])
        await tx.store_events([event("e-3")], on_duplicate="repeat")


async def replace(client: PostgresClient) -> None:
    assert await client.replace_items("s-1", items=["{}"], last_ids=[], **CHATS)


async def append_app_event(client: PostgresClient) -> None:
    await client.append_app_event(
        "e-2",
        session_id="s-1",
        user_id="mira",
        app_name="travel",
        version=0,
        data="{}",
        occurred_at=1.0,
    )


WRITES: Final[dict[str, Store]] = {
    "store_events": lambda c: c.store_events([event("e-2")]),
    "store_events skip": lambda c: c.store_events(
        [event("e-1"), event("e-2")], on_duplicate="skip"
    ),
    "store_events repeat": lambda c: c.store_events([event("e-2")], on_duplicate="repeat"),
    "store_events in a transaction": store_in_transaction,
    "append_items": lambda c: c.append_items("s-1", items=["{}"], **CHATS),
    "replace_items": replace,
    "append_app_event": append_app_event,
}
"""Each method that stores an event, called for the session."""


@pytest.mark.parametrize("name", WRITES)
async def test_tail_of_another_client_reads_at_once_after_each_method(
    client: PostgresClient, migrated: str, name: str
) -> None:
    async with (
        PostgresClient.open(migrated, settings=NOTIFYING) as reader,
        waiting_tail(reader) as next_id,
    ):
        await WRITES[name](client)
        assert await next_id()


@contextlib.asynccontextmanager
async def payloads(db: asyncpg.Connection) -> AsyncGenerator[Callable[[], Awaitable[list[str]]]]:
    """The payloads on the channel so far, as a function."""
    arrived: list[str] = []

    def receive(_driver: object, _pid: int, _channel: str, payload: object) -> None:
        arrived.append(str(payload))

    async def read() -> list[str]:
        await db.execute("SELECT")  # notifications come before its reply
        return [*arrived]

    await db.add_listener("agentrows_event", receive)
    yield read
    await db.remove_listener("agentrows_event", receive)


async def test_payload_is_digest_of_the_session_without_any_id(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    async with payloads(db) as read:
        for name, write in WRITES.items():
            before = len(await read())
            await db.execute("DELETE FROM event WHERE id <> 'e-1'")
            await db.execute("DELETE FROM agentrows_session_state")
            await write(client)
            assert len(await read()) == before + 1, name
        batch = [event("x-1", session_id="s-2"), event("x-2"), event("x-3", user_id="juno")]
        await client.store_events([*batch, event("x-4"), event("x-5", session_id=None)])
        arrived = await read()
    assert len(set(arrived[: len(WRITES)])) == 1
    assert len(set(arrived)) == 3
    assert len(arrived) == len(WRITES) + 3
    for payload in arrived:
        assert re.fullmatch("[0-9a-f]{64}", payload)


async def test_digest_differs_between_schemas_and_shifted_ids(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await db.execute("CREATE SCHEMA other; CREATE TABLE other.event (LIKE event INCLUDING ALL)")
    await db.execute("CREATE TABLE other.session (LIKE session INCLUDING ALL)")
    await db.execute("GRANT ALL ON SCHEMA other TO PUBLIC; GRANT ALL ON other.event TO PUBLIC")
    await db.execute("GRANT ALL ON other.session TO PUBLIC")
    async with payloads(db) as read:
        await client.store_events([NewEvent(id="a", user_id="u1", session_id="s", data="{}")])
        await client.store_events([NewEvent(id="a", user_id="u", session_id="1s", data="{}")])
        async with client.transaction() as tx:
            await tx.db.execute("SET LOCAL search_path = other, public")
            await tx.store_events([NewEvent(id="a", user_id="u1", session_id="s", data="{}")])
        assert len(set(await read())) == 3


async def test_nothing_is_sent_without_new_events_or_by_default(
    client: PostgresClient, db: asyncpg.Connection, migrated: str
) -> None:
    async with (
        payloads(db) as read,
        PostgresClient.open(migrated, migrations="off") as silent,
    ):
        for name in ("store_events", "append_items", "append_app_event"):
            await WRITES[name](silent)
        await client.store_events([event("e-2")], on_duplicate="skip")
        await client.store_events([event("e-2")], on_duplicate="repeat")
        with pytest.raises(RuntimeError, match="rolled back"):
            async with client.transaction() as tx:
                await tx.store_events([event("e-9")])
                raise RuntimeError("rolled back")
        for each in (silent, client):
            await each.append_items("s-1", items=["{}"], ids=["i-1"], **CHATS)
        assert await read() == []


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[None]:
    """Return a list that gets an entry for each call of a query of the tails."""
    calls: list[None] = []
    query = getattr(events, name)

    async def call(*arguments: object, **values: object) -> object:
        calls.append(None)
        return await query(*arguments, **values)

    monkeypatch.setattr(events, name, call)
    return calls


@pytest.mark.usefixtures("client")
async def test_event_of_another_program_is_found_in_five_intervals(
    db: asyncpg.Connection, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = count_calls(monkeypatch, "find_tails_with_events")
    settings = Settings(tail_interval_s=0.1, notify_events=True, migrations="off")
    async with (
        PostgresClient.open(migrated, settings=settings) as reader,
        waiting_tail(reader) as next_id,
    ):
        checks.clear()
        await asyncio.sleep(1.5)
        assert 1 <= len(checks) <= 4
        await db.execute(
            "INSERT INTO event (id, user_id, session_id, data, created_at) "
            "VALUES ('k-1', 'mira', 's-1', '{}', clock_timestamp())"
        )
        assert await next_id() == "k-1"


async def test_notification_of_another_session_lets_no_tail_read(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.store_session("s-2", user_id="mira", agent_id="travel")
    async with waiting_tail(client) as next_id:
        await client.store_events([event("e-2")])
        assert await next_id() == "e-2"
        await asyncio.sleep(0.2)
        reads = count_calls(monkeypatch, "list_events_oldest_first")
        await client.store_events([event("x-1", session_id="s-2"), event("x-2", user_id="juno")])
        await asyncio.sleep(0.2)
        assert reads == []
        await client.store_events([event("e-3")])
        assert await next_id() == "e-3"
        await asyncio.sleep(0.1)
        assert len(reads) <= 2


async def test_event_that_is_stored_during_a_read_is_read_after_it(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "list_events_oldest_first"
    query = getattr(events, name)
    late = ["e-3"]

    async def read(*arguments: object, **values: object) -> object:
        page = await query(*arguments, **values)
        if page and late:
            await client.store_events([event(late.pop())])
            await asyncio.sleep(0.5)  # its notification arrives before the tail has the page
        return page

    monkeypatch.setattr(events, name, read)
    async with waiting_tail(client) as next_id:
        await client.store_events([event("e-2")])
        assert [await next_id(), await next_id()] == ["e-2", "e-3"]
    assert not late


async def test_tail_reads_all_events_of_the_time_without_listener(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    async with waiting_tail(client) as next_id:
        for number in range(3):
            await db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
            await client.store_events([event(f"n-{number}")])
            assert await next_id() == f"n-{number}"


async def test_client_with_lost_listener_polls_in_its_interval(migrated: str) -> None:
    settings = Settings(tail_interval_s=0.2, notify_events=True, migrations="off")
    async with (
        PostgresClient.open(migrated, settings=NOTIFYING) as writer,
        proxy_to(socket_of(migrated)) as proxy,
    ):
        await writer.store_session("s-1", user_id="mira", agent_id="travel")
        await writer.store_events([event("e-1")])
        dsn = proxy.dsn(migrated)
        async with (
            PostgresClient.open(dsn, settings=settings) as client,
            waiting_tail(client) as next_id,
        ):
            proxy.cut()
            await writer.store_events([event("e-2")])
            assert await next_id() == "e-2"


async def test_client_on_pool_of_application_polls(
    client: PostgresClient, migrated: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(tail_interval_s=0.1, notify_events=True)
    async with asyncpg.create_pool(migrated, init=init_connection, min_size=1) as pool:
        reader = await PostgresClient.from_pool(pool, settings=settings)
        async with waiting_tail(reader, listens=False) as next_id:
            await client.store_events([event("e-2")])
            assert await next_id() == "e-2"
            await reader.store_events([event("e-3")])
            assert await next_id() == "e-3"
        await reader.close()
    [line] = [each for each in caplog.records if each.name == "agentrows.stores.event_tails"]
    assert line.levelno == logging.WARNING
    assert "events are read every 0.1 s, without notifications" in line.getMessage()


async def test_tail_on_standby_polls_and_listens_after_promotion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_tails, "FIRST_WAIT_S", 0.5)
    monkeypatch.setattr(event_tails, "LONGEST_WAIT_S", 0.5)
    settings = Settings(
        tail_interval_s=0.1, notify_events=True, vector_enabled=False, retry_timeout_s=10
    )
    with own_server() as primary:
        async with PostgresClient.open(primary.dsn(), settings=settings) as writer:
            await writer.store_session("s-1", user_id="mira", agent_id="travel")
            await writer.store_events([event("e-1")])
            with own_server(replica_of=primary) as standby:
                async with (
                    PostgresClient.open(
                        standby.dsn(), settings=settings, migrations="off"
                    ) as reader,
                    waiting_tail(reader, listens=False) as next_id,
                ):
                    for number in range(2, 5):
                        await writer.store_events([event(f"e-{number}")])
                        assert await next_id() == f"e-{number}"
                    assert not is_listening(reader)
                    standby.promote()
                    async with asyncio.timeout(30):
                        while not is_listening(reader):
                            await asyncio.sleep(0.05)
                    await reader.store_events([event("e-5")])
                    assert await next_id() == "e-5"
