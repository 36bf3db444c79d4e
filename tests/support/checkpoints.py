"""Helpers for the tests of checkpoints: store one, store its writes, read both."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from agentrows import NewCheckpointWrite

if TYPE_CHECKING:
    from pydantic import JsonValue

    from agentrows import PostgresClient

BYTES: Final = base64.b64encode(bytes(range(256))).decode()
LOW: Final = (1 << 20) - 1


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def write(idx: int, value: str = "1", channel: str = "answer") -> NewCheckpointWrite:
    return NewCheckpointWrite(idx=idx, channel=channel, value_type="json", value=encoded(value))


async def store(  # noqa: PLR0913  one argument per column
    client: PostgresClient,
    checkpoint_id: str = "p-1",
    *,
    user_id: str = "mira",
    thread_id: str = "t-1",
    checkpoint_ns: str = "",
    metadata: dict[str, JsonValue] | None = None,
) -> None:
    await client.store_checkpoint(
        thread_id,
        user_id=user_id,
        checkpoint_id=checkpoint_id,
        checkpoint_ns=checkpoint_ns,
        checkpoint=BYTES,
        checkpoint_type="msgpack",
        metadata=metadata or {},
    )


async def put(
    client: PostgresClient,
    task_id: str,
    *writes: NewCheckpointWrite,
    checkpoint_id: str = "p-1",
    thread_id: str = "t-1",
    checkpoint_ns: str = "",
) -> None:
    await client.store_checkpoint_writes(
        thread_id,
        user_id="mira",
        checkpoint_id=checkpoint_id,
        task_id=task_id,
        checkpoint_ns=checkpoint_ns,
        writes=writes,
    )


async def listed(client: PostgresClient, **arguments: Any) -> list[str]:  # noqa: ANN401
    found = await client.list_checkpoints("t-1", user_id="mira", **arguments)
    return [each.checkpoint.checkpoint_id for each in found]


async def written(client: PostgresClient, checkpoint_id: str = "p-1") -> list[tuple[str, int, str]]:
    """The writes of a checkpoint: task, index, value."""
    found = await client.get_checkpoint("t-1", user_id="mira", checkpoint_id=checkpoint_id)
    return [
        (each.task_id, (each.write_idx & LOW) - 16, base64.b64decode(each.value).decode())
        for each in found.writes
    ]
