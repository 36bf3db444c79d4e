"""Removal of idle sessions and of idle LangGraph threads, with all rows that belong to them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from agentrows.gen import app_sessions as app_queries
from agentrows.gen import sessions as queries
from agentrows.gen import threads as thread_queries
from agentrows.stores._retention import Removed
from agentrows.stores._thread_values import delete_unnamed_values

if TYPE_CHECKING:
    from datetime import timedelta

    from agentrows.db.executor import Executor
    from agentrows.gen.models import AccessScope, PrunedSessions, PrunedThreads
    from agentrows.stores._retention import Batch, Step

TABLES_OF_SESSIONS: Final = {
    "sessions": "session",
    "tasks": "task",
    "push_notifications": "push_notification",
    "events": "event",
    "checkpoints": "lg_checkpoint",
    "checkpoint_writes": "lg_checkpoint_write",
    "checkpoint_values": "agentrows_checkpoint_blob",
    "crewai_memories": "crewai_agent_memory",
    "crewai_flow_states": "crewai_flow_state",
    "shares": "session_share",
}
"""The table that each field of PrunedSessions counts."""
TABLES_OF_THREADS: Final = {
    "checkpoints": "lg_checkpoint",
    "checkpoint_writes": "lg_checkpoint_write",
    "checkpoint_values": "agentrows_checkpoint_blob",
}
"""The same for PrunedThreads; threads themselves are no rows."""
THREADS: Final = "threads"
"""The key of the number of threads, which is not the name of a table."""
BEFORE_ALL: Final = ("-infinity", "", "")


def idle_sessions(access: AccessScope) -> Step:
    """Return the step that removes idle sessions with their rows."""

    async def prune(db: Executor, batch: Batch) -> Removed:
        if batch.dry_run:
            return Removed(_by_table(await _count_expired(db, access, batch.retention)))
        return await _prune_sessions(db, batch, access)

    return prune


async def idle_threads(db: Executor, batch: Batch) -> Removed:
    """Delete the idle ones of the next threads, with their checkpoints, writes and values."""
    if batch.dry_run:
        counted = await thread_queries.count_idle_threads(db, retention=batch.retention)
        return Removed(_count_threads(counted))
    after_user_id, after_thread_id = batch.next_id(2)
    listed = await thread_queries.list_idle_threads(
        db,
        retention=batch.retention,
        after_user_id=after_user_id,
        after_thread_id=after_thread_id,
    )
    listed = listed[: batch.size]
    idle = [thread for thread in listed if thread.is_idle]
    # This runs without idle threads too: a role without the right to delete gets its error.
    locked = await thread_queries.lock_idle_threads(
        db,
        user_id=[thread.user_id for thread in idle],
        thread_id=[thread.thread_id for thread in idle],
    )
    deleted = await thread_queries.delete_idle_threads(
        db,
        retention=batch.retention,
        user_id=[thread.user_id for thread in locked],
        thread_id=[thread.thread_id for thread in locked],
    )
    values = await delete_unnamed_values(
        db, [(thread.user_id, thread.thread_id) for thread in deleted]
    )
    rows = Counter(
        {
            THREADS: len(deleted),
            "lg_checkpoint": sum(thread.checkpoints for thread in deleted),
            "lg_checkpoint_write": sum(thread.checkpoint_writes for thread in deleted),
            "agentrows_checkpoint_blob": values,
        }
    )
    return Removed(rows, (listed[-1].user_id, listed[-1].thread_id) if listed else None)


async def _count_expired(db: Executor, access: AccessScope, retention: timedelta) -> PrunedSessions:
    counted = await queries.count_expired_sessions(db, retention=retention)
    if access.has_checkpoint_values:
        counted.checkpoint_values = await queries.count_values_of_expired_sessions(
            db, retention=retention
        )
    return counted


async def _prune_sessions(db: Executor, batch: Batch, access: AccessScope) -> Removed:
    """Delete the expired ones of the next idle sessions.

    Locked sessions, and sessions with a locked task or checkpoint, are skipped.
    """
    # Rows are locked in statements of their own: the snapshot of the deleting statement is then
    # newer than the locks, so that it sees the rows that were committed before.
    after_time, after_id, after_user_id = batch.after or BEFORE_ALL
    idle = await queries.list_idle_sessions(
        db,
        retention=batch.retention,
        after_time=after_time,
        after_id=after_id,
        after_user_id=after_user_id,
        batch_size=batch.size,
    )
    # This runs without idle sessions too: a role without the right to delete gets its error.
    locked = await queries.lock_expired_sessions(
        db,
        retention=batch.retention,
        id=[session.id for session in idle],
        user_id=[session.user_id for session in idle],
    )
    after = (idle[-1].last_used, idle[-1].id, idle[-1].user_id) if idle else None
    if not locked:
        return Removed(after=after)
    sessions = await queries.lock_tasks_of_sessions(
        db, id=[session.id for session in locked], user_id=[session.user_id for session in locked]
    )
    keys = [(session.user_id, session.id) for session in sessions]
    if access.has_checkpoint_values:
        threads = await thread_queries.lock_idle_threads(
            db, user_id=[key[0] for key in keys], thread_id=[key[1] for key in keys]
        )
        keys = [(thread.user_id, thread.thread_id) for thread in threads]
    pruned = await _delete_sessions(db, keys, retention=batch.retention, access=access)
    return Removed(_by_table(pruned), after)


async def _delete_sessions(
    db: Executor, keys: list[tuple[str, str]], *, retention: timedelta, access: AccessScope
) -> PrunedSessions:
    """Delete the locked sessions, by user and id, that are still idle, and the rows of these."""
    user_ids, ids = [key[0] for key in keys], [key[1] for key in keys]
    tasks: list[str] = []
    if access.has_task_events:
        tasks = await queries.list_tasks_of_sessions(db, id=ids, user_id=user_ids)
    pruned = await queries.prune_sessions(db, retention=retention, id=ids, user_id=user_ids)
    if tasks:
        await queries.prune_rows_of_tasks(db, task_id=tasks)
    if access.has_checkpoint_values:
        pruned.checkpoint_values = await delete_unnamed_values(db, keys)
    if access.has_states:
        await app_queries.delete_pruned_states(db, id=ids, user_id=user_ids)
    return pruned


def _by_table(pruned: PrunedSessions) -> Counter[str]:
    counts = pruned.model_dump()
    return Counter({table: counts[name] for name, table in TABLES_OF_SESSIONS.items()})


def _count_threads(counted: PrunedThreads) -> Counter[str]:
    counts = counted.model_dump()
    rows = Counter({table: counts[name] for name, table in TABLES_OF_THREADS.items()})
    rows[THREADS] = counted.threads
    return rows
