"""Summaries of sessions, from which the SDK lists them without reading their entries.

The SDK computes a summary by folding entries into it, one after another. The row of a transcript
contains the summary and the position of the last entry in it, so each entry is folded once, in the
order of the transcript. A summary that lacks entries is completed by the next append or list.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast

from claude_agent_sdk import fold_session_summary

from agentrows import UnreadableRow
from agentrows.claude.entries import decode_entry
from agentrows.validation import encode_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_agent_sdk import SessionStoreEntry

    from agentrows import AppendedTranscript, Stores, Transcript

FOLDED_AT_ONCE: Final = 1000
"""Entries that one statement reads to complete a summary."""


class Session(TypedDict):
    """The key of a session in the methods of the client."""

    session_id: str
    project_key: str
    user_id: str


async def add_appended(
    stores: Stores,
    session: Session,
    transcript: AppendedTranscript,
    entries: Sequence[SessionStoreEntry],
) -> None:
    """Add entries that were just appended to the summary, and those that it lacks before."""
    is_next = transcript.summary_position == transcript.last_position - len(entries)
    if is_next and transcript.stored == len(entries):
        summary = _fold(session, read_summary(transcript), entries)
        await _store(stores, session, transcript, summary, transcript.last_position)
    else:
        await complete(stores, session, transcript)


async def complete(
    stores: Stores, session: Session, transcript: AppendedTranscript | Transcript
) -> dict[str, Any]:
    """Add the entries that a summary lacks, and return it.

    Another writer may complete it at the same time: the first one stores it.
    """
    summary = read_summary(transcript)
    position = transcript.summary_position
    while position < transcript.last_position:
        rows = await stores.list_transcript_entries(after=position, limit=FOLDED_AT_ONCE, **session)
        summary = _fold(session, summary, [decode_entry(row) for row in rows])
        # The last positions have no entry if every entry of a batch was stored before.
        position = rows[-1].position if rows else transcript.last_position
    if position > transcript.summary_position:
        await _store(stores, session, transcript, summary, position)
    return summary


def read_summary(transcript: AppendedTranscript | Transcript) -> dict[str, Any]:
    """Return the stored summary of a transcript, empty without one.

    Raises:
        UnreadableRow: another program stored a summary that is not a JSON object.

    """
    if transcript.summary is None:
        return {}
    try:
        summary = json.loads(transcript.summary)
    except (ValueError, RecursionError) as error:
        raise UnreadableRow(
            f"summary of transcript {transcript.id} is not JSON: {error}"
        ) from error
    if not isinstance(summary, dict):
        raise UnreadableRow(f"summary of transcript {transcript.id} is not a JSON object")
    return cast("dict[str, Any]", summary)


def _fold(
    session: Session, summary: dict[str, Any], entries: Sequence[SessionStoreEntry]
) -> dict[str, Any]:
    folded = fold_session_summary(
        {"session_id": session["session_id"], "mtime": 0, "data": summary},
        {"project_key": session["project_key"], "session_id": session["session_id"]},
        list(entries),
    )
    return folded["data"]


async def _store(
    stores: Stores,
    session: Session,
    transcript: AppendedTranscript | Transcript,
    summary: dict[str, Any],
    position: int,
) -> None:
    """Store a summary, unless another writer has replaced the one that it is based on."""
    try:
        text = encode_json(summary)
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(summary, separators=(",", ":"))  # a lone surrogate as its escape
    await stores.update_transcript_summary(
        transcript.id,
        user_id=session["user_id"],
        summary=text,
        position=position,
        expected_position=transcript.summary_position,
    )
