"""Indexes that are not what a file wants: INVALID ones, and others of the same name.

A concurrent build that fails leaves an INVALID index. `CREATE INDEX IF NOT EXISTS` takes it, and
whatever else has that name, for the index that is wanted. So it is dropped before a file runs, and
a version is not recorded over it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agentrows.errors import MigrationFailed
from agentrows.migrate import catalog
from agentrows.migrate.indexes import created_in, reindexes

if TYPE_CHECKING:
    import asyncpg

    from agentrows.migrate.track import File

logger = logging.getLogger(__name__)


async def drop_invalid(db: asyncpg.Connection, file: File, *, concurrently: bool) -> None:
    """Drop what an earlier try left of a file's indexes."""
    for name in await _invalid(db, file):
        logger.warning("%s: dropping the INVALID index %s of an earlier try", file.label, name)
        await catalog.drop_index(db, name, concurrently=concurrently)


async def refuse_invalid(db: asyncpg.Connection, file: File, undone: str) -> None:
    """Raise MigrationFailed if an index of the file is there and cannot be used."""
    names = ", ".join(await _invalid(db, file))
    if names:
        raise MigrationFailed(f"{file.label}: leaves the index {names} INVALID; {undone}")


async def refuse_elsewhere(db: asyncpg.Connection, file: File, undone: str) -> None:
    """Raise MigrationFailed if the name of the file's index stands for something else."""
    names = ", ".join(await catalog.absent_among(db, created_in(file)))
    if names:
        raise MigrationFailed(
            f"{file.label}: the name {names} is taken by something else in this schema, so the "
            f"index was not made; rename that. {undone}"
        )


async def _invalid(db: asyncpg.Connection, file: File) -> list[str]:
    found = await catalog.invalid_among(db, created_in(file))
    return found + (await catalog.invalid_rebuilds(db) if reindexes(file) else [])
