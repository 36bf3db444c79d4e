"""Checkpoints, writes and metadata of LangGraph as rows, and back; no input or output."""

from __future__ import annotations

import json
import math
import random
import re
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.types import TASKS

from agentrows import NewChannelValue, NewThreadWrite, TaskWrites
from agentrows.errors import InvalidValue
from agentrows.validation import LONGEST_ID, check_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        PendingWrite,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from pydantic import JsonValue

    from agentrows import ThreadAncestor, ThreadCheckpoint

LARGE: Final = 256 * 1024
"""In bytes. Serializing more takes a millisecond or longer, so it is done in a thread."""
FIRST_WITH_SENDS: Final = 4
"""The first version of checkpoints that contain their sends; older ones need their parent."""
MOST_PARTS: Final = 200
SAMPLED_FIELDS: Final = 16
SAMPLED_ITEMS: Final = 4
SMALL: Final = 8
"""In bytes, the size of a number."""
SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """The thread, the namespace and the checkpoint that a config names."""

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str | None

    @classmethod
    def of(cls, config: RunnableConfig) -> CheckpointKey:
        """Return the key of a config; an empty checkpoint_id counts as absent.

        Raises:
            InvalidValue: the config has no thread_id.

        """
        parts = configurable(config)
        if parts.get("thread_id") is None:
            raise InvalidValue("config must have a thread_id in `configurable`")
        return cls(
            str(parts["thread_id"]),
            str(parts.get("checkpoint_ns") or ""),
            None if not parts.get("checkpoint_id") else str(parts["checkpoint_id"]),
        )

    def require_id(self) -> str:
        """Return the checkpoint_id.

        Raises:
            InvalidValue: the config has none.

        """
        if self.checkpoint_id is None:
            raise InvalidValue("config must have a checkpoint_id in `configurable`")
        return self.checkpoint_id

    def task_writes(
        self, writes: Sequence[NewThreadWrite], task_id: str, task_path: str
    ) -> TaskWrites:
        """Return the writes of a task to the checkpoint.

        Raises:
            InvalidValue: the config has no checkpoint_id, or `task_id` is no id.

        """
        return TaskWrites(
            self.thread_id,
            self.checkpoint_ns,
            self.require_id(),
            check_id("task_id", task_id),
            task_path,
            writes,
        )


def configurable(config: RunnableConfig | None) -> Mapping[str, Any]:
    """Return the part of a config that identifies checkpoints."""
    return (config or {}).get("configurable") or {}


def config_of(thread_id: object, checkpoint_ns: str, checkpoint_id: str) -> RunnableConfig:
    """Return the config that names a checkpoint."""
    return {
        "configurable": {
            "thread_id": thread_id,
            "checkpoint_ns": checkpoint_ns,
            "checkpoint_id": checkpoint_id,
        }
    }


