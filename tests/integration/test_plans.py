"""No page, look-up or prune reads a whole table: plans at 200,000 rows, custom and generic."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import NewCheckpointWrite, NewEvent, PostgresClient, Settings, migrate
from agentrows.gen import (
    agents,
    checkpoints,
    conversations,
    event_search,
    events,
    feedback,
    histories,
    memory,
    push_configs,
    push_notifications,
    retention,
    sessions,
    task_versions,
    tasks,
    threads,
    tools,
    transcripts,
)
from agentrows.migrate import Migrator
from support.postgres import SUPERUSER, as_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.postgres import Server

ROWS = 200_000
LOAD = f"""
INSERT INTO agent (id, type, created_at)
SELECT 'a-' || n, 'Declarative', now() - n * interval '1 second'
FROM generate_series(1, {ROWS}) AS n;

INSERT INTO session (id, user_id, agent_id, created_at, updated_at)
SELECT 's-' || n, 'u-' || n % 1000, 'a-' || n % 100, now() - n * interval '1 s', now()
FROM generate_series(1, {ROWS}) AS n;

INSERT INTO event (id, user_id, session_id, data, created_at)
SELECT 'e-' || n, 'u-' || n % 1000, 's-' || n, '', now() - n * interval '1 s'
FROM generate_series(1, {ROWS}) AS n;

INSERT INTO feedback (user_id, feedback_text, created_at)
SELECT 'u-' || n % 1000, 'x', now() - n * interval '1 s' FROM generate_series(1, {ROWS}) AS n;

INSERT INTO agentrows_feedback_target (feedback_id, user_id, event_id, created_at)
SELECT id, user_id, 'e-' || id, created_at FROM feedback;

INSERT INTO memory (id, agent_name, user_id, content, created_at, expires_at)
SELECT 'm-' || n, 'a-' || n % 10, 'u-' || n % 1000, 'x', now(), now() + interval '1 day'
FROM generate_series(1, {ROWS}) AS n;

INSERT INTO task (id, user_id, session_id, data, created_at)
SELECT 't-' || n, 'u-' || n % 1000, 's-' || n, '', now() FROM generate_series(1, {ROWS}) AS n;

INSERT INTO agentrows_task_event (task_id, user_id, version, data, created_at)
SELECT 't-' || n, 'u-' || n % 1000, 1, '', now() - n * interval '1 s'
FROM generate_series(1, {ROWS}) AS n;

INSERT INTO agentrows_push_config (task_id, user_id, config_id, data)
SELECT 't-' || n, 'u-' || n % 1000, 'c', '' FROM generate_series(1, {ROWS}) AS n;

INSERT INTO push_notification (id, task_id, data, created_at)
SELECT 'p-' || n, 't-' || n, '', now() FROM generate_series(1, {ROWS}) AS n;

INSERT INTO tool (id, server_name, group_kind, created_at)
SELECT 'tool-' || n, 'server-' || n % 1000, 'kind', now() FROM generate_series(1, {ROWS}) AS n;

INSERT INTO lg_checkpoint (
    user_id, thread_id, checkpoint_id, parent_checkpoint_id, metadata, checkpoint, checkpoint_type,
    agentrows_checkpoint, agentrows_channels, agentrows_versions, agentrows_run_id, created_at
)
SELECT 'u-' || n % 1000, 's-' || n % 1000, 'c-' || n, 'c-' || n - 1000, '', '', 'agentrows+m',
    '', '{{a}}', ARRAY[n::text], 'r-' || n, now()
FROM generate_series(1, {ROWS}) AS n;

INSERT INTO agentrows_checkpoint_blob (
    user_id, thread_id, checkpoint_ns, channel, version, type, value
)
SELECT 'u-' || n % 1000, 's-' || n % 1000, '', 'a', n::text, 'm', ''
FROM generate_series(1, {ROWS}) AS n;

INSERT INTO agentrows_transcript (
    id, user_id, project_key, session_id, subpath, last_position, updated_at
)
SELECT n, 'u-' || n % 1000, 'p', 's-' || n, '', 1, now() FROM generate_series(1, {ROWS}) AS n;

INSERT INTO agentrows_transcript_entry (user_id, transcript_id, position, id, data)
SELECT 'u-' || n % 1000, n, 1, 'e-' || n, '' FROM generate_series(1, {ROWS}) AS n;

