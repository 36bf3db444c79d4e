"""Rows of langgraph-checkpoint-postgres as rows of this library; payloads remain bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidValue
from agentrows.gen.models import ImportedCheckpoint, ImportedValue, ImportedWrite
from agentrows.imports.langgraph.source import CheckpointKey, ValueKey
from agentrows.validation import END_OF_TIME, START_OF_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentrows.gen.models import (
        SourceCheckpoint,
        SourceCheckpointKey,
        SourceValue,
        SourceWrite,
    )

__all__ = [
    "blob_sizes",
    "checkpoint_times",
    "import_blob",
    "import_checkpoint",
    "import_write",
    "inline_values",
]

OLDEST_FORMAT: Final = 1
"""The version of a checkpoint without one."""


def checkpoint_times(
    rows: Iterable[SourceCheckpointKey],
) -> dict[CheckpointKey, datetime | None]:
    """Return the time of each checkpoint of a source, for rows in the order of their ids.

    It is the checkpoint's own `ts`, but never before that of its predecessor in the namespace: the
    newest checkpoint of the source, the one with the highest id, must be the newest here. A `ts`
    that is missing or no time counts as that of the predecessor.
    """
    times: dict[CheckpointKey, datetime | None] = {}
    newest: dict[tuple[str, str], datetime] = {}
    for row in rows:
        place = row.thread_id, row.checkpoint_ns
        time, earlier = _parse_time(row.ts), newest.get(place)
        if earlier is not None and (time is None or time < earlier):
            time = earlier
        if time is not None:
            newest[place] = time
        times[CheckpointKey(row.thread_id, row.checkpoint_ns, row.checkpoint_id)] = time
    return times


def _parse_time(ts: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(ts or "")
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if time in (START_OF_TIME, END_OF_TIME) else time


def blob_sizes(row: SourceCheckpoint) -> dict[ValueKey, int]:
    """Return the key and the size of each blob of a checkpoint."""
    blobs = zip(row.blob_channels, row.blob_versions, row.blob_sizes, strict=True)
    return {
        ValueKey(row.thread_id, row.checkpoint_ns, channel, version): size
        for channel, version, size in blobs
    }


def inline_values(row: SourceCheckpoint) -> dict[ValueKey, ImportedValue]:
    """Return the values that the source has in the checkpoint itself, as JSON."""
    return {
        ValueKey(row.thread_id, row.checkpoint_ns, channel, version): ImportedValue(
            thread_id=row.thread_id,
            checkpoint_ns=row.checkpoint_ns,
            channel=channel,
            version=version,
            type="json",
            value=text.encode(),
        )
        for channel, version, text in zip(
            row.inline_channels, row.inline_versions, row.inline_values, strict=True
        )
    }


def import_blob(row: SourceValue) -> ImportedValue:
    """Return a blob of a source as a value to store."""
    return ImportedValue(
        thread_id=row.thread_id,
        checkpoint_ns=row.checkpoint_ns,
        channel=row.channel,
        version=row.version,
        type=row.type,
        value=row.value,
    )


def import_checkpoint(row: SourceCheckpoint, created_at: datetime | None) -> ImportedCheckpoint:
    """Return a checkpoint of a source as a row to store."""
    versions = {
        **dict(zip(row.blob_channels, row.blob_versions, strict=True)),
        **dict(zip(row.inline_channels, row.inline_versions, strict=True)),
    }
    return ImportedCheckpoint(
        thread_id=row.thread_id,
        checkpoint_ns=row.checkpoint_ns,
        checkpoint_id=row.checkpoint_id,
        parent_checkpoint_id=row.parent_checkpoint_id,
        checkpoint=row.checkpoint,
        metadata=row.metadata,
        versions=dict(versions),
        version=OLDEST_FORMAT if row.version is None else row.version,
        run_id=row.run_id or None,
        created_at=created_at,
    )


def import_write(row: SourceWrite, created_at: datetime | None) -> ImportedWrite:
    """Return a write of a source as a row to store.

    Raises:
        InvalidValue: the write has no type, so nothing can read its value.

    """
    if row.type is None:
        raise InvalidValue(f"write {row.idx} of task {row.task_id!r} has no type")
    return ImportedWrite(
        thread_id=row.thread_id,
        checkpoint_ns=row.checkpoint_ns,
        checkpoint_id=row.checkpoint_id,
        task_id=row.task_id,
        task_path=row.task_path,
        idx=row.idx,
        channel=row.channel,
        type=row.type,
        value=row.value,
        created_at=created_at,
    )
