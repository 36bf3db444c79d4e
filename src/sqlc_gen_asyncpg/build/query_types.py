"""The types of a query as PostgreSQL infers them, beside those of sqlc.

Without a database sqlc takes `1 - (a <=> b)` for an int, `lower(x)` for never NULL, and in
`$1 = ANY(tags)` the parameter for an array.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import protocol
from sqlc_gen_asyncpg.build.none_arguments import assigned_columns, none_parameters
from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns, one_row
from sqlc_gen_asyncpg.pytypes import PyType, Type
from sqlc_gen_asyncpg.sql.statements import parse
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlc_gen_asyncpg.build.none_arguments import AssignedColumn
    from sqlc_gen_asyncpg.infer.values import ValueType
    from sqlc_gen_asyncpg.schema.catalog import Catalog
    from sqlc_gen_asyncpg.sql import nodes

__all__ = [
    "CAST_COLUMN",
    "Analysis",
    "analyse",
    "assigned_type",
    "parameter_column",
    "result_type",
]

CAST_COLUMN: Final = (
    "the type of the expression is not sure; cast all of it, as in (…)::text, and mark whether it "
    'may be NULL: AS "name?" or AS "name!"'
)
_TEXTS: Final = frozenset({"bpchar", "citext", "name", "text", "varchar"})


@dataclass(frozen=True, slots=True)
class Analysis:
    """A parsed query with its types; `results` are its columns, embedded ones one by one.

    The server refuses parameters that are `untyped` where they first occur, `ambiguous_params`
    with two types at once, and `type_errors`; those of no single parameter have the number 0.
    """

    query: nodes.Query
    results: tuple[ValueType, ...]
    params: dict[int, ValueType]
    untyped: frozenset[int]
    ambiguous_params: dict[int, tuple[str, str]]
    type_errors: dict[int, str]
    always_one_row: bool
    none_params: frozenset[int]
    assigned: dict[int, AssignedColumn]


_ROWS_IN_ARRAY: Final = (
    "rows in an array have no model; write jsonb_agg(…) in place of array_agg(…) or "
    "ARRAY(SELECT …), which is a list of models"
)


def analyse(
    query: protocol.Query, catalog: Catalog, declared: Mapping[int, bool]
) -> Analysis | None:
    """Return the types of a query; None if its text cannot be read.

    `declared` has the numbers of the parameters for which the query states whether they may be
    None. Each other one may be None where this can matter.
    """
    try:
        parsed = parse(query.text)
        nullable = none_parameters(parsed, catalog.schema) - declared.keys()
        nullable |= {number for number, may_be_none in declared.items() if may_be_none}
        inference = Inference(catalog.schema, nullable)
        results = tuple(value for _, value in columns(inference, parsed, None))
    except (RecursionError, SqlSyntaxError):
        return None
    return Analysis(
        query=parsed,
        results=results,
        params=inference.params,
        untyped=frozenset(inference.untyped),
        ambiguous_params=inference.ambiguous_params,
        type_errors=inference.type_errors,
        always_one_row=one_row(inference, parsed),
        none_params=frozenset(nullable),
        assigned=assigned_columns(parsed, catalog.schema),
    )


def result_type(catalog: Catalog, column: protocol.Column, value: ValueType) -> Type:
    """Return the type of a column of the result.

    Raises:
        Refused: the type is not sure.

    """
    if not value.type:
        if column.table and catalog.key(column.table) not in catalog.tables:
            return catalog.column_type(column)  # a table of PostgreSQL's catalog
        raise Refused(CAST_COLUMN)
    if value.type == "record":
        raise Refused(_ROWS_IN_ARRAY if value.dims else "the type is record; list its fields")
    if value.type == "void" and not value.dims:
        return Type(PyType.same("None"))
    source = catalog.columns.get(value.origin) if value.origin else None
    pg_type = "text" if value.open else value.type
    source = source or _result_column(column.name, pg_type, not_null=not value.nullable)
    py_type = catalog.column_type(source)
    domain_dims = py_type.dims - source.dims  # a domain may be of an array
    return Type(py_type.base, value.nullable, value.dims + domain_dims, value.null_items)


def _result_column(name: str, pg_type: str, *, not_null: bool) -> protocol.Column:
    return protocol.Column(
        name=name,
        type=protocol.TypeName(pg_type),
        not_null=not_null,
        dims=0,
        comment="",
        table=None,
        original_name="",
        embed=None,
        is_slice=False,
    )


def assigned_type(
    catalog: Catalog, column: protocol.Column, assigned: AssignedColumn | None, py_type: Type
) -> Type:
    """Return the type of a parameter with a cast, with the override of the column that it fills."""
    source = catalog.columns.get(assigned.path) if assigned else None
    if column.table or not assigned or not source:
        return py_type
    same_depth = column.dims == source.dims + assigned.is_array
    base, target = catalog.domain_base(column.type.name), catalog.domain_base(source.type.name)
    if same_depth and (base == target or {base, target} <= _TEXTS):
        return replace(py_type, base=catalog.column_type(source).base)
    return py_type


def parameter_column(
    catalog: Catalog, column: protocol.Column, value: ValueType | None
) -> protocol.Column:
    """Return sqlc's column of a parameter, with the type that PostgreSQL infers.

    The type of a parameter compared with a domain's column is the domain's base; the column, which
    has the overrides, is more exact.

    Raises:
        Refused: the type is not sure.

    """
    if value is None or not value.type:
        raise Refused(
            "PostgreSQL's type for it is not sure; cast it to the one that is meant, as in "
            f"@{column.name}::bigint"
        )
    sqlc_type = catalog.domain_base(column.type.name)
    if column.table:
        # With a managed database sqlc has the base of a column's domain, not the domain.
        path = (*catalog.key(column.table), column.original_name)
        source = catalog.columns.get(path)
        if source and catalog.domain_base(source.type.name) == sqlc_type:
            column = replace(column, type=source.type)
    base = catalog.domain_base(value.type)
    alike = sqlc_type == base or (sqlc_type in _TEXTS and base in _TEXTS)
    # An operator's arrays have any number of dimensions, the column's may have more than one.
    if alike and (column.dims == value.dims or column.dims > value.dims == 1):
        return column
    return replace(column, type=protocol.TypeName(value.type), dims=value.dims, table=None)
