"""What the schema's files say, against what a server has: NOT NULL, views and enums.

What may be NULL in a result follows from these; of a statement itself the server says nothing.
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
    from sqlc_gen_asyncpg.infer.values import ValueType

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
    """Return a line for all that the files say and the server has otherwise.

    `fetch` returns the first column of a query with one argument.
    """
    schema, _ = read_tables(request, read_schema(request.schema_paths, directory))
    found: list[str] = []
    for key, table in schema.tables.items():
        sure = {name for name, info in table.items() if not info.nullable}
        name, quoted = _names(schema, *key)
        nullable = set(await fetch(_NULLABLE, quoted))
        found += [
            f"table {name}: column {each} is NOT NULL in the schema's files, but not on the server"
            for each in sorted(sure & nullable)
        ]
        for text in await fetch(_VIEW, quoted):
            found += [
                f"view {name}: column {each} is never NULL by the schema's files, but may be on "
                "the server"
                for each in sorted(sure & _of_view(schema, text))
            ]
    for each in request.schemas:
        for enum in each.enums:
            name, quoted = _names(schema, each.name, enum.name)
            values = await fetch(_VALUES, quoted)
            found += _values(name, enum.values, values) if values else []
    return found


def _names(schema: Schema, *key: str) -> tuple[str, str]:
    """Return a name as it is shown, and as the server reads it."""
    parts = key[1:] if key[0] == schema.default else key
    return ".".join(parts), ".".join('"' + each.replace('"', '""') + '"' for each in parts)


def _of_view(schema: Schema, text: str) -> set[str]:
    """Return the columns of a view that may be NULL, as the server has it."""
    try:
        infos: list[tuple[str, ValueType]] = columns(Inference(schema), parse(text), None)
    except (Refused, RecursionError, SqlSyntaxError):
        return set()
    return {name for name, info in infos if info.nullable and info.type}


def _values(name: str, mine: Sequence[str], theirs: Sequence[str]) -> list[str]:
    return [
        *(f"enum {name}: the server has {each!r} too" for each in theirs if each not in mine),
        *(f"enum {name}: the server has no {each!r}" for each in mine if each not in theirs),
    ]
