"""The differences between threads in the source and here, found by keys and digests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agentrows.imports.langgraph.rows import checkpoint_times
from agentrows.imports.langgraph.source import CheckpointKey, parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentrows.client import Stores
    from agentrows.gen.models import CheckpointDigest, SourceWriteKey, WriteDigest
    from agentrows.imports.langgraph.source import LangGraphSource

__all__ = ["Comparison", "Group", "compare"]

KEYS_PER_STATEMENT: Final = 500
OLDEST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Group:
    """Threads of one owner that are compared and copied together."""

    user_id: str
    thread_ids: list[str]
    checkpoints: int


@dataclass(slots=True)
class Comparison:
    """The differences of a group."""

    times: dict[CheckpointKey, datetime | None]
    """The time of each checkpoint of the source."""
    sizes: dict[CheckpointKey, int]
    """The approximate number of bytes of each checkpoint and its writes, without values."""
    writes: int
    """The number of writes in the source."""
    unequal: set[CheckpointKey] = field(default_factory=set[CheckpointKey])
    """Checkpoints that are missing or different here, or a write of which is missing."""
    replaced_writes: set[CheckpointKey] = field(default_factory=set[CheckpointKey])
    """Checkpoints with a special write that is different here."""
    kept: set[CheckpointKey] = field(default_factory=set[CheckpointKey])
    """Checkpoints that were stored again or deleted here."""

    def position(self, key: CheckpointKey) -> tuple[str, str, datetime, str]:
        """Return the place of a checkpoint in the order in which it is stored, oldest first."""
        return key.thread_id, key.checkpoint_ns, self.times.get(key) or OLDEST, key.checkpoint_id

    @property
    def equal(self) -> set[CheckpointKey]:
        """The checkpoints that are stored as in the source, with all of their writes."""
        return self.times.keys() - self.unequal - self.replaced_writes - self.kept


async def compare(source: LangGraphSource, target: Stores, group: Group) -> Comparison:
    """Return the differences of a group of threads."""
    rows = await source.list_checkpoints(group.thread_ids)
    writes = await source.list_writes(group.thread_ids)
    sizes: dict[CheckpointKey, int] = defaultdict(int)
    for row in rows:
        sizes[CheckpointKey(row.thread_id, row.checkpoint_ns, row.checkpoint_id)] += row.size
    for write in writes:
        sizes[_checkpoint_of(write)] += write.size
    comparison = Comparison(checkpoint_times(rows), sizes, len(writes))
    stored = {
        CheckpointKey(row.thread_id, row.checkpoint_ns, row.checkpoint_id): row
        for row in await target.list_checkpoint_digests(group.thread_ids, user_id=group.user_id)
    }
    await _compare_checkpoints(source, comparison, stored)
    await _compare_writes(target, group, comparison, writes, stored)
    return comparison


async def _compare_checkpoints(
    source: LangGraphSource,
    comparison: Comparison,
    stored: Mapping[CheckpointKey, CheckpointDigest],
) -> None:
    in_both = [key for key in comparison.times if key in stored]
    digests: dict[CheckpointKey, bytes] = {}
    for part in parts(in_both, KEYS_PER_STATEMENT):
        digests |= await source.digest_checkpoints(part)
    for key in comparison.times:
        row = stored.get(key)
        if row is None:
            comparison.unequal.add(key)
        elif row.is_deleted or row.digest is None:
            comparison.kept.add(key)
        elif row.missing_values or row.digest != digests.get(key):
            comparison.unequal.add(key)


async def _compare_writes(
    target: Stores,
    group: Group,
    comparison: Comparison,
    writes: list[SourceWriteKey],
    stored: Mapping[CheckpointKey, CheckpointDigest],
) -> None:
    copies = {
        (_checkpoint_of(row), row.task_id, row.idx): row
        for row in await target.list_write_digests(group.thread_ids, user_id=group.user_id)
    }
    for write in writes:
        key = _checkpoint_of(write)
        if key in stored and stored[key].is_deleted:
            continue
        copy = copies.get((key, write.task_id, write.idx))
        if copy is None:
            comparison.unequal.add(key)
        elif copy.is_deleted:
            comparison.kept.add(key)
        elif write.digest != copy.digest:
            comparison.replaced_writes.add(key)


def _checkpoint_of(write: SourceWriteKey | WriteDigest) -> CheckpointKey:
    return CheckpointKey(write.thread_id, write.checkpoint_ns, write.checkpoint_id)
