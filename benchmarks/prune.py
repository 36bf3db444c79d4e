"""The latency of writers without and with a prune beside them, on one PostgreSQL with fsync.

    python benchmarks/prune.py --rows 1000000

It needs the extra `embedded`. Writers send calls at a steady rate, because callers that wait for
each other would hide a delay. The prune is the command `agentrows prune` in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg
from server import start_server

from agentrows import NewEvent, PostgresClient, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE: Final = 100
"""Calls of writers per second."""
# Of 100 rows: 70 events in sessions of 100 events, 10 without a session, 10 tasks, 10 of feedback.
FILL: Final = """
INSERT INTO session (id, user_id, created_at, updated_at)
SELECT 's-' || n, 'u-' || n % 1000, now() - interval '1 year', now() - interval '1 year'
FROM generate_series(0, {rows} * 7 / 1000 - 1) AS n;
INSERT INTO event (id, user_id, session_id, data, created_at, updated_at)
SELECT 'e-' || n, 'u-' || n / 100 % 1000, 's-' || n / 100, repeat('x', 300),
    now() - interval '1 year', now() - interval '1 year'
FROM generate_series(0, {rows} * 7 / 10 - 1) AS n;
INSERT INTO event (id, user_id, session_id, data, created_at, updated_at)
SELECT 'o-' || n, 'u-' || n % 1000, CASE WHEN n % 2 = 0 THEN 'absent-' || n / 100 END,
    repeat('x', 300), now() - interval '1 year', now() - interval '1 year'
FROM generate_series(1, {rows} / 10) AS n;
INSERT INTO task (id, user_id, session_id, data, created_at, updated_at)
SELECT 't-' || n, 'u-' || n % 1000, 'absent-' || n / 10, repeat('x', 300),
    now() - interval '1 year', now() - interval '1 year'
FROM generate_series(1, {rows} / 10) AS n;
INSERT INTO feedback (user_id, feedback_text, created_at, updated_at)
SELECT 'u-' || n % 1000, 'x', now() - interval '1 year', now() - interval '1 year'
FROM generate_series(1, {rows} / 10) AS n;
VACUUM ANALYZE session, event, task, feedback;
"""
LONGEST: Final = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    AND query NOT LIKE 'SELECT coalesce(max(extract%'
"""


class Latencies(NamedTuple):
    """The latencies of calls in milliseconds."""

    p50: float
    p99: float
    longest: float
    calls: int


class Writers:
    """Calls of writers at a steady rate, until `stop` is called."""

    def __init__(self, client: PostgresClient) -> None:
        self._client = client
        self._stopped = False
        self._number = 0

    def stop(self) -> None:
        """End the run after the calls that are under way."""
        self._stopped = True

    async def run(self, *, seconds: float | None = None) -> Latencies:
        """Send calls; return their latencies."""
        self._stopped = False
        taken: list[float] = []
        calls: set[asyncio.Task[None]] = set()
        begin = time.perf_counter()
        sent = 0
        while not self._stopped and (seconds is None or time.perf_counter() - begin < seconds):
            call = asyncio.create_task(self._write(taken))
            calls.add(call)
            call.add_done_callback(calls.discard)
            sent += 1
            await asyncio.sleep(max(0.0, begin + sent / RATE - time.perf_counter()))
        await asyncio.gather(*calls)
        return summarize(taken)

    async def _write(self, taken: list[float]) -> None:
        self._number += 1
        number, user = self._number, f"u-{self._number % 1000}"
        begin = time.perf_counter()
        if number % 4 == 0:
            await self._client.store_feedback(user_id=user, is_positive=True, feedback_text="x")
        elif number % 4 == 1:
            await self._client.store_task(f"new-{number}", user_id=user, data="{}")
        else:
            await self._client.store_session(f"new-{number % 50}", user_id=user)
            await self._client.store_events(
                [
                    NewEvent(
                        id=f"new-{number}",
                        user_id=user,
                        session_id=f"new-{number % 50}",
                        data="x" * 300,
                    )
                ]
            )
        taken.append(time.perf_counter() - begin)


def summarize(taken: Sequence[float]) -> Latencies:
    """Return the median, the 99th percentile and the maximum, in milliseconds."""
    ordered = sorted(taken)
    return Latencies(
        ordered[len(ordered) // 2] * 1000,
        ordered[len(ordered) * 99 // 100] * 1000,
        ordered[-1] * 1000,
        len(ordered),
    )


async def longest_transaction(dsn: str, seconds: list[float]) -> None:
    """Append the age of the oldest transaction every 10 ms."""
    connection = await asyncpg.connect(dsn)
    try:
        while True:
            seconds.append(await connection.fetchval(LONGEST))
            await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def prune(dsn: str, batch_size: int) -> str:
    """Run the command; return the last line of its output."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "agentrows"),
        *("prune", "--older-than", "90d", "--batch-size", str(batch_size)),
        env={**os.environ, "AGENTROWS_DATABASE_URL": dsn},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    return out.decode().splitlines()[-1]


async def measure(dsn: str, rows: int, idle_s: float, batch_size: int) -> dict[str, object]:
    """Fill the database, measure the writers alone, then beside a prune."""
    connection = await asyncpg.connect(dsn)
    for statement in FILL.format(rows=rows).split(";")[:-1]:
        await connection.execute(statement, timeout=1800)
    await connection.execute("CHECKPOINT", timeout=600)
    await connection.close()
    async with PostgresClient.open(dsn, settings=Settings(), migrations="off") as client:
        writers = Writers(client)
        await writers.run(seconds=2)
        idle = await writers.run(seconds=idle_s)
        ages: list[float] = []
        watch = asyncio.create_task(longest_transaction(dsn, ages))
        begin = time.perf_counter()
        beside = asyncio.create_task(writers.run())
        removed = await prune(dsn, batch_size)
        took_s = time.perf_counter() - begin
        writers.stop()
        busy = await beside
        watch.cancel()
    return {
        "idle": idle._asdict(),
        "beside a prune": busy._asdict(),
        "p99, times idle": round(busy.p99 / idle.p99, 2),
        "longest transaction, ms": round(max(ages) * 1000, 1),
        "prune": f"{removed} in {took_s:.0f} s",
    }


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds without a prune")
    parser.add_argument("--batch-size", type=int, default=1000)
    arguments = parser.parse_args()
    with start_server(None) as server, server.database() as dsn:
        found = asyncio.run(measure(dsn, arguments.rows, arguments.idle, arguments.batch_size))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
