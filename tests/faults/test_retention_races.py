"""Concurrent prunes, erases and writers leave no row without a parent and lose no write."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows import (
    Aborted,
    InvalidReference,
    NotFound,
    PostgresClient,
    Settings,
    Transaction,
)
from agentrows.gen.models import NewCheckpointWrite, NewEvent
from support.postgres import SUPERUSER, as_role

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Write = Callable[[PostgresClient, str, str], Awaitable[object]]

RETENTION: Final = timedelta(days=90)
USERS: Final = ("mira", "noor", "omar")
ERASED: Final = "omar"
SESSIONS: Final = 20
SHORT_S: Final = 8.0
LONG_S: Final = 20.0

# Sessions without a write for 100 days, each with a task and a checkpoint of the same age.
IDLE: Final = """
WITH input AS (
    SELECT id, user_id, now() - interval '100 days' AS time
    FROM unnest($1::text[]) AS id, unnest($2::text[]) AS user_id
),
sessions AS (
    INSERT INTO session (id, user_id, agent_id, created_at, updated_at)
    SELECT id, user_id, 'chat', time, time FROM input
),
tasks AS (
    INSERT INTO task (id, user_id, session_id, data, created_at, updated_at)
    SELECT id || '/' || user_id, user_id, id, '{}', time, time FROM input
)
INSERT INTO lg_checkpoint (
    user_id, thread_id, checkpoint_id, metadata, checkpoint, checkpoint_type, created_at, updated_at
)
SELECT user_id, id, 'c-1', '', '', '', time, time FROM input
"""
# Rows without their parent.
ORPHANS: Final = """
SELECT 'share', count(*) FROM session_share AS row
WHERE NOT EXISTS (
    SELECT FROM session AS s WHERE s.id = row.session_id AND s.user_id = row.user_id
)
UNION ALL
SELECT 'push notification', count(*) FROM push_notification AS row
WHERE NOT EXISTS (SELECT FROM task WHERE task.id = row.task_id)
UNION ALL
SELECT 'event', count(*) FROM event AS row
WHERE
    row.id LIKE 'with session %'
    AND NOT EXISTS (
        SELECT FROM session AS s WHERE s.id = row.session_id AND s.user_id = row.user_id
    )
UNION ALL
SELECT 'checkpoint', count(*) FROM lg_checkpoint AS row
WHERE
    row.checkpoint_id = 'with session'
    AND NOT EXISTS (
        SELECT FROM session AS s WHERE s.id = row.thread_id AND s.user_id = row.user_id
    )
