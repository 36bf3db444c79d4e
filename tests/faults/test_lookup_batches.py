"""Look-ups of many callers on two connections that are cut: no caller gets the row of another."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import (
    Event,
    NewEvent,
    NotFound,
    PostgresClient,
    Session,
    Settings,
    StatementTimeout,
    Stores,
    Unavailable,
)
from support.proxy import proxy_to, socket_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

CALLERS = 60
SESSIONS = 30
USERS = ("mira", "noah", "olga")


@pytest.fixture
def duration_s() -> float:
    """60 s in `make soak`."""
    return 60 if "AGENTROWS_ROUNDS" in os.environ else 4


async def test_every_caller_gets_its_own_row_while_connections_are_cut(
    migrated: str, duration_s: float
) -> None:
    results: Counter[str] = Counter()
    statements: Counter[str] = Counter()
    settings = Settings(pool_max_size=2, retry_timeout_s=20)
    async with (
        proxy_to(socket_of(migrated)) as proxy,
        PostgresClient.open(proxy.dsn(migrated), settings=settings, migrations="off") as client,
    ):
        await fill(client)
        loop = asyncio.get_running_loop()
        end = loop.time() + duration_s
        generators = [random.Random(n) for n in range(CALLERS)]  # noqa: S311
        with counted(statements):
            callers = [call_until(end, client, results, numbers) for numbers in generators]
            cuts = asyncio.create_task(cut_until(end, proxy.cut))
            await asyncio.gather(*callers)
            await cuts
    assert results["found"] > 100
    assert results["absent"] > 100
    assert statements["GetSessionBatch"] > 10
    assert statements["GetEventBatch"] > 10


async def fill(client: PostgresClient) -> None:
    """Store sessions and events with the same numbers for each user; the last user has half."""
    for position, user in enumerate(USERS):
        for n in range(SESSIONS if position < 2 else SESSIONS // 2):
            await client.store_session(f"s-{n}", user_id=user, name=f"{user} {n}")
        await client.store_events([
            NewEvent(id=f"e-{n}", user_id=user, session_id=f"s-{n}", data=f"{user} {n}")
            for n in range(SESSIONS if position < 2 else SESSIONS // 2)
        ])  # fmt: skip


async def call_until(
    end: float, client: PostgresClient, results: Counter[str], numbers: random.Random
) -> None:
    """Look up random keys, end some calls early, and check the result of each."""
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        user, n = numbers.choice(USERS), numbers.randrange(SESSIONS + 5)
        limit_s = numbers.choice([0.005, 0.05, 30, 30])
        call = asyncio.create_task(look_up(client.with_timeout(limit_s), user, n, numbers))
        if numbers.random() < 0.1:
            await asyncio.sleep(numbers.random() / 100)
            call.cancel()
        await asyncio.wait([call])
        if call.cancelled():
            results["cancelled"] += 1
            continue
        error = call.exception()
        is_absent = n >= SESSIONS or (user == USERS[-1] and n >= SESSIONS // 2)
        if error is None:
            found = call.result()
            text = found.name if isinstance(found, Session) else found.data
            assert (found.user_id, found.id[2:], text) == (user, str(n), f"{user} {n}")
            results["found"] += 1
        elif isinstance(error, NotFound):
            assert f"-{n}'" in str(error)
            assert is_absent
            results["absent"] += 1
        else:
            # A short limit can also end the wait for a connection.
            assert limit_s < 1, error
            assert isinstance(error, (StatementTimeout, Unavailable)), error
            results["late"] += 1


async def look_up(stores: Stores, user: str, n: int, numbers: random.Random) -> Session | Event:
    if numbers.random() < 0.5:
        return await stores.get_session(f"s-{n}", user_id=user)
    return await stores.get_event(f"e-{n}", user_id=user)


async def cut_until(end: float, cut: Callable[[], int]) -> None:
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        await asyncio.sleep(0.3)
        cut()


@contextlib.contextmanager
def counted(statements: Counter[str]) -> Generator[None]:
    """Count the statements that connections fetch, by the name of the query."""
    fetch = asyncpg.Connection.fetch

    async def counting(
        self: asyncpg.Connection, query: str, *args: object, **options: object
    ) -> object:
        statements[query.partition("\n")[0].removeprefix("-- name: ").partition(" ")[0]] += 1
        return await fetch(self, query, *args, **options)  # type: ignore[call-overload]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg.Connection, "fetch", counting)
        yield
