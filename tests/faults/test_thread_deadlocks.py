"""Writers, deletions and copies of a thread lock writes in one order, and before its values."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from agentrows import NewChannelValue, NewThreadWrite, PostgresClient, TaskWrites, Transaction
from support.postgres import SUPERUSER, as_role
from support.watching import IN_LOCKS, watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

TASKS: Final = ("task-1", "task-2", "task-3", "task-4", "task-5")
KEYS: Final = """
    SELECT task_id FROM lg_checkpoint_write ORDER BY write_idx
"""
LOCK: Final = "SELECT FROM lg_checkpoint_write WHERE task_id = $1 FOR UPDATE"
PLANS: Final = ("SET enable_indexscan = off", "SET enable_bitmapscan = off")

DELETIONS: Final[dict[str, Callable[[Transaction], Awaitable[object]]]] = {
    "delete_threads": lambda tx: tx.delete_threads(["t-1"], user_id="mira"),
    "delete_runs": lambda tx: tx.delete_runs(["run"], user_id="mira"),
    "prune_thread": lambda tx: tx.prune_thread(
        "t-1", user_id="mira", pruned=[("", "c-1")], kept=[("", "c-2")]
    ),
}


def writes_of(task: str, thread: str = "t-1") -> TaskWrites:
    write = NewThreadWrite(idx=0, channel="a", type="t", value=b"1")
    return TaskWrites(thread, "", "c-1", task, "", [write])


async def put(
    stores: PostgresClient | Transaction,
    thread: str,
    checkpoint: str,
    tasks: Sequence[TaskWrites] = (),
) -> None:
    missing = await stores.store_thread_checkpoint(
        thread,
        user_id="mira",
        checkpoint_id=checkpoint,
        checkpoint=b"",
        checkpoint_type="t",
        metadata={},
        run_id="run",
        values=[NewChannelValue(channel="a", type="t", value=b"1")],
        versions={"a": "1"},
        tasks=tasks,
    )
    assert missing == []


@pytest.mark.parametrize("name", DELETIONS)
async def test_deletion_locks_the_writes_of_a_checkpoint_in_the_order_of_writers(
    migrated: str, name: str
) -> None:
    """The rows lie in the table in the reverse order of their keys."""
    async with PostgresClient.open(migrated, migrations="off") as client, watch(migrated) as seen:
        await put(client, "t-1", "c-1")
        await client.store_task_writes(map(writes_of, TASKS), user_id="mira")
        db = await asyncpg.connect(as_role(migrated, SUPERUSER))
        try:
            tasks = [row["task_id"] for row in await db.fetch(KEYS)]
            await db.execute("DELETE FROM lg_checkpoint_write")
            for task in reversed(tasks):
                await client.store_task_writes([writes_of(task)], user_id="mira")

            async def delete() -> None:
                async with client.transaction() as tx:
                    for plan in PLANS:
                        await tx.db.execute(plan.replace("SET", "SET LOCAL"))
                    await DELETIONS[name](tx)

            async def store() -> None:
                async with client.transaction() as tx:
                    await tx.store_task_writes(map(writes_of, TASKS), user_id="mira")

            async with db.transaction():
                await db.execute(LOCK, tasks[2])
                deletion = asyncio.create_task(delete())
                await seen.until(IN_LOCKS)
                writer = asyncio.create_task(store())
                await seen.until(IN_LOCKS, 2)
            await asyncio.gather(deletion, writer)  # a deadlock would fail one of them
        finally:
            await db.close()


async def test_copy_stores_writes_before_values_as_writers_do(migrated: str) -> None:
    async with PostgresClient.open(migrated, migrations="off") as client, watch(migrated) as seen:
        await put(client, "t-1", "c-1", [writes_of("task-1")])

        async def copy() -> None:
            async with client.transaction() as tx:
                await tx.copy_thread("t-1", target_thread_id="t-2", user_id="mira")

        async def store() -> None:
            async with client.transaction() as tx:
                await put(tx, "t-2", "c-2", [writes_of("task-1", "t-2")])

        async with client.transaction() as tx:
            await tx.store_thread_checkpoint(
                "t-2",
                user_id="mira",
                checkpoint_id="c-1",
                checkpoint=b"",
                checkpoint_type="t",
                metadata={},
                values=[],
                versions={},
            )
            copying = asyncio.create_task(copy())
            await seen.until(IN_LOCKS)
            writer = asyncio.create_task(store())
            await seen.until(IN_LOCKS, 2)
        await asyncio.gather(copying, writer)  # a deadlock would fail one of them
