"""Helpers for the tests of threads: store checkpoints and writes as bytes, and read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentrows import NewChannelValue, NewThreadWrite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentrows import Stores, ThreadCheckpoint


async def put(  # noqa: PLR0913  one argument per column
    stores: Stores,
    checkpoint_id: str,
    values: Mapping[str, bytes] | None = None,
    versions: Mapping[str, str] | None = None,
    /,
    *,
    thread_id: str = "t-1",
    user_id: str = "mira",
    **more: Any,  # noqa: ANN401  the other arguments
) -> list[str]:
    """Store a checkpoint; each value has the version 1 unless `versions` has another."""
    values = values or {}
    arguments: dict[str, Any] = {
        "checkpoint": checkpoint_id.encode(),
        "checkpoint_type": "msgpack",
        "metadata": {},
        "values": [NewChannelValue(channel=c, type="t", value=v) for c, v in values.items()],
        "versions": {**dict.fromkeys(values, "1"), **(versions or {})},
        **more,
    }
    return await stores.store_thread_checkpoint(
        thread_id, user_id=user_id, checkpoint_id=checkpoint_id, **arguments
    )


def thread_writes(values: Mapping[int, bytes], channel: str = "c") -> list[NewThreadWrite]:
    """Return writes on a channel, by index."""
    return [
        NewThreadWrite(idx=idx, channel=channel, type="t", value=value)
        for idx, value in values.items()
    ]


async def put_writes(
    stores: Stores,
    checkpoint_id: str,
    task_id: str,
    values: Mapping[int, bytes],
    **more: Any,  # noqa: ANN401  the other arguments
) -> None:
    """Store writes on the channel `c`, by index."""
    await stores.store_thread_writes(
        more.pop("thread_id", "t-1"),
        user_id=more.pop("user_id", "mira"),
        checkpoint_id=checkpoint_id,
        task_id=task_id,
        writes=thread_writes(values, more.get("channel", "c")),
        **{key: value for key, value in more.items() if key != "channel"},
    )


async def listed(stores: Stores, **arguments: Any) -> list[str]:  # noqa: ANN401
    """The ids of checkpoints, newest first."""
    found = await stores.list_thread_checkpoints(user_id="mira", **arguments)
    return [row.checkpoint_id for row in found]


def values_of(row: ThreadCheckpoint | None) -> dict[str, bytes]:
    """The values of a checkpoint by channel."""
    assert row is not None
    return dict(zip(row.value_channels, row.values, strict=True))


def writes_of(row: ThreadCheckpoint | None) -> list[tuple[str, str, int, str, str, bytes]]:
    """The writes of a checkpoint in the order of LangGraph."""
    assert row is not None
    return sorted(
        zip(
            row.write_task_paths,
            row.write_task_ids,
            row.write_idxs,
            row.write_channels,
            row.write_types,
            row.write_values,
            strict=True,
        )
    )
