"""The schema's files compared with a server: NOT NULL, views and enums.

Whether a result may be NULL follows from these; a prepared statement does not report it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns
from sqlc_gen_asyncpg.schema.ddl import read_schema
from sqlc_gen_asyncpg.schema.views import read_tables
from sqlc_gen_asyncpg.sql.statements import parse
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.infer.scope import Schema

__all__ = ["ARRAYS_OF_DOMAINS", "differences"]

ARRAYS_OF_DOMAINS: Final = """
WITH RECURSIVE domain AS (
    SELECT typarray, typbasetype FROM pg_type WHERE typtype = 'd'
    UNION ALL
    SELECT d.typarray, t.typbasetype
    FROM domain AS d JOIN pg_type AS t ON t.oid = d.typbasetype
    WHERE t.typtype = 'd'
)
SELECT d.typarray AS oid, t.typname AS of
FROM domain AS d JOIN pg_type AS t ON t.oid = d.typbasetype
WHERE t.typtype <> 'd'
"""

# The columns of a table that may be NULL in the database.
_NULLABLE: Final = """
SELECT a.attname::text
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
    AND c.relkind IN ('f', 'p', 'r') AND NOT a.attnotnull AND NOT t.typnotnull
"""
_VIEW: Final = """
SELECT pg_get_viewdef(oid) FROM pg_class WHERE oid = to_regclass($1) AND relkind IN ('m', 'v')
"""
_VALUES: Final = """
SELECT enumlabel::text FROM pg_enum WHERE enumtypid = to_regtype($1) ORDER BY enumsortorder
"""


async def differences(
    fetch: Callable[[str, str], Awaitable[Sequence[str]]],
    request: protocol.Request,
    directory: str = "",
) -> list[str]:
    """Return a line for each difference between the files and the server.

    `fetch` returns the first column of a query with one argument.
    """
    schema, _ = read_tables(request, read_schema(request.schema_paths, directory))
    lines: list[str] = []
    for key, table in schema.tables.items():
        not_null = {name for name, value in table.items() if not value.nullable}
        name, quoted = _names(schema, *key)
        nullable = set(await fetch(_NULLABLE, quoted))
        lines += [
            f"table {name}: column {column} is NOT NULL in the schema's files, but not on the "
            "server"
            for column in sorted(not_null & nullable)
        ]
        for text in await fetch(_VIEW, quoted):
            lines += [
                f"view {name}: column {column} is never NULL by the schema's files, but may be on "
                "the server"
                for column in sorted(not_null & _nullable_columns(schema, text))
            ]
    for request_schema in request.schemas:
        for enum in request_schema.enums:
            name, quoted = _names(schema, request_schema.name, enum.name)
            values = await fetch(_VALUES, quoted)
            lines += _compare_values(name, enum.values, values) if values else []
    return lines


def _names(schema: Schema, *key: str) -> tuple[str, str]:
    """Return a name as messages have it, and as SQL does."""
    parts = key[1:] if key[0] == schema.default else key
    return ".".join(parts), ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def _nullable_columns(schema: Schema, text: str) -> set[str]:
    """Return the columns of a view that may be NULL by its query on the server."""
    try:
        values = columns(Inference(schema), parse(text), None)
    except (Refused, RecursionError, SqlSyntaxError):
        return set()
    return {name for name, value in values if value.nullable and value.type}


def _compare_values(name: str, local: Sequence[str], remote: Sequence[str]) -> list[str]:
    return [
        *(f"enum {name}: the server has {value!r} too" for value in remote if value not in local),
        *(f"enum {name}: the server has no {value!r}" for value in local if value not in remote),
    ]
