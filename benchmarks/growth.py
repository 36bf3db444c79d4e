"""The time of a page, a search and a prune on tables from 1,000 to 1,000,000 rows.

Half of each table belongs to one owner, the *crowd*; the other half is spread over *small* owners
with 20 rows each. There is a database for each size, filled by COPY, with VACUUM ANALYZE after it
as autovacuum would do; the sizes take turns, so that a machine that is slow for a while is slow for
all. A prune finds the same 100 rows to remove at every size, and is rolled back.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

import growth_rows
from clients import agentrows_client
from growth_calls import calls
from harness import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conductor import Options
    from growth_calls import Call
    from server import Server

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
SECONDS: Final = 0.03
"""The duration of the repetitions of a call in a round; at least FEWEST times."""
FEWEST: Final = 3
WARM_UP: Final = 6
"""The server chooses the final plan after five calls."""
TARGET: Final = 2.0


def measure(server: Server, options: Options) -> dict[str, Any]:
    """Return the median time of each call at each size, in milliseconds."""
    sizes = [size for size in SIZES if size <= options.rows] or [options.rows]
    with contextlib.ExitStack() as stack:
        dsns = [stack.enter_context(server.database()) for _ in sizes]
        times = asyncio.run(run(dsns, sizes, options.rounds))
    return {
        "kind": "growth",
        "title": "growth: the median time of a call, by rows in each table",
        "sizes": sizes,
        "target": TARGET,
        "p50_ms": {name: [statistics.median(of) for of in found] for name, found in times.items()},
        "grew": {
            name: statistics.median(
                last / first for first, last in zip(found[0], found[-1], strict=True)
            )
            for name, found in times.items()
        },
    }


async def run(
    dsns: Sequence[str], sizes: Sequence[int], rounds: int
) -> dict[str, list[list[float]]]:
    """Fill the databases; return for each call and size the median time of each round."""
    for dsn, size in zip(dsns, sizes, strict=True):
        await growth_rows.load(dsn, size)
    async with contextlib.AsyncExitStack() as stack:
        by_size = [
            await calls(await stack.enter_async_context(agentrows_client(dsn, size=1)), size)
            for dsn, size in zip(dsns, sizes, strict=True)
        ]
        return {name: await take_turns([of[name] for of in by_size], rounds) for name in by_size[0]}


async def take_turns(same: Sequence[Call], rounds: int) -> list[list[float]]:
    """Run one call on every size, in turns; return each size's times, round by round."""
    for call in same:
        for _ in range(WARM_UP):
            await call()
    times: list[list[float]] = [[] for _ in same]
    for _ in range(rounds):
        for call, found in zip(same, times, strict=True):
            found.append(await median_ms(call))
    return times


async def median_ms(call: Call) -> float:
    """Return the median time of some calls."""
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < FEWEST or time.perf_counter() < end:
        start = time.perf_counter()
        await call()
        times.append(time.perf_counter() - start)
    return percentile(sorted(times), 50) * 1000
