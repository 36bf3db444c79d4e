"""Prunes of all tables beside writers that use old rows again: no acknowledged write is lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows import (
    Aborted,
    HistoryEntry,
    NewEvent,
    NewStoreItem,
    NewTranscriptEntry,
    NotFound,
    PostgresClient,
    Settings,
)
from support.postgres import SUPERUSER, as_role

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Write = Callable[[PostgresClient, str], Awaitable[object]]

AGE: Final = timedelta(days=90)
ROWS_PER_ROUND: Final = 40
SHORT_S: Final = 8.0
LONG_S: Final = 20.0
# Rows of every kind, 100 days old, without a session.
OLD: Final = """
WITH input AS (SELECT id, now() - interval '100 days' AS time FROM unnest($1::text[]) AS id),
tasks AS (
    INSERT INTO task (id, user_id, session_id, data, created_at, updated_at)
    SELECT id, 'mira', id, '{}', time, time FROM input
),
deleted AS (
    INSERT INTO lg_checkpoint (
        user_id, thread_id, checkpoint_id, metadata, checkpoint, checkpoint_type, created_at,
        deleted_at
    )
    SELECT 'mira', id, 'c-1', '', '', '', time, time FROM input
),
events AS (
    INSERT INTO event (id, user_id, session_id, data, created_at, updated_at)
    SELECT id, 'mira', id, '{}', time, time FROM input
),
memories AS (
    INSERT INTO crewai_agent_memory (user_id, thread_id, memory_data, created_at)
    SELECT 'mira', id, '{}', time FROM input
),
states AS (
    INSERT INTO crewai_flow_state (user_id, thread_id, method_name, state_data, created_at)
    SELECT 'mira', id, 'm', '{}', time FROM input
),
configs AS (
    INSERT INTO agentrows_push_config (task_id, user_id, config_id, data, created_at)
    SELECT 'none ' || id, 'mira', 'c', '', time FROM input
),
items AS (
    INSERT INTO agentrows_store_item (user_id, namespace, key, value, revision, expires_at)
    SELECT 'mira', '.', id, '{}', gen_random_uuid(), time FROM input
),
transcripts AS (
    INSERT INTO agentrows_transcript (
        user_id, project_key, session_id, subpath, last_position, updated_at
    )
    SELECT 'mira', 'p', id, subpath, 1, time FROM input, unnest('{"", "a"}'::text[]) AS subpath
    RETURNING id, session_id
),
entries AS (
    INSERT INTO agentrows_transcript_entry (user_id, transcript_id, position, id, data)
    SELECT 'mira', id, 1, 'old', session_id FROM transcripts
),
histories AS (
    INSERT INTO agentrows_history (
        user_id, history_id, head_id, branches, revision, data, updated_at, saved_at
    )
    SELECT 'mira', id, 'old ' || id, '{}', 'old', '', time, time FROM input
),
history_entries AS (
    INSERT INTO agentrows_history_entry (user_id, id, kind, data)
    SELECT 'mira', 'old ' || id, 'message', '' FROM input
)
INSERT INTO tool (id, server_name, group_kind, deleted_at) SELECT id, 's', 'g', time FROM input
"""
STORED: Final = {
    "task": "SELECT id FROM task",
    "push notification": "SELECT id FROM push_notification",
    "event": "SELECT session_id FROM event WHERE id LIKE 'new %'",
    "checkpoint": "SELECT thread_id FROM lg_checkpoint WHERE deleted_at IS NULL",
    "memory": "SELECT thread_id FROM crewai_agent_memory",
    "flow state": "SELECT thread_id FROM crewai_flow_state",
    "push config": "SELECT substr(task_id, 6) FROM agentrows_push_config",
    "item": "SELECT key FROM agentrows_store_item",
    "transcript": "SELECT data FROM agentrows_transcript_entry WHERE id = 'new'",
    "history": "SELECT data FROM agentrows_history WHERE revision = 'new'",
    "tool": "SELECT id FROM tool WHERE deleted_at IS NULL",
}
ORPHANS: Final = """
SELECT
    (
        SELECT count(*) FROM push_notification AS p
        WHERE NOT EXISTS (SELECT FROM task WHERE task.id = p.task_id)
    ) + (
        SELECT count(*) FROM agentrows_transcript_entry AS e
        WHERE NOT EXISTS (SELECT FROM agentrows_transcript AS t WHERE t.id = e.transcript_id)
    ) + (
        SELECT count(*) FROM agentrows_history AS h
        WHERE NOT EXISTS (SELECT FROM agentrows_history_entry AS e WHERE e.id = h.head_id)
    ) + (
        SELECT count(*) FROM agentrows_history_entry AS e
        WHERE
            NOT EXISTS (SELECT FROM agentrows_history AS h WHERE h.head_id = e.id)
            AND NOT EXISTS (SELECT FROM agentrows_history_entry AS c WHERE c.parent_id = e.id)
    )
