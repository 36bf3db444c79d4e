"""A replacement for golang-migrate that runs its statements one by one in a process.

`start` runs this file as a program. It writes its progress to stderr: `stopped after 3` if it has
to stop there, where it waits to be killed, or `sent 14` at its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.migrate.lock import lock_id
from support.runners import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TESTS: Final = Path(__file__).parents[1]


@dataclass(slots=True)
class GolangMigrate:
    """An `up` over these files; `slash`: its CLI passes the database's name with a slash."""

    db: asyncpg.Connection
    table: str
    files: Sequence[str]
    slash: bool

    async def run(self, steps: int | None = None) -> int:
        """Send this number of statements, or all; return the number sent."""
        sent = 0
        database = await self.db.fetchval("SELECT CURRENT_DATABASE()")
        schema = await self.db.fetchval("SELECT CURRENT_SCHEMA()")
        lock = lock_id(schema, self.table, "/" * self.slash + database)
        at = 0
        for statement in self.opening(lock, schema):
            if sent == steps:
                return sent
            await self.db.execute(statement)
            sent += 1
        row = await self.db.fetchrow(f"SELECT version FROM {self.table}")  # noqa: S608
        at = row["version"] if row else 0
        for number, file in enumerate(self.files, start=1):
            if number <= at:
                continue
            for statement in (self.mark(number, "true"), file, self.mark(number, "false")):
                if sent == steps:
                    return sent
                await self.db.execute(statement)
                sent += 1
        if sent != steps:
            await self.db.execute(f"SELECT pg_advisory_unlock({lock})")
            sent += 1
        return sent

    def opening(self, lock: int, schema: str) -> Iterator[str]:
        """The statements before the first file."""
        yield f"SELECT pg_advisory_lock({lock})"
        yield (
            "SELECT COUNT(1) FROM information_schema.tables"  # noqa: S608
            f" WHERE table_schema = '{schema}' AND table_name = '{self.table}' LIMIT 1"
        )
        yield (
            f'CREATE TABLE IF NOT EXISTS "{schema}"."{self.table}"'
            " (version bigint not null primary key, dirty boolean not null)"
        )
        yield f"SELECT pg_advisory_unlock({lock})"
        yield f'SELECT version, dirty FROM "{schema}"."{self.table}" LIMIT 1'  # noqa: S608
        yield f"SELECT pg_advisory_lock({lock})"
        yield f'SELECT version, dirty FROM "{schema}"."{self.table}" LIMIT 1'  # noqa: S608

    def mark(self, version: int, dirty: str) -> str:
        """The statements of its SetVersion, in one transaction."""
        return (
            f'BEGIN; TRUNCATE "{self.table}"; INSERT INTO "{self.table}" (version, dirty)'  # noqa: S608
            f" VALUES ({version}, {dirty}); COMMIT"
        )


async def start(
    dsn: str, table: str, files: Sequence[str], *, slash: bool, steps: int | None = None
) -> Runner:
    """Start its process, which stops after this number of statements, or runs to its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "support.golang_migrate"),
        json.dumps({"dsn": dsn, "table": table, "files": files, "slash": slash, "steps": steps}),
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Runner(process)


async def statements_of(runner: Runner) -> int:
    """Wait until it has ended; return the number of statements that it sent."""
    done = await runner.wait_for_end()
    sent = re.search(r"sent (\d+)", done.err)
    assert done.code == 0, done.err
    assert sent, done.err
    return int(sent[1])


async def main(asked: str) -> None:
    """Run as golang-migrate."""
    options = json.loads(asked)
    db = await asyncpg.connect(
        options["dsn"], server_settings={"application_name": "golang-migrate"}
    )
    tool = GolangMigrate(db, options["table"], options["files"], options["slash"])
    sent = await tool.run(options["steps"])
    if options["steps"] is None:
        await db.close()
        print(f"sent {sent}", file=sys.stderr)  # noqa: T201  read by the test
        return
    print(f"stopped after {sent}", file=sys.stderr, flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
