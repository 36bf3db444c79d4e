"""The statements of the directive `lookup` compared with their queries on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

    from sqlc_gen_asyncpg import ir

__all__ = ["lookup_problems"]


async def lookup_problems(
    connection: asyncpg.Connection[asyncpg.Record], sql: str, batch: ir.LookupBatch
) -> list[str]:
    """Return the differences between the rows of a query and those of its batch statement.

    A query that the server refuses has none: that is reported for the query itself.
    """
    import asyncpg  # noqa: PLC0415  # not imported when sqlc runs the plugin

    try:
        single = await connection.prepare(sql)
    except asyncpg.PostgresError:
        return []
    try:
        many = await connection.prepare(batch.sql)
    except asyncpg.PostgresError as error:
        return [f"the server refuses the batch statement: {error}"]
    one_row = [attribute.type.name for attribute in single.get_attributes()]
    rows = [attribute.type.name for attribute in many.get_attributes()]
    if rows != [*one_row, "int8"]:
        return [f"the batch statement returns {', '.join(rows)}, the query {', '.join(one_row)}"]
    return []
