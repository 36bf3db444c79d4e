"""Bytes on disk of a saver, compared with those of langgraph-checkpoint-postgres."""

from __future__ import annotations

import base64
import random
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from agentrows.langgraph import AgentRowsSaver
from support.postgres import SUPERUSER, as_role

if TYPE_CHECKING:
    from collections.abc import Callable

    from langgraph.checkpoint.base import BaseCheckpointSaver

    from agentrows import PostgresClient

    State = Callable[[int], tuple[dict[str, Any], set[str]]]

THREADS: Final = 10
STEPS: Final = 30
OURS: Final = ("lg_checkpoint", "lg_checkpoint_write", "agentrows_checkpoint_blob")
THEIRS: Final = ("checkpoints", "checkpoint_writes", "checkpoint_blobs")
LIMIT: Final = 1.1


def text(size: int, seed: int) -> str:
    """Return a text of this size that compression does not shorten much."""
    return base64.b64encode(random.Random(seed).randbytes(size)).decode()[:size]  # noqa: S311


def constant(step: int) -> tuple[dict[str, Any], set[str]]:
    """Return the values of a step and the changed channels: 100 kB that never change."""
    return {"n": step, "document": text(100_000, 0)}, {"n"} if step else {"n", "document"}


def growing(step: int) -> tuple[dict[str, Any], set[str]]:
    """Return the values of a step and the changed channels: 400 bytes more in each step."""
    return {"n": step, "messages": [text(400, n) for n in range(step)]}, {"n", "messages"}


async def run_threads(saver: BaseCheckpointSaver[Any], state: State) -> None:
    """Store all steps of all threads."""
    for thread in range(THREADS):
        config: Any = {"configurable": {"thread_id": f"t-{thread}", "checkpoint_ns": ""}}
        versions: dict[str, Any] = {}
        for step in range(STEPS):
            values, changed = state(step)
            new: dict[str, Any] = dict.fromkeys(changed, f"{step + 1:032}.0")
            versions |= new
            checkpoint: Any = {
                "v": 4,
                "id": str(uuid6(clock_seq=step)),
                "ts": "2026-05-01T08:00:00.000000+00:00",
                "channel_values": values,
                "channel_versions": dict(versions),
                "versions_seen": {"agent": dict(versions)},
                "updated_channels": sorted(changed),
            }
            metadata: Any = {"source": "loop", "step": step, "parents": {}}
            config = await saver.aput(config, checkpoint, metadata, new)
            await saver.aput_writes(config, [("n", step), ("to:agent", None)], f"task-{step}")


async def size_of(connection: asyncpg.Connection[Any], tables: tuple[str, ...]) -> int:
    """Return the bytes of tables with their indexes."""
    for table in tables:
        await connection.execute(f"VACUUM {table}")
    size = (
        "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM unnest($1::text[]) AS name"
    )
    return int(await connection.fetchval(size, tables))


@pytest.mark.parametrize("state", [constant, growing])
async def test_saver_needs_few_more_bytes_than_that_of_langgraph(
    state: State, client: PostgresClient, migrated: str
) -> None:
    administrator = as_role(migrated, SUPERUSER)
    async with AsyncPostgresSaver.from_conn_string(administrator) as theirs:
        await theirs.setup()
        await run_threads(theirs, state)
    await run_threads(AgentRowsSaver(client, user="mira"), state)

    connection = await asyncpg.connect(administrator)
    try:
        ours, others = await size_of(connection, OURS), await size_of(connection, THEIRS)
    finally:
        await connection.close()

    print(f"{ours:,} bytes, theirs {others:,}")  # noqa: T201  shown by -s
    assert ours <= LIMIT * others, f"{ours / others:.2f} times as many bytes"
