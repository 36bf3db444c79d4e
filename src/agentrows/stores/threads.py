"""LangGraph threads as bytes: checkpoints, the values of their channels, and pending writes.

The tables are those of `checkpoints.py`, with values of channels stored once per version. The rows
of other writers on these tables are returned too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict

from agentrows.errors import InvalidValue
from agentrows.gen import threads as queries
from agentrows.gen.models import NewChannelValue
from agentrows.stores._checkpoint_rows import (
    FullKey,
    check_checkpoint_key,
    check_key_size,
    check_namespace_key,
    decode_ancestor,
    decode_checkpoint,
    decode_head,
    encode_metadata,
    hash_task_id,
)
from agentrows.stores._requirements import THREADS, require
from agentrows.stores._task_writes import check_tasks, check_writes, hash_tasks
from agentrows.validation import (
    check_batch,
    check_bytes,
    check_id,
    check_int64,
    check_jsonb_object,
    check_limit,
    check_optional_id,
    check_optional_text,
    check_text,
    check_texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentrows.db.executor import Executor, StatementRunner
    from agentrows.gen.models import NewThreadWrite, ThreadAncestor, ThreadCheckpoint, ThreadHead
    from agentrows.gen.pgjson import JsonLike
    from agentrows.stores._task_writes import TaskWrites

HISTORY_LIMIT: Final = 1000
"""Ancestors that one call of `list_channel_history` returns by default."""


class _Chosen(TypedDict):
    """The arguments that select checkpoints, as the queries take them."""

    user_id: str
    thread_id: str | None
    checkpoint_ns: str | None
    checkpoint_id: str | None
    before: str | None
    limit: int | None


class _NewCheckpoint(FullKey):
    """The arguments of a checkpoint without values, as the queries take them."""

    parent_checkpoint_id: str | None
    metadata: str
    checkpoint: bytes
    checkpoint_type: str
    version: int
    run_id: str | None
    versions: JsonLike
    optional_versions: JsonLike


@dataclass(frozen=True)
class ThreadStore:
    """Store of the LangGraph threads of users, for `agentrows.langgraph`."""

    db: Executor

    async def store_thread_checkpoint(
        self,
        thread_id: str,
        *,
        user_id: str,
        checkpoint_id: str,
        checkpoint: bytes,
        checkpoint_type: str,
        metadata: Mapping[str, JsonLike],
        values: Iterable[NewChannelValue],
        versions: Mapping[str, str],
        optional_versions: Mapping[str, str] | None = None,
        checkpoint_ns: str = "",
        parent_checkpoint_id: str | None = None,
        run_id: str | None = None,
        version: int = 4,
        tasks: Iterable[TaskWrites] = (),
    ) -> list[str]:
        """Store a checkpoint and the new values of its channels; return the channels to add.

        `versions` contains the version of each channel with a value, and `values` the new values.
        The others must be stored in the thread and namespace: if some are not, only the writes of
        `tasks`, of the same namespace, are stored, and the result contains the channels; call again
        with all values. Those of `optional_versions` need not be stored. `checkpoint` is serialized
        without the values. A row with the same key is replaced or restored, and keeps `created_at`.

        Raises:
            InvalidValue: values and versions do not fit each other, or a task is of another thread.

        """
        require(self.db, THREADS)
        key = check_checkpoint_key(user_id, thread_id, checkpoint_ns, checkpoint_id)
        new = _NewCheckpoint(
            **key,
            parent_checkpoint_id=check_optional_id("parent_checkpoint_id", parent_checkpoint_id),
            metadata=encode_metadata(metadata),
            checkpoint=check_bytes("checkpoint", checkpoint),
            checkpoint_type=check_text("checkpoint_type", checkpoint_type),
            version=check_int64("version", version),
            run_id=check_optional_id("run_id", run_id),
            optional_versions=dict(_check_versions(versions, optional_versions, key)),
            versions=dict(versions),
        )
        batch = _check_values(values, versions)
        return await _store_checkpoint(self.db.repeatable, new, batch, tasks)

    async def store_thread_writes(
        self,
        thread_id: str,
        *,
        user_id: str,
        checkpoint_id: str,
        task_id: str,
        writes: Iterable[NewThreadWrite],
        task_path: str = "",
        checkpoint_ns: str = "",
    ) -> None:
        """Store the writes of a task to a checkpoint, in one statement: all of them or none.

        The checkpoint need not be stored yet. The rules are those of `store_checkpoint_writes`: a
        stored write with the same `idx` is replaced in a special channel (-4 to -1), and stays
        unchanged in the others (0 to 1,048,559).

        Raises:
            InvalidValue: two writes have the same `idx`.
            SchemaBehind: the database lacks the columns of the values.

        """
        require(self.db, THREADS)
        batch = check_writes(writes)
        key = check_checkpoint_key(user_id, thread_id, checkpoint_ns, checkpoint_id)
        check_id("task_id", task_id)
        check_text("task_path", task_path)
        if batch:
            await queries.store_thread_writes(
                self.db.repeatable,
                **key,
                task_id=task_id,
                task_hash=hash_task_id(task_id),
                task_path=task_path,
                writes=batch,
            )

    async def store_task_writes(self, tasks: Iterable[TaskWrites], *, user_id: str) -> None:
        """Store the writes of several tasks of a user, in one statement: all of them or none.

        The tasks may be those of several checkpoints and threads. The rules are those of
        `store_thread_writes`.

        Raises:
            InvalidValue: two tasks of a checkpoint have the same id, or two writes of a task the
                same `idx`.
            SchemaBehind: the database lacks the columns of the values.

        """
        require(self.db, THREADS)
        check_id("user_id", user_id)
        rows = check_tasks(tasks, user_id)
        if rows:
            await queries.store_task_writes(
                self.db.repeatable,
                user_id=user_id,
                thread_id=[task.thread_id for task, _ in rows],
                checkpoint_ns=[task.checkpoint_ns for task, _ in rows],
                checkpoint_id=[task.checkpoint_id for task, _ in rows],
                task_hash=hash_tasks(task.task_id for task, _ in rows),
                task_id=[task.task_id for task, _ in rows],
                task_path=[task.task_path for task, _ in rows],
                idx=[write.idx for _, write in rows],
                channel=[write.channel for _, write in rows],
                type=[write.type for _, write in rows],
                value=[write.value for _, write in rows],
            )

    async def find_thread_checkpoint(
        self,
        thread_id: str,
        *,
        user_id: str,
        checkpoint_ns: str = "",
        checkpoint_id: str | None = None,
    ) -> ThreadCheckpoint | None:
        """Return a checkpoint with its values and writes, or None.

        Without a `checkpoint_id` the newest one: by the time of the first store, then by id. The
        checkpoint, its values and writes come from one statement. The writes have no order.

        Raises:
            SchemaBehind: the database lacks the table of values.
            UnreadableRow: a value of the checkpoint is missing, or a text of another writer is not
                base64.

        """
        if checkpoint_id is None:
            newest = await self.list_thread_checkpoints(
                user_id=user_id, thread_id=thread_id, checkpoint_ns=checkpoint_ns, limit=1
            )
            return newest[0] if newest else None
        require(self.db, THREADS)
        key = check_checkpoint_key(user_id, thread_id, checkpoint_ns, checkpoint_id)
        row = await queries.find_thread_checkpoint(
            self.db.repeatable,
            **key,
        )
        return None if row is None else decode_checkpoint(row)

    async def list_thread_checkpoints(
        self,
        *,
        user_id: str,
        thread_id: str | None = None,
        checkpoint_ns: str | None = None,
        checkpoint_id: str | None = None,
        before: str | None = None,
        metadata: Mapping[str, JsonLike] | None = None,
        limit: int | None = None,
    ) -> list[ThreadCheckpoint]:
        """Return a user's checkpoints with their values and writes, newest first.

        Without a `thread_id`, `checkpoint_ns` or `checkpoint_id` those of all. `before` leaves out
        the checkpoint with that id and the newer ones of its thread and namespace; where no
        checkpoint has that id, those with the same or a greater id. `metadata` leaves out
        checkpoints whose metadata does not contain this JSON object; it needs PostgreSQL 16 or
        later. At most `limit` checkpoints, or all with None.

        Raises:
            SchemaBehind: the database lacks the table of values.
            UnreadableRow: as in `find_thread_checkpoint`.

        """
        require(self.db, THREADS)
        db = self.db.repeatable
        chosen = _Chosen(
            user_id=check_id("user_id", user_id),
            thread_id=check_optional_id("thread_id", thread_id),
            checkpoint_ns=check_optional_text("checkpoint_ns", checkpoint_ns),
            checkpoint_id=check_optional_id("checkpoint_id", checkpoint_id),
            before=check_optional_id("before", before),
            limit=check_limit("limit", limit),
        )
        if metadata is not None:
            check_jsonb_object("metadata", metadata)
            rows = await queries.filter_thread_checkpoints(db, **chosen, metadata=metadata)
        elif thread_id is not None and checkpoint_ns is not None and checkpoint_id is None:
            # This order of conditions is an index range, also for a plan without the arguments.
            key = check_namespace_key(user_id, thread_id, checkpoint_ns)
            rows = await queries.list_namespace_checkpoints(db, **key, before=before, limit=limit)
        else:
            rows = await queries.list_thread_checkpoints(db, **chosen)
        return [decode_checkpoint(row) for row in rows]

    async def list_channel_history(
        self,
        thread_id: str,
        *,
        user_id: str,
        channels: Iterable[str],
        checkpoint_id: str | None = None,
        checkpoint_ns: str = "",
        limit: int = HISTORY_LIMIT,
    ) -> list[ThreadAncestor]:
        """Return the ancestors of a checkpoint with the writes and values of channels.

        Nearest first, from the parent of the checkpoint; of the newest one without a
        `checkpoint_id`. An ancestor has the writes of the channels without a value in a nearer one,
        and the values of these channels that are stored with it. The list ends when each channel
        has a value, after `limit` ancestors, after 64 ancestors whose `checkpoint` contains all
        values (those of other writers), or where a parent is missing. Call again with the id of
        the last ancestor to go on.

        Raises:
            SchemaBehind: the database lacks the table of values.
            UnreadableRow: as in `find_thread_checkpoint`.

        """
        require(self.db, THREADS)
        names = check_texts("channels", channels)
        if check_limit("limit", limit) is None:
            raise InvalidValue("limit must be an integer of at least 1")
        if not names:
            return []
        rows = await queries.list_channel_history(
            self.db.repeatable,
            **check_namespace_key(user_id, thread_id, checkpoint_ns),
            checkpoint_id=check_optional_id("checkpoint_id", checkpoint_id),
            channels=names,
            limit=limit,
        )
        return [decode_ancestor(row) for row in rows]

    async def list_thread_heads(self, thread_id: str, *, user_id: str) -> list[ThreadHead]:
        """Return the newest checkpoint of each namespace of a thread, ordered by namespace.

        Each with the ids of all checkpoints of its namespace, which `prune_thread` needs.
        """
        require(self.db, THREADS)
        rows = await queries.list_thread_heads(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_id=check_id("thread_id", thread_id),
        )
        return [decode_head(row) for row in rows]


async def _store_checkpoint(
    db: StatementRunner,
    new: _NewCheckpoint,
    batch: Sequence[NewChannelValue],
    tasks: Iterable[TaskWrites],
) -> list[str]:
    """Store a checkpoint with its values and the writes of tasks; return the missing channels."""
    rows = check_tasks(tasks, new["user_id"], (new["thread_id"], new["checkpoint_ns"]))
    if not rows:
        return await queries.store_thread_checkpoint(db, **new, values=batch)
    return await queries.store_thread_step(
        db,
        **new,
        channel=[value.channel for value in batch],
        type=[value.type for value in batch],
        value=[value.value for value in batch],
        write_checkpoint_id=[task.checkpoint_id for task, _ in rows],
        task_hash=hash_tasks(task.task_id for task, _ in rows),
        task_id=[task.task_id for task, _ in rows],
        task_path=[task.task_path for task, _ in rows],
        idx=[write.idx for _, write in rows],
        write_channel=[write.channel for _, write in rows],
        write_type=[write.type for _, write in rows],
        write_value=[write.value for _, write in rows],
    )


def _check_versions(
    versions: Mapping[str, str], optional: Mapping[str, str] | None, key: FullKey
) -> Mapping[str, str]:
    """Check the versions of channels, and return the optional ones."""
    optional = {} if optional is None else optional
    for name, group in (("versions", versions), ("optional_versions", optional)):
        if not isinstance(group, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"{name} must be a dict, not {type(group).__name__}")
        for channel, version in group.items():
            check_text(f"a channel of {name}", channel)
            check_text(f"{name}[{channel!r}]", version)
            check_key_size(
                user_id=key["user_id"],
                thread_id=key["thread_id"],
                checkpoint_ns=key["checkpoint_ns"],
                channel=channel,
                version=version,
            )
    if not versions.keys().isdisjoint(optional):
        raise InvalidValue("optional_versions contains a channel that is in versions too")
    return optional


def _check_values(
    values: Iterable[NewChannelValue], versions: Mapping[str, str]
) -> tuple[NewChannelValue, ...]:
    batch = check_batch("values", values, NewChannelValue)
    for index, value in enumerate(batch):
        check_text(f"values[{index}].channel", value.channel)
        check_text(f"values[{index}].type", value.type)
        check_bytes(f"values[{index}].value", value.value)
        if value.channel not in versions:
            raise InvalidValue(f"versions lacks {value.channel!r}, the channel of values[{index}]")
    if len({value.channel for value in batch}) < len(batch):
        raise InvalidValue("values contains the same channel more than once")
    return batch
