"""LangGraph checkpoints and their pending writes, by user, thread, namespace and id.

`checkpoint` and `value` are base64 text of serialized bytes, the format of other writers on the
same tables. Metadata is passed as a JSON object and stored as base64 of its text.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from agentrows.errors import InvalidValue, NotFound
from agentrows.gen import checkpoints as queries
from agentrows.gen.models import NewCheckpointWrite
from agentrows.stores._checkpoint_rows import (
    BYTES_PREFIX,
    check_checkpoint_key,
    check_indexes,
    check_namespace_key,
    encode_metadata,
    hash_task_id,
)
from agentrows.validation import (
    check_batch,
    check_id,
    check_int64,
    check_jsonb_object,
    check_limit,
    check_optional_id,
    check_optional_text,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentrows.db.executor import Executor
    from agentrows.gen.models import Checkpoint, CheckpointWrite
    from agentrows.gen.pgjson import JsonLike


class CheckpointTuple(NamedTuple):
    """A checkpoint and its pending writes, by task and index."""

    checkpoint: Checkpoint
    writes: list[CheckpointWrite]


@dataclass(frozen=True)
class CheckpointStore:
    """Store of the LangGraph checkpoints of users' threads."""

    db: Executor

    async def store_checkpoint(
        self,
        thread_id: str,
        *,
        user_id: str,
        checkpoint_id: str,
        checkpoint: str,
        checkpoint_type: str,
        metadata: Mapping[str, JsonLike],
        checkpoint_ns: str = "",
        parent_checkpoint_id: str | None = None,
        version: int = 1,
    ) -> None:
        """Store a checkpoint under its key.

        The key is the user, thread, namespace and checkpoint id. A stored checkpoint with the same
        key is replaced, and a deleted one is restored. `checkpoint` is base64 text. `metadata` is a
        JSON object of at most 200 levels.
        """
        key = check_checkpoint_key(user_id, thread_id, checkpoint_ns, checkpoint_id)
        await queries.upsert_checkpoint(
            self.db.repeatable,
            **key,
            parent_checkpoint_id=check_optional_id("parent_checkpoint_id", parent_checkpoint_id),
            metadata=encode_metadata(metadata),
            checkpoint=_check_base64("checkpoint", checkpoint),
            checkpoint_type=check_text("checkpoint_type", checkpoint_type),
            version=check_int64("version", version),
        )

    async def store_checkpoint_writes(
        self,
        thread_id: str,
        *,
        user_id: str,
        checkpoint_id: str,
        task_id: str,
        writes: Iterable[NewCheckpointWrite],
        checkpoint_ns: str = "",
    ) -> None:
        """Store the writes of a task to a checkpoint, in one statement: all of them or none.

        `idx` is -4 to -1 for LangGraph's special channels and 0 to 1,048,559 for the others. A
        stored write with the same `idx` is replaced in a special channel, and stays unchanged in
        the others. Writes of different tasks may have the same `idx`: the stored `write_idx` starts
        with 43 bits of the task id's hash.

        Raises:
            InvalidValue: two writes have the same `idx`, or a value is not base64 text.

        """
        writes = _check_writes(writes)
        key = check_checkpoint_key(user_id, thread_id, checkpoint_ns, checkpoint_id)
        check_id("task_id", task_id)
        if writes:
            await queries.upsert_checkpoint_writes(
                self.db.repeatable,
                **key,
                task_id=task_id,
                task_hash=hash_task_id(task_id),
                writes=writes,
            )

    async def list_checkpoints(
        self,
        thread_id: str,
        *,
        user_id: str,
        checkpoint_ns: str = "",
        limit: int | None = None,
        before: str | None = None,
        metadata: Mapping[str, JsonLike] | None = None,
    ) -> list[CheckpointTuple]:
        """Return the checkpoints of a thread with their writes, newest first.

        At most `limit` checkpoints, or all with None. Pass the id of the last checkpoint as
        `before` for the next page. `metadata` leaves out checkpoints with metadata that does not
        contain this JSON object; it needs PostgreSQL 16 or later. Metadata of another writer that
        is not JSON, or is nested 5,000 levels deep, contains no object. The method runs two
        statements, regardless of the number of checkpoints.

        Raises:
            InvalidValue: a checkpoint or a write was stored by `agentrows.langgraph`, as bytes.

        """
        checkpoints = await self._select(
            thread_id,
            user_id=user_id,
            checkpoint_ns=checkpoint_ns,
            limit=check_limit("limit", limit),
            before=check_optional_id("before", before),
            metadata=metadata,
        )
        return await self._with_writes(checkpoints)

    async def get_checkpoint(
        self,
        thread_id: str,
        *,
        user_id: str,
        checkpoint_ns: str = "",
        checkpoint_id: str | None = None,
    ) -> CheckpointTuple:
        """Return a checkpoint with its writes, the newest one without a `checkpoint_id`.

        Raises:
            InvalidValue: the checkpoint or a write was stored by `agentrows.langgraph`, as bytes.
            NotFound: the user has no such checkpoint in the thread, or it is deleted.

        """
        if checkpoint_id is None:
            newest = await self.list_checkpoints(
                thread_id, user_id=user_id, checkpoint_ns=checkpoint_ns, limit=1
            )
            if not newest:
                raise NotFound(f"no checkpoint in thread {thread_id!r} of this user")
            return newest[0]
        key = check_checkpoint_key(user_id, thread_id, checkpoint_ns, checkpoint_id)
        checkpoint = await queries.get_checkpoint(
            self.db.repeatable,
            **key,
        )
        if checkpoint is None:
            raise NotFound(f"no checkpoint {checkpoint_id!r} in thread {thread_id!r} of this user")
        return (await self._with_writes([checkpoint]))[0]

    async def delete_checkpoint(
        self,
        thread_id: str,
        *,
        user_id: str,
        checkpoint_ns: str | None = None,
        checkpoint_id: str | None = None,
    ) -> bool:
        """Mark checkpoints of a thread and their writes as deleted; return whether any existed.

        Without a `checkpoint_ns` all namespaces are covered, without a `checkpoint_id` all ids. The
        checkpoints of `agentrows.langgraph` are marked too; the values of their channels stay until
        the rows are removed, by `delete_threads` or a prune.
        """
        deleted = await queries.delete_checkpoints(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_id=check_id("thread_id", thread_id),
            checkpoint_ns=check_optional_text("checkpoint_ns", checkpoint_ns),
            checkpoint_id=check_optional_id("checkpoint_id", checkpoint_id),
        )
        return deleted > 0

    async def _select(
        self,
        thread_id: str,
        *,
        user_id: str,
        checkpoint_ns: str,
        limit: int | None,
        before: str | None,
        metadata: Mapping[str, JsonLike] | None,
    ) -> list[Checkpoint]:
        check_namespace_key(user_id, thread_id, checkpoint_ns)
        if metadata is None:
            return await queries.list_checkpoints(
                self.db.repeatable,
                user_id=user_id,
                thread_id=thread_id,
                checkpoint_ns=checkpoint_ns,
                limit=limit,
                before=before,
            )
        check_jsonb_object("metadata", metadata)
        return await queries.filter_checkpoints(
            self.db.repeatable,
            user_id=user_id,
            thread_id=thread_id,
            checkpoint_ns=checkpoint_ns,
            limit=limit,
            before=before,
            metadata=metadata,
        )

    async def _with_writes(self, checkpoints: list[Checkpoint]) -> list[CheckpointTuple]:
        """Return checkpoints of one thread and namespace with their writes."""
        if not checkpoints:
            return []
        for checkpoint in checkpoints:
            _check_layout(checkpoint, checkpoint.checkpoint_type)
        writes: dict[str, list[CheckpointWrite]] = defaultdict(list)
        for write in await queries.list_checkpoint_writes(
            self.db.repeatable,
            user_id=checkpoints[0].user_id,
            thread_id=checkpoints[0].thread_id,
            checkpoint_ns=checkpoints[0].checkpoint_ns,
            checkpoint_ids=[checkpoint.checkpoint_id for checkpoint in checkpoints],
        ):
            _check_layout(write, write.value_type)
            writes[write.checkpoint_id].append(write)
        return [
            CheckpointTuple(checkpoint, writes[checkpoint.checkpoint_id])
            for checkpoint in checkpoints
        ]


def _check_writes(writes: Iterable[NewCheckpointWrite]) -> tuple[NewCheckpointWrite, ...]:
    batch = check_batch("writes", writes, NewCheckpointWrite)
    for index, write in enumerate(batch):
        check_int64(f"writes[{index}].idx", write.idx)
        check_text(f"writes[{index}].channel", write.channel)
        check_text(f"writes[{index}].value_type", write.value_type)
        _check_base64(f"writes[{index}].value", write.value)
    check_indexes(write.idx for write in batch)
    return batch


def _check_layout(row: Checkpoint | CheckpointWrite, type: str) -> None:
    """Raise InvalidValue for a row whose bytes are in columns that these methods do not read."""
    if type.startswith(BYTES_PREFIX):
        raise InvalidValue(
            f"checkpoint_id {row.checkpoint_id!r} of thread {row.thread_id!r} is stored as bytes: "
            "read it with agentrows.langgraph, or with find_thread_checkpoint"
        )


def _check_base64(name: str, value: str) -> str:
    try:
        base64.b64decode(check_text(name, value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValue(f"{name} must be base64 text") from error
    return value
