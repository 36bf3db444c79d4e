"""Whole threads: copies, deletions, prunes, lists, and other users with the same ids."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agentrows import CheckpointKey, Conflict, InvalidValue, PostgresClient, PrunedThreads
from support import checkpoints
from support.stores import count
from support.threads import listed, put, put_writes, values_of, writes_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    from agentrows import Transaction

BLOB = "agentrows_checkpoint_blob"
TABLES = ("lg_checkpoint", "lg_checkpoint_write", BLOB)


async def fill(client: PostgresClient, **key: str) -> None:
    """Three checkpoints, of the runs r-1 and r-2, with a write and a value each; `a` is shared."""
    await put(client, "1", {"a": b"a", "b": b"1"}, run_id="r-1", **key)
    await put(
        client,
        "2",
        {"b": b"2"},
        {"a": "1", "b": "2"},
        parent_checkpoint_id="1",
        run_id="r-1",
        **key,
    )
    await put(
        client,
        "3",
        {"b": b"3"},
        {"a": "1", "b": "3"},
        parent_checkpoint_id="2",
        run_id="r-2",
        **key,
    )
    for id_ in ("1", "2", "3"):
        await put_writes(client, id_, "task", {0: id_.encode()}, task_path="p", **key)


async def whole(db: asyncpg.Connection, user: str) -> dict[str, list[str]]:
    return {
        table: sorted(
            str(row[0])
            for row in await db.fetch(
                f"SELECT each::text FROM {table} AS each WHERE user_id = $1",  # noqa: S608
                user,
            )
        )
        for table in TABLES
    }


async def test_deletions_touch_no_thread_of_another_user(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for user in ("mira", "juno"):
        await fill(client, user_id=user)
    before = await whole(db, "juno")
    heads = await client.list_thread_heads("t-1", user_id="mira")
    keys = [("", id_) for id_ in heads[0].checkpoint_ids]
    assert await client.copy_thread("t-1", target_thread_id="t-2", user_id="mira") == 3
    assert await client.prune_thread("t-1", user_id="mira", pruned=keys, kept=[("", "3")]) == 2
    assert await client.delete_runs(["r-1", "unknown"], user_id="mira") == 2
    assert await client.delete_threads(["t-1", "t-2", "unknown"], user_id="mira") == 2
    assert await whole(db, "mira") == {table: [] for table in TABLES}
    assert await whole(db, "juno") == before
    assert await client.delete_threads([], user_id="juno") == 0
    assert await client.delete_runs([], user_id="juno") == 0
    assert await client.list_thread_heads("t-1", user_id="noor") == []
    assert await client.list_channel_history("t-1", user_id="noor", channels=["a"]) == []
    assert await client.list_threads(user_id="noor") == []
    assert await client.copy_thread("t-1", target_thread_id="t-3", user_id="noor") == 0


async def test_delete_of_runs_keeps_the_values_that_others_name(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await fill(client)
    assert await client.delete_runs(["r-1"], user_id="mira") == 2
    assert await listed(client) == ["3"]
    assert values_of(await client.find_thread_checkpoint("t-1", user_id="mira")) == {
        "a": b"a",
        "b": b"3",
    }
    assert [await count(db, table) for table in TABLES] == [1, 1, 2]


async def test_prune_keeps_the_newest_by_time_and_cuts_its_parent(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    """The ids are in the opposite order of the times."""
    await fill(client)
    await db.execute(
        "UPDATE lg_checkpoint SET created_at = now() - checkpoint_id::integer * interval '1 hour'"
    )
    await put_writes(client, "not stored yet", "task", {0: b"early"})
    (head,) = await client.list_thread_heads("t-1", user_id="mira")
    assert (head.checkpoint_id, sorted(head.checkpoint_ids)) == ("1", ["1", "2", "3"])
    assert sorted(head.channels) == ["a", "b"]
    await put(client, "4", {}, {"a": "1"}, parent_checkpoint_id="2")
    pruned = [CheckpointKey("", id_) for id_ in head.checkpoint_ids if id_ != "1"]
    kept = [CheckpointKey("", "1")]
    # 4 was stored after the list, and needs its parent 2; 1 is kept.
    assert await client.prune_thread("t-1", user_id="mira", pruned=pruned, kept=kept) == 1
    assert set(await listed(client)) == {"1", "2", "4"}
    assert (
        await client.prune_thread(
            "t-1", user_id="mira", pruned=[*pruned, *kept], kept=[*kept, CheckpointKey("", "4")]
        )
        == 1
    )
    rows = await client.list_thread_checkpoints(user_id="mira")
    assert {row.checkpoint_id: row.parent_checkpoint_id for row in rows} == {"1": None, "4": None}
    assert await count(db, "lg_checkpoint_write", "checkpoint_id = 'not stored yet'") == 1
    assert [await count(db, table) for table in TABLES] == [2, 2, 2]


async def test_copy_keeps_times_layouts_and_writes_and_replaces_deleted_rows(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await fill(client)
    await checkpoints.store(client, "p-1", metadata={"of": "kagent"})
    await checkpoints.put(client, "task", checkpoints.write(0, "old"))
    await put(client, "gone", {"z": b"z"})
    await client.delete_checkpoint("t-1", user_id="mira", checkpoint_id="gone")
    await put(client, "2", {"b": b"of the target"}, thread_id="t-2")
    await put_writes(client, "2", "task", {0: b"of the target"}, thread_id="t-2")
    await client.delete_checkpoint("t-2", user_id="mira")
    for expected in (4, 4):
        copied = await client.copy_thread("t-1", target_thread_id="t-2", user_id="mira")
        assert copied == expected
    for source, target in zip(
        await client.list_thread_checkpoints(user_id="mira", thread_id="t-1"),
        await client.list_thread_checkpoints(user_id="mira", thread_id="t-2"),
        strict=True,
    ):
        assert values_of(source) == values_of(target)
        assert writes_of(source) == writes_of(target)
        fields = ("checkpoint_id", "created_at", "checkpoint", "metadata", "parent_checkpoint_id")
        assert [getattr(source, name) for name in fields] == [
            getattr(target, name) for name in fields
        ]
    assert await count(db, BLOB, "thread_id = 't-2' AND channel = 'z'") == 0
    assert await client.delete_runs(["r-2"], user_id="mira") == 2
    # Another value under the same version belongs to a live checkpoint of the target.
    await put(client, "other", {"a": b"of the target"}, thread_id="t-3")
    with pytest.raises(Conflict, match="1 other values"):
        await client.copy_thread("t-1", target_thread_id="t-3", user_id="mira")
    assert await listed(client, thread_id="t-3") == ["other"]
    with pytest.raises(InvalidValue, match="target_thread_id"):
        await client.copy_thread("t-1", target_thread_id="t-1", user_id="mira")


async def test_threads_are_listed_by_time_in_pages_with_their_size(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for number in range(5):
        await put(client, "1", {"a": b"a" * number * 100}, thread_id=f"t-{number}")
        await put(client, "2", checkpoint_ns="sub", thread_id=f"t-{number}")
    await db.execute(
        "UPDATE lg_checkpoint SET updated_at = NULL, created_at = NULL WHERE thread_id = 't-3'"
    )
    threads = await client.list_threads(user_id="mira")
    assert [thread.thread_id for thread in threads] == ["t-4", "t-2", "t-1", "t-0", "t-3"]
    assert {thread.checkpoints for thread in threads} == {2}
    sizes = {thread.thread_id: thread.stored_bytes for thread in threads}
    assert sizes["t-4"] > 400 > sizes["t-2"] > 200 > sizes["t-0"] > 0
    pages = [await client.list_threads(user_id="mira", limit=2)]
    while pages[-1]:
        pages.append(await client.list_threads(user_id="mira", limit=2, after=pages[-1][-1]))
    assert [thread for page in pages for thread in page] == threads


async def test_prune_of_idle_threads_counts_first_and_keeps_used_ones(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for user, thread in (
        ("mira", "old"),
        ("juno", "old"),
        ("mira", "of a session"),
        ("mira", "new"),
    ):
        await fill(client, user_id=user, thread_id=thread)
    await client.store_session("of a session", user_id="mira")
    await db.execute(
        "UPDATE lg_checkpoint SET created_at = now() - interval '40 days', updated_at = NULL"
    )
    await db.execute(
        "UPDATE lg_checkpoint_write SET created_at = now() - interval '40 days', updated_at = NULL"
        " WHERE thread_id <> 'new'"
    )
    await db.execute(f"INSERT INTO {BLOB} VALUES ('mira', 'a lone value', '', 'c', '1', 't', '')")  # noqa: S608
    month = timedelta(days=30)
    expected = PrunedThreads(threads=3, checkpoints=6, checkpoint_writes=6, checkpoint_values=9)
    assert await client.prune_idle_threads(month, dry_run=True) == expected
    assert await count(db, "lg_checkpoint") == 12
    nothing = PrunedThreads(threads=0, checkpoints=0, checkpoint_writes=0, checkpoint_values=0)
    assert await client.prune_idle_threads(timedelta(0)) == nothing
    assert await client.prune_idle_threads(month) == expected
    assert await client.prune_idle_threads(month) == nothing
    assert [await count(db, table) for table in TABLES] == [6, 6, 8]
    with pytest.raises(InvalidValue, match="older_than must be a timedelta"):
        await client.prune_idle_threads(30)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_deletions_need_a_new_snapshot_for_each_statement(client: PostgresClient) -> None:
    await fill(client)
    calls: list[Callable[[Transaction], Awaitable[object]]] = [
        lambda tx: tx.delete_threads(["t-1"], user_id="mira"),
        lambda tx: tx.delete_runs(["r-1"], user_id="mira"),
        lambda tx: tx.prune_thread("t-1", user_id="mira", pruned=[("", "1")], kept=[]),
        lambda tx: tx.prune_idle_threads(timedelta(days=1)),
    ]
    for call in calls:
        with pytest.raises(InvalidValue, match="read_committed"):
            async with client.transaction(isolation="repeatable_read") as tx:
                await call(tx)
    async with client.transaction() as tx:
        assert await tx.delete_threads(["t-1"], user_id="mira") == 3
    assert await listed(client) == []
