"""The latencies of get_session at rates of calls that do not depend on the replies (open loop).

Each call is due at a fixed time, and its latency is counted from then: a client that cannot keep up
has a queue that grows, which a closed loop of tasks hides. The contenders take turns at each rate,
on ten connections each.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import get_session
from harness import OURS, percentile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conductor import Options
    from harness import Open, Operation
    from server import Server

RATES: Final = (1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000)
CONTENDERS: Final[Mapping[str, Open]] = {
    OURS: get_session.ours,
    get_session.ALONE: partial(get_session.ours, merge=False),
    get_session.FREE_LIST: get_session.from_free_list,
}
WARM_UP_RATE: Final = 20_000
"""High enough that each connection prepares its statements, also those of batches."""
Latencies = dict[str, list[list[tuple[float, float]]]]
"""The p50 and p99 of each round, in milliseconds, by contender and rate."""


def measure(server: Server, options: Options) -> dict[str, Any]:
    """Return the medians of the rounds' p50 and p99, in milliseconds, for each rate."""
    chosen = {
        name: contender
        for name, contender in CONTENDERS.items()
        if not options.contenders or name in options.contenders
    }
    with server.database() as dsn:
        found = asyncio.run(run(dsn, chosen, options))
    return {
        "kind": "offered_load",
        "title": "get_session on 10 connections: latency by offered load, open loop, asyncio",
        "rates": list(RATES),
        "rows": [
            {
                "contender": name,
                "p50_ms": [statistics.median(p50 for p50, _ in rounds) for rounds in by_rate],
                "p99_ms": [statistics.median(p99 for _, p99 in rounds) for rounds in by_rate],
            }
            for name, by_rate in found.items()
        ],
    }


async def run(dsn: str, chosen: Mapping[str, Open], options: Options) -> Latencies:
    """Let the contenders take turns at each rate, in rounds."""
    await get_session.prepare(dsn)
    found: Latencies = {name: [[] for _ in RATES] for name in chosen}
    async with contextlib.AsyncExitStack() as stack:
        operations = {
            name: await stack.enter_async_context(open_(dsn)) for name, open_ in chosen.items()
        }
        for operation in operations.values():
            await offer(operation, rate=WARM_UP_RATE, seconds=min(0.3, options.seconds))
        for _ in range(options.rounds):
            for place, rate in enumerate(RATES):
                for name, operation in operations.items():
                    latencies = await offer(operation, rate=rate, seconds=options.seconds)
                    p50, p99 = percentile(latencies, 50), percentile(latencies, 99)
                    found[name][place].append((p50 * 1000, p99 * 1000))
    return found


async def offer(operation: Operation, *, rate: int, seconds: float) -> list[float]:
    """Start calls at a rate for a time, wait for all of them; return their latencies, sorted."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []

    async def call(number: int, due: float) -> None:
        await operation(number)
        latencies.append(loop.time() - due)

    count = max(1, int(rate * seconds))
    begin = loop.time()
    async with asyncio.TaskGroup() as group:
        started = 0
        while started < count:
            due_by_now = min(count, int((loop.time() - begin) * rate) + 1)
            for number in range(started, due_by_now):
                group.create_task(call(number, begin + number / rate))
            started = max(started, due_by_now)
            # The timers of the loop are too coarse for the next call; the replies need turns too.
            await asyncio.sleep(0)
    return sorted(latencies)
