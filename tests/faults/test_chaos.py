"""Calls of every kind, interrupted at random points while connections and servers fail.

The seed of a run is printed when it fails; AGENTROWS_SEED runs it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import random
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import asyncpg
import pytest
import uvloop

from agentrows import (
    Aborted,
    AgentRowsError,
    OutcomeUnknown,
    PostgresClient,
    Settings,
    StatementTimeout,
    Unavailable,
    init_connection,
    migrate,
)
from agentrows.migrate import Migrator
from support.ledger import Ledger, Row, Write
from support.proxy import Proxy, proxy_to
from support.servers import OwnServer, own_server
from support.watching import PATIENCE_S, Watcher, check_pool, watch
from support.workload import CALLS, DATA, Worker, conversation, memories, stream, tools

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from support.workload import Call

T = TypeVar("T")
SIZE: Final = 4
WORKERS: Final = 20
LENGTH_S: Final = 1.5
SOON_S: Final = 0.03
SETTINGS: Final = Settings(
    pool_max_size=SIZE, statement_timeout_s=5, acquire_timeout_s=20, connect_timeout_s=5
)
LOST_IN_TLS: Final = "unexpected connection_lost() call"
"""The driver logs it for a connection lost before the TLS handshake."""
EXPECTED: Final = (Unavailable, OutcomeUnknown, StatementTimeout, Aborted)


class SiblingError(Exception):
    """Another task of a group failed."""


@dataclass(slots=True)
class ChaosLedger(Ledger):
    """A ledger of calls that may be cancelled; the outcome of such a call is unknown."""

    async def _note(
        self, call: Callable[[], Awaitable[T]], rows: tuple[Row, ...], *, is_repeatable: bool
    ) -> T | None:
        try:
            # A dataclass with slots replaces the class that `super()` refers to.
            return await super(ChaosLedger, self)._note(call, rows, is_repeatable=is_repeatable)
        except asyncio.CancelledError:
            self.writes.append(Write(frozenset(rows), is_repeatable, "unknown", None))
            raise


async def copy(worker: Worker, name: str) -> None:
    texts = [f"{name}-{number}" for number in range(3)]
    await worker.ledger.once(
        lambda: worker.client.db.copy_records_to_table(
            "feedback",
            records=[(worker.name, text, True) for text in texts],
            columns=["user_id", "feedback_text", "is_positive"],
        ),
        *(("feedback", text) for text in texts),
    )


async def many(worker: Worker, name: str) -> None:
    texts = [f"{name}-{number}" for number in range(3)]
    await worker.ledger.once(
        lambda: worker.client.db.executemany(
            "INSERT INTO feedback (user_id, feedback_text, is_positive) VALUES ($1, $2, true)",
            [(worker.name, text) for text in texts],
        ),
        *(("feedback", text) for text in texts),
    )


async def savepoint(worker: Worker, name: str) -> None:
    async def store() -> None:
        async with worker.client.transaction() as tx:
            await tx.store_session(name, user_id=worker.name)
            await tx.refresh_tools_for_server(name, group_kind="MCP", tools=[])
            with contextlib.suppress(asyncpg.SyntaxOrAccessError):
                async with tx.db.transaction() as inner:
                    await inner.execute("no SQL")
            await tx.store_task(name, user_id=worker.name, session_id=name, data=DATA)

    await worker.ledger.once(store, ("session", name), ("task", name))


async def export(worker: Worker, _name: str) -> None:
    async with contextlib.aclosing(worker.client.export_user(worker.name)) as lines:
        async for _ in lines:
            pass


async def left_stream(worker: Worker, _name: str) -> None:
    async for _ in worker.client.stream_events_for_session(worker.name, user_id=worker.name):
        break


IN_TRANSACTIONS: Final[tuple[Call, ...]] = (
    *(conversation, tools, memories, stream, savepoint, export, left_stream),
)
ALL_CALLS: Final[tuple[Call, ...]] = (*CALLS, copy, many, *IN_TRANSACTIONS, *IN_TRANSACTIONS)


@dataclass(slots=True)
class Chaos:
    """Workers with interrupted calls, and the faults during them."""

    client: PostgresClient
    proxy: Proxy
    watcher: Watcher
    seed: str
    ledger: ChaosLedger = field(default_factory=ChaosLedger)
    unexpected: list[BaseException] = field(default_factory=list[BaseException])
    calls: int = 0

    async def work(self, name: str, end: float) -> None:
        rng = random.Random(f"{self.seed}-{name}")  # noqa: S311
        for turn in itertools.count():
            if time.monotonic() > end:
                return
            call = rng.choice(ALL_CALLS)
            client = self.client
            if rng.random() < 0.2:
                limit_s = rng.uniform(0.001, SOON_S)
                client = dataclasses.replace(client, db=client.db.with_timeout(limit_s))
            worker = Worker(client, self.ledger, name)
            self.calls += 1
            await self.cut_off(rng, worker, call, f"{name}-{turn}")
            self.check(worker.failures)

    def check(self, errors: list[AgentRowsError]) -> None:
        self.unexpected += [each for each in errors if not isinstance(each, EXPECTED)]

    async def cut_off(self, rng: random.Random, worker: Worker, call: Call, name: str) -> None:
        """Make a call, and interrupt some of the calls."""

        async def run() -> None:
            try:
                await call(worker, name)
            except EXPECTED:
                pass
            except Exception as error:  # noqa: BLE001  any other error is a failure
                self.unexpected.append(error)

        how = rng.choice(("whole", "cancel", "cancel twice", "time limit", "group"))
        if how == "whole":
            await run()
        elif how == "time limit":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rng.uniform(0, SOON_S)):
                    await run()
        elif how == "group":
            with contextlib.suppress(BaseExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(run())
                    await pause(rng)
                    raise SiblingError
        else:
            task = asyncio.create_task(run())
            await pause(rng)
            task.cancel()
            if how == "cancel twice":
                for _ in range(rng.randrange(6)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task], timeout=PATIENCE_S)
            assert task.done(), f"{call.__name__} hangs after {how}"

    async def strike(self, end: float) -> None:
        """Cause faults until the end."""
        rng = random.Random(f"{self.seed}-faults")  # noqa: S311
        faults = [
            *(self.cut, self.cut_one, self.cut_after_reply, self.cut_after_reply),
            *(self.silence_one, self.stall, self.terminate_one),
        ]
        number = 0
        while time.monotonic() < end:
            await asyncio.sleep(rng.uniform(0.01, 0.1))
            number += 1
            if number % 25 == 10:
                await self.kill_one()
                continue
            await rng.choice(faults)(rng)

    async def cut(self, _rng: random.Random) -> None:
        self.proxy.cut()

    async def cut_one(self, rng: random.Random) -> None:
        if self.proxy.links:
            rng.choice([*self.proxy.links]).cut()

    async def cut_after_reply(self, _rng: random.Random) -> None:
        for link in self.proxy.links:
            link.cuts_after_reply = True

    async def silence_one(self, rng: random.Random) -> None:
        if self.proxy.links:
            link = rng.choice([*self.proxy.links])
            link.is_silent = True
            asyncio.get_running_loop().call_later(0.5, link.cut)

    async def stall(self, rng: random.Random) -> None:
        self.proxy.stall()
        await asyncio.sleep(rng.uniform(0, 0.1))
        self.proxy.flow()

    async def terminate_one(self, _rng: random.Random) -> None:
        for pid in (await self.watcher.pids())[:1]:
            await self.watcher.db.execute("SELECT pg_terminate_backend($1)", pid)

    async def kill_one(self) -> None:
        """Kill a server process with SIGKILL, so that the server restarts all of them."""
        for pid in (await self.watcher.pids())[-1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            while not self.watcher.db.is_closed():
                await asyncio.sleep(0.01)
            self.watcher = dataclasses.replace(self.watcher, db=await again(self.watcher.dsn))

    async def run(self, length_s: float) -> None:
        """Run the workers, then compare the stored rows with the acknowledged ones."""
        end = time.monotonic() + length_s
        names = [f"w{number}" for number in range(WORKERS)]
        tasks = [asyncio.create_task(self.work(name, end)) for name in names]
        await self.strike(end)
        _, hanging = await asyncio.wait(tasks, timeout=2 * PATIENCE_S)
        assert not hanging
        for task in tasks:
            task.result()
        for link in self.proxy.links:
            if link.is_silent:
                link.cut()
        self.check([write.error for write in self.ledger.writes if write.error])
        assert self.unexpected == []
        await check_pool(self.client, self.watcher, size=SIZE)
        await self.ledger.check(self.watcher.db)
        assert self.ledger.count("acknowledged") > 0


async def pause(rng: random.Random) -> None:
    """Wait for a few steps of the event loop, or for a short time."""
    if rng.random() < 0.5:
        for _ in range(rng.randrange(20)):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(rng.uniform(0, SOON_S))


async def again(dsn: str) -> asyncpg.Connection:
    """Connect to a server during its recovery."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await asyncpg.connect(dsn)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def client_on(dsn: str, pool: str) -> AsyncGenerator[PostgresClient]:
    if pool == "own":
        async with PostgresClient.open(dsn, settings=SETTINGS, migrations="off") as client:
            yield client
        return
    async with asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=SIZE,
        init=init_connection,
        timeout=5,
        command_timeout=5,
        server_settings={"application_name": "agentrows"},
    ) as own:
        yield await PostgresClient.from_pool(own, settings=SETTINGS)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with own_server() as server:
        asyncio.run(Migrator(server.dsn("template1"), migrate.builtin_tracks()).up())
        yield server


