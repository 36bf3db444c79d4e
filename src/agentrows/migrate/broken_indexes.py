"""Checks for broken indexes: INVALID ones, and other relations of the same name.

A failed concurrent build leaves an INVALID index. `CREATE INDEX IF NOT EXISTS` accepts it, like any
other relation of that name. So it is dropped before a file runs, and no
version is recorded over a broken index.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from agentrows.errors import MigrationFailed
from agentrows.migrate import index_catalog
from agentrows.migrate.index_statements import created_indexes, rebuilds_indexes
from agentrows.migrate.sql_text import unqualified

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from agentrows.migrate.track import File

logger = logging.getLogger(__name__)


async def drop_invalid(db: asyncpg.Connection, file: File, *, concurrently: bool) -> None:
    """Drop the INVALID indexes that an earlier try of a file left."""
    for name in await _find_invalid(db, file):
        logger.warning("%s: dropping the INVALID index %s of an earlier try", file.label, name)
        await index_catalog.drop_index(db, name, concurrently=concurrently)


async def refuse_invalid(db: asyncpg.Connection, file: File, undone: str) -> None:
    """Raise MigrationFailed if an index of the file is INVALID."""
    names = ", ".join(await _find_invalid(db, file))
    if names:
        raise MigrationFailed(f"{file.label}: leaves the index {names} INVALID; {undone}")


async def refuse_skipped(
    db: asyncpg.Connection, file: File, notices: Sequence[str], undone: str
) -> None:
    """Raise MigrationFailed if a file skipped an index that exists and is INVALID.

    The names are in the server's notices, so this also finds an index that a DO block creates.
    """
    for qualified in await index_catalog.find_invalid_on_search_path(db) if notices else ():
        name = re.escape(unqualified(qualified))
        if any(re.search(rf"(?<!\w){name}(?!\w)", notice) for notice in notices):
            raise MigrationFailed(
                f"{file.label}: skipped the index {qualified}, which exists and is INVALID: drop "
                f"it, and run the file again; {undone}"
            )


async def refuse_absent(db: asyncpg.Connection, file: File, undone: str) -> None:
    """Raise MigrationFailed if the index of a file with one statement does not exist."""
    _refuse_taken(file, await index_catalog.find_absent(db, created_indexes(file)), undone)


async def refuse_taken(db: asyncpg.Connection, file: File, undone: str) -> None:
    """Raise MigrationFailed if another relation has the name of an index of the file.

    An index that the file itself drops or renames later is not checked.
    """
    indexes = [index for index in created_indexes(file) if index.if_not_exists]
    _refuse_taken(file, await index_catalog.find_taken(db, indexes), undone)


def _refuse_taken(file: File, names: list[str], undone: str) -> None:
    if names:
        raise MigrationFailed(
            f"{file.label}: the name {', '.join(names)} is taken by another relation in this "
            f"schema, so the index was not created: rename that relation; {undone}"
        )


async def _find_invalid(db: asyncpg.Connection, file: File) -> list[str]:
    names = await index_catalog.find_invalid(db, created_indexes(file))
    if rebuilds_indexes(file):
        names += await index_catalog.find_invalid_rebuilds(db)
    return names
