"""Entries of transcripts as JSON text, with ids that make an append repeatable."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final, TypeAlias, cast
from uuid import uuid4

from agentrows import InvalidValue, NewTranscriptEntry, UnreadableRow
from agentrows.validation import check_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_agent_sdk import SessionStoreEntry

    from agentrows import TranscriptEntry

Place: TypeAlias = tuple[str, str, str, str | None]
"""Owner, project, session and subpath of a transcript."""

MOST_FAILED: Final = 100
"""Failed appends that are remembered at a time."""


def encode_entries(entries: Sequence[SessionStoreEntry]) -> list[NewTranscriptEntry]:
    """Return entries as rows; one without a `uuid` gets an id that no other one has.

    Raises:
        InvalidValue: an entry is not a JSON object, or its `uuid` cannot be stored.

    """
    return [_encode(f"entries[{index}]", entry) for index, entry in enumerate(entries)]


def _encode(name: str, entry: SessionStoreEntry) -> NewTranscriptEntry:
    if not isinstance(entry, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be a JSON object, not {type(entry).__name__}")
    uuid = entry.get("uuid")
    entry_id = str(uuid4()) if uuid is None else check_id(f"{name}['uuid']", uuid)
    try:
        text = json.dumps(entry, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"{name} cannot be written as JSON: {error}") from error
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate, the half of a character that a model was cut off in.
        text = json.dumps(entry, allow_nan=False, separators=(",", ":"))
    return NewTranscriptEntry(id=entry_id, data=text)


def decode_entry(row: TranscriptEntry) -> SessionStoreEntry:
    """Return the entry of a row.

    Raises:
        UnreadableRow: another program stored data that is not JSON.

    """
    try:
        return cast("SessionStoreEntry", json.loads(row.data))
    except (ValueError, RecursionError) as error:
        raise UnreadableRow(f"the entry at position {row.position} is not JSON: {error}") from error


class FailedAppends:
    """Ids of the entries of failed appends, for the next append of the same entries.

    The SDK appends a batch again after an error, and the failed append may have stored it. Entries
    with a `uuid` are stored once anyway; the others are with the ids of the first attempt.
    """

    def __init__(self) -> None:
        self._ids: dict[Place, tuple[bytes, list[str]]] = {}

    def restore_ids(self, place: Place, rows: list[NewTranscriptEntry]) -> list[NewTranscriptEntry]:
        """Return the rows of a batch, with the ids of the failed append if it had the same data."""
        digest, ids = self._ids.pop(place, (b"", []))
        if digest != _digest(rows):
            return rows
        return [
            NewTranscriptEntry(id=id_, data=row.data) for id_, row in zip(ids, rows, strict=True)
        ]

    def remember(self, place: Place, rows: list[NewTranscriptEntry]) -> None:
        """Remember the ids of a batch after its append failed."""
        if len(self._ids) >= MOST_FAILED:
            del self._ids[next(iter(self._ids))]
        self._ids[place] = (_digest(rows), [row.id for row in rows])


def _digest(rows: list[NewTranscriptEntry]) -> bytes:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(hashlib.sha256(row.data.encode()).digest())
    return digest.digest()
