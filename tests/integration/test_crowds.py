"""A page of an owner of most of a table reads no more blocks than a page of another owner."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows.gen import (
    checkpoints,
    crewai,
    events,
    feedback,
    memory,
    push_notifications,
    sessions,
    tasks,
    tools,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.postgres import Server

ROWS = 40_000
BLOCKS = 40
"""The maximum of blocks for a page of 10 rows, with the descents of indexes."""
LOAD = f"""
CREATE TEMP TABLE n AS
SELECT
    n,
    n % 2 = 0 AS is_crowd,
    CASE WHEN n % 2 = 0 THEN 'crowd' ELSE 'u-' || n / 40 END AS owner,
    CASE WHEN n % 2 = 0 THEN 'long' ELSE 's-' || n / 40 END AS talk,
    now() - n * interval '1 s' AS at
FROM generate_series(1, {ROWS}) AS n;

INSERT INTO session (id, user_id, agent_id, created_at, updated_at)
SELECT
    's-' || n,
    owner,
    CASE WHEN is_crowd AND n NOT IN (100, 10000) THEN 'a-1' ELSE 'public' END,
    at,
    at
FROM n;

INSERT INTO event (id, user_id, session_id, data, created_at)
SELECT 'e-' || n, owner, talk, '', at FROM n;

INSERT INTO task (id, user_id, session_id, data, created_at)
SELECT 't-' || n, owner, talk, '', at FROM n;
INSERT INTO task (id, user_id, session_id, data, created_at)
SELECT 'last-' || n, 'small', 'long', '', now() + n * interval '1 s'
FROM generate_series(1, 20) AS n;

INSERT INTO push_notification (id, task_id, data, created_at)
SELECT 'p-' || n, CASE WHEN is_crowd THEN 't-2' ELSE 't-' || n / 40 * 40 + 1 END, '', at FROM n;

INSERT INTO feedback (user_id, feedback_text, created_at) SELECT owner, 'x', at FROM n;

INSERT INTO tool (id, server_name, group_kind, created_at)
SELECT 'tool-' || n, CASE WHEN is_crowd THEN 'big' ELSE 'server-' || n / 40 END, 'kind', at FROM n;

INSERT INTO lg_checkpoint (
    user_id, thread_id, checkpoint_id, metadata, checkpoint, checkpoint_type, created_at
)
SELECT owner, talk, 'c-' || n, 'e30=', '', '', at FROM n;

INSERT INTO lg_checkpoint_write (
    user_id, thread_id, checkpoint_id, write_idx, value, value_type, channel, task_id
)
SELECT owner, talk, 'c-' || n, 1, '', '', '', '' FROM n;

INSERT INTO crewai_agent_memory (user_id, thread_id, memory_data, created_at)
SELECT owner, 'c-' || n, '{{"task_description": "Plan a trip to Rome"}}', at FROM n;

