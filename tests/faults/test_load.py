"""Two hundred tasks on ten connections, with a fault every few seconds."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg
import pytest

from agentrows import PostgresClient, Retry, Settings, migrate
from agentrows.migrate import Migrator
from support.ledger import Ledger
from support.proxy import Proxy, proxy_to
from support.servers import OwnServer, own_server
from support.watching import PATIENCE_S, check_pool, watch
from support.workload import CALLS, Worker, acknowledge_more, check_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

IS_SOAK: Final = "AGENTROWS_ROUNDS" in os.environ
TASKS: Final = 200
CONNECTIONS: Final = 10
SETTINGS: Final = Settings(
    pool_max_size=CONNECTIONS, retry_timeout_s=120, acquire_timeout_s=120, statement_timeout_s=120
)
"""A generous limit for slow machines; the test does not measure time."""
TIMES: Final = 12 if IS_SOAK else 5
BETWEEN_S: Final = 5.0 if IS_SOAK else 1.0
"""The time between faults."""
AWAY_S: Final = 2.0 if IS_SOAK else 0.5
SPARE_OBJECTS: Final = 20_000
"""A limit for the objects of ten connections with prepared statements; fewer than the calls."""


@pytest.fixture(scope="module")
def own() -> Iterator[OwnServer]:
    with own_server() as server:
        asyncio.run(Migrator(server.dsn(), migrate.builtin_tracks()).up())
        yield server


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults, one after the other."""

    own: OwnServer
    proxy: Proxy

    async def cut(self) -> None:
        self.proxy.cut()

    async def terminate(self) -> None:
        async with watch(self.own.dsn()) as watcher:
            await watcher.terminate_all()

    async def restart(self) -> None:
        await asyncio.to_thread(self.own.restart)

    async def stall(self) -> None:
        self.proxy.stall()
        await asyncio.sleep(AWAY_S)
        self.proxy.flow()

    async def stop(self) -> None:
        await asyncio.to_thread(self.own.stop)
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(self.own.start)

    async def strike(self, times: int) -> dict[str, list[float]]:
        """Cause the faults in turn; return their durations in seconds, by kind."""
        kinds = itertools.cycle((self.cut, self.terminate, self.restart, self.stall, self.stop))
        done: defaultdict[str, list[float]] = defaultdict(list)
        for kind in itertools.islice(kinds, times):
            await asyncio.sleep(BETWEEN_S)
            started = time.monotonic()
            await kind()
            done[kind.__name__].append(time.monotonic() - started)
        await asyncio.sleep(BETWEEN_S)
        return done


class Living(NamedTuple):
    """Counts of objects, connections of the driver, tasks and open files, which may leak."""

    objects: int
    connections: int
    tasks: int
    files: int


def living() -> Living:
    """Return the counts after a garbage collection."""
    gc.collect()
    objects = gc.get_objects()
    connections = sum(isinstance(each, asyncpg.Connection) for each in objects)
    files = len([*Path("/proc/self/fd").iterdir()])
    return Living(len(objects), connections, len(asyncio.all_tasks()), files)


def figures(
    staff: list[Worker], retries: list[Retry], faults: dict[str, list[float]], took_s: float
) -> str:
    """Return the figures in the format of docs/reliability.md."""
    ledger = staff[0].ledger
    seconds = sorted(second for worker in staff for second in worker.seconds)
    percent = statistics.quantiles(seconds, n=100)
    kinds = ", ".join(f"{len(each)} {kind} of {max(each):.1f} s" for kind, each in faults.items())
    return (
        f"{TASKS} tasks on {CONNECTIONS} connections for {took_s:.0f} s"
        f"\nfaults, each at its longest: {kinds}"
        f"\n{len(seconds)} calls, {len(seconds) / took_s:.0f} per second;"
        f" p50 {percent[49] * 1000:.0f} ms, p99 {percent[98] * 1000:.0f} ms,"
        f" longest {seconds[-1]:.1f} s; {len(retries)} retries"
        f"\nwrites: {ledger.count('acknowledged')} acknowledged, {ledger.count('unknown')} unknown,"
        f" {ledger.count('refused')} refused"
    )


async def load(client: PostgresClient, faults: Faults, retries: list[Retry]) -> tuple[Ledger, str]:
    """Run the tasks during the faults and for some time after; no task may hang."""
    ledger, is_over = Ledger(), False
    staff = [Worker(client, ledger, f"w{number}") for number in range(TASKS)]
    started = time.monotonic()
    tasks = [asyncio.create_task(worker.work(lambda: is_over)) for worker in staff]
    try:
        came = await faults.strike(TIMES)
        await acknowledge_more(ledger, TASKS)
    finally:
        is_over = True
        _, hanging = await asyncio.wait(tasks, timeout=2 * PATIENCE_S)
    assert not hanging
    for task in tasks:
        task.result()
    check_errors(staff)
    return ledger, figures(staff, retries, came, time.monotonic() - started)


async def check(client: PostgresClient, ledger: Ledger, dsn: str) -> None:
    """Check the pool, and that the tables agree with the results of the calls."""
    async with watch(dsn) as watcher:
        await check_pool(client, watcher, size=CONNECTIONS)
        await ledger.check(watcher.db)


async def test_load_with_faults_loses_no_row_and_leaks_nothing(
    own: OwnServer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    retries: list[Retry] = []
    # pytest stores log records, and those of errors reference connections.
    caplog.set_level(logging.INFO, logger="agentrows")
    async with (
        proxy_to(own.port) as proxy,
        PostgresClient.open(
            proxy.dsn(own.dsn()),
            settings=SETTINGS,
            migrations="off",
            on_retry=retries.append,
        ) as client,
    ):
        warm = Worker(client, Ledger(), "warm")
        await asyncio.gather(*(call(warm, f"warm-{n}") for n, call in enumerate(CALLS)))
        before = living()
        ledger, summary = await load(client, Faults(own, proxy), retries)
        with capsys.disabled():
            print(f"\n{summary}")  # noqa: T201  for docs/reliability.md

        ledger.writes += warm.ledger.writes
        await check(client, ledger, own.dsn())
        retries.clear()
        del ledger, warm
        now = living()
        assert now.objects - before.objects < SPARE_OBJECTS
        assert now.connections <= CONNECTIONS
        # The proxy has a socket per client socket, and two more with their tasks.
        assert now.tasks - before.tasks <= 3 * CONNECTIONS
        assert now.files - before.files <= 3 * CONNECTIONS
