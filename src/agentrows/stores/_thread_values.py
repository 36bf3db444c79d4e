"""Deletion of the values of LangGraph channels that no checkpoint names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentrows.gen import threads as queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.db.executor import Executor

VALUES_AT_ONCE: Final = 10_000
"""Values of channels that a pair of statements locks and deletes."""


async def delete_unnamed_values(db: Executor, threads: Sequence[tuple[str, str]]) -> int:
    """Delete the values of channels that no checkpoint names in threads; return their number.

    `threads` contains the user and the id of each thread. The transaction must be read committed.
    """
    deleted = 0
    while True:
        # Two statements: the snapshot of the second one is newer than the locks of the first, so
        # that it sees the checkpoints that were stored while the first waited.
        keys = await queries.lock_unnamed_values(
            db,
            user_id=[user_id for user_id, _ in threads],
            thread_id=[thread_id for _, thread_id in threads],
            batch_size=VALUES_AT_ONCE,
        )
        if keys:
            deleted += await queries.delete_unnamed_values(
                db,
                user_id=[key.user_id for key in keys],
                thread_id=[key.thread_id for key in keys],
                checkpoint_ns=[key.checkpoint_ns for key in keys],
                channel=[key.channel for key in keys],
                version=[key.version for key in keys],
            )
        if len(keys) < VALUES_AT_ONCE:
            return deleted
