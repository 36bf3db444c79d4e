"""Paging by token through a list, beside writers that insert and delete rows of the list."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from support.stores import event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Any

    from agentrows import Page, PostgresClient

    List = Callable[[PostgresClient, str | None], Awaitable[Page[Any]]]

SIZES: Final = [
    pytest.param(3_000, id="3000"),
    pytest.param(100_000, id="100000", marks=pytest.mark.slow),
]
WRITERS: Final = 4
PAGE: Final = 200
BATCH: Final = 20
"""Rows that a writer inserts at once."""
FILL_EVENTS: Final = """
INSERT INTO event (id, user_id, session_id, data, created_at)
SELECT
    format('stay-%s', n), 'mira', 's-1', '{}',
    '2024-03-01Z'::timestamptz + (n / 7) * interval '1 s'
FROM generate_series(1, $1::int) AS n
"""
FILL_SESSIONS: Final = """
INSERT INTO session (id, user_id, agent_id, created_at, updated_at)
SELECT
    format('stay-%s', n), 'mira', 'travel', '2024-03-01Z'::timestamptz + (n / 7) * interval '1 s',
    '2024-03-01Z'::timestamptz + (n / 7) * interval '1 s'
FROM generate_series(1, $1::int) AS n
"""
INSERT_BETWEEN: Final = {
    "event": f"""
        INSERT INTO event (id, user_id, session_id, data, created_at)
        SELECT format('%s-%s', $1::text, n), 'mira', 's-1', '{{}}',
            '2024-03-01Z'::timestamptz + random() * $2::int / 7 * interval '1 s'
        FROM generate_series(1, {BATCH}) AS n
    """,  # noqa: S608  a number
    "session": f"""
        INSERT INTO session (id, user_id, agent_id, created_at, updated_at)
        SELECT format('%s-%s', $1::text, n), 'mira', 'travel', moment, moment
        FROM (
            SELECT n, '2024-03-01Z'::timestamptz + random() * $2::int / 7 * interval '1 s' AS moment
            FROM generate_series(1, {BATCH}) AS n
        ) AS new
    """,  # noqa: S608  a number
}
DELETE: Final = {
    "event": (
        "DELETE FROM event WHERE user_id = 'mira' AND id = ANY($1::text[])",
        "UPDATE event SET deleted_at = now() WHERE user_id = 'mira' AND id = ANY($1::text[])",
    ),
    "session": (
        "DELETE FROM session WHERE user_id = 'mira' AND id = ANY($1::text[])",
        "UPDATE session SET deleted_at = now() WHERE user_id = 'mira' AND id = ANY($1::text[])",
    ),
}
LISTS: Final[dict[str, tuple[str, List]]] = {
    "events, oldest first": (
        "event",
        lambda client, after: client.list_events_for_session(
            "s-1", user_id="mira", limit=PAGE, after=after
        ),
    ),
    "events, newest first": (
        "event",
        lambda client, after: client.list_events_for_session(
            "s-1", user_id="mira", limit=PAGE, after=after, order="newest_first"
        ),
    ),
    "sessions by activity": (
        "session",
        lambda client, after: client.list_sessions(user_id="mira", limit=PAGE, after=after),
    ),
    "all users' sessions by creation": (
        "session",
        lambda client, after: client.list_sessions_for_agent_all_users(
            "travel", limit=PAGE, after=after, order="created"
        ),
    ),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LISTS)
async def test_pages_beside_writers_contain_each_row_that_stays_once(
    client: PostgresClient, migrated: str, name: str, size: int
) -> None:
    table, list_page = LISTS[name]
    await client.store_session("s-1", user_id="mira")
    await client.store_events([event("e-1")])
    await client.db.once.execute(FILL_EVENTS if table == "event" else FILL_SESSIONS, size)

    async with _writers(migrated, table, size) as written:
        before = written()
        seen, tokens = await _read_pages(client, list_page)
        batches = written() - before

    stays = [id for id in seen if id.startswith("stay-")]  # noqa: A001  the name of the column
    assert len(stays) == size, "a row that stays is missing or repeated"
    assert set(stays) == {f"stay-{n}" for n in range(1, size + 1)}
    assert len(seen) == len(set(seen)), "a row is repeated"
    assert tokens >= size // PAGE
    assert batches > 0, "the writers wrote nothing beside the reader"


async def _read_pages(client: PostgresClient, list_page: List) -> tuple[list[str], int]:
    """Return the ids of all pages, and the number of tokens that were used."""
    seen: list[str] = []
    after: str | None = None
    for tokens in itertools.count():
        page = await list_page(client, after)
        seen += [row.id for row in page]
        after = page.next_token
        if after is None:
            return seen, tokens
    raise AssertionError


@contextlib.asynccontextmanager
async def _writers(dsn: str, table: str, size: int) -> AsyncGenerator[Callable[[], int]]:
    """Insert rows at random positions of the list and delete them again, during a block.

    Yields a function that returns the number of batches so far.
    """
    batches = itertools.count()
    written = 0

    async def write(writer: int) -> None:
        nonlocal written
        connection = await asyncpg.connect(dsn)
        try:
            for turn in itertools.count():
                await connection.execute(INSERT_BETWEEN[table], f"goes-{writer}-{turn}", size)
                # One statement removes rows, the other marks them as deleted.
                ids = [f"goes-{writer}-{turn - 1}-{n}" for n in range(1, BATCH + 1)]
                await connection.execute(DELETE[table][turn % 2], ids)
                written = next(batches)
        finally:
            await connection.close()

    tasks = [asyncio.create_task(write(writer)) for writer in range(WRITERS)]
    try:
        while written < WRITERS:
            await asyncio.sleep(0.01)
            assert not any(task.done() for task in tasks)
        yield lambda: written
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
