"""Storing 1,000 events of one session, all or none, and marking the session as active."""

from __future__ import annotations

import contextlib
import itertools
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
from clients import agentrows_client
from conductor import execute
from harness import OURS, Contender, Subject, Target

from agentrows import NewEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from harness import Operation

BATCH = 1000
DATA = '{"role": "user", "parts": [{"kind": "text", "text": "' + "What is it? " * 20 + '"}]}'
INSERT = """
INSERT INTO event (id, user_id, session_id, data, created_at, updated_at)
VALUES ($1, $2, $3, $4, clock_timestamp(), clock_timestamp())
"""
TOUCH = """
UPDATE session SET updated_at = clock_timestamp()
WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL
"""
COLUMNS = ("id", "user_id", "session_id", "data", "created_at", "updated_at")
ROWS = """
INSERT INTO session (id, user_id, created_at, updated_at)
SELECT 's-' || n, 'u-1', now(), now() FROM generate_series(1, 1000) AS n
"""


async def prepare(dsn: str) -> None:
    """Store the sessions."""
    await execute(dsn, ROWS)


def batches() -> itertools.count[int]:
    """Return numbers of batches, unique over all processes."""
    return itertools.count(os.getpid() << 20)


def ids(number: int) -> list[str]:
    """Return the ids of a batch's events."""
    return [f"event-{number}-{place:04}" for place in range(BATCH)]


@contextlib.asynccontextmanager
async def ours(dsn: str) -> AsyncIterator[Operation]:
    """Call store_events."""
    numbers = batches()
    async with agentrows_client(dsn, size=1) as client:

        async def store(_task: int) -> object:
            return await client.store_events(
                [
                    NewEvent(id=id_, user_id="u-1", session_id="s-1", data=DATA)
                    for id_ in ids(next(numbers))
                ]
            )

        yield store


@contextlib.asynccontextmanager
async def one_by_one(dsn: str) -> AsyncIterator[Operation]:
    """Insert event by event in one transaction."""
    numbers = batches()
    connection = await asyncpg.connect(dsn)

    async def store(_task: int) -> None:
        async with connection.transaction():
            for id_ in ids(next(numbers)):
                await connection.execute(INSERT, id_, "u-1", "s-1", DATA)
            await connection.execute(TOUCH, "s-1", "u-1")

    yield store
    await connection.close()


@contextlib.asynccontextmanager
async def copied(dsn: str) -> AsyncIterator[Operation]:
    """Load the events by COPY in one transaction: the limit of the server."""
    numbers = batches()
    connection = await asyncpg.connect(dsn)

    async def store(_task: int) -> None:
        now = datetime.now(UTC)
        records = [(id_, "u-1", "s-1", DATA, now, now) for id_ in ids(next(numbers))]
        async with connection.transaction():
            await connection.copy_records_to_table("event", records=records, columns=COLUMNS)
            await connection.execute(TOUCH, "s-1", "u-1")

    yield store
    await connection.close()


SUBJECT = Subject(
    name="store_events",
    title="store_events, batches of 1,000, 1 task",
    contenders=(
        Contender(OURS, ours),
        Contender("asyncpg, 1,000 inserts in a transaction", one_by_one),
        Contender("asyncpg, COPY", copied),
    ),
    prepare=prepare,
    reset="TRUNCATE event",
    targets=(
        Target("asyncpg, 1,000 inserts in a transaction", 15),
        Target("asyncpg, COPY", 0.5),
    ),
)
