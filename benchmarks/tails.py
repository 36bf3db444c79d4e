"""The latency of tails and the cost of store_events, without and with notifications.

    python benchmarks/tails.py

It needs the extra `embedded`. One process writes and reads, on one PostgreSQL with fsync.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from harness import percentile, take_turn
from server import describe_machine, start_server

from agentrows import NewEvent, PostgresClient, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from server import Server

MODES: Final = {"polling": False, "NOTIFY": True}
TAILS: Final = 100
RATE: Final = 50
"""Events per second while latencies are measured."""
TASKS: Final = (1, 32)
USER: Final = "u-1"
DATA: Final = '{"role": "user", "parts": [{"kind": "text", "text": "What is it?"}]}'
ROWS: Final = """
INSERT INTO session (id, user_id, created_at, updated_at)
SELECT 's-' || n, 'u-1', now(), now() FROM generate_series(0, 99) AS n
"""
numbers: Final = itertools.count()


@contextlib.asynccontextmanager
async def open_client(dsn: str, size: int, *, notify: bool) -> AsyncGenerator[PostgresClient]:
    """Open a client with this number of connections."""
    settings = Settings(pool_min_size=size, pool_max_size=size, notify_events=notify)
    async with PostgresClient.open(dsn, settings=settings, migrations="off") as client:
        yield client


async def store(client: PostgresClient, session: int) -> str:
    """Store an event in a session and return its id."""
    event = NewEvent(id=f"e-{next(numbers)}", user_id=USER, session_id=f"s-{session}", data=DATA)
    await client.store_events([event])
    return event.id


@contextlib.asynccontextmanager
async def follow(client: PostgresClient, count: int) -> AsyncGenerator[dict[str, float]]:
    """Follow this number of sessions, and yield the time at which each event arrives."""
    arrived: dict[str, float] = {}

    async def read(session: int) -> None:
        stored = await client.list_events_for_session(f"s-{session}", user_id=USER, last=1)
        last = stored[-1] if stored else None
        async for event in client.tail_events(f"s-{session}", user_id=USER, after=last):
            arrived[event.id] = time.perf_counter()

    tails = [asyncio.create_task(read(session)) for session in range(count)]
    await asyncio.sleep(2)  # until all of them wait
    yield arrived
    for tail in tails:
        tail.cancel()
    await asyncio.gather(*tails, return_exceptions=True)


async def measure_latency(dsn: str, seconds: float, *, notify: bool) -> dict[str, float]:
    """Return the time from the commit, and from the call, until a tail has the event."""
    called: dict[str, float] = {}
    committed: dict[str, float] = {}
    async with (
        open_client(dsn, 1, notify=notify) as reader,
        open_client(dsn, 2, notify=notify) as writer,
        follow(reader, TAILS) as arrived,
    ):
        begin = time.perf_counter()
        for number in range(int(seconds * RATE)):
            await asyncio.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
            start = time.perf_counter()
            id_ = await store(writer, number * 7 % TAILS)
            called[id_], committed[id_] = start, time.perf_counter()
        await asyncio.sleep(3)  # until a check in the next interval
    if len(arrived) < len(called):
        raise RuntimeError(f"{len(called) - len(arrived)} events did not arrive")
    # The reply and the notification leave the server at the same time.
    after_commit = sorted(max(0.0, arrived[id_] - at) * 1000 for id_, at in committed.items())
    after_call = sorted((arrived[id_] - at) * 1000 for id_, at in called.items())
    return {
        "p50_ms": round(percentile(after_commit, 50), 2),
        "p99_ms": round(percentile(after_commit, 99), 2),
        "p50_ms from the call": round(percentile(after_call, 50), 2),
        "p99_ms from the call": round(percentile(after_call, 99), 2),
        "events": len(called),
    }


async def measure_cost(dsn: str, tasks: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Return the medians of store_events without and with notifications, in turns."""
    async with (
        open_client(dsn, tasks, notify=False) as silent,
        open_client(dsn, tasks, notify=True) as notifying,
        open_client(dsn, 1, notify=True) as reader,
        follow(reader, 1),
    ):
        turns: dict[str, list[Any]] = {name: [] for name in ("off", "on")}
        for _ in range(rounds):
            for name, client in (("off", silent), ("on", notifying)):

                async def call(task: int, client: PostgresClient = client) -> object:
                    return await store(client, 1 + task)  # sessions that no tail follows

                turns[name].append(await take_turn(call, tasks=tasks, seconds=seconds))
    return {
        name: {
            figure: round(statistics.median(turn[figure] for turn in found), 2)
            for figure in ("per_second", "p50_ms", "p99_ms")
        }
        for name, found in turns.items()
    }


async def fill(dsn: str) -> None:
    """Store the sessions."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(ROWS)
    await connection.close()


def measure(server: Server, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Return the latency of both modes, and the cost of notifications."""
    with server.database() as dsn:
        asyncio.run(fill(dsn))
        latency = {
            name: asyncio.run(measure_latency(dsn, rounds * seconds, notify=notify))
            for name, notify in MODES.items()
        }
        cost = {
            f"tasks: {tasks}": asyncio.run(measure_cost(dsn, tasks, rounds, seconds))
            for tasks in TASKS
        }
    return {"latency": latency, "store_events": cost}


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--dsn", help="a server of one's own, instead of an embedded one")
    arguments = parser.parse_args()
    with start_server(arguments.dsn) as server:
        machine = describe_machine(server)
        found = measure(server, rounds=arguments.rounds, seconds=arguments.seconds)
    print(json.dumps({"machine": machine, **found}, indent=2))


if __name__ == "__main__":
    main()
