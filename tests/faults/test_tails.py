"""Tails of events: order, lost connections, many tails, cancelled and closed ones."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from agentrows import ClientClosed, Event, NewEvent, NotFound, PostgresClient, Settings
from support.postgres import SUPERUSER, as_role
from support.proxy import Proxy, proxy_to, socket_of
from support.stores import event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

MODES: Final = {
    "polling": Settings(tail_interval_s=0.05, migrations="off"),
    # The interval is longer than any test: only notifications and gaps let a tail read.
    "notifications": Settings(tail_interval_s=600, notify_events=True, migrations="off"),
}
WRITERS, READERS = 8, 4
SECONDS: Final = 3
"""The duration of the test with cuts; in `make soak` one second for each round."""
ALL_OF_THEM: Final = 0.2
"""The probability that a cut is one of all connections."""


@pytest.fixture(params=MODES)
def settings(request: pytest.FixtureRequest) -> Settings:
    """The settings of clients that poll, or of clients that notify and listen."""
    return MODES[request.param]


@pytest.fixture
async def follower(migrated: str, settings: Settings) -> AsyncIterator[PostgresClient]:
    async with PostgresClient.open(migrated, settings=settings) as client:
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
    follower: PostgresClient, admin: asyncpg.Connection, migrated: str, settings: Settings
) -> None:
    tails = [asyncio.ensure_future(read(follower, 1)) for _ in range(1000)]
    await until_waiting(follower, 1000)
    async with PostgresClient.open(migrated, settings=settings) as writer:
        await writer.store_events([event("e-1")])
    assert await asyncio.gather(*tails) == [["e-1"]] * 1000
    # That of the pool, and with notifications one that listens.
    await asyncio.wait_for(until_sessions(admin, 2 if settings.notify_events else 1), 10)


async def until_waiting(client: PostgresClient, number: int) -> None:
    """Wait until that many tails of a client wait for events."""
    async with asyncio.timeout(60):
        while len(client._tails._waiting) < number:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0.01)


async def until_sessions(admin: asyncpg.Connection, number: int) -> None:
    """Wait until there are that many other sessions: those of a closed client end later."""
    sessions = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    while await admin.fetchval(sessions) != number:
        await asyncio.sleep(0.05)


async def test_cancelled_tails_leave_no_waiter_and_others_go_on(follower: PostgresClient) -> None:
    tails = [asyncio.ensure_future(read(follower, 1)) for _ in range(20)]
    await until_waiting(follower, 20)
    for tail in tails[:-1]:
        tail.cancel()
    await asyncio.gather(*tails[:-1], return_exceptions=True)
    await follower.store_events([event("e-1")])
    assert await tails[-1] == ["e-1"]
    assert not follower._tails._waiting  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


async def test_close_ends_waiting_tails_with_client_closed(
    migrated: str, settings: Settings
) -> None:
    client = await PostgresClient.connect(migrated, settings=settings)
    await client.store_session("s-1", user_id="mira", agent_id="travel")
    tails = [asyncio.ensure_future(read(client, 1)) for _ in range(3)]
    await until_waiting(client, 3)
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


async def cut(proxies: Sequence[Proxy], until: float) -> int:
    """Cut one or all connections through a proxy from time to time; return the number of cuts."""
    loop, choice = asyncio.get_running_loop(), random.Random(17)  # noqa: S311  no secret
    cuts = 0
    while loop.time() < until:
        await asyncio.sleep(choice.uniform(0.05, 0.2))
        proxy = choice.choice(proxies)
        if choice.random() < ALL_OF_THEM:
            cuts += proxy.cut()
        elif links := [*proxy.links]:
            choice.choice(links).cut()
            cuts += 1
    return cuts


async def test_every_reader_gets_each_event_once_while_connections_are_cut(
    migrated: str, settings: Settings, rounds: int
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(proxy_to(socket_of(migrated))) for _ in "123"]
        writing, *reading = [
            await stack.enter_async_context(
                PostgresClient.open(proxy.dsn(migrated), settings=settings)
            )
            for proxy in proxies
        ]
        await writing.store_session("s-1", user_id="mira", agent_id="travel")
        got: list[list[str]] = [[] for _ in range(READERS)]

        async def follow(client: PostgresClient, ids: list[str]) -> None:
            async for each in client.tail_events("s-1", user_id="mira"):
                ids.append(each.id)  # noqa: PERF401  the test reads the list meanwhile

        readers = [
            asyncio.ensure_future(follow(reading[number % len(reading)], ids))
            for number, ids in enumerate(got)
        ]
        until = asyncio.get_running_loop().time() + max(SECONDS, rounds)
        cutting = asyncio.ensure_future(cut(proxies, until))
        batches = await asyncio.gather(
            *(write(writing, f"w-{number}", until) for number in range(WRITERS))
        )
        assert await cutting > SECONDS
        written = [each for batch in batches for each in batch]
        stored = await writing.list_events_for_session("s-1", user_id="mira")
        assert sorted(each.id for each in stored) == sorted(written)
        async with asyncio.timeout(60):
            while any(len(ids) < len(written) for ids in got):
                assert not any(reader.done() for reader in readers)
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)  # an event that is returned twice would follow
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert got == [[each.id for each in stored]] * READERS
