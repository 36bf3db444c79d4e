"""Whole LangGraph threads: list, copy, delete and prune them.

A deletion runs in one transaction with a new snapshot for each statement: lock the checkpoints,
delete them, lock the values of channels that no checkpoint names, delete those of them that are
still not named. What is stored meanwhile stays whole; `queries/threads.sql` gives the reasons.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from agentrows.errors import Conflict, InvalidValue
from agentrows.gen import threads as queries
from agentrows.gen.models import PrunedThreads, Thread
from agentrows.stores._checkpoint_rows import check_checkpoint_key
from agentrows.stores._isolation import check_read_committed, choose_isolation
from agentrows.stores._pages import NEWEST, Page, PageOrder, Pages
from agentrows.stores._pairs import check_pairs
from agentrows.stores._requirements import THREADS, require
from agentrows.stores._retention import BATCH_SIZE, FIRST_PARENTS, Batch, run_all_batches
from agentrows.stores._row_security import read_access_scope
from agentrows.stores._session_retention import THREADS as IDLE_THREADS
from agentrows.stores._session_retention import idle_threads
from agentrows.stores._thread_values import delete_unnamed_values
from agentrows.validation import (
    check_flag,
    check_id,
    check_ids,
    check_limit,
    check_retention,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentrows.db.executor import Executor


class CheckpointKey(NamedTuple):
    """The key of a checkpoint within its thread."""

    checkpoint_ns: str
    checkpoint_id: str


LAST_STORED_FIRST: Final = PageOrder(Thread, ("last_stored", "thread_id"), NEWEST)


@dataclass(frozen=True)
class ThreadRetentionStore:
    """Store of the LangGraph threads of users, as a whole."""

    db: Executor

    async def list_threads(
        self, *, user_id: str, limit: int | None = None, after: Thread | str | None = None
    ) -> Page[Thread]:
        """Return a user's threads with their size, the most recently stored first.

        Threads without a live checkpoint are left out. At most `limit` rows, or all with None.
        Pass `next_token`, or the last row, as `after` for the next page.
        """
        require(self.db, THREADS)
        check_id("user_id", user_id)
        pages = Pages(self.db, "list_threads", LAST_STORED_FIRST, {"user_id": user_id})
        after_time, after_id = pages.start(after)
        threads = await queries.list_threads(
            self.db.repeatable,
            user_id=user_id,
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )
        return pages.page(threads, limit)

    async def copy_thread(
        self, source_thread_id: str, *, target_thread_id: str, user_id: str
    ) -> int:
        """Copy the checkpoints, values and writes of a thread; return the number of checkpoints.

        Deleted rows are not copied. The times of the first store stay. Live rows of the target
        with the same keys stay as they are, and deleted ones are replaced.

        Raises:
            Conflict: the target has another value under the same version of a channel.
            InvalidValue: source and target are the same thread.

        """
        require(self.db, THREADS)
        check_id("source_thread_id", source_thread_id)
        check_id("target_thread_id", target_thread_id)
        if source_thread_id == target_thread_id:
            raise InvalidValue("target_thread_id must be another thread than source_thread_id")
        copied = await queries.copy_thread(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            source_thread_id=source_thread_id,
            target_thread_id=target_thread_id,
        )
        if copied.clashes:
            raise Conflict(
                f"thread {target_thread_id!r} has {copied.clashes} other values under the same "
                "versions of channels: copy to a new thread"
            )
        return copied.checkpoints

    async def delete_threads(self, thread_ids: Iterable[str], *, user_id: str) -> int:
        """Delete every row of a user's threads; return the number of checkpoints.

        Checkpoints that are marked as deleted are removed and counted too. The rows are removed
        for good, unlike by `delete_checkpoint`.

        Raises:
            InvalidValue: in a transaction that is not read committed.

        """
        require(self.db, THREADS)
        delete = partial(
            _delete_threads,
            user_id=check_id("user_id", user_id),
            thread_ids=check_ids("thread_ids", thread_ids),
        )
        return await self.db.repeat(delete, isolation=choose_isolation(self.db))

    async def delete_runs(self, run_ids: Iterable[str], *, user_id: str) -> int:
        """Delete the checkpoints that runs stored, in all threads; return their number.

        Their writes go with them, and the values that no other checkpoint names.

        Raises:
            InvalidValue: in a transaction that is not read committed.

        """
        require(self.db, THREADS)
        delete = partial(
            _delete_runs,
            user_id=check_id("user_id", user_id),
            run_ids=check_ids("run_ids", run_ids),
        )
        return await self.db.repeat(delete, isolation=choose_isolation(self.db))

    async def prune_thread(
        self,
        thread_id: str,
        *,
        user_id: str,
        pruned: Iterable[tuple[str, str]],
        kept: Iterable[tuple[str, str]],
    ) -> int:
        """Delete checkpoints of a thread with their writes and values; return their number.

        Both contain namespaces and ids: take them from `list_thread_heads`. Other checkpoints were
        stored after that list: these stay, with their ancestors. A checkpoint of `kept` whose
        parent is deleted has no parent then. A key in both lists is kept.

        Raises:
            InvalidValue: in a transaction that is not read committed.

        """
        require(self.db, THREADS)
        kept_keys = _check_keys("kept", kept, user_id, thread_id)
        keys = [
            key
            for key in _check_keys("pruned", pruned, user_id, thread_id)
            if key not in set(kept_keys)
        ]
        prune = partial(
            _prune_thread,
            user_id=check_id("user_id", user_id),
            thread_id=check_id("thread_id", thread_id),
            pruned=keys,
            kept=kept_keys,
        )
        return await self.db.repeat(prune, isolation=choose_isolation(self.db))

    async def prune_idle_threads(
        self, older_than: timedelta, *, dry_run: bool = False
    ) -> PrunedThreads:
        """Delete the threads of all users without a write for longer than `older_than`.

        A thread whose id is that of a session of its user, deleted or not, is left out:
        `prune_expired_sessions` removes it with the session. Threads are removed in batches of
        about 1,000 rows, each in a transaction of its own; threads in use by another transaction
        are skipped. An `older_than` of zero or less removes nothing. `prune` does the same for
        other tables.

        Returns the number of removed rows by table; `dry_run` counts them and removes none. Inside
        a transaction all batches are part of it, and it must be read committed.

        Raises:
            ConfigError: policies hide every row (agentrows.unscoped).
            InvalidValue: called inside `as_user`, or in a transaction that is not read committed.

        """
        require(self.db, THREADS)
        check_retention("older_than", older_than)
        check_flag("dry_run", dry_run)
        rows: Counter[str] = Counter()
        if older_than > timedelta(0):
            scope = await read_access_scope(self.db.repeatable, "prune_idle_threads")
            if self.db.in_transaction and not dry_run:
                check_read_committed(scope.isolation, "prune_idle_threads")
            batch = Batch(older_than, size=FIRST_PARENTS, dry_run=dry_run)
            rows = (await run_all_batches(self.db, idle_threads, batch, goal=BATCH_SIZE)).rows
        return PrunedThreads(
            threads=rows[IDLE_THREADS],
            checkpoints=rows["lg_checkpoint"],
            checkpoint_writes=rows["lg_checkpoint_write"],
            checkpoint_values=rows["agentrows_checkpoint_blob"],
        )


async def _delete_threads(db: Executor, *, user_id: str, thread_ids: Sequence[str]) -> int:
    locked = await queries.lock_checkpoints_of_threads(db, user_id=user_id, thread_ids=thread_ids)
    check_read_committed(locked.isolation, "delete_threads")
    deleted = await queries.delete_threads(db, user_id=user_id, thread_ids=thread_ids)
    await delete_unnamed_values(db, [(user_id, thread_id) for thread_id in thread_ids])
    return deleted


async def _delete_runs(db: Executor, *, user_id: str, run_ids: Sequence[str]) -> int:
    locked = await queries.lock_checkpoints_of_runs(db, user_id=user_id, run_ids=run_ids)
    check_read_committed(locked.isolation, "delete_runs")
    threads = await queries.delete_runs(db, user_id=user_id, run_ids=run_ids)
    await delete_unnamed_values(db, [(user_id, thread.thread_id) for thread in threads])
    return sum(thread.deleted for thread in threads)


async def _prune_thread(
    db: Executor,
    *,
    user_id: str,
    thread_id: str,
    pruned: Sequence[CheckpointKey],
    kept: Sequence[CheckpointKey],
) -> int:
    namespaces = [key.checkpoint_ns for key in pruned]
    ids = [key.checkpoint_id for key in pruned]
    locked = await queries.lock_checkpoints(
        db, user_id=user_id, thread_id=thread_id, checkpoint_ns=namespaces, checkpoint_id=ids
    )
    check_read_committed(locked.isolation, "prune_thread")
    deleted = await queries.prune_thread(
        db,
        user_id=user_id,
        thread_id=thread_id,
        checkpoint_ns=namespaces,
        checkpoint_id=ids,
        kept_ns=[key.checkpoint_ns for key in kept],
        kept_id=[key.checkpoint_id for key in kept],
    )
    await delete_unnamed_values(db, [(user_id, thread_id)])
    return deleted


def _check_keys(
    name: str, keys: Iterable[tuple[str, str]], user_id: str, thread_id: str
) -> list[CheckpointKey]:
    """Return the keys of checkpoints of a thread."""
    check_id("user_id", user_id)
    check_id("thread_id", thread_id)
    checked: list[CheckpointKey] = []
    for index, (namespace, checkpoint_id) in enumerate(check_pairs(name, keys)):
        try:
            check_checkpoint_key(user_id, thread_id, namespace, checkpoint_id)
        except InvalidValue as error:
            raise InvalidValue(f"{name}[{index}]: {error}") from error
        checked.append(CheckpointKey(namespace, checkpoint_id))
    return checked
