"""Databases in the state in which golang-migrate or kagent leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentrows.migrate.track import load_all

if TYPE_CHECKING:
    import asyncpg

    from agentrows.migrate import Track

TRACKING = (
    "CREATE TABLE IF NOT EXISTS {} (version bigint not null primary key, dirty boolean not null)"
)


async def golang_migrate(
    db: asyncpg.Connection, track: Track, version: int, *, dirty: bool = False
) -> None:
    """Take a track from nothing to a version with the steps of golang-migrate."""
    (loaded,) = load_all([track])
    await db.execute(TRACKING.format(track.table))
    for migration in loaded.migrations:
        if migration.version <= version and not migration.up.is_blank:
            await db.execute(migration.up.sql)
    await set_row(db, track.table, version, dirty=dirty)


async def set_row(db: asyncpg.Connection, table: str, version: int, *, dirty: bool) -> None:
    await db.execute(TRACKING.format(table))
    await db.execute(f"TRUNCATE {table}")
    await db.execute(f"INSERT INTO {table} VALUES ($1, $2)", version, dirty)  # noqa: S608