"""
# The keys of the rows of each kind, as the writers return them.
STORED: Final = {
    "share": "SELECT token FROM session_share",
    "access": "SELECT share_id || '/' || user_id FROM session_share_access",
    "push": "SELECT id FROM push_notification",
    "event": "SELECT id || '/' || user_id FROM event",
    "task": "SELECT id FROM task",
    "checkpoint": "SELECT checkpoint_id || '/' || thread_id || '/' || user_id FROM lg_checkpoint",
    "write": "SELECT thread_id || '/' || user_id FROM lg_checkpoint_write",
    "memory": "SELECT thread_id || '/' || user_id FROM crewai_agent_memory",
    "flow": "SELECT thread_id || '/' || user_id FROM crewai_flow_state",
}


async def share(client: PostgresClient, session: str, user: str) -> object:
    return (await client.create_session_share(session, user_id=user)).token


async def access(client: PostgresClient, session: str, user: str) -> object:
    token = (await client.create_session_share(session, user_id=user)).token
    opened = await client.record_share_access(token, user_id="guest")
    return f"{opened.share_id}/guest"


async def push(client: PostgresClient, session: str, user: str) -> object:
    key = f"{session}/{user}"
    await client.store_push_notification(key, task_id=key, user_id=user, data="{}")
    return key


async def event(client: PostgresClient, session: str, user: str) -> object:
    new = NewEvent(id=f"alone {session}", user_id=user, session_id=session, data="{}")
    await client.store_events([new])
    return f"alone {session}/{user}"


async def event_with_session(client: PostgresClient, session: str, user: str) -> object:
    new = NewEvent(id=f"with session {session}", user_id=user, session_id=session, data="{}")
    async with client.transaction() as tx:
        await tx.store_session(session, user_id=user)
        await tx.store_events([new])
    return f"with session {session}/{user}"


async def item(client: PostgresClient, session: str, user: str) -> object:
    key = f"with session item {session}"
    await client.append_items(session, user_id=user, agent_id="chat", items=["{}"], ids=[key])
    return f"{key}/{user}"


async def replaced_item(client: PostgresClient, session: str, user: str) -> object:
    await client.append_items(session, user_id=user, agent_id="chat", items=["{}"])
    key = f"with session item {session}"
    await client.replace_items(session, user_id=user, agent_id="chat", items=["{}"], ids=[key])
    return f"{key}/{user}"


async def task(client: PostgresClient, session: str, user: str) -> object:
    key = f"{session}/{user}/new"
    await client.store_task(key, user_id=user, session_id=session, data="{}")
    return key


async def checkpoint(client: PostgresClient, session: str, user: str) -> object:
    await store_checkpoint(client, session, user, "c-1")
    return f"c-1/{session}/{user}"


async def checkpoint_with_session(client: PostgresClient, session: str, user: str) -> object:
    async with client.transaction() as tx:
        await tx.store_session(session, user_id=user)
        await store_checkpoint(tx, session, user, "with session")
    return f"with session/{session}/{user}"


async def store_checkpoint(
    client: PostgresClient | Transaction, session: str, user: str, id_: str
) -> None:
    await client.store_checkpoint(
        session,
        user_id=user,
        checkpoint_id=id_,
        metadata={},
        checkpoint="eyI=",
        checkpoint_type="json",
    )


async def write(client: PostgresClient, session: str, user: str) -> object:
    new = NewCheckpointWrite(idx=0, channel="answer", value_type="json", value="eyI=")
    await client.store_checkpoint_writes(
        session, user_id=user, checkpoint_id="c-1", task_id="t", writes=[new]
    )
    return f"{session}/{user}"


async def memory(client: PostgresClient, session: str, user: str) -> object:
    await client.store_crewai_memory(session, user_id=user, memory_data="{}")
    return f"{session}/{user}"


async def flow(client: PostgresClient, session: str, user: str) -> object:
    await client.store_crewai_flow_state(session, user_id=user, method_name="m", state_data="{}")
    return f"{session}/{user}"


WRITES: Final[list[tuple[str, Write]]] = [
    ("share", share),
    ("access", access),
    ("push", push),
    ("event", event),
    ("event", event_with_session),
    ("event", item),
    ("event", replaced_item),
    ("task", task),
    ("checkpoint", checkpoint),
    ("checkpoint", checkpoint_with_session),
    ("write", write),
    ("memory", memory),
    ("flow", flow),
]


async def test_prune_and_erase_beside_writers_lose_and_leave_nothing(
    migrated: str, rounds: int
) -> None:
    settings = Settings(migrations="off", pool_max_size=16)
    db = await asyncpg.connect(as_role(migrated, SUPERUSER))
    acknowledged: set[tuple[str, str]] = set()
    pruned = 0
    try:
        async with PostgresClient.open(migrated, settings=settings) as client:
            end = time.monotonic() + (LONG_S if rounds > 1 else SHORT_S)
            number = 0
            while time.monotonic() < end:
                number += 1
                written, removed = await one_round(client, db, number)
                acknowledged |= written
                pruned += removed
        stored = {
            (kind, str(row[0])) for kind, sql in STORED.items() for row in await db.fetch(sql)
        }
        orphans = {str(kind): int(count) for kind, count in await db.fetch(ORPHANS)}
    finally:
        await db.close()

    counts = Counter(kind for kind, _ in acknowledged - stored)
    assert (dict(counts), {kind: n for kind, n in orphans.items() if n}) == ({}, {})
    assert pruned > number
    assert {kind for kind, _ in acknowledged} == set(STORED)


async def one_round(
    client: PostgresClient, db: asyncpg.Connection, number: int
) -> tuple[set[tuple[str, str]], int]:
    """Write to idle sessions while they are pruned; return the acknowledged rows and the pruned.

    Rows of the user who is erased at the same time are not among the acknowledged ones.
    """
    ids = [f"s-{number}-{n}" for n in range(SESSIONS)]
    await db.execute(IDLE, ids, list(USERS))
    acknowledged: set[tuple[str, str]] = set()
    pruned = 0

    async def run(kind: str, write: Write, session: str, user: str) -> None:
        try:
            key = await write(client, session, user)
        except (NotFound, InvalidReference, Aborted):
            return
        if user != ERASED:
            acknowledged.add((kind, str(key)))

    async def prune() -> None:
        nonlocal pruned
        pruned += (await client.prune_expired_sessions(RETENTION)).sessions

    keys = [(id_, user) for id_ in ids for user in USERS]
    written = random.sample(keys, len(keys) * 2 // 3)
    calls = [run(*random.choice(WRITES), *key) for key in written]  # noqa: S311
    calls[len(calls) // 2 : len(calls) // 2] = [erase(client), prune()]
    await asyncio.gather(prune(), *calls)
    return acknowledged, pruned


async def erase(client: PostgresClient) -> None:
    try:
        await client.erase_user(ERASED)
    except Aborted:  # the deadlock victim, as erase_user documents
        return
