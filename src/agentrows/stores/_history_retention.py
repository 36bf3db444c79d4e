"""Removal of idle histories, with the entries that no other history uses."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from agentrows.gen import histories as queries
from agentrows.stores._retention import Removed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.db.executor import Executor
    from agentrows.stores._retention import Batch


async def idle_histories(db: Executor, batch: Batch) -> Removed:
    """Remove the histories that were not saved within the retention."""
    after_user_id, after_history_id = batch.next_id(2)
    listed = await queries.list_histories_by_age(
        db,
        retention=batch.retention,
        after_user_id=after_user_id,
        after_history_id=after_history_id,
        batch_size=batch.size,
    )
    if not listed:
        return Removed()
    last = (listed[-1].user_id, listed[-1].history_id)
    rows = Counter[str]()
    idle = (each for each in listed if each.is_idle)
    for user_id, histories in groupby(idle, key=lambda each: each.user_id):
        ids = [each.history_id for each in histories]
        if batch.dry_run:
            rows += await _count(db, batch, user_id, ids, last)
        else:
            rows += await _remove(db, batch, user_id, ids)
    return Removed(rows, last)


async def _count(
    db: Executor, batch: Batch, user_id: str, ids: Sequence[str], last: tuple[str, str]
) -> Counter[str]:
    entries = await queries.count_unused_history_entries(
        db,
        user_id=user_id,
        history_id=ids,
        retention=batch.retention,
        last_user_id=last[0],
        last_history_id=last[1],
    )
    return _as_rows(len(ids), entries)


async def _remove(db: Executor, batch: Batch, user_id: str, ids: Sequence[str]) -> Counter[str]:
    """Remove histories of a user; those with entries that are locked elsewhere are skipped."""
    locked = await queries.lock_idle_history_entries(db, user_id=user_id, history_id=ids)
    histories = await queries.prune_histories(
        db, user_id=user_id, history_id=ids, retention=batch.retention, locked_id=locked
    )
    entries = await queries.delete_unused_history_entries(db, user_id=user_id, id=locked)
    return _as_rows(histories, entries)


def _as_rows(histories: int, entries: int) -> Counter[str]:
    return Counter({"agentrows_history": histories, "agentrows_history_entry": entries})
