"""Transcripts: the entries of sessions and of their subagents, as the Claude Agent SDK stores them.

A transcript belongs to a session of a project. That of the session itself has no subpath; those of
its subagents have one each, such as `subagents/agent-1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from agentrows.errors import InvalidValue
from agentrows.gen import transcripts as queries
from agentrows.gen.models import NewTranscriptEntry
from agentrows.stores._isolation import choose_isolation
from agentrows.stores._requirements import TRANSCRIPTS, require
from agentrows.validation import check_batch, check_id, check_int64, check_limit, check_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentrows.db.executor import Executor
    from agentrows.gen.models import AppendedTranscript, Transcript, TranscriptEntry


class _Key(TypedDict):
    """The key of a session."""

    user_id: str
    project_key: str
    session_id: str


@dataclass(frozen=True)
class TranscriptStore:
    """Store of transcripts, to which entries are appended."""

    db: Executor

    async def append_transcript(
        self,
        session_id: str,
        entries: Iterable[NewTranscriptEntry],
        *,
        project_key: str,
        user_id: str,
        subpath: str | None = None,
    ) -> AppendedTranscript:
        """Append entries to a transcript of a user in one statement, and return the transcript.

        All entries are stored or none, next to each other and after every earlier one: batches are
        in the order of their commits. An entry with the id of a stored one of the transcript is
        left out, so a call with the same ids can be repeated. The first entry creates the
        transcript.

        Raises:
            InvalidValue: there are no entries.
            SchemaBehind: migration 35 of the track agentrows is not applied.

        """
        require(self.db, TRANSCRIPTS)
        batch = check_batch("entries", entries, NewTranscriptEntry)
        if not batch:
            raise InvalidValue("entries must have at least one entry")
        for index, entry in enumerate(batch):
            check_id(f"entries[{index}].id", entry.id)
            check_text(f"entries[{index}].data", entry.data)
        return await queries.append_transcript(
            self.db.repeatable,
            **_check_key(user_id, project_key, session_id),
            subpath=_check_subpath(subpath),
            entries=batch,
        )

    async def list_transcript_entries(
        self,
        session_id: str,
        *,
        project_key: str,
        user_id: str,
        subpath: str | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> list[TranscriptEntry]:
        """Return the entries of a transcript of a user after a position, in their order.

        At most `limit` rows, or all with None. Pass the position of the last row as `after` for
        the next page. No rows if the transcript does not exist.

        Raises:
            SchemaBehind: migration 35 of the track agentrows is not applied.

        """
        require(self.db, TRANSCRIPTS)
        return await queries.list_transcript_entries(
            self.db.repeatable,
            **_check_key(user_id, project_key, session_id),
            subpath=_check_subpath(subpath),
            after=check_int64("after", after),
            limit=check_limit("limit", limit),
        )

    async def list_transcripts(self, project_key: str, *, user_id: str) -> list[Transcript]:
        """Return the transcripts of a user's sessions in a project, the last active one first.

        Those of subagents are left out, and a session that has only these.

        Raises:
            SchemaBehind: migration 35 of the track agentrows is not applied.

        """
        require(self.db, TRANSCRIPTS)
        return await queries.list_transcripts(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            project_key=check_id("project_key", project_key),
        )

    async def list_transcript_subpaths(
        self, session_id: str, *, project_key: str, user_id: str
    ) -> list[str]:
        """Return the subpaths of a user's session, ordered by code point.

        Raises:
            SchemaBehind: migration 35 of the track agentrows is not applied.

        """
        require(self.db, TRANSCRIPTS)
        return await queries.list_transcript_subpaths(
            self.db.repeatable, **_check_key(user_id, project_key, session_id)
        )

    async def update_transcript_summary(
        self, id: int, *, user_id: str, summary: str, position: int, expected_position: int
    ) -> bool:
        """Replace the summary of a user's transcript; return whether it was replaced.

        `position` is that of the last entry in the new summary. The transcript keeps its summary
        unless this one is of `expected_position`, the position that the caller read: another
        writer has replaced it, or the transcript was deleted.

        Raises:
            InvalidValue: `position` is less than `expected_position`.
            SchemaBehind: migration 35 of the track agentrows is not applied.

        """
        require(self.db, TRANSCRIPTS)
        if check_int64("position", position) < check_int64("expected_position", expected_position):
            raise InvalidValue("position must not be less than expected_position")
        updated = await queries.update_transcript_summary(
            self.db.repeatable,
            id=check_int64("id", id),
            user_id=check_id("user_id", user_id),
            summary=check_text("summary", summary),
            position=position,
            expected_position=expected_position,
        )
        return updated > 0

    async def delete_transcripts(
        self, session_id: str, *, project_key: str, user_id: str, subpath: str | None = None
    ) -> bool:
        """Delete a user's session with all of its transcripts; return whether there was one.

        With `subpath` only this transcript is deleted. The rows are removed; the id can be reused.

        Raises:
            SchemaBehind: migration 35 of the track agentrows is not applied.

        """
        require(self.db, TRANSCRIPTS)
        key = _check_key(user_id, project_key, session_id)
        chosen = None if subpath is None else _check_subpath(subpath)

        async def delete(scope: Executor) -> bool:
            ids = await queries.lock_transcripts(scope, **key, subpath=chosen)
            if ids:
                await queries.delete_transcripts(scope, user_id=user_id, id=ids)
            return bool(ids)

        return await self.db.repeat(delete, isolation=choose_isolation(self.db))


def _check_key(user_id: str, project_key: str, session_id: str) -> _Key:
    return _Key(
        user_id=check_id("user_id", user_id),
        project_key=check_id("project_key", project_key),
        session_id=check_id("session_id", session_id),
    )


def _check_subpath(subpath: str | None) -> str:
    """Return the stored form of a subpath, which is empty for the transcript of a session."""
    return "" if subpath is None else check_id("subpath", subpath)
