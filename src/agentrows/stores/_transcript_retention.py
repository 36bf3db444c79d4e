"""Removal of the transcripts of idle sessions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from agentrows.gen import transcripts as queries
from agentrows.stores._retention import Removed

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.stores._retention import Batch


async def idle_transcripts(db: Executor, batch: Batch) -> Removed:
    """Remove the transcripts of sessions to which nothing was appended within the retention."""
    after_user_id, after_project_key, after_session_id, after_subpath = batch.next_id(4)
    listed = await queries.list_transcripts_by_age(
        db,
        retention=batch.retention,
        after_user_id=after_user_id,
        after_project_key=after_project_key,
        after_session_id=after_session_id,
        after_subpath=after_subpath,
        batch_size=batch.size,
    )
    last = listed[-1] if listed else None
    after = (last.user_id, last.project_key, last.session_id, last.subpath) if last else None
    ids = [transcript.id for transcript in listed if transcript.is_idle]
    if batch.dry_run:
        entries = await queries.count_entries_of_transcripts(db, id=ids)
        return Removed(_count(len(ids), entries), after)
    locked = await queries.lock_idle_transcripts(db, id=ids)
    pruned = await queries.prune_transcripts(db, id=locked, retention=batch.retention)
    return Removed(_count(pruned.transcripts, pruned.entries), after)


def _count(transcripts: int, entries: int) -> Counter[str]:
    return Counter({"agentrows_transcript": transcripts, "agentrows_transcript_entry": entries})
