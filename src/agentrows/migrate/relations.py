"""The runner's SQL about tables and their indexes: owners, sizes, rights and settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.migrate.server import fetch_one, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.db.sources import Connection

# One row per index, and one per storage setting and column, which are valid where they exist.
_OBJECTS: Final = """
    SELECT class.relname, made_on.relname, made.indisvalid
    FROM pg_catalog.pg_index AS made
    JOIN pg_catalog.pg_class AS class ON class.oid = made.indexrelid
    JOIN pg_catalog.pg_class AS made_on ON made_on.oid = made.indrelid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE namespace.nspname = ANY ($1::text[]) AND class.relname = ANY ($2::text[])
    UNION ALL
    SELECT split_part(setting, '=', 1), class.relname, true
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    CROSS JOIN unnest(class.reloptions) AS setting
    WHERE namespace.nspname = ANY ($1::text[]) AND class.relname = ANY ($3::text[])
        AND class.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'column ' || attribute.attname, class.relname, true
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = class.oid
    WHERE namespace.nspname = ANY ($1::text[]) AND class.relname = ANY ($3::text[])
        AND attribute.attnum > 0 AND NOT attribute.attisdropped
"""
_SIZE_OF: Final = """
    SELECT coalesce(sum(pg_table_size(class.oid)), 0)::bigint
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    JOIN unnest($1::text[], $2::text[]) AS wanted (schema, name)
        ON class.relname = wanted.name AND namespace.nspname = wanted.schema
"""
_NOT_OWNED: Final = """
    SELECT format('%I.%I', namespace.nspname, class.relname), pg_get_userbyid(class.relowner)
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    JOIN unnest($1::text[], $2::text[]) AS wanted (schema, name)
        ON class.relname = wanted.name AND namespace.nspname = wanted.schema
    WHERE class.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND NOT pg_has_role(current_user, class.relowner, 'USAGE')
    ORDER BY 1
"""
_NOT_WRITABLE: Final = r"""
    SELECT format('%I.%I', namespace.nspname, class.relname), pg_get_userbyid(class.relowner)
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    JOIN unnest($1::text[], $2::text[]) AS wanted (schema, name)
        ON class.relname = wanted.name AND namespace.nspname = wanted.schema
    WHERE NOT (
        has_table_privilege(class.oid, 'SELECT') AND has_table_privilege(class.oid, 'INSERT')
        AND (class.relname LIKE '%\_history' OR has_table_privilege(class.oid, 'DELETE'))
    )
    ORDER BY 1
"""
_ORM_TABLES: Final = """
    SELECT
        EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('session') AND attnum > 0)
            AND NOT EXISTS (
                SELECT FROM pg_attribute
                WHERE attrelid = to_regclass('session') AND attname = 'source'
                    AND NOT attisdropped
            ),
        EXISTS (
            SELECT FROM pg_constraint
            WHERE conrelid = to_regclass('feedback') AND contype = 'p' AND cardinality(conkey) > 1
        )
"""
_RENUMBERED_FEEDBACK: Final = "SELECT count(*) - count(DISTINCT id) FROM feedback"


_IS_TABLE: Final = """
    SELECT count(*) > 0 FROM pg_catalog.pg_class
    WHERE oid = to_regclass($1) AND relkind IN ('r', 'p')
"""


@dataclass(frozen=True, slots=True)
class OrmTables:
    """Properties of the tables that an ORM made before the first migration."""

    lacks_source: bool
    has_wide_feedback_key: bool


async def read_objects(
    db: Connection, schemas: Sequence[str], indexes: Sequence[str], tables: Sequence[str]
) -> dict[tuple[str, str], bool]:
    """Return whether these indexes are valid, and the storage settings of these tables.

    A key is the name of an index or a setting, and the name of its table. A missing object has no
    key; an existing setting is True, and so is an existing column, as `column NAME`.
    """
    rows = await db.fetch(_OBJECTS, schemas, indexes, tables)
    return {(row[0], row[1]): row[2] for row in rows}


async def total_size(db: Connection, tables: Sequence[tuple[str, str]]) -> int:
    """Return the size of these tables together in bytes, without their indexes."""
    return int(await db.fetchval(_SIZE_OF, *_columns(tables)))


async def has_rows(db: Connection, schema: str, table: str) -> bool:
    """Return whether a table exists and has a row; also if this role cannot read it."""
    name = f"{quote(schema)}.{quote(table)}"
    if not await db.fetchval(_IS_TABLE, name):
        return False
    if not await db.fetchval("SELECT has_table_privilege($1, 'SELECT')", name):
        return True
    return bool(await db.fetchval(f"SELECT EXISTS (SELECT FROM {name})"))  # noqa: S608  quoted


async def find_not_owned(
    db: Connection, tables: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return those of these tables that this role does not own, each with its owner."""
    return [(row[0], row[1]) for row in await db.fetch(_NOT_OWNED, *_columns(tables))]


async def find_not_writable(
    db: Connection, tables: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return those of these tracking and history tables that this role cannot write."""
    return [(row[0], row[1]) for row in await db.fetch(_NOT_WRITABLE, *_columns(tables))]


async def find_orm_tables(db: Connection) -> OrmTables:
    """Read the properties of the tables session and feedback, if they exist."""
    return OrmTables(*await fetch_one(db, _ORM_TABLES))


async def count_renumbered_feedback(db: Connection) -> int:
    """Return the number of feedback rows whose id an older row has as well."""
    return int(await db.fetchval(_RENUMBERED_FEEDBACK))


def _columns(tables: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [schema for schema, _ in tables], [name for _, name in tables]
