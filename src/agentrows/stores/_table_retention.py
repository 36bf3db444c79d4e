"""Removal of rows that are old, expired or marked as deleted, table by table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agentrows.gen import memory as memory_queries
from agentrows.gen import own_memories as own_memory_queries
from agentrows.gen import retention as queries
from agentrows.gen import store_items as item_queries
from agentrows.gen import store_vectors as vector_queries
from agentrows.gen import task_versions as event_queries
from agentrows.stores._retention import Removed
from agentrows.stores._thread_values import delete_unnamed_values

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import timedelta

    from agentrows.db.executor import Executor
    from agentrows.gen.dbtx import DBTX
    from agentrows.gen.models import AccessScope
    from agentrows.stores._retention import Batch, Position, Step


class _Prune(Protocol):
    """A generated function that deletes one batch of rows."""

    def __call__(self, db: DBTX, /, *, retention: timedelta, batch_size: int) -> Awaitable[int]: ...


class _Count(Protocol):
    """A generated function that counts the rows that a prune would delete."""

    def __call__(self, db: DBTX, /, *, retention: timedelta) -> Awaitable[int]: ...


@dataclass(frozen=True, slots=True)
class DeletedRows:
    """The step that removes the rows of a table that were marked as deleted."""

    table: str
    prune: _Prune

    async def __call__(self, db: Executor, batch: Batch) -> Removed:
        """Remove one batch."""
        if batch.dry_run:
            counted = await queries.count_deleted_rows(db, retention=batch.retention)
            return Removed(Counter({self.table: counted.model_dump()[self.table]}))
        removed = await self.prune(db, retention=batch.retention, batch_size=batch.size)
        return _finish(batch, removed, Counter({self.table: removed}))


@dataclass(frozen=True, slots=True)
class OldRows:
    """The step that removes the rows of a table by their age."""

    table: str
    prune: _Prune
    count: _Count

    async def __call__(self, db: Executor, batch: Batch) -> Removed:
        """Remove one batch."""
        if batch.dry_run:
            counted = await self.count(db, retention=batch.retention)
            return Removed(Counter({self.table: counted}))
        removed = await self.prune(db, retention=batch.retention, batch_size=batch.size)
        return _finish(batch, removed, Counter({self.table: removed}))


async def deleted_checkpoints(db: Executor, batch: Batch) -> Removed:
    """Remove checkpoints that were marked as deleted, and the values that no other one names."""
    if batch.dry_run:
        counted = await queries.count_deleted_rows(db, retention=batch.retention)
        return Removed(Counter({"lg_checkpoint": counted.lg_checkpoint}))
    keys = await queries.prune_deleted_checkpoints(
        db, retention=batch.retention, batch_size=batch.size
    )
    threads = sorted({(key.user_id, key.thread_id) for key in keys})
    values = await delete_unnamed_values(db, threads)
    rows = Counter({"lg_checkpoint": len(keys), "agentrows_checkpoint_blob": values})
    return _finish(batch, len(keys), rows)


def old_feedback(access: AccessScope) -> Step:
    """Return the step that removes old feedback with its idempotency keys and targets."""

    async def prune(db: Executor, batch: Batch) -> Removed:
        if batch.dry_run:
            counted = await queries.count_old_feedback(db, retention=batch.retention)
            rows = Counter({"feedback": counted})
            if access.has_feedback_targets:
                targets = await queries.count_targets_of_old_feedback(db, retention=batch.retention)
                rows["agentrows_feedback_target"] = targets
            return Removed(rows)
        ids = await queries.prune_feedback(db, retention=batch.retention, batch_size=batch.size)
        rows = Counter({"feedback": len(ids)})
        if ids and access.has_feedback_keys:
            keys = await queries.prune_keys_of_feedback(db, feedback_id=ids)
            rows["agentrows_feedback_key"] = keys
        if ids and access.has_feedback_targets:
            targets = await queries.prune_targets_of_feedback(db, feedback_id=ids)
            rows["agentrows_feedback_target"] = targets
        return _finish(batch, len(ids), rows)

    return prune


async def expired_memories(db: Executor, batch: Batch) -> Removed:
    """Remove expired memories, and extend those that were read often."""
    if batch.dry_run:
        counted = await queries.count_expired_memories(db)
        return Removed(Counter({"memory": counted.deleted}), None, counted.extended)
    pruned = await memory_queries.prune_memories(db, batch_size=batch.size)
    is_full = pruned.deleted + pruned.extended == batch.size
    rows = Counter({"memory": pruned.deleted})
    return Removed(rows, _same(batch) if is_full else None, pruned.extended)


async def expired_own_memories(db: Executor, batch: Batch) -> Removed:
    """Remove expired memories of every model, and extend those that were read often."""
    if batch.dry_run:
        counted = await queries.count_expired_own_memories(db)
        return Removed(Counter({"agentrows_memory": counted.deleted}), None, counted.extended)
    pruned = await own_memory_queries.prune_own_memories(db, batch_size=batch.size)
    is_full = pruned.deleted + pruned.extended == batch.size
    rows = Counter({"agentrows_memory": pruned.deleted})
    return Removed(rows, _same(batch) if is_full else None, pruned.extended)


async def expired_store_items(db: Executor, batch: Batch) -> Removed:
    """Remove expired store items with their vectors."""
    if batch.dry_run:
        return Removed(
            Counter({"agentrows_store_item": await queries.count_expired_store_items(db)})
        )
    pruned = await item_queries.prune_store_items(db, batch_size=batch.size)
    rows = Counter({"agentrows_store_item": len(pruned)})
    if pruned and pruned[0].has_vectors:
        rows["agentrows_store_vector"] = await vector_queries.prune_store_vectors(
            db,
            user_id=[item.user_id for item in pruned],
            namespace=[item.namespace for item in pruned],
            key=[item.key for item in pruned],
        )
    return _finish(batch, len(pruned), rows)


deleted_agents = DeletedRows("agent", queries.prune_deleted_agents)
deleted_tools = DeletedRows("tool", queries.prune_deleted_tools)
deleted_tool_servers = DeletedRows("toolserver", queries.prune_deleted_tool_servers)
deleted_events = DeletedRows("event", queries.prune_deleted_events)
deleted_push_notifications = DeletedRows(
    "push_notification", queries.prune_deleted_push_notifications
)
deleted_crew_memories = DeletedRows("crewai_agent_memory", queries.prune_deleted_crew_memories)
deleted_flow_states = DeletedRows("crewai_flow_state", queries.prune_deleted_flow_states)
deleted_writes = DeletedRows("lg_checkpoint_write", queries.prune_deleted_checkpoint_writes)
events_without_session = OldRows(
    "event", queries.prune_events_without_session, queries.count_events_without_session
)
old_feedback_keys = OldRows(
    "agentrows_feedback_key", queries.prune_feedback_keys, queries.count_old_feedback_keys
)
absent_feedback_targets = OldRows(
    "agentrows_feedback_target",
    queries.prune_feedback_targets,
    queries.count_absent_feedback_targets,
)
old_task_events = OldRows(
    "agentrows_task_event",
    event_queries.prune_task_events,
    event_queries.count_expired_task_events,
)


def _finish(batch: Batch, removed: int, rows: Counter[str]) -> Removed:
    """Return the result of a batch; a full one is followed by another."""
    return Removed(rows, _same(batch) if removed == batch.size else None)


def _same(batch: Batch) -> Position:
    """Return the position of the same step: removed rows are not found again."""
    return batch.after