INSERT INTO memory (id, agent_name, user_id, content, created_at)
SELECT 'm-' || n, 'travel_agent', owner, 'x', at FROM n;
"""  # noqa: S608  a number of ours
MIDDLE = f"now() - {ROWS / 2} * interval '1 s'"
PAGES = {
    "sessions": (sessions.LIST_SESSIONS_BY_ACTIVITY, f"'crowd', {MIDDLE}, '', 10"),
    "sessions by creation": (sessions.LIST_SESSIONS_BY_CREATION, f"'crowd', {MIDDLE}, '', 10"),
    "sessions with an agent of many users": (
        sessions.LIST_AGENT_SESSIONS_BY_ACTIVITY,
        "'crowd', 'public', now(), '', 10",
    ),
    "sessions with an agent of many users by creation": (
        sessions.LIST_AGENT_SESSIONS_BY_CREATION,
        "'crowd', 'public', now(), '', 10",
    ),
    "sessions with an agent": (
        sessions.LIST_AGENT_SESSIONS_BY_ACTIVITY,
        f"'crowd', 'a-1', {MIDDLE}, '', 10",
    ),
    "sessions of all users with an agent": (
        sessions.LIST_ALL_AGENT_SESSIONS_BY_ACTIVITY,
        f"'public', {MIDDLE}, '', '', 10",
    ),
    "events": (events.LIST_EVENTS_OLDEST_FIRST, f"'crowd', 'long', {MIDDLE}, '', 10"),
    "events, newest first": (
        events.LIST_EVENTS_NEWEST_FIRST,
        f"'crowd', 'long', {MIDDLE}, '', 10",
    ),
    "tasks": (tasks.LIST_TASKS, f"'long', 'crowd', {MIDDLE}, '', 10"),
    "tasks of a small owner in the session of a crowd": (
        tasks.LIST_TASKS,
        "'long', 'small', NULL, '', 10",
    ),
    "push notification configs": (
        push_notifications.LIST_PUSH_NOTIFICATIONS,
        f"'t-2', 'crowd', {MIDDLE}, '', 10",
    ),
    "feedback": (feedback.LIST_FEEDBACK, f"'crowd', {MIDDLE}, 0, 10"),
    "tools of a server": (tools.LIST_TOOLS_FOR_SERVER, "'big', 'kind', 'tool-2', 10"),
    "checkpoints": (checkpoints.LIST_CHECKPOINTS, "'crowd', 'long', '', NULL, 10"),
    "checkpoints behind one": (
        checkpoints.LIST_CHECKPOINTS,
        f"'crowd', 'long', '', 'c-{ROWS // 2}', 10",
    ),
    "checkpoints by metadata, behind one": (
        checkpoints.FILTER_CHECKPOINTS,
        f"'crowd', 'long', '', 'c-{ROWS // 2}', '{{}}', 10",
    ),
    "a checkpoint": (checkpoints.GET_CHECKPOINT, f"'crowd', 'long', '', 'c-{ROWS // 2}'"),
    "writes of a checkpoint": (
        checkpoints.LIST_CHECKPOINT_WRITES,
        f"'crowd', 'long', '', '{{c-{ROWS // 2}}}'",
    ),
    "CrewAI memories": (crewai.SEARCH_CREWAI_MEMORY_BY_TASK, "'crowd', 'rome', 10"),
    "memories": (memory.LIST_MEMORIES, f"false, 'crowd', 'travel-agent', {MIDDLE}, '', 10"),
}


@pytest.fixture(scope="module")
def crowded(server: Server, template: str) -> str:
    """The DSN of a database in which one owner has most rows."""
    name = server.create_database(template)

    async def load() -> None:
        connection = await asyncpg.connect(server.dsn(name))
        await connection.execute(LOAD)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    asyncio.run(load())
    return server.dsn(name)


@pytest.fixture
async def connection(crowded: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    connection = await asyncpg.connect(crowded)
    yield connection
    await connection.close()


async def blocks(connection: asyncpg.Connection, name: str, mode: str) -> tuple[int, int]:
    """Run a statement; return how many rows it found, and how many blocks it read for that."""
    sql, arguments = PAGES[name]
    await connection.execute(f"SET plan_cache_mode = force_{mode}_plan")
    await connection.execute(f"PREPARE statement AS {sql}")
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE statement ({arguments})"
    [shown] = json.loads(await connection.fetchval(explain))
    plan = shown["Plan"]
    return plan["Actual Rows"], plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize("name", PAGES)
async def test_page_of_owner_with_many_rows_reads_few_blocks(
    name: str, mode: str, connection: asyncpg.Connection
) -> None:
    rows, read = await blocks(connection, name, mode)

    assert rows
    assert read <= BLOCKS


async def test_check_detects_page_without_its_index(connection: asyncpg.Connection) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("DROP INDEX agentrows_push_notification_order")

    _, read = await blocks(connection, "push notification configs", "custom")

    await transaction.rollback()
    assert read > BLOCKS
