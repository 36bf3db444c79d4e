"""The parts of a benchmark, and the timing of one process.

A *subject* is a piece of work, such as reading a session by its key. Its *contenders* do the same
work, each with its own library and in its own process, so that their memory is measured separately.
`conductor.py` starts the processes and lets them take turns.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

OURS: Final = "agentrows"
LOOPS: Final = ("asyncio", "uvloop")

Operation = Callable[[int], Awaitable[object]]
"""One call of the work, by the task with this number."""
Open = Callable[[str], AbstractAsyncContextManager[Operation]]
"""Connects to the database with this DSN and yields the operation; closes at the end."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to do the work: its name in the table, its start, the modules that it needs."""

    name: str
    open: Open
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> str | None:
        """The first module that is not installed, if any."""
        return next((name for name in self.needs if not is_installed(name)), None)


@dataclass(frozen=True, slots=True)
class Target:
    """The target of the work: `ours` makes at least `ratio` times as many calls as `peer`."""

    peer: str
    ratio: float
    ours: str = OURS


@dataclass(frozen=True, slots=True)
class Subject:
    """A piece of work, done by `tasks` at the same time for each contender.

    `prepare` stores the rows in a migrated database; `reset` is SQL that runs before every turn, so
    that each begins with the same rows. `round_trip_ms` is the time of a round trip to the server;
    0 is that of the connection itself.
    """

    name: str
    title: str
    contenders: tuple[Contender, ...]
    prepare: Callable[[str], Awaitable[None]]
    tasks: int = 1
    targets: tuple[Target, ...] = ()
    reset: str = ""
    round_trip_ms: float = 0


class Turn(TypedDict):
    """The result of one contender in one round: calls per second, latencies in milliseconds.

    `cpu_us` is the processor time of a call in its process, in microseconds: of all figures the one
    that other work on the machine disturbs least.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    peak_mb: float


def is_installed(module: str) -> bool:
    """Whether a module can be imported, without importing the last part of its name."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


async def take_turn(operation: Operation, *, tasks: int, seconds: float) -> Turn:
    """Run the operation in this number of tasks for this time; each makes at least one call."""
    latencies: list[float] = []
    clock = time.perf_counter
    cpu = time.process_time()
    begin = clock()
    end = begin + seconds

    async def work(number: int) -> None:
        while True:
            start = clock()
            await operation(number)
            now = clock()
            latencies.append(now - start)
            if now >= end:
                return

    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            group.create_task(work(number))
    elapsed = clock() - begin
    cpu = time.process_time() - cpu
    latencies.sort()
    return Turn(
        per_second=len(latencies) / elapsed,
        p50_ms=percentile(latencies, 50) * 1000,
        p99_ms=percentile(latencies, 99) * 1000,
        cpu_us=cpu / len(latencies) * 1e6,
        peak_mb=peak_memory_mb(),
    )


def percentile(ordered: list[float], percent: float) -> float:
    """Return the percentile of an ordered list (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def peak_memory_mb() -> float:
    """Return the peak memory of this process.

    Not getrusage: that figure begins with the memory of the parent when it started the process.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")
