"""Concurrent writers, deletions and prunes of threads leave no checkpoint without its values."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from agentrows import NewChannelValue, NewThreadWrite, PostgresClient, Settings, UnreadableRow
from agentrows.stores import thread_retention
from support.postgres import SUPERUSER, as_role

if TYPE_CHECKING:
    from agentrows.db.executor import Executor

THREADS: Final = ("t-1", "t-2", "t-3")
WRITERS: Final = 6
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
        changed = list(CHANNELS) if not state else [dice.choice(CHANNELS[1:])]
        for channel in changed:
            state[channel] = (f"{number}.{id_}", f"{channel} {id_}".encode())
        await self.client.store_thread_writes(
            self.thread,
            user_id="mira",
            checkpoint_id=id_,
            task_id="task",
            writes=[NewThreadWrite(idx=0, channel="fast", type="t", value=id_.encode())],
        )
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
    """Run writers beside deletions, then read back every checkpoint; return the numbers."""
    settings = Settings(migrations="off", pool_max_size=WRITERS + 3)
    async with PostgresClient.open(dsn, settings=settings) as client:
        end = time.monotonic() + duration_s
        writers = [Writer(client, n, THREADS[n % len(THREADS)]) for n in range(WRITERS)]
        deletions = 0

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

        await asyncio.gather(*map(write, writers), *map(sweep, range(3)))
        acknowledged = {key: state for w in writers for key, state in w.acknowledged.items()}
        found = await client.list_thread_checkpoints(user_id="mira")
        for row in found:
            state = acknowledged[row.thread_id, row.checkpoint_id]
            assert dict(zip(row.value_channels, row.values, strict=True)) == {
                channel: value for channel, (_, value) in state.items()
            }
            assert row.checkpoint == row.checkpoint_id.encode()
        return {
            "stored": len(acknowledged),
            "deletions": deletions,
            "left": len(found),
            "forks": sum(writer.forks for writer in writers),
        }


async def test_checkpoints_beside_deletions_are_whole_or_gone(migrated: str, rounds: int) -> None:
    numbers = await race(migrated, LONG_S if rounds > 1 else SHORT_S)
    assert numbers["stored"] > 100, numbers
    assert numbers["deletions"] > 20, numbers
    assert numbers["left"], numbers
    db = await asyncpg.connect(as_role(migrated, SUPERUSER))
    try:
        async with PostgresClient.open(migrated, migrations="off") as client:
            await client.delete_threads(THREADS, user_id="mira")
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


async def test_race_detects_a_deletion_in_one_statement(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race above is of use only if it fails for a deletion that is not safe."""
    monkeypatch.setattr(thread_retention, "delete_unnamed_values", delete_unlocked_values)
    for _ in range(5):
        with suppress(AssertionError, KeyError):
            try:
                await race(migrated, SHORT_S / 2)
            except UnreadableRow:
                return
    pytest.fail("no checkpoint lost a value")