@pytest.mark.parametrize("pool", ["own", "from_pool"])
@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_calls_interrupted_at_random_under_faults_lose_no_row_and_no_slot(
    server: OwnServer,
    rounds: int,
    caplog: pytest.LogCaptureFixture,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    pool: str,
) -> None:
    seed = os.environ.get("AGENTROWS_SEED") or str(random.randrange(10**9))  # noqa: S311
    print(f"AGENTROWS_SEED={seed}")  # noqa: T201  shown if the test fails
    caplog.set_level("INFO", logger="agentrows")
    name = f"chaos_{random.randrange(10**9)}"  # noqa: S311

    async def run() -> int:
        async with watch(server.dsn()) as admin:
            await admin.db.execute(f"CREATE DATABASE {name}")
        async with (
            proxy_to(server.port) as proxy,
            watch(server.dsn(name)) as watcher,
            client_on(proxy.dsn(server.dsn(name)), pool) as client,
        ):
            chaos = Chaos(client, proxy, watcher, seed)
            try:
                await chaos.run(LENGTH_S * rounds)
            finally:
                await chaos.watcher.db.close()
            return chaos.calls

    with asyncio.Runner(loop_factory=new_loop) as runner:
        calls = runner.run(run())
    print(f"{calls} calls")  # noqa: T201
    logged = [each.getMessage() for each in caplog.records if each.name == "asyncio"]
    assert [each for each in logged if LOST_IN_TLS not in each] == []
