"""The calls of the saver to the stores, without serialization and without event loops."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from agentrows.langgraph.rows import CheckpointKey, clean_json, configurable, encode_values

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Self, TypeAlias, TypeVar

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import Checkpoint
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from pydantic import JsonValue

    from agentrows import Stores, TaskWrites, ThreadAncestor, ThreadCheckpoint
    from agentrows.langgraph.rows import NewCheckpoint

    T = TypeVar("T")
    Call: TypeAlias = Callable[[Stores], Awaitable[T]]

PAGE: Final = 100
"""Checkpoints that a page of a list contains, each with the values of all channels."""
ANCESTORS: Final = 1000
"""Ancestors that a page of a history contains."""


def find_checkpoint(user_id: str, key: CheckpointKey) -> Call[ThreadCheckpoint | None]:
    """Return the call that reads a checkpoint."""
    return lambda stores: stores.find_thread_checkpoint(
        key.thread_id,
        user_id=user_id,
        checkpoint_ns=key.checkpoint_ns,
        checkpoint_id=key.checkpoint_id,
    )


def store_checkpoint(  # noqa: PLR0913, PLR0917  the parts of one statement
    user_id: str,
    key: CheckpointKey,
    new: NewCheckpoint,
    checkpoint: Checkpoint,
    serde: SerializerProtocol,
    tasks: Sequence[TaskWrites] = (),
) -> Call[None]:
    """Return the call that stores a checkpoint as the child of the one of the key, with writes."""

    async def call(stores: Stores) -> None:
        values = list(new.values)
        writes = tasks
        while missing := await stores.store_thread_checkpoint(
            key.thread_id,
            user_id=user_id,
            checkpoint_ns=key.checkpoint_ns,
            checkpoint_id=checkpoint["id"],
            parent_checkpoint_id=key.checkpoint_id,
            checkpoint=new.data,
            checkpoint_type=new.type,
            metadata=new.metadata,
            values=values,
            versions=new.versions,
            optional_versions=new.optional_versions,
            run_id=new.run_id,
            version=checkpoint["v"],
            tasks=writes,
        ):
            writes = ()  # they are stored
            # Values of an older layout, or that were deleted since the previous step. Each turn
            # adds at least one channel, so the loop ends.
            values += await asyncio.to_thread(
                encode_values, serde, checkpoint, new.versions, missing
            )

    return call


@dataclass(frozen=True, slots=True)
class CheckpointPage:
    """A page of a list of checkpoints.

    The checkpoints of one namespace are listed in pages, because each contains the values of all
    channels. In a list of several namespaces a checkpoint is no position, so it has one page.
    """

    thread_id: str | None
    checkpoint_ns: str | None
    checkpoint_id: str | None
    before: str | None
    metadata: dict[str, JsonValue] | None
    limit: int | None

    @classmethod
    def first(
        cls,
        config: RunnableConfig | None,
        *,
        metadata: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Self | None:
        """Return the first page of a list, or None if the list is empty because of its limit."""
        if limit is not None and limit < 1:
            return None
        parts = configurable(config)
        key = CheckpointKey.of(config) if config else None
        checkpoint_ns = parts.get("checkpoint_ns")
        return cls(
            thread_id=key.thread_id if key else None,
            checkpoint_ns=None if checkpoint_ns is None else str(checkpoint_ns),
            checkpoint_id=key.checkpoint_id if key else None,
            before=configurable(before).get("checkpoint_id") or None,
            metadata=cast("dict[str, JsonValue]", clean_json(metadata)) if metadata else None,
            limit=limit,
        )

    @property
    def _has_pages(self) -> bool:
        return self.thread_id is not None and self.checkpoint_ns is not None

    @property
    def _size(self) -> int | None:
        if not self._has_pages:
            return self.limit
        return PAGE if self.limit is None else min(self.limit, PAGE)

    def read(self, user_id: str) -> Call[list[ThreadCheckpoint]]:
        """Return the call that reads the page."""
        return lambda stores: stores.list_thread_checkpoints(
            user_id=user_id,
            thread_id=self.thread_id,
            checkpoint_ns=self.checkpoint_ns,
            checkpoint_id=self.checkpoint_id,
            before=self.before,
            metadata=self.metadata,
            limit=self._size,
        )

    def next(self, rows: Sequence[ThreadCheckpoint]) -> Self | None:
        """Return the page after these rows, or None after the last page."""
        size = self._size
        left = None if self.limit is None else self.limit - len(rows)
        if not self._has_pages or size is None or len(rows) < size or left == 0:
            return None
        return replace(self, before=rows[-1].checkpoint_id, limit=left)


def list_ancestors(
    user_id: str, key: CheckpointKey, channels: Sequence[str]
) -> Call[list[ThreadAncestor]]:
    """Return the call that reads a page of the ancestors of a checkpoint, nearest first."""
    return lambda stores: stores.list_channel_history(
        key.thread_id,
        user_id=user_id,
        checkpoint_ns=key.checkpoint_ns,
        checkpoint_id=key.checkpoint_id,
        channels=channels,
        limit=ANCESTORS,
    )


def next_ancestors(key: CheckpointKey, rows: Sequence[ThreadAncestor]) -> CheckpointKey | None:
    """Return the key whose ancestors follow these rows, or None at the end of the path."""
    if not rows or rows[-1].parent_checkpoint_id is None:
        return None
    return replace(key, checkpoint_id=rows[-1].checkpoint_id)


def delete_threads(user_id: str, thread_ids: Sequence[str]) -> Call[int]:
    """Return the call that deletes threads."""
    return lambda stores: stores.delete_threads([str(one) for one in thread_ids], user_id=user_id)


def delete_runs(user_id: str, run_ids: Sequence[str]) -> Call[int]:
    """Return the call that deletes the checkpoints of runs.

    Raises:
        TypeError: `run_ids` is a text, whose characters would be ids of other runs.

    """
    if isinstance(run_ids, str):
        raise TypeError("run_ids must be a sequence of ids, not a str")
    return lambda stores: stores.delete_runs([str(one) for one in run_ids], user_id=user_id)


def copy_thread(user_id: str, source_thread_id: str, target_thread_id: str) -> Call[int]:
    """Return the call that copies a thread."""
    return lambda stores: stores.copy_thread(
        str(source_thread_id), target_thread_id=str(target_thread_id), user_id=user_id
    )
