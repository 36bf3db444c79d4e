"""Runner processes that a test starts, watches and kills."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support.tracks import write_track

if TYPE_CHECKING:
    import asyncpg

IntactCheck = Callable[[int], Awaitable[None]]
"""A function that checks that no row is lost and that the track has this version."""
COMMAND: Final = Path(sys.executable).parent / "agentrows"
PATIENCE_S: Final = 30.0
GATE: Final = "SELECT pg_advisory_xact_lock(4242);"
"""A migration file with this statement waits while a test has the advisory lock."""
WAITING: Final = "another runner has the migration lock: "
MODULE: Final = """
from pathlib import Path
from agentrows.migrate import Track
TRACKS = [Track("app", Path(__file__).parent / "app", "app_versions")]
"""
WAITING_AT_GATE: Final = (
    "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4242 AND NOT granted"
)
BUILDING: Final = (
    "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'agentrows migrate'"
    " AND datname = current_database() AND wait_event_type = 'Lock'"
    " AND query LIKE '%INDEX CONCURRENTLY IF NOT EXISTS a_n ON a %'"
)
"""Whether an index build waits for a writer; builds of built-in tracks also wait for readers."""
NO_RUNNER_LEFT: Final = (
    "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'agentrows migrate'"
    " AND datname = current_database()"
)
TERMINATE_RUNNERS: Final = (
    "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity"
    " WHERE application_name = 'agentrows migrate' AND datname = current_database()"
)


@dataclass(frozen=True, slots=True)
class Done:
    """The exit code and output of a runner."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def last(self) -> str:
        """The last line on stderr."""
        return self.err.strip().rpartition("\n")[2]


@dataclass(slots=True)
class Runner:
    """A process that runs `agentrows migrate …`."""

    process: asyncio.subprocess.Process
    seen: list[str] = field(default_factory=list[str])

    async def wait_for_line(self, words: str) -> None:
        """Wait for a line on stderr that contains these words."""
        assert self.process.stderr
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.process.stderr.readline()).decode():
                self.seen.append(line)
                if words in line:
                    return
        raise AssertionError("".join(self.seen))

    async def wait_for_end(self, with_signal: signal.Signals | None = None) -> Done:
        """Send a signal if one is given; wait for the end of the process."""
        started = time.monotonic()
        if with_signal:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(with_signal)
        async with asyncio.timeout(PATIENCE_S):
            out, err = await self.process.communicate()
        return Done(
            self.process.returncode or 0,
            out.decode(),
            "".join(self.seen) + err.decode(),
            time.monotonic() - started,
        )


@dataclass(slots=True)
class App:
    """An application with a track of its own, in a folder, and its database."""

    folder: Path
    dsn: str
    program: tuple[str | Path, ...] = (COMMAND,)
    runners: list[Runner] = field(default_factory=list[Runner])

    def write(self, *ups: str) -> None:
        """Write these as the track's up files."""
        (self.folder / "app.py").write_text(MODULE)
        write_track(self.folder, "app", *ups)

    async def start(self, *arguments: str, dsn: str | None = None, **extra: str) -> Runner:
        """Start `agentrows migrate` with these arguments."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith("AGENTROWS_")}
        ours |= {"AGENTROWS_DATABASE_URL": dsn or self.dsn, **extra}
        process = await asyncio.create_subprocess_exec(
            *(*self.program, "migrate", *arguments, "--tracks", "app:TRACKS"),
            cwd=self.folder,
            env=ours,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        runner = Runner(process)
        self.runners.append(runner)
        return runner

    async def run(self, *arguments: str, dsn: str | None = None, **extra: str) -> Done:
        """Start `agentrows migrate` with these arguments, and wait for its end."""
        return await (await self.start(*arguments, dsn=dsn, **extra)).wait_for_end()

    async def end(self) -> None:
        """Kill the processes that are still running."""
        for runner in self.runners:
            if runner.process.returncode is None:
                await runner.wait_for_end(signal.SIGKILL)


async def until(db: asyncpg.Connection, query: str) -> None:
    """Wait until a query returns true."""
    async with asyncio.timeout(PATIENCE_S):
        while not await db.fetchval(query):
            await asyncio.sleep(0.01)


async def close_gate(db: asyncpg.Connection) -> None:
    """Make runners wait in a file that contains GATE."""
    await db.execute("SELECT pg_advisory_lock(4242)")


async def open_gate(db: asyncpg.Connection) -> None:
    """Let the runners continue."""
    await db.execute("SELECT pg_advisory_unlock(4242)")
