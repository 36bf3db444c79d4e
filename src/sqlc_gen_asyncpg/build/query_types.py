"""What our own reading of a query says, beside what sqlc says.

Without a database sqlc takes `1 - (a <=> b)` for an int, `lower(x)` for never NULL, and in
`$1 = ANY(tags)` the parameter for an array. Here each expression gets PostgreSQL's own type.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import protocol
from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns, one_row
from sqlc_gen_asyncpg.pytypes import Type
from sqlc_gen_asyncpg.sql.statements import parse
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlc_gen_asyncpg.infer.values import ValueType
    from sqlc_gen_asyncpg.schema.catalog import Catalog
    from sqlc_gen_asyncpg.sql import nodes

__all__ = ["Analysis", "analyse", "parameter_column", "result_type"]

_TEXTS: Final = frozenset({"bpchar", "citext", "name", "text", "varchar"})


@dataclass(frozen=True, slots=True)
class Analysis:
    """A query as it was parsed; `results` are its columns, embedded ones one by one.

    The server refuses parameters that are `untyped` where they first occur, `ambiguous_params`
    with two types at once, and `type_errors`; those of no single parameter have the number 0.
    """

    query: nodes.Query
    results: tuple[ValueType, ...]
    params: dict[int, ValueType]
    untyped: frozenset[int]
    ambiguous_params: dict[int, tuple[str, str]]
    type_errors: dict[int, str]
    one_row: bool


def analyse(query: protocol.Query, catalog: Catalog, nullable: Collection[int]) -> Analysis | None:
    """Return the query's types; None if its text is not understood."""
    try:
        parsed = parse(query.text)
    except SqlSyntaxError:
        return None
    inference = Inference(catalog.schema, nullable)
    try:
        results = _columns(inference, parsed)
    except RecursionError:
        return None
    surely = one_row(inference, parsed)
    untyped = frozenset(inference.untyped)
    return Analysis(
        parsed,
        results,
        inference.params,
        untyped,
        inference.ambiguous_params,
        inference.type_errors,
        surely,
    )


def _columns(inference: Inference, parsed: nodes.Query) -> tuple[ValueType, ...]:
    return tuple(info for _, info in columns(inference, parsed, None))


def result_type(catalog: Catalog, column: protocol.Column, info: ValueType) -> Type:
    """Return the type of a result; Refused if it is not sure."""
    if not info.type:
        if column.table and catalog.key(column.table) not in catalog.tables:
            return catalog.column_type(column)  # a table of the system's
        raise Refused(
            "the type of the expression is not sure; cast all of it, as in (…)::text, and say "
            'whether it may be NULL: AS "name?" or AS "name!"'
        )
    if info.type == "record":
        raise Refused("the type is record; list its fields")
    there = catalog.columns.get(info.origin) if info.origin else None
    kind = "text" if info.open else info.type
    known = there or _column(column.name, kind, not_null=not info.nullable)
    of = catalog.column_type(known)
    inner = of.dims - known.dims  # a domain may be of an array
    return Type(of.base, info.nullable, info.dims + inner, info.null_items)


def _column(name: str, kind: str, *, not_null: bool) -> protocol.Column:
    return protocol.Column(
        name=name,
        type=protocol.TypeName(kind),
        not_null=not_null,
        dims=0,
        comment="",
        table=None,
        original_name="",
        embed=None,
        is_call=False,
        is_slice=False,
    )


def parameter_column(
    catalog: Catalog, column: protocol.Column, info: ValueType | None
) -> protocol.Column:
    """Return what sqlc says of a parameter, with the type that PostgreSQL would infer.

    That of what is compared with a domain's column is the domain's base; the column says more.
    """
    if info is None or not info.type:
        raise Refused(
            "PostgreSQL's type for it is not sure; cast it to the one that is meant, as in "
            f"@{column.name}::bigint"
        )
    theirs = catalog.domain_base(column.type.name)
    if column.table:
        # With a managed database sqlc says the base of a column's domain, not the domain.
        origin = (*catalog.key(column.table), column.original_name)
        source = catalog.columns.get(origin)
        if source and catalog.domain_base(source.type.name) == theirs:
            column = replace(column, type=source.type)
        if source and source.not_null and not column.not_null and column.type.is_serial:
            # A serial type says NOT NULL, and sqlc.narg that the argument may be None.
            column = replace(column, type=protocol.TypeName(theirs))
    if catalog.schema.requires(info):
        column = replace(column, not_null=True)
    base = catalog.domain_base(info.type)
    alike = theirs == base or (theirs in _TEXTS and base in _TEXTS)
    # An operator's arrays have any number of dimensions, the column's has more than one.
    if alike and (column.dims == info.dims or column.dims > info.dims == 1):
        return column
    kind = protocol.TypeName(info.type)
    return replace(column, type=kind, dims=info.dims, table=None)
