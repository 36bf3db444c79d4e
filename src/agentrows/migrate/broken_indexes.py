"""Indexes that are not what a file wants: INVALID ones, and others of the same name.

A concurrent build that fails leaves an INVALID index. `CREATE INDEX IF NOT EXISTS` takes it, and
whatever else has that name, for the index that is wanted. So it is dropped before a file runs, and
a version is not recorded over it.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from agentrows.errors import MigrationFailed
from agentrows.migrate import server
from agentrows.migrate.index_statements import created_in, reindexes
from agentrows.migrate.sql_text import unqualified

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from agentrows.migrate.track import File

logger = logging.getLogger(__name__)


async def drop_invalid(db: asyncpg.Connection, file: File, *, concurrently: bool) -> None:
    """Drop what an earlier try left of a file's indexes."""
    for name in await _invalid(db, file):
        logger.warning("%s: dropping the INVALID index %s of an earlier try", file.label, name)
        await server.drop_index(db, name, concurrently=concurrently)


async def refuse_invalid(db: asyncpg.Connection, file: File, undone: str) -> None:
    """Raise MigrationFailed if an index of the file is there and cannot be used."""
    names = ", ".join(await _invalid(db, file))
    if names:
        raise MigrationFailed(f"{file.label}: leaves the index {names} INVALID; {undone}")


async def refuse_skipped(
    db: asyncpg.Connection, file: File, notices: Sequence[str], undone: str
) -> None:
    """Raise MigrationFailed if a file skipped the making of an index that is INVALID.

    The server names what it skips. So this also finds an index that a DO block makes.
    """
    for qualified in await server.invalid_on_path(db) if notices else ():
        name = re.escape(unqualified(qualified))
        if any(re.search(rf"(?<!\w){name}(?!\w)", notice) for notice in notices):
            raise MigrationFailed(
                f"{file.label}: skipped the index {qualified}, which exists and is INVALID: drop "
                f"it, and run the file again; {undone}"
            )


async def refuse_absent(db: asyncpg.Connection, file: File, undone: str) -> None:
    """Raise MigrationFailed if the index of a file with one statement is not on its table."""
    _refuse_taken(file, await server.absent_among(db, created_in(file)), undone)


async def refuse_taken(db: asyncpg.Connection, file: File, undone: str) -> None:
    """Raise MigrationFailed if the name of an index of the file stands for something else.

    What the file has dropped or renamed behind its index is left alone.
    """
    guarded = [index for index in created_in(file) if index.guarded]
    _refuse_taken(file, await server.taken_among(db, guarded), undone)


def _refuse_taken(file: File, names: list[str], undone: str) -> None:
    if names:
        raise MigrationFailed(
            f"{file.label}: the name {', '.join(names)} is taken by something else in this schema, "
            f"so the index was not made: rename that; {undone}"
        )


async def _invalid(db: asyncpg.Connection, file: File) -> list[str]:
    found = await server.invalid_among(db, created_in(file))
    return found + (await server.invalid_rebuilds(db) if reindexes(file) else [])
