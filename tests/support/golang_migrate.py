"""A stand-in for golang-migrate: its statements, one by one, on a session of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.migrate.lock import lock_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import asyncpg


@dataclass(slots=True)
class GolangMigrate:
    """An `up` over these files; `slash` as its command line names a database."""

    db: asyncpg.Connection
    table: str
    files: Sequence[str]
    slash: bool

    async def run(self, steps: int | None = None) -> int:
        """Send so many statements, or all; return how many there were."""
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
        """Its SetVersion, in one transaction."""
        return (
            f'BEGIN; TRUNCATE "{self.table}"; INSERT INTO "{self.table}" (version, dirty)'  # noqa: S608
            f" VALUES ({version}, {dirty}); COMMIT"
        )
