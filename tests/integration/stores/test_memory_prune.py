"""Memories: pruning of expired rows, and concurrent prunes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from agentrows import PrunedMemories
from support.memories import AHEAD, LATER, MINE, add_expired, list_ids, new_memory
from support.stores import count, towards

if TYPE_CHECKING:
    import asyncpg

    from agentrows import PostgresClient


async def test_searches_and_batches_and_prunes_at_once_do_not_deadlock(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    batch = [new_memory(f"m-{n:02}", embedding=towards(1, n % 6)) for n in range(30)]
    await client.store_agent_memories(batch)
    for turn in range(15):
        await add_expired(db, *((f"x-{turn}-{n}", 10 * (n % 2)) for n in range(4)))
        await asyncio.gather(
            client.store_agent_memories(batch[::-1]),
            client.search_agent_memory(**MINE, embedding=AHEAD, limit=None),
            client.search_agent_memory(**MINE, embedding=towards(-1, 2), limit=20),
            client.prune_expired_memories(),
            client.prune_expired_memories(),
        )
    await client.prune_expired_memories()
    assert await count(db, "memory", "id LIKE 'm-%'") == 30
    assert await count(db, "memory", "id LIKE 'x-%'") == 30


async def test_prune_deletes_expired_memories_and_extends_those_read_ten_times(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_expired(db, ("x-0", 0), ("x-9", 9), ("x-null", None), ("x-10", 10), ("x-11", 11))
    await client.store_agent_memory(**MINE, id="m-later", content="a", expires_at=LATER)
    await client.store_agent_memory(**MINE, id="m-never", content="a")
    await db.execute("UPDATE memory SET access_count = 50 WHERE id LIKE 'm-%'")
    assert await client.prune_expired_memories() == PrunedMemories(deleted=3, extended=2)
    rows = await db.fetch(
        "SELECT id, access_count, expires_at - now() AS left FROM memory WHERE id LIKE 'x-%' "
        "ORDER BY id"
    )
    assert [(row["id"], row["access_count"]) for row in rows] == [("x-10", 0), ("x-11", 0)]
    for row in rows:
        assert timedelta(days=15) - row["left"] < timedelta(minutes=1)
    assert await list_ids(client) == ["m-later", "m-never", "x-10", "x-11"]
    assert await count(db, "memory", "access_count = 50") == 2
    assert await client.prune_expired_memories() == PrunedMemories(deleted=0, extended=0)


async def test_extended_memory_without_reads_is_deleted_by_the_next_prune(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_expired(db, ("x-10", 10))
    assert (await client.prune_expired_memories()).extended == 1
    await db.execute("UPDATE memory SET expires_at = now() - interval '1 s'")
    assert await client.prune_expired_memories() == PrunedMemories(deleted=1, extended=0)
    assert await count(db, "memory") == 0


async def test_a_prune_counts_every_users_memories(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_expired(db, *((f"x-{n}", n % 20) for n in range(40)))
    await db.execute("UPDATE memory SET user_id = 'noor' WHERE id < 'x-2'")
    assert await client.prune_expired_memories() == PrunedMemories(deleted=20, extended=20)


async def test_two_prunes_at_once_share_the_work(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_expired(db, *((f"x-{n}", n % 20) for n in range(400)))
    runs = await asyncio.gather(*(client.prune_expired_memories() for _ in range(3)))
    assert sum(run.deleted for run in runs) == 200
    assert sum(run.extended for run in runs) == 200
    assert await count(db, "memory", "expires_at > now() AND access_count = 0") == 200
