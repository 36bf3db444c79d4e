"""Tails of events: order, lost connections, many tails, cancelled and closed ones."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import ClientClosed, Event, NewEvent, NotFound, PostgresClient, Settings
from support.postgres import SUPERUSER, as_role
from support.stores import event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FAST = Settings(tail_interval_s=0.05, migrations="off")
WRITERS, READERS = 8, 4


@pytest.fixture
async def follower(migrated: str) -> AsyncIterator[PostgresClient]:
    async with PostgresClient.open(migrated, settings=FAST) as client:
        await client.store_session("s-1", user_id="mira", agent_id="travel")
        yield client


@pytest.fixture
async def admin(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(as_role(migrated, SUPERUSER))
    yield connection
    await connection.close()


async def read(client: PostgresClient, size: int, after: Event | None = None) -> list[str]:
    """Return the ids of the next events of a tail."""
    found: list[str] = []
    events = client.tail_events("s-1", user_id="mira", after=after)
    async with asyncio.timeout(60), contextlib.aclosing(events):
        async for each in events:
            found.append(each.id)
            if len(found) == size:
                break
    return found


async def test_tail_returns_stored_events_and_waits_for_more(follower: PostgresClient) -> None:
    await follower.store_events([event(f"e-{n:03}") for n in range(250)])
    reading = asyncio.ensure_future(read(follower, 252))
    await asyncio.sleep(0.2)
    assert not reading.done()
    await follower.store_events([event("x-2"), event("x-1")])
    assert await reading == [*(f"e-{n:03}" for n in range(250)), "x-2", "x-1"]
    last = await follower.get_event("x-2", user_id="mira")
    assert await read(follower, 1, after=last) == ["x-1"]


async def test_tail_of_unknown_deleted_or_other_session_is_not_found(
    follower: PostgresClient,
) -> None:
    await follower.store_session("s-2", user_id="mira", agent_id="travel")
    await follower.delete_session("s-2", user_id="mira")
    for session, user in (("s-1", "juno"), ("s-2", "mira"), ("s-3", "mira")):
        with pytest.raises(NotFound):
            await anext(follower.tail_events(session, user_id=user))


async def test_tail_returns_no_event_of_another_user(follower: PostgresClient) -> None:
    await follower.store_session("s-1", user_id="juno", agent_id="travel")
    reading = asyncio.ensure_future(read(follower, 1))
    await asyncio.sleep(0.1)
    await follower.store_events([event("e-1", user_id="juno")])
    await follower.store_events([event("e-2")])
    assert await reading == ["e-2"]


async def test_thousand_tails_use_one_connection(
    follower: PostgresClient, admin: asyncpg.Connection, migrated: str
) -> None:
    tails = [asyncio.ensure_future(read(follower, 1)) for _ in range(1000)]
    await asyncio.sleep(0.5)
    async with PostgresClient.open(migrated, settings=FAST) as writer:
        await writer.store_events([event("e-1")])
    assert await asyncio.gather(*tails) == [["e-1"]] * 1000
    assert await asyncio.wait_for(_one_other_session(admin), 10)


async def _one_other_session(admin: asyncpg.Connection) -> bool:
    """Return whether there is one other session; that of a closed client ends a moment later."""
    sessions = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    while await admin.fetchval(sessions) > 1:
        await asyncio.sleep(0.05)
    return True


async def test_cancelled_tails_leave_no_waiter_and_others_go_on(follower: PostgresClient) -> None:
    tails = [asyncio.ensure_future(read(follower, 1)) for _ in range(20)]
    await asyncio.sleep(0.3)
    for tail in tails[:-1]:
        tail.cancel()
    await asyncio.gather(*tails[:-1], return_exceptions=True)
    await follower.store_events([event("e-1")])
    assert await tails[-1] == ["e-1"]
    assert not follower._tails._waiting  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


async def test_close_ends_waiting_tails_with_client_closed(migrated: str) -> None:
    client = await PostgresClient.connect(migrated, settings=FAST)
    await client.store_session("s-1", user_id="mira", agent_id="travel")
    tails = [asyncio.ensure_future(read(client, 1)) for _ in range(3)]
    await asyncio.sleep(0.3)
    await client.close()
    for tail in tails:
        with pytest.raises(ClientClosed):
            await tail
    with pytest.raises(ClientClosed):
        await anext(client.tail_events("s-1", user_id="mira"))


async def write(client: PostgresClient, name: str, until: float) -> list[str]:
    """Store events until a time; a call with a lost reply is repeated by the client."""
    loop, written = asyncio.get_running_loop(), list[str]()
    while loop.time() < until:
        batch = [
            NewEvent(id=f"{name}-{len(written) + n}", user_id="mira", session_id="s-1", data="{}")
            for n in range(2)
        ]
        await client.store_events(batch, on_duplicate="repeat")
        written += [each.id for each in batch]
        await asyncio.sleep(0.02)
    return written


async def cut(admin: asyncpg.Connection, until: float) -> None:
    """End a random connection of the clients from time to time."""
    loop, choice = asyncio.get_running_loop(), random.Random(17)  # noqa: S311  no secret
    while loop.time() < until:
        await asyncio.sleep(choice.uniform(0.05, 0.2))
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend' ORDER BY random() LIMIT 1) AS one"
        )


async def test_every_reader_gets_each_event_once_while_connections_are_cut(
    follower: PostgresClient, migrated: str, admin: asyncpg.Connection
) -> None:
    async with PostgresClient.open(migrated, settings=FAST) as writing:
        until = asyncio.get_running_loop().time() + 4
        got: list[list[str]] = [[] for _ in range(READERS)]

        async def follow(found: list[str]) -> None:
            async for each in follower.tail_events("s-1", user_id="mira"):
                found.append(each.id)  # noqa: PERF401  the test reads the list meanwhile

        readers = [asyncio.ensure_future(follow(found)) for found in got]
        *batches, _ = await asyncio.gather(
            *(write(writing, f"w-{number}", until) for number in range(WRITERS)), cut(admin, until)
        )
        written = [each for batch in batches if batch for each in batch]
        stored = await writing.list_events_for_session("s-1", user_id="mira")
        assert sorted(each.id for each in stored) == sorted(written)
        async with asyncio.timeout(60):
            while any(len(found) < len(written) for found in got):
                assert not any(reader.done() for reader in readers)
                await asyncio.sleep(0.05)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert got == [[each.id for each in stored]] * READERS