"""


async def task(client: PostgresClient, key: str) -> None:
    await client.store_task(key, user_id="mira", data="{}")


async def push_notification(client: PostgresClient, key: str) -> None:
    await client.store_push_notification(key, task_id=key, user_id="mira", data="{}")


async def event(client: PostgresClient, key: str) -> None:
    new = NewEvent(id=f"new {key}", user_id="mira", session_id=key, data="{}")
    await client.store_events([new])


async def event_with_session(client: PostgresClient, key: str) -> None:
    async with client.transaction() as tx:
        await tx.store_session(key, user_id="mira")
        new = NewEvent(id=f"new {key}", user_id="mira", session_id=key, data="{}")
        await tx.store_events([new])


async def checkpoint(client: PostgresClient, key: str) -> None:
    await client.store_checkpoint(
        key,
        user_id="mira",
        checkpoint_id="c-1",
        metadata={},
        checkpoint="eyI=",
        checkpoint_type="json",
    )


async def memory(client: PostgresClient, key: str) -> None:
    await client.store_crewai_memory(key, user_id="mira", memory_data="{}")


async def flow_state(client: PostgresClient, key: str) -> None:
    await client.store_crewai_flow_state(key, user_id="mira", method_name="m", state_data="{}")


async def push_config(client: PostgresClient, key: str) -> None:
    await client.store_push_config("c", task_id=f"none {key}", user_id="mira", data=b"{}")


async def item(client: PostgresClient, key: str) -> None:
    await client.store_items([NewStoreItem(namespace="", key=key, value="{}")], user_id="mira")


async def transcript(client: PostgresClient, key: str) -> None:
    entry = NewTranscriptEntry(id="new", data=key)
    await client.append_transcript(key, [entry], project_key="p", user_id="mira", subpath="a")


async def history(client: PostgresClient, key: str) -> None:
    entry = HistoryEntry(id=f"new {key}", parent_id=f"old {key}", kind="message", data="")
    saved = await client.save_history(
        f"fork {key}",
        user_id="mira",
        data=key,
        revision="new",
        updated_at=datetime.now(UTC),
        head_id=entry.id,
        entries=[entry],
    )
    if not saved:
        raise NotFound(key)


async def tool(client: PostgresClient, key: str) -> None:
    await client.store_tool(key, server_name="s", group_kind="g")


WRITES: Final[list[tuple[str, Write]]] = [
    ("task", task),
    ("push notification", push_notification),
    ("event", event),
    ("event", event_with_session),
    ("checkpoint", checkpoint),
    ("memory", memory),
    ("flow state", flow_state),
    ("push config", push_config),
    ("item", item),
    ("transcript", transcript),
    ("history", history),
    ("tool", tool),
]


async def test_prune_beside_writers_keeps_rows_that_are_used_again(
    migrated: str, rounds: int
) -> None:
    settings = Settings(migrations="off", pool_max_size=16)
    db = await asyncpg.connect(as_role(migrated, SUPERUSER))
    acknowledged: set[tuple[str, str]] = set()
    removed = number = 0
    try:
        async with PostgresClient.open(migrated, settings=settings) as client:
            end = time.monotonic() + (LONG_S if rounds > 1 else SHORT_S)
            while time.monotonic() < end:
                number += 1
                written, rows = await one_round(client, db, number)
                acknowledged |= written
                removed += rows
        stored = {
            (kind, str(row[0])) for kind, sql in STORED.items() for row in await db.fetch(sql)
        }
        orphans = await db.fetchval(ORPHANS)
    finally:
        await db.close()

    assert (dict(Counter(kind for kind, _ in acknowledged - stored)), orphans) == ({}, 0)
    assert removed > number
    assert {kind for kind, _ in acknowledged} == set(STORED)


async def one_round(
    client: PostgresClient, db: asyncpg.Connection, number: int
) -> tuple[set[tuple[str, str]], int]:
    """Write to old rows while they are pruned; return the acknowledged rows and the pruned."""
    keys = [f"k-{number}-{n}" for n in range(ROWS_PER_ROUND)]
    await db.execute(OLD, keys)
    acknowledged: set[tuple[str, str]] = set()
    removed = 0

    async def run(kind: str, write: Write, key: str) -> None:
        try:
            await write(client, key)
        except (NotFound, Aborted):
            return
        acknowledged.add((kind, key))

    async def prune() -> None:
        nonlocal removed
        removed += (await client.prune(AGE, batch_size=random.choice((3, 50)))).total  # noqa: S311

    calls = [run(*random.choice(WRITES), key) for key in keys]  # noqa: S311
    calls[len(calls) // 2 : len(calls) // 2] = [prune()]
    await asyncio.gather(prune(), *calls)
    return acknowledged, removed
