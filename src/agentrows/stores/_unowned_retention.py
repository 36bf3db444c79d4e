"""Removal of old rows without a stored session or task.

Each step reads the next keys of a table and whether their rows can be removed, locks these rows
without waiting, and deletes those that can still be removed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from agentrows.gen import retention as queries
from agentrows.gen import sessions as session_queries
from agentrows.stores._retention import Removed

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.gen.models import AccessScope, ListedCrewThread, ThreadKey
    from agentrows.stores._retention import Batch, Position, Step


async def events_of_absent_sessions(db: Executor, batch: Batch) -> Removed:
    """Remove events of sessions that are not stored, if the newest event of the session is old."""
    after_user_id, after_session_id = batch.next_id(2)
    listed = await queries.list_sessions_of_events(
        db,
        retention=batch.retention,
        after_user_id=after_user_id,
        after_session_id=after_session_id,
    )
    after = (listed[-1].user_id, listed[-1].session_id) if listed else None
    user_ids = [session.user_id for session in listed if session.is_idle]
    session_ids = [session.session_id for session in listed if session.is_idle]
    if batch.dry_run:
        counted = await queries.count_events_of_sessions(
            db, retention=batch.retention, user_id=user_ids, session_id=session_ids
        )
        return Removed(Counter({"event": counted}), after)
    keys = await queries.lock_events_of_sessions(
        db,
        retention=batch.retention,
        user_id=user_ids,
        session_id=session_ids,
        batch_size=batch.size,
    )
    removed = await queries.prune_events_of_sessions(
        db,
        retention=batch.retention,
        id=[key.id for key in keys],
        user_id=[key.user_id for key in keys],
    )
    # A full batch may have left events of the same sessions.
    has_more = removed > 0 and len(keys) == batch.size
    return Removed(Counter({"event": removed}), batch.after if has_more else after)


def absent_tasks(access: AccessScope) -> Step:
    """Return the step that removes deleted tasks, and old ones without a session."""

    async def prune(db: Executor, batch: Batch) -> Removed:
        (after_id,) = batch.next_id()
        listed = await queries.list_tasks_by_age(
            db, retention=batch.retention, after_id=after_id, batch_size=batch.size
        )
        after = _last_id([task.id for task in listed])
        ids = [task.id for task in listed if task.is_idle]
        if not batch.dry_run:
            # This runs without old tasks too: a role without the right gets its error.
            ids = await queries.lock_tasks(db, id=ids)
        if ids and access.has_task_events:
            in_use = await queries.list_tasks_in_use(db, id=ids, retention=batch.retention)
            ids = sorted(set(ids) - set(in_use))
        if batch.dry_run:
            return Removed(await _count_tasks(db, ids, access), after)
        return Removed(await _prune_tasks(db, ids, batch, access), after)

    return prune


async def _count_tasks(db: Executor, ids: list[str], access: AccessScope) -> Counter[str]:
    rows = Counter({"task": len(ids), "push_notification": 0})
    if ids:
        rows["push_notification"] = await queries.count_rows_of_tasks(db, id=ids)
    if ids and access.has_task_events:
        own = await queries.count_own_rows_of_tasks(db, task_id=ids)
        rows.update(agentrows_task_event=own.events, agentrows_push_config=own.configs)
    return rows


async def _prune_tasks(
    db: Executor, ids: list[str], batch: Batch, access: AccessScope
) -> Counter[str]:
    pruned = await queries.prune_tasks(db, id=ids, retention=batch.retention)
    rows = Counter({"task": pruned.tasks, "push_notification": pruned.push_notifications})
    if pruned.tasks and access.has_task_events:
        own = await session_queries.prune_rows_of_tasks(db, task_id=ids)
        rows.update(agentrows_task_event=own.events, agentrows_push_config=own.configs)
    return rows


async def absent_push_notifications(db: Executor, batch: Batch) -> Removed:
    """Remove old push notification configs without a stored task."""
    (after_id,) = batch.next_id()
    listed = await queries.list_push_notifications_by_age(
        db, retention=batch.retention, after_id=after_id, batch_size=batch.size
    )
    after = _last_id([config.id for config in listed])
    ids = [config.id for config in listed if config.is_idle]
    if batch.dry_run:
        return Removed(Counter({"push_notification": len(ids)}), after)
    locked = await queries.lock_push_notifications(db, id=ids)
    removed = await queries.prune_push_notifications(db, id=locked, retention=batch.retention)
    return Removed(Counter({"push_notification": removed}), after)


async def absent_push_configs(db: Executor, batch: Batch) -> Removed:
    """Remove old push configs without a stored task."""
    after_task_id, after_user_id, after_config_id = batch.next_id(3)
    listed = await queries.list_push_configs_by_age(
        db,
        retention=batch.retention,
        after_task_id=after_task_id,
        after_user_id=after_user_id,
        after_config_id=after_config_id,
        batch_size=batch.size,
    )
    last = listed[-1] if listed else None
    after = (last.task_id, last.user_id, last.config_id) if last else None
    idle = [config for config in listed if config.is_idle]
    if batch.dry_run:
        return Removed(Counter({"agentrows_push_config": len(idle)}), after)
    locked = await queries.lock_push_configs(
        db,
        task_id=[config.task_id for config in idle],
        user_id=[config.user_id for config in idle],
        config_id=[config.config_id for config in idle],
    )
    removed = await queries.prune_push_configs(
        db,
        retention=batch.retention,
        task_id=[config.task_id for config in locked],
        user_id=[config.user_id for config in locked],
        config_id=[config.config_id for config in locked],
    )
    return Removed(Counter({"agentrows_push_config": removed}), after)


async def crew_memories(db: Executor, batch: Batch) -> Removed:
    """Remove the CrewAI memories of idle threads without a session."""
    after_user_id, after_thread_id = batch.next_id(2)
    listed = await queries.list_crew_memories_by_age(
        db,
        retention=batch.retention,
        after_user_id=after_user_id,
        after_thread_id=after_thread_id,
        batch_size=batch.size,
    )
    idle = [thread for thread in listed if thread.is_idle]
    if batch.dry_run:
        return _count_crew_rows("crewai_agent_memory", idle, _last_thread(listed))
    users, threads = _all_locked(
        idle,
        await queries.lock_crew_memories(
            db,
            user_id=[thread.user_id for thread in idle],
            thread_id=[thread.thread_id for thread in idle],
        ),
    )
    removed = await queries.prune_crew_memories(
        db, retention=batch.retention, user_id=users, thread_id=threads
    )
    return Removed(Counter({"crewai_agent_memory": removed}), _last_thread(listed))


async def flow_states(db: Executor, batch: Batch) -> Removed:
    """Remove the CrewAI flow states of idle threads without a session."""
    after_user_id, after_thread_id = batch.next_id(2)
    listed = await queries.list_flow_states_by_age(
        db,
        retention=batch.retention,
        after_user_id=after_user_id,
        after_thread_id=after_thread_id,
        batch_size=batch.size,
    )
    idle = [thread for thread in listed if thread.is_idle]
    if batch.dry_run:
        return _count_crew_rows("crewai_flow_state", idle, _last_thread(listed))
    users, threads = _all_locked(
        idle,
        await queries.lock_flow_states(
            db,
            user_id=[thread.user_id for thread in idle],
            thread_id=[thread.thread_id for thread in idle],
        ),
    )
    removed = await queries.prune_flow_states(
        db, retention=batch.retention, user_id=users, thread_id=threads
    )
    return Removed(Counter({"crewai_flow_state": removed}), _last_thread(listed))


def _count_crew_rows(table: str, idle: list[ListedCrewThread], after: Position | None) -> Removed:
    return Removed(Counter({table: sum(thread.number_of_rows for thread in idle)}), after)


def _all_locked(
    listed: list[ListedCrewThread], locked: list[ThreadKey]
) -> tuple[list[str], list[str]]:
    """Return users and ids of the threads of which no row is locked by another transaction."""
    numbers = Counter((key.user_id, key.thread_id) for key in locked)
    idle = [
        (thread.user_id, thread.thread_id)
        for thread in listed
        if numbers[thread.user_id, thread.thread_id] == thread.number_of_rows
    ]
    return [user_id for user_id, _ in idle], [thread_id for _, thread_id in idle]


def _last_thread(listed: list[ListedCrewThread]) -> Position | None:
    return (listed[-1].user_id, listed[-1].thread_id) if listed else None


def _last_id(ids: list[str]) -> Position | None:
    return (ids[-1],) if ids else None
