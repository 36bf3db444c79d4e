"""Delta channels: their history along the ancestors of a checkpoint; no input or output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agentrows.langgraph.rows import decode_writes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite
    from langgraph.checkpoint.serde.base import SerializerProtocol

    from agentrows import ThreadAncestor


class ChannelHistories:
    """The writes and the seeds of channels, collected from pages of ancestors, nearest first."""

    def __init__(self, serde: SerializerProtocol, channels: Sequence[str]) -> None:
        self._serde = serde
        self._writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
        self._seeds: dict[str, object] = {}

    @property
    def open_channels(self) -> list[str]:
        """The channels without a seed, whose history continues at the next ancestor."""
        return [channel for channel in self._writes if channel not in self._seeds]

    def add(self, rows: Iterable[ThreadAncestor]) -> None:
        """Collect the writes and the seeds of a page of ancestors."""
        for row in rows:
            waiting = set(self.open_channels)
            for write in reversed(decode_writes(self._serde, row)):
                if write[1] in waiting:
                    self._writes[write[1]].append(write)
            for channel, value in stored_values(self._serde, row).items():
                if channel in waiting:
                    self._seeds[channel] = value

    def result(self) -> dict[str, DeltaChannelHistory]:
        """Return the history of each channel, oldest write first."""
        found: dict[str, DeltaChannelHistory] = {}
        for channel, writes in self._writes.items():
            found[channel] = {"writes": writes[::-1]}
            if channel in self._seeds:
                found[channel]["seed"] = self._seeds[channel]
        return found


class SerializedCheckpoint(Protocol):
    """A row with a serialized checkpoint, which is empty if the values are stored separately."""

    checkpoint_type: str
    checkpoint: bytes


def stored_channels(
    serde: SerializerProtocol, row: SerializedCheckpoint, channels: Iterable[str]
) -> set[str]:
    """Return the channels with a value at a checkpoint; `channels` are those stored separately."""
    if not row.checkpoint:
        return set(channels)
    return set(serde.loads_typed((row.checkpoint_type, row.checkpoint)).get("channel_values", {}))


def stored_values(serde: SerializerProtocol, row: ThreadAncestor) -> dict[str, object]:
    """Return the values that are stored at an ancestor."""
    if row.checkpoint:  # this one contains all of its values
        checkpoint = serde.loads_typed((row.checkpoint_type, row.checkpoint))
        return dict(checkpoint.get("channel_values", {}))
    return {
        channel: serde.loads_typed((kind, value))
        for channel, kind, value in zip(
            row.value_channels, row.value_types, row.values, strict=True
        )
    }
