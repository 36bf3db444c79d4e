"""The thresholds of autovacuum on the tables of this library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentrows.migrate import Migrator, builtin_tracks

if TYPE_CHECKING:
    import asyncpg

OPTION = "autovacuum_vacuum_scale_factor=0.02"


async def read_tables(db: asyncpg.Connection) -> list[str]:
    """Return the tables with the threshold, also for their TOAST."""
    rows = await db.fetch(
        "SELECT c.relname FROM pg_class AS c JOIN pg_class AS t ON t.oid = c.reltoastrelid"
        " WHERE $1 = ANY (c.reloptions) AND $1 = ANY (t.reloptions)"
        " AND 'autovacuum_analyze_scale_factor=0.02' = ANY (c.reloptions) ORDER BY 1",
        OPTION,
    )
    return [row[0] for row in rows]


async def test_tables_that_grow_have_thresholds_of_their_own(
    database: str, db: asyncpg.Connection
) -> None:
    migrator = Migrator(database, builtin_tracks())
    await migrator.up()

    assert await read_tables(db) == [
        "agentrows_checkpoint_blob",
        "agentrows_history_entry",
        "agentrows_memory",
        "agentrows_session_state",
        "agentrows_store_item",
        "agentrows_store_vector",
        "agentrows_task_event",
        "agentrows_transcript_entry",
    ]
    others = await db.fetch(
        "SELECT relname::text FROM pg_class WHERE reloptions::text LIKE '%autovacuum%'"
        " AND relkind = 'r' AND relname NOT LIKE 'agentrows%'"
    )
    assert others == [], "the tables of kagent stay as they are"

    await migrator.goto("agentrows_vector", 5)
    await migrator.goto("agentrows", 33)

    assert await read_tables(db) == []
