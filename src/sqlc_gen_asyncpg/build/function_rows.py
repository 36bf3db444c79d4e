"""`SELECT * FROM f(…)` of a function with several columns, which sqlc reads as one record."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import protocol
from sqlc_gen_asyncpg.build.slices import mask
from sqlc_gen_asyncpg.sql import nodes
from sqlc_gen_asyncpg.sql.statements import parse
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.infer.scope import Schema

__all__ = ["expand_function_rows"]

# A SELECT list with one name, which may be qualified.
_ONLY_ITEM: Final = re.compile(r"\s*SELECT\s+((?:\w+\s*\.\s*)?\w+)\s+FROM\b", re.IGNORECASE)


def expand_function_rows(query: protocol.Query, schema: Schema) -> protocol.Query:
    """Return the query with the columns of the function in place of its record.

    sqlc expands `*` to `f` if the function has RETURNS TABLE. A query of another form is unchanged.
    """
    item = _ONLY_ITEM.match(mask(query.text))
    if not item or len(query.columns) != 1 or query.columns[0].type.name != "record":
        return query
    columns = _columns(query.text, schema)
    if not columns:
        return query
    names = ", ".join('"' + name.replace('"', '""') + '"' for name, _, _ in columns)
    text = query.text[: item.start(1)] + names + query.text[item.end(1) :]
    record = query.columns[0]
    return replace(
        query,
        text=text,
        columns=tuple(
            replace(record, name=name, type=protocol.TypeName(kind), dims=dims, not_null=False)
            for name, kind, dims in columns
        ),
    )


def _columns(sql: str, schema: Schema) -> tuple[tuple[str, str, int], ...]:
    """Return the columns of the only function in FROM, if its record is all that is selected."""
    try:
        body = parse(sql).body
    except (RecursionError, SqlSyntaxError):
        return ()
    match body:
        case nodes.Select(
            (nodes.Item(nodes.Ref((*_, name))),),
            (nodes.Functions((nodes.Call() as call,), alias, (), ()),),
        ) if name == (alias or call.name):
            _, functions = schema.functions_for(call)
        case _:
            return ()
    row_types = {each.columns for each in functions}
    return next(iter(row_types)) if len(row_types) == 1 else ()
