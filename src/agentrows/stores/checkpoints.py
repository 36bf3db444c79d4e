"""LangGraph checkpoints and their pending writes, by user, thread, namespace and id.

`checkpoint` and `value` are base64 text of the serialised bytes, as other writers on the same
tables have them. Metadata goes in as a JSON object; the column holds it as base64 too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from agentrows.errors import InvalidValue, NotFound
from agentrows.gen import checkpoints as queries
from agentrows.gen.models import NewCheckpointWrite
from agentrows.validation import (
    check_batch,
    check_id,
    check_int64,
    check_json_object,
    check_jsonb_object,
    check_limit,
    check_optional_id,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import JsonValue

    from agentrows.db.executor import Executor
    from agentrows.gen.models import Checkpoint, CheckpointWrite

LONGEST_NAMESPACE: Final = 1024
"""In bytes; the key of four columns has to fit PostgreSQL's index rows."""
INDEXES: Final = range(-4, (1 << 20) - 16)
"""ERROR, SCHEDULED, INTERRUPT and RESUME are -1 to -4; the rest of the 20 bits are channels."""
HASH_BITS: Final = 43


class CheckpointTuple(NamedTuple):
    """A checkpoint and its pending writes, by task and index."""

    checkpoint: Checkpoint
    writes: list[CheckpointWrite]


@dataclass(frozen=True)
class CheckpointStore:
    """The checkpoints of each user's threads."""

    db: Executor

    async def store_checkpoint(
        self,
        thread_id: str,
        *,
        user_id: str,
        checkpoint_id: str,
        checkpoint: str,
        checkpoint_type: str,
        metadata: dict[str, JsonValue],
        checkpoint_ns: str = "",
        parent_checkpoint_id: str | None = None,
        version: int = 1,
    ) -> None:
        """Store a checkpoint under its key, whole; a deleted one comes back."""
        await queries.upsert_checkpoint(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_id=check_id("thread_id", thread_id),
            checkpoint_ns=_check_namespace(checkpoint_ns),
            checkpoint_id=check_id("checkpoint_id", checkpoint_id),
            parent_checkpoint_id=check_optional_id("parent_checkpoint_id", parent_checkpoint_id),
            metadata=_check_metadata(metadata),
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
        """Store a task's writes to a checkpoint, in one statement, all or none.

        `idx` is -4 to -1 for LangGraph's special channels, which are replaced, and from 0 on for
        the others, of which the first one stays. Two tasks with the same idx do not meet: the
        stored `write_idx` begins with 43 bits of the task id's hash. An idx that comes twice is
        InvalidValue.
        """
        writes = check_batch("writes", writes, NewCheckpointWrite)
        for place, write in enumerate(writes):
            if check_int64(f"writes[{place}].idx", write.idx) not in INDEXES:
                raise InvalidValue(f"writes[{place}].idx must be from -4 to {INDEXES.stop - 1}")
            check_text(f"writes[{place}].channel", write.channel)
            check_text(f"writes[{place}].value_type", write.value_type)
            _check_base64(f"writes[{place}].value", write.value)
        if len({write.idx for write in writes}) < len(writes):
            raise InvalidValue("writes has the same idx more than once")
        check_id("user_id", user_id)
        check_id("thread_id", thread_id)
        _check_namespace(checkpoint_ns)
        check_id("checkpoint_id", checkpoint_id)
        check_id("task_id", task_id)
        if writes:
            await queries.upsert_checkpoint_writes(
                self.db.repeatable,
                user_id=user_id,
                thread_id=thread_id,
                checkpoint_ns=checkpoint_ns,
                checkpoint_id=checkpoint_id,
                task_id=task_id,
                task_hash=_hash(task_id),
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
        metadata: dict[str, JsonValue] | None = None,
    ) -> list[CheckpointTuple]:
        """Return a thread's checkpoints with their writes, newest first, at most `limit`.

        `before` is the id of the checkpoint behind which to begin; `metadata` keeps those whose
        metadata contains it (PostgreSQL 16 or later). Two statements, whatever the number.
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
        """Return a checkpoint with its writes, the newest if no id is given.

        Raises NotFound if there is none, or it is deleted or somebody else's.
        """
        if checkpoint_id is None:
            found = await self.list_checkpoints(
                thread_id, user_id=user_id, checkpoint_ns=checkpoint_ns, limit=1
            )
            if not found:
                raise NotFound(f"no checkpoint in thread {thread_id!r} of this user")
            return found[0]
        checkpoint = await queries.get_checkpoint(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_id=check_id("thread_id", thread_id),
            checkpoint_ns=_check_namespace(checkpoint_ns),
            checkpoint_id=check_id("checkpoint_id", checkpoint_id),
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
        """Mark a thread's checkpoints as deleted, with their writes; say whether there were any.

        Without a namespace or an id: those of every namespace, every id.
        """
        deleted = await queries.delete_checkpoints(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_id=check_id("thread_id", thread_id),
            checkpoint_ns=None if checkpoint_ns is None else _check_namespace(checkpoint_ns),
            checkpoint_id=None
            if checkpoint_id is None
            else check_id("checkpoint_id", checkpoint_id),
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
        metadata: dict[str, JsonValue] | None,
    ) -> list[Checkpoint]:
        check_id("user_id", user_id)
        check_id("thread_id", thread_id)
        _check_namespace(checkpoint_ns)
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
        """Add their writes to checkpoints of one thread and namespace."""
        if not checkpoints:
            return []
        writes: dict[str, list[CheckpointWrite]] = defaultdict(list)
        for write in await queries.list_checkpoint_writes(
            self.db.repeatable,
            user_id=checkpoints[0].user_id,
            thread_id=checkpoints[0].thread_id,
            checkpoint_ns=checkpoints[0].checkpoint_ns,
            checkpoint_ids=[checkpoint.checkpoint_id for checkpoint in checkpoints],
        ):
            writes[write.checkpoint_id].append(write)
        return [CheckpointTuple(each, writes[each.checkpoint_id]) for each in checkpoints]


def _check_namespace(value: str) -> str:
    size = len(check_text("checkpoint_ns", value).encode())
    if size > LONGEST_NAMESPACE:
        raise InvalidValue(
            f"checkpoint_ns must have at most {LONGEST_NAMESPACE} bytes, this has {size}"
        )
    return value


def _check_metadata(value: dict[str, JsonValue]) -> str:
    """Return base64 of the JSON of an object."""
    text = base64.b64encode(check_json_object("metadata", value).encode()).decode()
    return check_text("metadata", text)


def _check_base64(name: str, value: str) -> str:
    try:
        base64.b64decode(check_text(name, value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValue(f"{name} must be base64 text") from error
    return value


def _hash(task_id: str) -> int:
    """Return 43 bits of SHA-256: the same on every machine and in every release."""
    return int.from_bytes(hashlib.sha256(task_id.encode()).digest()) >> (256 - HASH_BITS)
