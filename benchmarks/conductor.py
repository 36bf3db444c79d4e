"""Lets the contenders of a subject take turns, in rounds, and summarizes the rounds.

Turns interleave: a machine that is slow for a while is slow for all contenders. Ratios are formed
within each round, and the result is the median of the rounds.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict, cast

import asyncpg
from delay import delayed
from harness import LOOPS, is_installed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from harness import Contender, Subject, Target, Turn
    from server import Server

WARM_UP_S = 0.3
WORKER = Path(__file__).with_name("worker.py")


class Row(TypedDict):
    """A contender on one event loop: medians of the rounds, and each round's calls per second."""

    contender: str
    loop: str
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    peak_mb: float
    rounds: list[float]


class Ratio(TypedDict):
    """The result of a target: the median of the rounds' ratios."""

    ours: str
    peer: str
    loop: str
    target: float
    ratio: float


class Comparison(TypedDict):
    """The results of a subject."""

    kind: str
    title: str
    tasks: int
    rows: list[Row]
    ratios: list[Ratio]
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True)
class Options:
    """The extent of a measurement: rounds, seconds per turn, contenders and loops.

    No contenders or loops means all. `rows` and `vectors` are the largest tables for growth and for
    the search of memories.
    """

    rounds: int = 5
    seconds: float = 0.5
    contenders: tuple[str, ...] = ()
    loops: tuple[str, ...] = LOOPS
    rows: int = 1_000_000
    vectors: int = 100_000


class Worker:
    """The process of one contender; a context manager that ends it."""

    def __init__(self, subject: Subject, contender: Contender, dsn: str, loop: str) -> None:
        self.contender = contender.name
        self.loop = loop
        self._process = subprocess.Popen(  # noqa: S603  our own file
            [sys.executable, WORKER, subject.name, contender.name, dsn, loop],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Wait until it has connected."""
        self._answer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let it close its connections, or end it after an error."""
        if error is None:
            self._process.communicate()
        else:
            self._process.kill()
            self._process.wait()

    def take_turn(self, seconds: float) -> Turn:
        """Let it work for this time."""
        assert self._process.stdin  # noqa: S101  a pipe, see __init__
        print(seconds, file=self._process.stdin, flush=True)
        return cast("Turn", json.loads(self._answer()))

    def _answer(self) -> str:
        assert self._process.stdout  # noqa: S101  a pipe, see __init__
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.contender} on {self.loop} failed, see above")
        return line


def compare(subject: Subject, server: Server, options: Options) -> Comparison:
    """Measure every contender of a subject, on a new database."""
    with server.database() as dsn, delayed(dsn, subject.round_trip_ms) as remote:
        asyncio.run(subject.prepare(dsn))
        chosen, left_out = choose(subject, options)
        workers = [
            Worker(subject, contender, remote, loop)
            for contender in chosen
            for loop in options.loops
            if loop == "asyncio" or is_installed(loop)
        ]
        turns = run_rounds(subject, dsn, workers, options)
    rows = [summarize(worker, turns[worker]) for worker in workers]
    return Comparison(
        kind="comparison",
        title=subject.title,
        tasks=subject.tasks,
        rows=rows,
        ratios=[ratio for target in subject.targets for ratio in ratios(target, rows)],
        left_out=left_out,
    )


def choose(subject: Subject, options: Options) -> tuple[list[Contender], dict[str, str]]:
    """Return the contenders that can run, and the reasons why others cannot."""
    wanted = [
        each
        for each in subject.contenders
        if not options.contenders or each.name in options.contenders
    ]
    left_out = {each.name: f"{each.missing} is not installed" for each in wanted if each.missing}
    return [each for each in wanted if not each.missing], left_out


def run_rounds(
    subject: Subject, dsn: str, workers: Sequence[Worker], options: Options
) -> dict[Worker, list[Turn]]:
    """Return each worker's turns; the order changes each round.

    The tables are analysed after all have warmed up: a plan for a table that was analysed when it
    was empty reads the whole of it, until autovacuum analyses it a minute later.
    """
    turns: dict[Worker, list[Turn]] = {worker: [] for worker in workers}
    try:
        for worker in workers:
            worker.__enter__()
            take_turn(subject, dsn, worker, min(WARM_UP_S, options.seconds))
        asyncio.run(execute(dsn, "VACUUM ANALYZE", "CHECKPOINT"))
        for number in range(options.rounds):
            order = random.Random(number)  # noqa: S311  not a secret; the same in each run
            for worker in order.sample(workers, len(workers)):
                turns[worker].append(take_turn(subject, dsn, worker, options.seconds))
    except BaseException as error:
        for worker in workers:
            worker.__exit__(type(error), error, error.__traceback__)
        raise
    for worker in workers:
        worker.__exit__(None, None, None)
    return turns


def take_turn(subject: Subject, dsn: str, worker: Worker, seconds: float) -> Turn:
    """Reset the rows, then let the worker work."""
    if subject.reset:
        asyncio.run(execute(dsn, subject.reset))
    return worker.take_turn(seconds)


def summarize(worker: Worker, turns: list[Turn]) -> Row:
    """Return the medians of a worker's turns; memory is the maximum of all."""
    return Row(
        contender=worker.contender,
        loop=worker.loop,
        per_second=statistics.median(turn["per_second"] for turn in turns),
        p50_ms=statistics.median(turn["p50_ms"] for turn in turns),
        p99_ms=statistics.median(turn["p99_ms"] for turn in turns),
        cpu_us=statistics.median(turn["cpu_us"] for turn in turns),
        peak_mb=max(turn["peak_mb"] for turn in turns),
        rounds=[turn["per_second"] for turn in turns],
    )


def ratios(target: Target, rows: Sequence[Row]) -> list[Ratio]:
    """Return the result of a target on each loop on which both were measured."""
    found = {(row["contender"], row["loop"]): row["rounds"] for row in rows}
    return [
        Ratio(
            ours=target.ours,
            peer=target.peer,
            loop=loop,
            target=target.ratio,
            ratio=statistics.median(
                a / b
                for a, b in zip(found[target.ours, loop], found[target.peer, loop], strict=True)
            ),
        )
        for loop in LOOPS
        if (target.ours, loop) in found and (target.peer, loop) in found
    ]


async def execute(dsn: str, *statements: str) -> None:
    """Run statements on a new connection."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
