"""The process of one contender: waits for turns on standard input, answers on standard output.

    python benchmarks/worker.py SUBJECT CONTENDER DSN asyncio|uvloop

Each line in is a number of seconds, each line out the JSON of a `Turn`. Output of libraries goes
to standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, TextIO

from harness import take_turn
from subjects import find_subject

if TYPE_CHECKING:
    from harness import Contender, Subject


async def serve(subject: Subject, contender: Contender, dsn: str, answers: TextIO) -> None:
    """Take a turn for each line of standard input, until it ends."""
    loop = asyncio.get_running_loop()
    async with contender.open(dsn) as operation:
        print("ready", file=answers, flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            turn = await take_turn(operation, tasks=subject.tasks, seconds=float(line))
            print(json.dumps(turn), file=answers, flush=True)


def main() -> None:
    """Serve the contender that the arguments name."""
    name, contender_name, dsn, loop = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    subject = find_subject(name)
    [contender] = [each for each in subject.contenders if each.name == contender_name]
    factory = None
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(subject, contender, dsn, answers))


if __name__ == "__main__":
    main()
