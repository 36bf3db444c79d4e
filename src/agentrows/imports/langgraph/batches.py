"""Batches of checkpoints with their values and writes, read from the source."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agentrows.imports.langgraph.rows import (
    blob_sizes,
    import_checkpoint,
    import_write,
    inline_values,
)
from agentrows.imports.langgraph.source import CheckpointKey, ValueKey

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from agentrows.gen.models import (
        ImportedCheckpoint,
        ImportedValue,
        ImportedWrite,
        SourceCheckpoint,
        SourceWrite,
    )
    from agentrows.imports.langgraph.comparison import Comparison
    from agentrows.imports.langgraph.source import LangGraphSource

__all__ = ["Batch", "read_batches"]

MOST_ROWS: Final = 200
"""Checkpoints in a batch."""
MOST_BYTES: Final = 16 * 2**20
"""Bytes in a batch, unless a single checkpoint has more."""


@dataclass(slots=True)
class Batch:
    """Checkpoints that are stored in one transaction."""

    keys: list[CheckpointKey] = field(default_factory=list[CheckpointKey])
    checkpoints: list[SourceCheckpoint] = field(default_factory=list["SourceCheckpoint"])
    writes: list[SourceWrite] = field(default_factory=list["SourceWrite"])
    inline: dict[ValueKey, ImportedValue] = field(default_factory=dict[ValueKey, "ImportedValue"])
    blobs: set[ValueKey] = field(default_factory=set[ValueKey])
    """Values to read from the source."""

    def split(self) -> list[Batch]:
        """Return a batch for each checkpoint."""
        return [
            Batch(
                [key],
                rows := [row for row in self.checkpoints if _key(row) == key],
                [write for write in self.writes if _key(write) == key],
                {name: value for row in rows for name, value in inline_values(row).items()},
                {name for row in rows for name in blob_sizes(row)},
            )
            for key in self.keys
        ]

    def all_inline(self, keys: set[ValueKey]) -> dict[ValueKey, ImportedValue]:
        """Return those of the values that the checkpoints themselves contain."""
        return {
            name: value
            for row in self.checkpoints
            for name, value in inline_values(row).items()
            if name in keys
        }

    def rows(self, comparison: Comparison) -> tuple[list[ImportedCheckpoint], list[ImportedWrite]]:
        """Return the checkpoints and the writes as rows to store.

        Raises:
            InvalidValue: a write cannot be stored.

        """
        times = comparison.times
        return (
            [import_checkpoint(row, times.get(_key(row))) for row in self.checkpoints],
            [import_write(row, times.get(_key(row))) for row in self.writes],
        )


async def read_batches(
    source: LangGraphSource,
    keys: Iterable[CheckpointKey],
    sizes: dict[CheckpointKey, int],
    stored: set[ValueKey],
) -> AsyncGenerator[Batch]:
    """Yield batches of checkpoints and of writes without one, in the order of the keys.

    `stored` contains the values that no batch has to contain again; the caller adds those of each
    batch.
    """
    for part in _parts_by_size(keys, sizes):
        checkpoints = {_key(row): row for row in await source.read_checkpoints(part)}
        writes: dict[CheckpointKey, list[SourceWrite]] = defaultdict(list)
        for write in await source.read_writes(part):
            writes[_key(write)].append(write)
        batch, size = Batch(), 0
        for key in part:
            row = checkpoints.get(key)
            new = {
                name: each
                for name, each in (blob_sizes(row) if row else {}).items()
                if name not in stored and name not in batch.blobs
            }
            if batch.keys and size + sum(new.values()) > MOST_BYTES:
                yield batch
                batch, size = Batch(), 0
                new = {name: each for name, each in new.items() if name not in stored}
            batch.keys.append(key)
            batch.writes += writes[key]
            batch.blobs |= new.keys()
            size += sum(new.values())
            if row:
                batch.checkpoints.append(row)
                batch.inline |= {
                    name: value for name, value in inline_values(row).items() if name not in stored
                }
        yield batch


def _parts_by_size(
    keys: Iterable[CheckpointKey], sizes: dict[CheckpointKey, int]
) -> Iterator[list[CheckpointKey]]:
    part: list[CheckpointKey] = []
    size = 0
    for key in keys:
        if part and (len(part) >= MOST_ROWS or size + sizes[key] > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(key)
        size += sizes[key]
    if part:
        yield part


def _key(row: SourceCheckpoint | SourceWrite) -> CheckpointKey:
    return CheckpointKey(row.thread_id, row.checkpoint_ns, row.checkpoint_id)