INSERT INTO agentrows_history (
    user_id, history_id, scope, head_id, branches, revision, data, updated_at
)
SELECT 'u-' || n % 1000, 'h-' || n, 'c-' || n % 10, 'he-' || n, '{{}}', 'r', '', now()
FROM generate_series(1, {ROWS}) AS n;

INSERT INTO agentrows_history_entry (user_id, id, parent_id, kind, data)
SELECT 'u-' || n % 1000, 'he-' || n, nullif('he-' || n - 1000, 'he-0'), 'message', ''
FROM generate_series(1, {ROWS}) AS n;

ANALYZE agentrows_history; ANALYZE agentrows_history_entry;
ANALYZE agentrows_transcript; ANALYZE agentrows_transcript_entry;
ANALYZE agent; ANALYZE session; ANALYZE event; ANALYZE feedback; ANALYZE memory;
ANALYZE task; ANALYZE agentrows_task_event; ANALYZE agentrows_push_config;
ANALYZE push_notification; ANALYZE tool; ANALYZE lg_checkpoint;
ANALYZE agentrows_checkpoint_blob; ANALYZE agentrows_feedback_target;
"""  # noqa: S608  a number of ours
SKEWED = """
INSERT INTO task (id, user_id, session_id, data)
SELECT 't-' || n, 'u-1', CASE WHEN n % 100 = 0 THEN 's-' || n ELSE 's-huge' END, repeat('x', 200)
FROM generate_series(1, 50000) AS n;
ANALYZE task;
"""
GUARDED = f"planner_{os.getpid()}"
GUARD = f"""
CREATE ROLE {GUARDED};
GRANT ALL ON ALL TABLES IN SCHEMA public TO {GUARDED};
"""
FULL = set(re.findall(r"ANALYZE (\w+)", LOAD))
# The SQL, and its arguments in order.
STATEMENTS = {
    "get_agent": (agents.GET_AGENT, "'a-1'"),
    "list_agents": (agents.LIST_AGENTS, "now(), '', 10"),
    "get_session": (sessions.GET_SESSION, "'s-1', 'u-1'"),
    "list_sessions_by_activity": (sessions.LIST_SESSIONS_BY_ACTIVITY, "'u-1', now(), '', 10"),
    "list_sessions_by_creation": (sessions.LIST_SESSIONS_BY_CREATION, "'u-1', now(), '', 10"),
    "list_agent_sessions_by_activity": (
        sessions.LIST_AGENT_SESSIONS_BY_ACTIVITY,
        "'u-1', 'a-1', now(), '', 10",
    ),
    "list_agent_sessions_by_creation": (
        sessions.LIST_AGENT_SESSIONS_BY_CREATION,
        "'u-1', 'a-1', now(), '', 10",
    ),
    "list_all_agent_sessions_by_activity": (
        sessions.LIST_ALL_AGENT_SESSIONS_BY_ACTIVITY,
        "'a-1', now(), '', '', 10",
    ),
    "list_all_agent_sessions_by_creation": (
        sessions.LIST_ALL_AGENT_SESSIONS_BY_CREATION,
        "'a-1', now(), '', '', 10",
    ),
    "list_idle_sessions": (
        sessions.LIST_IDLE_SESSIONS,
        "interval '365 days', '-infinity', '', '', 1000",
    ),
    "lock_expired_sessions": (
        sessions.LOCK_EXPIRED_SESSIONS,
        "interval '365 days', '{s-1}', '{u-1}'",
    ),
    "lock_tasks_of_sessions": (sessions.LOCK_TASKS_OF_SESSIONS, "'{s-1}', '{u-1}'"),
    "prune_sessions": (sessions.PRUNE_SESSIONS, "'{s-1}', '{u-1}', interval '365 days'"),
    "get_event": (events.GET_EVENT, "'e-1', 'u-1'"),
    "list_events_oldest_first": (
        events.LIST_EVENTS_OLDEST_FIRST,
        "'u-1', 's-1', now(), '', 10",
    ),
    "list_events_newest_first": (
        events.LIST_EVENTS_NEWEST_FIRST,
        "'u-1', 's-1', now(), '', 10",
    ),
    "find_last_of_session_batch": (
        event_search.FIND_LAST_OF_SESSION_BATCH,
        "'simple', 'u-1', 's-1', NULL, NULL, now(), '', 1000",
    ),
    "find_last_of_user_batch": (
        event_search.FIND_LAST_OF_USER_BATCH,
        "'simple', 'u-1', now(), NULL, now(), '', 1000",
    ),
    "search_session_events": (
        event_search.SEARCH_SESSION_EVENTS,
        "'u-1', 's-1', NULL, NULL, now(), '', NULL, '', 'simple', 'tea', 10",
    ),
    "search_user_events": (
        event_search.SEARCH_USER_EVENTS,
        "'u-1', now(), NULL, now(), '', NULL, '', 'simple', 'tea', 10",
    ),
    "append_items": (conversations.APPEND_ITEMS, "false, '{e-new}', '{x}', 's-1', 'u-1', 'a-1'"),
    "list_items": (conversations.LIST_ITEMS, "'u-1', 's-1', 'a-1', now(), '', 10"),
    "pop_event": (conversations.POP_EVENT, "'u-1', 's-1'"),
    "purge_events": (conversations.PURGE_EVENTS, "'u-1', 's-1', NULL"),
    "list_feedback": (feedback.LIST_FEEDBACK, "'u-1', now(), 0, 10"),
    "list_feedback_with_target": (
        feedback.LIST_FEEDBACK_WITH_TARGET,
        "'u-1', 'e-1', NULL, now(), 0, 10",
    ),
    "get_feedback_with_target": (feedback.GET_FEEDBACK_WITH_TARGET, "'u-1', 1"),
    "summarize_feedback": (feedback.SUMMARIZE_FEEDBACK, "'u-1'"),
    "list_memories": (memory.LIST_MEMORIES, "false, 'u-1', 'a-1', now(), '', 10"),
    "delete_memories": (memory.DELETE_MEMORIES, "'u-1', 'a-1'"),
    "prune_memories": (memory.PRUNE_MEMORIES, "1000"),
    "get_task": (tasks.GET_TASK, "'t-1', 'u-1'"),
    "list_tasks": (tasks.LIST_TASKS, "'s-1', 'u-1', now(), '', 10"),
    "save_task": (
        task_versions.SAVE_TASK,
        "false, 't-1', '', 's-1', 'u-1', 'x', 1, 0, '\\x00'",
    ),
    "find_versioned_task": (task_versions.FIND_VERSIONED_TASK, "'t-1', 'u-1'"),
    "list_user_tasks": (
        task_versions.LIST_USER_TASKS,
        "'u-1', 9223372036854775807, '', -9223372036854775808, NULL, 10",
    ),
    "list_user_tasks_of_session": (
        task_versions.LIST_USER_TASKS_OF_SESSION,
        "'u-1', 's-1', 9223372036854775807, '', -9223372036854775808, '{x}', 10",
    ),
    "count_user_tasks": (task_versions.COUNT_USER_TASKS, "'u-1', -9223372036854775808, NULL, 10"),
    "list_task_events_all_users": (
        task_versions.LIST_TASK_EVENTS_ALL_USERS,
        "'t-1', 0, 10",
    ),
    "prune_task_events": (task_versions.PRUNE_TASK_EVENTS, "interval '30 days', 1000"),
    "prune_deleted_events": (retention.PRUNE_DELETED_EVENTS, "interval '30 days', 1000"),
    "prune_deleted_checkpoints": (
        retention.PRUNE_DELETED_CHECKPOINTS,
        "interval '30 days', 1000",
    ),
    "prune_events_without_session": (
        retention.PRUNE_EVENTS_WITHOUT_SESSION,
        "interval '30 days', 1000",
    ),
    "list_sessions_of_events": (
        retention.LIST_SESSIONS_OF_EVENTS,
        "interval '30 days', 'u-1', 's-1'",
    ),
    "lock_events_of_sessions": (
        retention.LOCK_EVENTS_OF_SESSIONS,
        "interval '30 days', 1000, '{u-1}', '{s-1}'",
    ),
    "prune_events_of_sessions": (
        retention.PRUNE_EVENTS_OF_SESSIONS,
        "interval '30 days', '{e-1}', '{u-1}'",
    ),
    "list_tasks_by_age": (retention.LIST_TASKS_BY_AGE, "interval '30 days', 't-1', 1000"),
    "lock_tasks": (retention.LOCK_TASKS, "'{t-1}'"),
    "prune_tasks": (retention.PRUNE_TASKS, "'{t-1}', interval '30 days'"),
    "prune_push_notifications": (
        retention.PRUNE_PUSH_NOTIFICATIONS,
        "'{p-1}', interval '30 days'",
    ),
    "prune_feedback": (retention.PRUNE_FEEDBACK, "interval '30 days', 1000"),
    "prune_keys_of_feedback": (retention.PRUNE_KEYS_OF_FEEDBACK, "'{1}'"),
    "prune_targets_of_feedback": (retention.PRUNE_TARGETS_OF_FEEDBACK, "'{1}'"),
    "prune_feedback_targets": (retention.PRUNE_FEEDBACK_TARGETS, "interval '30 days', 1000"),
    "list_push_configs_all_users": (push_configs.LIST_PUSH_CONFIGS_ALL_USERS, "'t-1'"),
    "find_history": (histories.FIND_HISTORY, "'u-1', 'h-1'"),
    "list_histories": (histories.LIST_HISTORIES, "'u-1', 10"),
    "list_histories_in_scope": (histories.LIST_HISTORIES_IN_SCOPE, "'u-1', 'c-1', 10"),
    "find_history_entry": (histories.FIND_HISTORY_ENTRY, "'u-1', 'he-1'"),
    "list_history_entries": (histories.LIST_HISTORY_ENTRIES, "'u-1', 'he-1001', 10"),
    "create_history": (
        histories.CREATE_HISTORY,
        "'{e}', '{he-1}', '{k}', '{d}', 'u-1', '{he-1}', 'h', 'c', 'e', '{}', 'r', '', now()",
    ),
    "update_history": (
        histories.UPDATE_HISTORY,
        """'{e}', '{he-1}', '{k}', '{d}', 'u-1', '{he-1}', 'c', 'e', '{}', 's', '', now(), 'h-1',
        'r'""",
    ),
    "lock_history_entries": (histories.LOCK_HISTORY_ENTRIES, "'u-1', 'h-1'"),
    "delete_history": (histories.DELETE_HISTORY, "'u-1', 'h-1', 'r'"),
    "delete_unused_history_entries": (
        histories.DELETE_UNUSED_HISTORY_ENTRIES,
        "'u-1', '{he-1}'",
    ),
    "list_histories_by_age": (
        histories.LIST_HISTORIES_BY_AGE,
        "interval '30 days', 'u-1', 'h-1', 10",
    ),
    "count_unused_history_entries": (
        histories.COUNT_UNUSED_HISTORY_ENTRIES,
        "'u-1', '{h-1}', interval '30 days', 'u-1', 'h-1'",
    ),
    "lock_idle_history_entries": (histories.LOCK_IDLE_HISTORY_ENTRIES, "'u-1', '{h-1}'"),
    "prune_histories": (
        histories.PRUNE_HISTORIES,
        "'u-1', '{h-1}', interval '30 days', '{he-1}'",
    ),
    "append_transcript": (
        transcripts.APPEND_TRANSCRIPT,
        "'{e-1}', '{x}', 'u-1', 'p', 's-1', ''",
    ),
    "list_transcript_entries": (
        transcripts.LIST_TRANSCRIPT_ENTRIES,
        "'u-1', 'p', 's-1', '', 0, NULL",
    ),
    "list_transcripts": (transcripts.LIST_TRANSCRIPTS, "'u-1', 'p'"),
    "list_transcript_subpaths": (transcripts.LIST_TRANSCRIPT_SUBPATHS, "'u-1', 'p', 's-1'"),
    "update_transcript_summary": (
        transcripts.UPDATE_TRANSCRIPT_SUMMARY,
        "'x', 1, 1, 'u-1', 0",
    ),
    "lock_transcripts": (transcripts.LOCK_TRANSCRIPTS, "'u-1', 'p', 's-1', NULL"),
    "delete_transcripts": (transcripts.DELETE_TRANSCRIPTS, "'u-1', '{1}'"),
    "list_transcripts_by_age": (
        transcripts.LIST_TRANSCRIPTS_BY_AGE,
        "interval '30 days', 'u-1', 'p', 's-1', '', 10",
    ),
    "count_entries_of_transcripts": (transcripts.COUNT_ENTRIES_OF_TRANSCRIPTS, "'{1}'"),
    "lock_idle_transcripts": (transcripts.LOCK_IDLE_TRANSCRIPTS, "'{1}'"),
    "prune_transcripts": (transcripts.PRUNE_TRANSCRIPTS, "'{1}', interval '30 days'"),
    "delete_task": (tasks.DELETE_TASK, "'t-1', 'u-1'"),
    "get_push_notification": (
        push_notifications.GET_PUSH_NOTIFICATION,
        "'p-1', 't-1', 'u-1'",
    ),
    "list_push_notifications": (
        push_notifications.LIST_PUSH_NOTIFICATIONS,
        "'t-1', 'u-1', now(), '', 10",
    ),
    "find_tools": (tools.FIND_TOOLS, "'tool-1', NULL, NULL"),
    "list_tools": (tools.LIST_TOOLS, "'tool-1', '', '', 10"),
    "list_tools_for_server": (tools.LIST_TOOLS_FOR_SERVER, "'server-1', 'kind', '', 10"),
    "get_checkpoint": (checkpoints.GET_CHECKPOINT, "'u-1', 's-1', '', 'c-1'"),
    "list_checkpoints": (checkpoints.LIST_CHECKPOINTS, "'u-1', 's-1', '', NULL, 10"),
    "store_thread_checkpoint": (
        threads.STORE_THREAD_CHECKPOINT,
        """'u-1', 's-1', '', 'c-new', 'c-1001', '{"a": "1", "b": "2"}', '{b}', '{m}', '{""}',
        '{"c": "3"}', '', 'm', 4, NULL, ''""",
    ),
    "find_thread_checkpoint": (threads.FIND_THREAD_CHECKPOINT, "'u-1', 's-1', '', 'c-1001'"),
    "list_namespace_checkpoints": (
        threads.LIST_NAMESPACE_CHECKPOINTS,
        "'u-1', 's-1', '', NULL, 10",
    ),
    "list_namespace_checkpoints_behind": (
        threads.LIST_NAMESPACE_CHECKPOINTS,
        "'u-1', 's-1', '', 'c-1001', 10",
    ),
    "list_thread_checkpoints": (
        threads.LIST_THREAD_CHECKPOINTS,
        "'u-1', NULL, NULL, NULL, NULL, 10",
    ),
    "list_channel_history": (
        threads.LIST_CHANNEL_HISTORY,
        "'u-1', 's-1', '', NULL, '{b}', 1000",
    ),
    "list_thread_heads": (threads.LIST_THREAD_HEADS, "'u-1', 's-1'"),
    "list_threads": (threads.LIST_THREADS, "'u-1', now(), '', 10"),
    "copy_thread": (threads.COPY_THREAD, "'u-1', 's-1', 's-copy'"),
    "lock_checkpoints_of_threads": (threads.LOCK_CHECKPOINTS_OF_THREADS, "'u-1', '{s-1}'"),
    "delete_threads": (threads.DELETE_THREADS, "'u-1', '{s-1}'"),
    "lock_checkpoints_of_runs": (threads.LOCK_CHECKPOINTS_OF_RUNS, "'u-1', '{r-1}'"),
    "delete_runs": (threads.DELETE_RUNS, "'u-1', '{r-1}'"),
    "lock_checkpoints": (threads.LOCK_CHECKPOINTS, "'u-1', 's-1', '{\"\"}', '{c-1001}'"),
    "lock_unnamed_values": (threads.LOCK_UNNAMED_VALUES, "10000, '{u-1}', '{s-1}'"),
    "delete_unnamed_values": (
        threads.DELETE_UNNAMED_VALUES,
        "'{u-1}', '{s-1}', '{\"\"}', '{a}', '{1}'",
    ),
    "list_idle_threads": (threads.LIST_IDLE_THREADS, "interval '1 day', '', ''"),
    "lock_idle_threads": (threads.LOCK_IDLE_THREADS, "'{u-1}', '{s-1}'"),
    "delete_idle_threads": (
        threads.DELETE_IDLE_THREADS,
        "'{u-1}', '{s-1}', interval '365 days'",
    ),
    "list_checkpoints_behind": (checkpoints.LIST_CHECKPOINTS, "'u-1', 's-1', '', 'c-1', 10"),
}


@pytest.fixture(scope="module")
def full(server: Server, template: str) -> str:
    """The DSN of a database with 200,000 rows in each table."""
    name = server.create_database(template)

    async def load() -> None:
        connection = await asyncpg.connect(server.dsn(name))
        await connection.execute(LOAD)
        await connection.execute(GUARD)
        await connection.close()

    asyncio.run(load())
    asyncio.run(Migrator(server.dsn(name), migrate.builtin_tracks(row_security=True)).up())
    return server.dsn(name)


@pytest.fixture
async def connection(full: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    connection = await asyncpg.connect(full)
    yield connection
    await connection.close()


async def plan(connection: asyncpg.Connection, name: str, mode: str) -> str:
    sql, arguments = STATEMENTS[name]
    call = f"({arguments})" if arguments else ""
    await connection.execute(f"SET plan_cache_mode = force_{mode}_plan")
    await connection.execute(f"PREPARE statement AS {sql}")
    lines = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE statement {call}")
    return "\n".join(line[0] for line in lines)


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize("name", STATEMENTS)
async def test_statements_scan_no_whole_table(
    name: str, mode: str, connection: asyncpg.Connection
) -> None:
    shown = await plan(connection, name, mode)

    scanned = set(re.findall(r"Seq Scan on (\w+)", shown))
    assert not scanned & FULL, shown


@pytest.mark.parametrize("mode", ["custom", "generic"])
async def test_statements_under_policies_scan_no_whole_table(
    mode: str, connection: asyncpg.Connection
) -> None:
    await connection.execute(f"SET ROLE {GUARDED}")
    for user in ("u-1", ""):
        await connection.fetchval("SELECT set_config('agentrows.user_id', $1, false)", user)
        for name in STATEMENTS:
            shown = await plan(connection, name, mode)
            await connection.execute("DEALLOCATE statement")

            scanned = set(re.findall(r"Seq Scan on (\w+)", shown))
            assert not scanned & FULL, shown


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize(
    "sql", [sessions.LOCK_TASKS_OF_SESSIONS, sessions.LIST_TASKS_OF_SESSIONS], ids=["lock", "list"]
)
async def test_session_with_most_tasks_is_not_read_for_others(
    sql: str, mode: str, migrated: str
) -> None:
    ids = ", ".join(f"'s-{number}00'" for number in range(1, 191))
    connection = await asyncpg.connect(as_role(migrated, SUPERUSER))
    await connection.execute(SKEWED)
    await connection.execute(f"SET plan_cache_mode = force_{mode}_plan")
    await connection.execute(f"PREPARE statement AS {sql}")
    lines = await connection.fetch(
        f"EXPLAIN (COSTS OFF) EXECUTE statement(ARRAY[{ids}], array_fill('u-1'::text, ARRAY[190]))"
    )
    await connection.close()

    shown = "\n".join(line[0] for line in lines)
    assert "Seq Scan" not in shown, shown


async def test_check_detects_list_without_its_index(connection: asyncpg.Connection) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("DROP INDEX agentrows_agent_created")

    shown = await plan(connection, "list_agents", "custom")

    await transaction.rollback()
    assert "Seq Scan on agent" in shown


async def calls(client: PostgresClient, number: int) -> None:
    """Make the calls that an agent's turn is made of."""
    mine, place = f"e-new-{number}", f"c-new-{number}"
    await client.store_session("s-new", user_id="u-1")
    await client.get_session("s-new", user_id="u-1")
    event = NewEvent(id=mine, user_id="u-1", session_id="s-new", data="{}")
    await client.store_events([event])
    await client.store_events([event], on_duplicate="skip")
    await client.store_events([event], on_duplicate="repeat")
    await client.list_events_for_session("s-new", user_id="u-1", last=20)
    await client.store_task(f"t-new-{number}", user_id="u-1", session_id="s-new", data="{}")
    await client.store_checkpoint(
        "s-new", user_id="u-1", checkpoint_id=place, checkpoint="", checkpoint_type="", metadata={}
    )
    write = NewCheckpointWrite(idx=0, channel="a", value_type="", value="")
    await client.store_checkpoint_writes(
        "s-new", user_id="u-1", checkpoint_id=place, task_id="t", writes=[write]
    )
    await client.get_checkpoint("s-new", user_id="u-1")


async def test_statements_of_an_agent_turn_use_cached_plans(full: str) -> None:
    settings = Settings(pool_min_size=1, pool_max_size=1)
    async with PostgresClient.open(full, settings=settings, migrations="off") as client:
        for number in range(10):
            await calls(client, number)
        kept = await client.db.fetch(
            "SELECT substring(statement from '-- name: (\\w+)'), generic_plans > 0"
            " FROM pg_prepared_statements WHERE statement LIKE '-- name: %'"
        )
    assert {name for name, is_kept in kept if not is_kept} == set()
    assert {"InsertEvents", "InsertNewEvents", "CountStoredEvents"} <= {name for name, _ in kept}
