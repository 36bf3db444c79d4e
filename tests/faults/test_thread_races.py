"""Concurrent writers, deletions and prunes of threads leave no checkpoint without its values."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from agentrows import NewChannelValue, NewThreadWrite, PostgresClient, Settings, UnreadableRow
from agentrows.stores import thread_retention
from support.postgres import SUPERUSER, as_role
from support.watching import IN_LOCKS, watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows import Stores, ThreadCheckpoint
    from agentrows.db.executor import Executor

THREADS: Final = ("t-1", "t-2", "t-3")
WRITERS: Final = 6
KEPT: Final = "kept"
"""The thread of a session, which no deletion removes."""
SHORT_S: Final = 4.0
LONG_S: Final = 20.0
CHANNELS: Final = ("constant", "slow", "fast")
State = dict[str, tuple[str, bytes]]
"""The version and the value of each channel."""
Key = tuple[str, str]
"""A thread and a checkpoint."""


class Writer:
    """A graph that runs on a thread: each checkpoint changes a channel and names older values."""

    def __init__(self, client: PostgresClient, number: int, thread: str) -> None:
        self.client = client
        self.number = number
        self.thread = thread
        self.parent: str | None = None
        self.states: dict[str, State] = {}
        self.numbers = itertools.count(1)
        self.sent: dict[Key, State] = {}
        self.acknowledged: dict[Key, State] = {}
        self.forks = 0

    async def step(self, dice: random.Random) -> None:
        number = next(self.numbers)
        id_ = f"{self.number}-{number:06}"
        # One step in ten forks from an older checkpoint, which a prune may be deleting.
        if self.states and dice.random() < 0.1:
            self.parent = dice.choice(list(self.states))
            self.forks += 1
        state = dict(self.states[self.parent]) if self.parent else {}
        changed: list[str] = [*CHANNELS] if not state else [dice.choice(CHANNELS[1:])]
        for channel in changed:
            state[channel] = (f"{number}.{id_}", f"{channel} {id_}".encode())
        await self.client.store_thread_writes(
            self.thread,
            user_id="mira",
            checkpoint_id=id_,
            task_id="task",
            writes=[NewThreadWrite(idx=0, channel="fast", type="t", value=id_.encode())],
        )
        self.sent[self.thread, id_] = state
        missing = await self._put(id_, state, changed)
        if missing:
            assert not set(missing) & set(changed)
            assert await self._put(id_, state, list(state)) == []
        self.acknowledged[self.thread, id_] = state
        self.states[id_] = state
        self.parent = id_

    async def _put(self, id_: str, state: State, sent: list[str]) -> list[str]:
        return await self.client.store_thread_checkpoint(
            self.thread,
            user_id="mira",
            checkpoint_id=id_,
            checkpoint=id_.encode(),
            checkpoint_type="t",
            metadata={},
            values=[NewChannelValue(channel=c, type="t", value=state[c][1]) for c in sent],
            versions={channel: version for channel, (version, _) in state.items()},
            parent_checkpoint_id=self.parent,
            run_id=f"run-{self.number}-{run_number(id_)}",
        )


def run_number(id_: str) -> int:
    return int(id_[-1]) % 3


async def delete(client: PostgresClient, dice: random.Random) -> None:
    """Delete a thread, runs, or all but the newest checkpoints, in one of the ways that exist."""
    thread = dice.choice(THREADS)
    match dice.randrange(5):
        case 0:
            await client.delete_threads([thread], user_id="mira")
        case 1:
            run = f"run-{dice.randrange(WRITERS)}-{dice.randrange(3)}"
            await client.delete_runs([run], user_id="mira")
        case 2:
            await client.prune_idle_threads(timedelta(milliseconds=1))
        case _:
            heads = await client.list_thread_heads(thread, user_id="mira")
            for head in heads:
                ids = [(head.checkpoint_ns, each) for each in head.checkpoint_ids]
                kept = (head.checkpoint_ns, head.checkpoint_id)
                pruned = [key for key in ids if key != kept]
                await client.prune_thread(thread, user_id="mira", pruned=pruned, kept=[kept])


async def race(dsn: str, duration_s: float) -> dict[str, int]:
    """Run writers and readers beside deletions, then read all back; return the numbers."""
    settings = Settings(migrations="off", pool_max_size=WRITERS + 5)
    async with PostgresClient.open(dsn, settings=settings) as client:
        await client.store_session(KEPT, user_id="mira")
        end = time.monotonic() + duration_s
        writers = [Writer(client, n, THREADS[n % len(THREADS)]) for n in range(WRITERS)]
        writers.append(Writer(client, WRITERS, KEPT))
        deletions = reads = 0

        async def write(writer: Writer) -> None:
            dice = random.Random(writer.number)  # noqa: S311  not a secret
            while time.monotonic() < end:
                await writer.step(dice)

        async def sweep(number: int) -> None:
            nonlocal deletions
            dice = random.Random(100 + number)  # noqa: S311  not a secret
            while time.monotonic() < end:
                await delete(client, dice)
                deletions += 1

        async def read() -> None:
            nonlocal reads
            while time.monotonic() < end:
                for thread in THREADS:
                    rows = await client.list_thread_checkpoints(user_id="mira", thread_id=thread)
                    check_whole(rows, writers)
                    reads += len(rows)

        await asyncio.gather(*map(write, writers), *map(sweep, range(3)), read())
        found = await client.list_thread_checkpoints(user_id="mira")
        check_whole(found, writers)
        kept = {(row.thread_id, row.checkpoint_id) for row in found if row.thread_id == KEPT}
        assert kept == writers[-1].acknowledged.keys()
        return {
            "stored": sum(len(writer.acknowledged) for writer in writers),
            "deletions": deletions,
            "reads": reads,
            "kept": len(kept),
            "forks": sum(writer.forks for writer in writers),
        }


def check_whole(rows: list[ThreadCheckpoint], writers: list[Writer]) -> None:
    sent = {key: state for writer in writers for key, state in writer.sent.items()}
    for row in rows:
        state = sent[row.thread_id, row.checkpoint_id]
        values = dict(zip(row.value_channels, row.values, strict=True))
        assert values == {channel: value for channel, (_, value) in state.items()}
        assert row.checkpoint == row.checkpoint_id.encode()


async def test_checkpoints_beside_deletions_are_whole_or_gone(migrated: str, rounds: int) -> None:
    numbers = await race(migrated, LONG_S if rounds > 1 else SHORT_S)
    assert numbers["stored"] > 100, numbers
    assert min(numbers.values()) > 20, numbers
    db = await asyncpg.connect(as_role(migrated, SUPERUSER))
    try:
        async with PostgresClient.open(migrated, migrations="off") as client:
            await client.delete_threads([*THREADS, KEPT], user_id="mira")
        for table in ("lg_checkpoint", "lg_checkpoint_write", "agentrows_checkpoint_blob"):
            assert not await db.fetchval(f"SELECT count(*) FROM {table}"), table  # noqa: S608
    finally:
        await db.close()


async def delete_unlocked_values(db: Executor, threads: list[tuple[str, str]]) -> int:
    """Delete unnamed values in one statement, whose snapshot is older than its locks."""
    return int(
        (
            await db.execute(
                """
                DELETE FROM agentrows_checkpoint_blob AS b
                WHERE b.user_id = ANY($1) AND b.thread_id = ANY($2) AND NOT EXISTS (
                    SELECT FROM lg_checkpoint AS c,
                        unnest(c.agentrows_channels, c.agentrows_versions) AS v (channel, version)
                    WHERE c.user_id = b.user_id AND c.thread_id = b.thread_id
                        AND c.checkpoint_ns = b.checkpoint_ns
                        AND v.channel = b.channel AND v.version = b.version
                )
                """,
                [user for user, _ in threads],
                [thread for _, thread in threads],
            )
        ).split()[-1]
    )


async def put(  # noqa: PLR0913  one argument per column
    stores: Stores,
    id_: str,
    versions: dict[str, str],
    *,
    parent: str | None = None,
    run: str | None = None,
    values: Sequence[str] = (),
    optional: dict[str, str] | None = None,
) -> list[str]:
    return await stores.store_thread_checkpoint(
        "t-1",
        user_id="mira",
        checkpoint_id=id_,
        checkpoint=b"",
        checkpoint_type="t",
        metadata={},
        parent_checkpoint_id=parent,
        run_id=run,
        values=[NewChannelValue(channel=each, type="t", value=b"value") for each in values],
        versions=versions,
        optional_versions=optional,
    )


@pytest.mark.parametrize("deletion_in", ["two statements", "one statement"])
async def test_value_that_a_writer_names_is_not_deleted_before_its_checkpoint(
    migrated: str, monkeypatch: pytest.MonkeyPatch, deletion_in: str
) -> None:
    """A deletion in one statement loses the value: the test detects what the locks prevent."""
    if deletion_in == "one statement":
        monkeypatch.setattr(thread_retention, "delete_unnamed_values", delete_unlocked_values)
    async with PostgresClient.open(migrated, migrations="off") as client, watch(migrated) as seen:
        await put(client, "c-1", {"a": "1"}, run="r-1", values=("a",))
        async with client.transaction() as tx:
            assert await put(tx, "c-2", {"a": "1"}) == []
            deletion = asyncio.create_task(client.delete_runs(["r-1"], user_id="mira"))
            await seen.until(IN_LOCKS)
        assert await deletion == 1
        read = client.find_thread_checkpoint("t-1", user_id="mira")
        if deletion_in == "one statement":
            with pytest.raises(UnreadableRow, match="'a'"):
                await read
            return
        row = await read
        assert row is not None
        assert (row.checkpoint_id, row.values) == ("c-2", [b"value"])


async def test_writer_that_waits_for_a_deletion_returns_the_deleted_value(migrated: str) -> None:
    async with PostgresClient.open(migrated, migrations="off") as client, watch(migrated) as seen:
        await put(client, "c-1", {"a": "1", "b": "1"}, run="r-1", values=("a", "b"))
        async with client.transaction() as tx:
            assert await tx.delete_runs(["r-1"], user_id="mira") == 1
            writer = asyncio.create_task(
                put(client, "c-2", {"a": "1", "b": "2"}, parent="c-1", values=("b",))
            )
            await seen.until(IN_LOCKS)
        assert await writer == ["a"]
        assert await client.find_thread_checkpoint("t-1", user_id="mira") is None
        assert await seen.db.fetchval("SELECT count(*) FROM agentrows_checkpoint_blob") == 0


@pytest.mark.parametrize("first", ["writer", "deletion"])
async def test_optional_value_is_kept_or_not_named_beside_its_deletion(
    migrated: str, first: str
) -> None:
    async with PostgresClient.open(migrated, migrations="off") as client, watch(migrated) as seen:
        await put(client, "c-1", {"a": "1"}, run="r-1", values=("a",))
        second: asyncio.Task[object]
        async with client.transaction() as tx:
            if first == "writer":
                assert await put(tx, "c-2", {}, optional={"a": "1"}) == []
                second = asyncio.create_task(client.delete_runs(["r-1"], user_id="mira"))
            else:
                assert await tx.delete_runs(["r-1"], user_id="mira") == 1
                second = asyncio.create_task(put(client, "c-2", {}, optional={"a": "1"}))
            await seen.until(IN_LOCKS)
        assert await second == (1 if first == "writer" else [])
        row = await client.find_thread_checkpoint("t-1", user_id="mira")
        assert row is not None
        assert (row.checkpoint_id, row.values) == ("c-2", [b"value"] if first == "writer" else [])


async def test_prune_spares_the_ancestors_of_a_checkpoint_that_is_being_stored(
    migrated: str,
) -> None:
    async with PostgresClient.open(migrated, migrations="off") as client, watch(migrated) as seen:
        for number in range(1, 6):
            parent = f"c-{number - 1}" if number > 1 else None
            await put(client, f"c-{number}", {"a": f"{number}"}, parent=parent, values=("a",))
        (head,) = await client.list_thread_heads("t-1", user_id="mira")
        assert head.checkpoint_id == "c-5"
        async with client.transaction() as tx:
            await put(tx, "fork", {"a": "6"}, parent="c-2", values=("a",))
            prune = asyncio.create_task(
                client.prune_thread(
                    "t-1",
                    user_id="mira",
                    pruned=[("", each) for each in head.checkpoint_ids if each != "c-5"],
                    kept=[("", "c-5")],
                )
            )
            await seen.until(IN_LOCKS)
        assert await prune == 2
        rows = await client.list_thread_checkpoints(user_id="mira")
        assert {row.checkpoint_id: row.parent_checkpoint_id for row in rows} == {
            "c-1": None,
            "c-2": "c-1",
            "fork": "c-2",
            "c-5": None,
        }


@pytest.mark.parametrize("method", ["erase_user", "prune_expired_sessions"])
async def test_erase_and_prune_of_sessions_leave_a_new_checkpoint_whole(
    migrated: str, method: str
) -> None:
    """The new checkpoint has no parent that the deletion could lock, and names an older value."""
    async with PostgresClient.open(migrated, migrations="off") as client, watch(migrated) as seen:
        await client.store_session("t-1", user_id="mira")
        await put(client, "c-1", {"a": "1"}, values=("a",))
        await asyncio.sleep(0.01)
        async with client.transaction() as tx:
            assert await put(tx, "c-2", {"a": "1"}) == []
            deletion: asyncio.Task[object] = asyncio.create_task(
                client.erase_user("mira")
                if method == "erase_user"
                else client.prune_expired_sessions(timedelta(milliseconds=5))
            )
            await seen.until(IN_LOCKS)
        await deletion
        rows = await client.list_thread_checkpoints(user_id="mira")
        assert [(row.checkpoint_id, row.values) for row in rows] == [("c-2", [b"value"])]


async def test_prune_of_idle_threads_skips_a_thread_with_a_writer(migrated: str) -> None:
    async with PostgresClient.open(migrated, migrations="off") as client:
        await put(client, "c-1", {"a": "1"}, values=("a",))
        await asyncio.sleep(0.01)
        async with client.transaction() as tx:
            await put(tx, "c-2", {"a": "1"}, parent="c-1")
            pruned = await client.prune_idle_threads(timedelta(milliseconds=5))
        assert pruned.threads == 0
        assert len(await client.list_thread_checkpoints(user_id="mira")) == 2
