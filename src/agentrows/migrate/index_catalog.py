"""The SQL about indexes in the server's catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentrows.db.sources import Connection
    from agentrows.migrate.index_statements import Index

_INVALID: Final = """
    SELECT format('%I.%I', namespace.nspname, class.relname)
    FROM unnest($1::text[], $2::text[]) AS wanted (name, table_name)
    JOIN pg_catalog.pg_class AS class ON class.relname = wanted.name AND class.relkind = 'i'
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    JOIN pg_catalog.pg_index AS made
        ON made.indexrelid = class.oid AND made.indrelid = to_regclass(wanted.table_name)
    WHERE NOT made.indisvalid
"""
_EXISTS: Final = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_index AS made
        JOIN pg_catalog.pg_class AS class ON class.oid = made.indexrelid
        WHERE class.relname = $1 AND made.indrelid = to_regclass($2)
    )
"""
_TAKEN: Final = """
    SELECT class.relname
    FROM unnest($1::text[], $2::text[]) AS wanted (name, table_name)
    JOIN pg_catalog.pg_class AS indexed ON indexed.oid = to_regclass(wanted.table_name)
    JOIN pg_catalog.pg_class AS class
        ON class.relname = wanted.name AND class.relnamespace = indexed.relnamespace
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_index AS made
        WHERE made.indexrelid = class.oid AND made.indrelid = indexed.oid
    )
"""
_INVALID_REBUILDS: Final = """
    SELECT format('%I.%I', namespace.nspname, class.relname)
    FROM pg_catalog.pg_index AS index
    JOIN pg_catalog.pg_class AS class ON class.oid = index.indexrelid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE NOT index.indisvalid AND class.relname ~ '_cc(new|old)[0-9]*$'
        AND class.relkind = 'i' AND namespace.nspname = ANY (current_schemas(false))
"""
_INVALID_IN: Final = """
    SELECT format('%I.%I', namespace.nspname, class.relname), index.indrelid::regclass::text
    FROM pg_catalog.pg_index AS index
    JOIN pg_catalog.pg_class AS class ON class.oid = index.indexrelid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE NOT index.indisvalid AND class.relkind = 'i' AND namespace.nspname = ANY ($1::text[])
    ORDER BY 1
"""
_OF_TABLE: Final = """
    SELECT class.relname, made.indisvalid
    FROM pg_catalog.pg_index AS made
    JOIN pg_catalog.pg_class AS class ON class.oid = made.indexrelid
    WHERE made.indrelid = to_regclass($1)
"""
_SCHEMA_OF: Final = """
    SELECT namespace.nspname
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE class.oid = to_regclass($1)
"""
_ESTIMATED_ROWS: Final = """
    SELECT class.reltuples::bigint FROM pg_catalog.pg_class AS class
    WHERE class.oid = to_regclass('agentrows_memory')
"""
_SAMPLED_DIMENSIONS: Final = """
    SELECT vector_dims(embedding), count(*), sum(count(*)) OVER ()
    FROM agentrows_memory TABLESAMPLE SYSTEM ($1)
    WHERE embedding IS NOT NULL
    GROUP BY 1 ORDER BY 1
"""
SAMPLE: Final = 10_000
"""The number of rows, about, from which the sizes of embeddings are estimated."""


async def estimate_memories(db: Connection) -> dict[int, int]:
    """Return the estimated number of memories in agentrows_memory by number of dimensions.

    Empty without the table, before its first ANALYZE, and for a role that cannot read it.
    """
    rows = await db.fetchval(_ESTIMATED_ROWS)
    if rows is None or rows <= 0:
        return {}
    try:
        counts = await db.fetch(_SAMPLED_DIMENSIONS, min(100.0, 100 * SAMPLE / rows))
    except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedFunctionError):
        return {}
    return {row[0]: round(rows * int(row[1]) / int(row[2])) for row in counts}


async def read_indexes(db: Connection, table: str) -> dict[str, bool]:
    """Return whether each index of a table on the search_path is valid."""
    return {row[0]: row[1] for row in await db.fetch(_OF_TABLE, table)}


async def find_schema(db: Connection, table: str) -> str | None:
    """Return the schema of a table on the search_path; None if the table does not exist."""
    name: str | None = await db.fetchval(_SCHEMA_OF, table)
    return name


async def find_invalid(db: Connection, indexes: Iterable[Index]) -> list[str]:
    """Return those of these indexes that exist and are INVALID, qualified and quoted."""
    wanted = [(index.name, index.written_table) for index in indexes]
    if not wanted:
        return []
    rows = await db.fetch(_INVALID, *map(list, zip(*wanted, strict=True)))
    return [str(row[0]) for row in rows]


async def find_absent(db: Connection, indexes: Iterable[Index]) -> list[str]:
    """Return the names of those indexes that their table does not have."""
    return [
        index.name
        for index in indexes
        if not await db.fetchval(_EXISTS, index.name, index.written_table)
    ]


async def find_taken(db: Connection, indexes: Iterable[Index]) -> list[str]:
    """Return the names of those indexes that another relation in the table's schema has."""
    wanted = [(index.name, index.written_table) for index in indexes]
    if not wanted:
        return []
    rows = await db.fetch(_TAKEN, *map(list, zip(*wanted, strict=True)))
    return [str(row[0]) for row in rows]


async def find_invalid_rebuilds(db: Connection) -> list[str]:
    """Return the indexes that a failed REINDEX CONCURRENTLY left, on the search_path."""
    return [str(row[0]) for row in await db.fetch(_INVALID_REBUILDS)]


async def find_invalid_in_schemas(db: Connection, schemas: Sequence[str]) -> list[tuple[str, str]]:
    """Return every INVALID index of these schemas, each with its table."""
    return [(row[0], row[1]) for row in await db.fetch(_INVALID_IN, schemas)]


async def find_invalid_on_search_path(db: asyncpg.Connection) -> list[str]:
    """Return every INVALID index of the schemas on the search_path, qualified and quoted."""
    schemas = await db.fetchval("SELECT current_schemas(false)::text[]")
    return [name for name, _ in await find_invalid_in_schemas(db, schemas)]


async def drop_index(db: asyncpg.Connection, qualified: str, *, concurrently: bool) -> None:
    """Drop an index; `concurrently` is possible only outside of a transaction."""
    await db.execute(f"DROP INDEX {'CONCURRENTLY ' * concurrently}IF EXISTS {qualified}")
