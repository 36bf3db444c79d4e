"""A random sample of checkpoints, compared byte by byte through the methods of the adapter."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agentrows.errors import UnreadableRow
from agentrows.imports.langgraph.rows import blob_sizes, import_blob, inline_values
from agentrows.imports.langgraph.source import CheckpointKey, ValueKey, parts

if TYPE_CHECKING:
    from agentrows.client import Stores
    from agentrows.gen.models import (
        ImportedValue,
        SourceCheckpoint,
        SourceWrite,
        ThreadCheckpoint,
    )
    from agentrows.imports.langgraph.source import LangGraphSource

__all__ = ["Sample", "find_different"]

MOST: Final = 100
PER_STATEMENT: Final = 10
"""Checkpoints that are read from the source together."""


@dataclass(slots=True)
class Sample:
    """At most 100 checkpoints, each of those offered with the same probability."""

    chosen: list[tuple[str, CheckpointKey]] = field(
        default_factory=list[tuple[str, "CheckpointKey"]]
    )
    offered: int = 0

    def offer(self, user_id: str, key: CheckpointKey) -> None:
        """Offer a checkpoint of a user."""
        self.offered += 1
        if len(self.chosen) < MOST:
            self.chosen.append((user_id, key))
        elif (place := random.randrange(self.offered)) < MOST:  # noqa: S311  no secret
            self.chosen[place] = user_id, key

    def by_user(self) -> dict[str, list[CheckpointKey]]:
        """Return the chosen checkpoints by user."""
        keys: dict[str, list[CheckpointKey]] = defaultdict(list)
        for user_id, key in self.chosen:
            keys[user_id].append(key)
        return keys

    def __len__(self) -> int:
        """Return the number of chosen checkpoints."""
        return len(self.chosen)


async def find_different(
    source: LangGraphSource, target: Stores, *, user_id: str, keys: list[CheckpointKey]
) -> list[CheckpointKey]:
    """Return the checkpoints that do not have the bytes of the source."""
    different: list[CheckpointKey] = []
    for part in parts(keys, PER_STATEMENT):
        rows = await source.read_checkpoints(part)
        values = await _read_values(source, rows)
        writes: dict[CheckpointKey, list[SourceWrite]] = defaultdict(list)
        for write in await source.read_writes(part):
            writes[_key(write)].append(write)
        # A checkpoint that the source has lost since is not among the rows.
        for row in rows:
            key = _key(row)
            try:
                copy = await target.find_thread_checkpoint(
                    key.thread_id,
                    user_id=user_id,
                    checkpoint_ns=key.checkpoint_ns,
                    checkpoint_id=key.checkpoint_id,
                )
            except UnreadableRow:
                copy = None
            if copy is None or not _is_equal(row, values, writes[key], copy):
                different.append(key)
    return different


async def _read_values(
    source: LangGraphSource, rows: list[SourceCheckpoint]
) -> dict[ValueKey, ImportedValue]:
    """Return the values that checkpoints of the source name."""
    values = {key: value for row in rows for key, value in inline_values(row).items()}
    for blob in await source.read_values({key for row in rows for key in blob_sizes(row)}):
        key = ValueKey(blob.thread_id, blob.checkpoint_ns, blob.channel, blob.version)
        values[key] = import_blob(blob)
    return values


def _key(row: SourceCheckpoint | SourceWrite) -> CheckpointKey:
    return CheckpointKey(row.thread_id, row.checkpoint_ns, row.checkpoint_id)


def _is_equal(
    row: SourceCheckpoint,
    values: dict[ValueKey, ImportedValue],
    writes: list[SourceWrite],
    copy: ThreadCheckpoint,
) -> bool:
    named = {*blob_sizes(row), *inline_values(row)}
    expected = {key.channel: (values[key].type, values[key].value) for key in named & values.keys()}
    copied_values = zip(copy.value_types, copy.values, strict=True)
    copied_writes = zip(
        copy.write_task_paths, copy.write_channels, copy.write_types, copy.write_values, strict=True
    )
    copied_keys = zip(copy.write_task_ids, copy.write_idxs, strict=True)
    stored = dict(zip(copied_keys, copied_writes, strict=True))
    return (
        copy.checkpoint_type == "json"
        and copy.checkpoint == row.checkpoint
        and copy.metadata == row.metadata
        and copy.parent_checkpoint_id == row.parent_checkpoint_id
        and dict(zip(copy.value_channels, copied_values, strict=True)) == expected
        # The application may have stored more writes here.
        and all(
            stored.get((write.task_id, write.idx))
            == (write.task_path, write.channel, write.type, write.value)
            for write in writes
        )
    )
