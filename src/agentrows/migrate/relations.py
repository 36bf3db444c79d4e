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
_TABLES_OF_SCHEMA: Final = """
    SELECT namespace.nspname, class.relname, NULL
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE namespace.nspname = $1 AND class.relkind IN ('r', 'p') AND NOT class.relispartition
    ORDER BY class.relname
"""
# The types of an extension, or a type with its array type; domains over them are included.
_COLUMNS_OF_TYPES: Final = """
    WITH RECURSIVE dropped (oid) AS (
        SELECT member.objid
        FROM pg_catalog.pg_extension AS extension
        JOIN pg_catalog.pg_depend AS member
            ON member.refclassid = 'pg_catalog.pg_extension'::regclass
            AND member.refobjid = extension.oid AND member.deptype = 'e'
            AND member.classid = 'pg_catalog.pg_type'::regclass
        WHERE $1 = 'extension' AND extension.extname = $3
        UNION
        SELECT type.oid
        FROM pg_catalog.pg_type AS type
        JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = type.typnamespace
        WHERE $1 IN ('type', 'domain') AND namespace.nspname = $2 AND type.typname = $3
            OR $1 = 'schema' AND namespace.nspname = $3
        UNION
        SELECT type.oid FROM dropped
        JOIN pg_catalog.pg_type AS type
            ON type.typbasetype = dropped.oid OR (type.typelem = dropped.oid AND type.typlen = -1)
    )
    SELECT namespace.nspname, class.relname, attribute.attname
    FROM dropped
    JOIN pg_catalog.pg_attribute AS attribute ON attribute.atttypid = dropped.oid
    JOIN pg_catalog.pg_class AS class ON class.oid = attribute.attrelid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE class.relkind IN ('r', 'p') AND NOT class.relispartition
        AND attribute.attnum > 0 AND NOT attribute.attisdropped
    ORDER BY 1, 2, 3
"""
# The tables with a foreign key to a table or to its partitions, those with one to them, and so on.
_REFERENCING: Final = """
    WITH RECURSIVE emptied (oid) AS (
        SELECT to_regclass($1)::oid
        UNION
        SELECT next.oid
        FROM emptied
        CROSS JOIN LATERAL (
            SELECT conrelid FROM pg_catalog.pg_constraint
            WHERE contype = 'f' AND confrelid = emptied.oid
            UNION ALL
            SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = emptied.oid
        ) AS next (oid)
    )
    SELECT namespace.nspname, class.relname
    FROM emptied
    JOIN pg_catalog.pg_class AS class ON class.oid = emptied.oid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE emptied.oid <> to_regclass($1)
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_inherits
            WHERE inhrelid = emptied.oid AND inhparent IN (SELECT oid FROM emptied)
        )
    ORDER BY 1, 2
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


async def find_contents(
    db: Connection, kind: str, schema: str, name: str
) -> list[tuple[str, str, str | None]]:
    """Return the tables and columns that DROP … CASCADE drops with a schema, extension or type.

    `kind` is schema, extension, type or domain; `schema` is that of a type. Each row has the
    schema, the table, and the column, which is None for a table.
    """
    rows = await db.fetch(_TABLES_OF_SCHEMA, name) if kind == "schema" else []
    rows = [*rows, *await db.fetch(_COLUMNS_OF_TYPES, kind, schema, name)]
    return [(row[0], row[1], row[2]) for row in rows]


async def find_referencing(db: Connection, schema: str, table: str) -> list[tuple[str, str]]:
    """Return the schema and name of each table that TRUNCATE … CASCADE empties with a table."""
    rows = await db.fetch(_REFERENCING, f"{quote(schema)}.{quote(table)}")
    return [(row[0], row[1]) for row in rows]


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
