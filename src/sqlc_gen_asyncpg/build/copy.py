"""`:copyfrom`: the table and the columns that an INSERT of parameters fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir
from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.schema.overrides import JSON_TYPES, VECTOR_TYPES
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlc_gen_asyncpg.build.context import QueryContext

__all__ = ["copy_target"]


def copy_target(context: QueryContext, fields: Mapping[int, ir.Field]) -> ir.Copy:
    """Return the columns that an INSERT fills from these fields, given by parameter number.

    Raises:
        Refused: the statement is not an INSERT of one row of parameters, or the driver cannot copy
            the type of a column.

    """
    body = context.analysis.query.body if context.analysis else None
    if not isinstance(body, nodes.Dml) or body.kind != "insert" or body.source is None:
        raise Refused(":copyfrom goes with INSERT INTO … (…) VALUES (…)")
    values = body.source.body
    rows = values.rows if isinstance(values, nodes.Values) else ()
    params = [value for row in rows for value in row if isinstance(value, nodes.Param)]
    if len(rows) != 1 or len(params) != len(rows[0]) or body.returning or body.conflict:
        raise Refused(
            ":copyfrom inserts one row of parameters, without RETURNING and ON CONFLICT; use "
            ":batchexec, or unnest(…) with -- py: batch"
        )
    if unknown := [param.number for param in params if param.number not in fields]:
        raise Refused(f"sqlc has no type of parameter ${unknown[0]}; write sqlc.arg(name)")
    names = tuple(fields[param.number].name for param in params)
    table = context.catalog.schema.table(body.target.parts)
    columns = (body.columns or tuple(table[1] if table else ()))[: len(names)]
    for column in columns:
        value_type = table[1].get(column) if table else None
        _check_binary(context, column, value_type.type if value_type else "")
    *schemas, target = body.target.parts
    return ir.Copy(schemas[-1] if schemas else "", target, columns, names)


def _check_binary(context: QueryContext, column: str, pg_type: str) -> None:
    """Refuse a type for which the driver has no binary codec."""
    options = context.catalog.options
    bare = context.catalog.domain_base(pg_type).rpartition(".")[2]
    if bare in JSON_TYPES and options.json == "codec":
        raise Refused(
            f"column {column}: a codec for json in the text format cannot be copied with; use "
            ":batchexec, or unnest(…) with -- py: batch, or see the option json"
        )
    if bare in VECTOR_TYPES and options.vector == "list":
        raise Refused(
            f"column {column}: without pgvector's codec a vector cannot be copied; use :batchexec, "
            "or the option vector: pgvector"
        )