@dataclass(frozen=True, slots=True)
class NewCheckpoint:
    """A checkpoint as the arguments of `store_thread_checkpoint`.

    `versions` contains each channel with a value. `values` contains the values of the channels that
    this step changed; the others were stored by earlier steps. `optional_versions` contains the
    channels without a value that this step did not change: a value that is stored under the
    version is still that of the channel.
    """

    data: bytes
    type: str
    metadata: dict[str, JsonValue]
    values: list[NewChannelValue]
    versions: dict[str, str]
    optional_versions: dict[str, str]
    run_id: str | None

    @classmethod
    def encode(
        cls,
        serde: SerializerProtocol,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> NewCheckpoint:
        """Serialize a checkpoint, and the values of the channels in `new_versions`."""
        values = checkpoint["channel_values"]
        versions = {
            channel: str(checkpoint["channel_versions"][channel])
            for channel in values
            if channel in checkpoint["channel_versions"]
        }
        unversioned = {name: value for name, value in values.items() if name not in versions}
        kind, data = serde.dumps_typed({**checkpoint, "channel_values": unversioned})
        cleaned = clean_json(get_serializable_checkpoint_metadata(config, metadata))
        fields = cast("dict[str, JsonValue]", cleaned)
        return cls(
            data,
            kind,
            fields,
            encode_values(serde, checkpoint, versions, new_versions),
            versions,
            {
                channel: str(version)
                for channel, version in checkpoint["channel_versions"].items()
                if not (channel in values or channel in new_versions)
            },
            _run_id(fields),
        )


def _run_id(metadata: Mapping[str, JsonValue]) -> str | None:
    """Return the run of a checkpoint; None if the metadata has no text that can be an id."""
    run_id = metadata.get("run_id")
    text = "" if run_id is None else str(run_id)
    return text if 0 < len(text.encode()) <= LONGEST_ID else None


def encode_values(
    serde: SerializerProtocol,
    checkpoint: Checkpoint,
    versions: Mapping[str, str],
    channels: Iterable[str],
) -> list[NewChannelValue]:
    """Serialize the values of those of the channels that have one."""
    found: list[NewChannelValue] = []
    for channel in channels:
        if channel in versions:
            kind, value = serde.dumps_typed(checkpoint["channel_values"][channel])
            found.append(NewChannelValue(channel=channel, type=kind, value=value))
    return found


def encode_writes(
    serde: SerializerProtocol, writes: Sequence[tuple[str, Any]]
) -> list[NewThreadWrite]:
    """Serialize the writes of a task.

    A special channel, such as that of interrupts, has one index: its last write counts.
    """
    rows: dict[int, NewThreadWrite] = {}
    for place, (channel, value) in enumerate(writes):
        kind, data = serde.dumps_typed(value)
        idx = WRITES_IDX_MAP.get(channel, place)
        rows[idx] = NewThreadWrite(idx=idx, channel=channel, type=kind, value=data)
    return list(rows.values())


def clean_json(value: object) -> object:
    """Return a value in a form that JSON and PostgreSQL can store.

    Tuples become lists. NUL characters are removed, as LangGraph removes them from the texts of
    metadata. Lone surrogates become U+FFFD. NaN and infinite numbers become None.

    Raises:
        InvalidValue: the value is nested too deeply.

    """
    try:
        return _clean(value)
    except RecursionError as error:
        raise InvalidValue("metadata is nested too deeply") from error


def _clean(value: object) -> object:
    if isinstance(value, str):
        if value.isascii():
            return value.replace("\0", "")
        return SURROGATE.sub("\ufffd", value).replace("\0", "")
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return {_clean(str(key)): _clean(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in cast("Sequence[object]", value)]
    return value


class PendingWrites(Protocol):
    """A row with writes: a checkpoint, or an ancestor of one."""

    write_task_paths: list[str]
    write_task_ids: list[str]
    write_idxs: list[int]
    write_channels: list[str]
    write_types: list[str]
    write_values: list[bytes]


def decode_writes(serde: SerializerProtocol, row: PendingWrites) -> list[PendingWrite]:
    """Return the writes of a row, in the order of the run."""
    return [
        (
            row.write_task_ids[n],
            row.write_channels[n],
            serde.loads_typed((row.write_types[n], row.write_values[n])),
        )
        for n in _run_order(row.write_task_paths, row.write_task_ids, row.write_idxs)
    ]


def _run_order(paths: list[str], task_ids: list[str], idxs: list[int]) -> list[int]:
    """Return the positions of writes in the order of the run: by task path, task and index."""
    # LangGraph compares texts by code point, the server in the order of its locale.
    return sorted(range(len(paths)), key=lambda n: (paths[n], task_ids[n], idxs[n]))


def decode_tuple(serde: SerializerProtocol, row: ThreadCheckpoint) -> CheckpointTuple:
    """Return a checkpoint with the values of its channels, its metadata and its writes."""
    checkpoint: Checkpoint = serde.loads_typed((row.checkpoint_type, row.checkpoint))
    values = checkpoint.setdefault("channel_values", {})
    for channel, kind, value in zip(row.value_channels, row.value_types, row.values, strict=True):
        values[channel] = serde.loads_typed((kind, value))
    # The column of another writer may have an older version than the checkpoint.
    if row.send_values and checkpoint["v"] < FIRST_WITH_SENDS:
        _attach_sends(serde, checkpoint, row)
    parent = row.parent_checkpoint_id
    return CheckpointTuple(
        config_of(row.thread_id, row.checkpoint_ns, row.checkpoint_id),
        checkpoint,
        json.loads(row.metadata),
        config_of(row.thread_id, row.checkpoint_ns, parent) if parent else None,
        decode_writes(serde, row),
    )


def _attach_sends(serde: SerializerProtocol, checkpoint: Checkpoint, row: ThreadCheckpoint) -> None:
    """Add the sends of a checkpoint of an older version, which are writes of its parent."""
    checkpoint["channel_values"][TASKS] = [
        serde.loads_typed((row.send_types[n], row.send_values[n]))
        for n in _run_order(row.send_task_paths, row.send_task_ids, row.send_idxs)
    ]
    versions = checkpoint["channel_versions"]
    # The versions of a thread have one type, which a union of types does not express.
    newest = max(cast("Collection[str]", versions.values()), default=None)
    versions[TASKS] = next_version(None) if newest is None else newest


def next_version(current: str | int | None) -> str:
    """Return the version after another: a number, and a random part.

    Two runs that continue from the same version so get different ones. Versions are compared as
    text. A number of fewer digits than that of langgraph-checkpoint-postgres (32) is still greater
    than each of these, because it has fewer leading zeros.
    """
    # A checkpoint contains each version several times, so short ones save bytes.
    number = int(str(current or 0).partition(".")[0])
    return f"{number + 1:012}.{random.getrandbits(48):012x}"


def estimate_size(value: object) -> int:
    """Return about how many bytes a value has when it is serialized, from samples of its parts.

    The estimate must cost much less than serializing a small value, so it reads `MOST_PARTS` parts
    at most, those nearest to the top first.
    """
    size = 0.0
    waiting = deque([(value, 1.0)])
    for _ in range(MOST_PARTS):
        if not waiting:
            break
        item, weight = waiting.popleft()
        if isinstance(item, str | bytes | bytearray):
            size += weight * len(item)
        elif isinstance(item, dict):
            fields = cast("dict[object, object]", item)
            sample = list(islice(fields.values(), SAMPLED_FIELDS))
            scale = weight * len(fields) / (len(sample) or 1)
            waiting.extend((part, scale) for part in sample)
        elif isinstance(item, list | tuple):
            items = cast("Sequence[object]", item)
            step = len(items) // SAMPLED_ITEMS or 1
            sample = list(items[::-step][:SAMPLED_ITEMS])
            scale = weight * len(items) / (len(sample) or 1)
            waiting.extend((part, scale) for part in sample)
        elif attributes := getattr(item, "__dict__", None):
            waiting.append((attributes, weight))
        else:  # an array has its size
            size += weight * int(getattr(item, "nbytes", SMALL))
    return int(size)


def stored_size(rows: Iterable[ThreadCheckpoint | ThreadAncestor]) -> int:
    """Return how many bytes of serialized values are in rows."""
    return sum(
        len(row.checkpoint) + sum(map(len, row.values)) + sum(map(len, row.write_values))
        for row in rows
    )
