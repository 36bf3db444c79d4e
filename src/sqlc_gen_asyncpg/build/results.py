"""The result of a query: a scalar, or a model and the fields that a row fills."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir, naming
from sqlc_gen_asyncpg.build.context import field_signature
from sqlc_gen_asyncpg.build.json_rows import declared_rows, inferred_rows
from sqlc_gen_asyncpg.build.query_types import CAST_COLUMN, result_type
from sqlc_gen_asyncpg.errors import AlreadyReported, Refused
from sqlc_gen_asyncpg.schema.models import row_field
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.build.context import QueryContext
    from sqlc_gen_asyncpg.infer.values import ValueType
    from sqlc_gen_asyncpg.pytypes import Type, TypeText

__all__ = ["query_result"]

# The inferred types of one column, several for an embedded table; None if unknown.
_Inferred = tuple["ValueType", ...] | None


def query_result(context: QueryContext) -> ir.Scalar | ir.Record:
    """Return the result of a query that has one; all problems with its columns are reported.

    Raises:
        Refused: there is no result, or it cannot be returned as the directives ask.

    """
    columns = context.query.columns
    if not columns:
        raise Refused(f"{context.query.cmd} needs a result; list the columns, or use :exec")
    fields: dict[str, ir.Field] = {}
    shape: list[str | ir.Embedded] = []
    types: list[Type] = []
    decoders: dict[int, ir.Decoder] = {}
    names = _embedded_names(context)
    starts = [0, *accumulate(_width(context, column) for column in columns)]
    for number, (column, inferred) in enumerate(_inferred_columns(context), start=1):
        with context.report.catch(context.place_of_column(starts[number - 1])):
            if column.embed:
                field, part = _embedded(context, column, inferred, names[number - 1])
            else:
                field, py_type, decoder = _column(context, column, inferred, number)
                types.append(py_type)
                part = None
                if decoder:
                    decoders[sum(map(_values_of, shape))] = decoder
            field = _distinct_field(context, field, fields)
            shape.append(replace(part, name=field.name) if part else field.name)
            fields[field.name] = field
    sql_names = {_split_mark(column)[0] for column in columns if not column.embed}
    for name in context.directives.columns:
        if name not in sql_names:
            message = f"-- py: column {name}: there is no column of that name"
            context.report.add(context.where.of_directive(f"column {name}"), message)
    if len(columns) == 1 and not any(_is_outer(part) for part in shape):
        if context.directives.row:
            raise Refused(
                f"-- py: row {context.directives.row}: one column is returned as it is, not as a "
                "row",
                directive="row",
            )
        return _single(fields, shape, types, decoders.get(0))
    record = _record(context, tuple(fields.values()), tuple(shape))
    return replace(record, decoders=tuple(decoders.items()))


def _values_of(part: str | ir.Embedded) -> int:
    """Return the number of a row's values that a part of its shape takes."""
    return 1 if isinstance(part, str) else len(part.columns)


def _distinct_field(
    context: QueryContext, field: ir.Field, fields: Mapping[str, ir.Field]
) -> ir.Field:
    """Return the field under a name that no other column has: `id_2` for a second `id`."""
    if field.name not in fields:
        return field
    if context.catalog.options.duplicate_columns == "error":
        raise Refused(
            f"two columns would be called {field.name}; name one with AS, or see the option "
            "duplicate_columns"
        )
    names = {naming.field_name(_split_mark(column)[0]) for column in context.query.columns}
    number = 2
    while (name := f"{field.name.rstrip('_')}_{number}") in fields.keys() | names:
        number += 1
    return replace(field, name=name, alias="")


def _is_outer(part: str | ir.Embedded) -> bool:
    return isinstance(part, ir.Embedded) and bool(part.key)


def _single(
    fields: dict[str, ir.Field],
    shape: list[str | ir.Embedded],
    types: list[Type],
    decoder: ir.Decoder | None,
) -> ir.Scalar | ir.Record:
    if types:
        nullable = types[0].nullable or types[0].hint == "None"
        return ir.Scalar(types[0].row, types[0].hint, nullable, decoder)
    embedded = next((part for part in shape if isinstance(part, ir.Embedded)), None)
    annotation = next((field.annotation for field in fields.values()), "")
    return ir.Record(annotation, embedded.columns if embedded else ())


def _inferred_columns(context: QueryContext) -> list[tuple[protocol.Column, _Inferred]]:
    """Return each column with its inferred types, where sqlc and the inference agree in number."""
    columns, analysis = context.query.columns, context.analysis
    widths = [_width(context, column) for column in columns]
    if analysis and sum(widths) == len(analysis.results):
        starts = accumulate(widths, initial=0)
        parts = [analysis.results[i : i + n] for i, n in zip(starts, widths, strict=False)]
        return list(zip(columns, parts, strict=True))
    if analysis and all(value.type for value in analysis.results):
        raise Refused(
            f"sqlc has {len(columns)} columns where PostgreSQL returns "
            f"{len(analysis.results)}; list them by name, each with its cast"
        )
    return [(column, None) for column in columns]


def _embedded_names(context: QueryContext) -> list[str]:
    """Return the names of embedded models: their tables', or the aliases of those of one name.

    Tables of two schemas may have one name; without aliases the second gets a number.
    """
    columns = context.query.columns
    tables = [column.embed.name for column in columns if column.embed]
    if len(set(tables)) == len(tables):
        return [column.name for column in columns]
    embeds: dict[str, protocol.Name] = {}
    names: list[str] = []
    for column, alias in zip(columns, _aliases(context), strict=True):
        name, number = column.name, 2
        if column.embed and tables.count(column.embed.name) > 1:
            name = alias
            while embeds.setdefault(name, column.embed) != column.embed:
                name, number = f"{alias}_{number}", number + 1
        names.append(name)
    return names


def _aliases(context: QueryContext) -> list[str]:
    """Return the qualifier of the first of each column's expressions."""
    body = context.analysis.query.body if context.analysis else None
    items = body.items if isinstance(body, nodes.Select) else ()
    columns = context.query.columns
    starts = accumulate((_width(context, column) for column in columns), initial=0)
    aliases: list[str] = []
    for column, start in zip(columns, starts, strict=False):
        expr = items[start].expr if start < len(items) else None
        parts = expr.parts if isinstance(expr, nodes.Ref) else ()
        qualifier = parts[-2:-1] if parts[-1:] != ("*",) else ()
        aliases.append(qualifier[0] if qualifier else column.name)
    return aliases


def _split_mark(column: protocol.Column) -> tuple[str, str]:
    """Return a column's name without its mark `!` or `?`, and the mark."""
    mark = column.name[-1:] if column.name.endswith(("!", "?")) else ""
    return column.name.removesuffix(mark), mark


def _width(context: QueryContext, column: protocol.Column) -> int:
    """Return the number of results of a column; the model of a table may lack refused ones."""
    catalog = context.catalog
    columns = catalog.schema.tables.get(catalog.key(column.embed)) if column.embed else None
    return len(columns) if columns else 1


def _column(
    context: QueryContext, column: protocol.Column, inferred: _Inferred, number: int
) -> tuple[ir.Field, Type, ir.Decoder | None]:
    name, mark = _split_mark(column)
    name = name or f"column_{number}"
    directive = context.directives.columns.get(name)
    try:
        rows = _rows_in_json(context, name, directive, column, inferred)
        if rows:
            py_type = rows[0]
        elif directive:
            py_type = _declared_type(context, directive, column, inferred)
        else:
            py_type = _column_type(context, column, inferred)
    except AlreadyReported:
        raise
    except Refused as error:
        message = str(error)
        if context.analysis and name in _function_names(context.analysis.query.body):
            message = (
                "sqlc does not know the columns of a function in FROM; name them there, as in "
                f"FROM f(…) AS {name}(a, b), and list them: {name}.a"
            )
        cause = f"column {name}" if directive else ""
        raise Refused(f"column {name}: {message}", directive=cause) from None
    if mark:
        py_type = py_type.with_null(nullable=mark == "?")
    if mark == "!" and py_type.nullable_element:
        py_type = replace(py_type, nullable_element=False)  # the mark is also about the elements
    field = row_field(context.catalog, column, name, py_type)
    return field, py_type, rows[1] if rows else None


def _rows_in_json(
    context: QueryContext,
    name: str,
    directive: TypeText | None,
    column: protocol.Column,
    inferred: _Inferred,
) -> tuple[Type, ir.Decoder] | None:
    """Return the type of a column of JSON with rows, and its decoder; None for another column."""
    if directive:
        known = inferred[0].type if inferred else ""
        return declared_rows(context, directive, known or column.type.name)
    return inferred_rows(context, name, inferred[0]) if inferred else None


def _column_type(context: QueryContext, column: protocol.Column, inferred: _Inferred) -> Type:
    if inferred is not None:
        return result_type(context.catalog, column, inferred[0])
    if column.table:
        return context.catalog.column_type(column)
    if context.analysis:
        raise Refused(CAST_COLUMN)
    raise Refused(
        "the statement cannot be read; cast every parameter and every column, or give the type of "
        "each column: -- py: column NAME TYPE"
    )


def _function_names(part: nodes.Body | nodes.Source) -> set[str]:
    """Return the names of the functions in FROM, and their aliases."""
    match part:
        case nodes.Select():
            return {name for source in part.sources for name in _function_names(source)}
        case nodes.Join():
            return _function_names(part.left) | _function_names(part.right)
        case nodes.Functions(calls, alias):
            return {alias, *(call.name for call in calls if isinstance(call, nodes.Call))}
        case _:
            return set()


def _declared_type(
    context: QueryContext, directive: TypeText, column: protocol.Column, inferred: _Inferred
) -> Type:
    """Return the type that a directive gives a column; without it the type may be unknown."""
    pg_type = inferred[0].type if inferred and inferred[0].type else column.type.name
    try:
        current = result_type(context.catalog, column, inferred[0]) if inferred else None
    except Refused:
        current = None
    return context.catalog.text_type(directive, current, pg_type)


def _embedded(
    context: QueryContext, column: protocol.Column, inferred: _Inferred, sql_name: str
) -> tuple[ir.Field, ir.Embedded]:
    key = context.catalog.key(column.embed) if column.embed else ("", "")
    table = context.catalog.tables.get(key)
    if table is None:
        raise Refused(f"sqlc.embed({column.name}): there is no model of that table")
    name = naming.field_name(sql_name)
    names = tuple(field.name for field in table.model.fields)
    alias = sql_name if name != sql_name else ""
    not_null = _not_null_columns(context, key)
    outer = any(inferred[index].nullable for index in not_null) if inferred else False
    if (inferred is None or not not_null) and _may_have_outer_join(context):
        raise Refused(
            f"sqlc.embed({column.name}) beside an outer join: no column of the table is NOT NULL, "
            "so that a row of NULLs cannot be told from no row; list the table's columns"
        )
    embedded = ir.Embedded(name, names, names[not_null[0]] if outer else "")
    annotation = f"models.{table.model.name}" + (" | None" if outer else "")
    return ir.Field(name, annotation, alias), embedded


def _may_have_outer_join(context: QueryContext) -> bool:
    if context.analysis is None:
        return True
    return any(
        isinstance(part, nodes.Join) and part.kind in {"left", "right", "full"}
        for part in nodes.walk(context.analysis.query, queries=True)
    )


def _not_null_columns(context: QueryContext, key: tuple[str, str]) -> list[int]:
    """Return the positions of the columns of a table that are never NULL."""
    columns = [path for path in context.catalog.columns if path[:2] == key]
    values = context.catalog.schema.tables.get(key, {})
    return [index for index, path in enumerate(columns) if not values[path[2]].nullable]


def _record(context: QueryContext, fields: tuple[ir.Field, ...], shape: ir.Shape) -> ir.Record:
    """Return the model of a row: one that is named, that of the table, or a new one."""
    catalog, name = context.catalog, context.directives.row
    model = ir.Model(name, (f"A row of {context.query.name}.",), fields)
    if name:
        context.named_models.share(model)
        return ir.Record(f"models.{name}", shape)
    tables = {catalog.key(column.table) for column in context.query.columns if column.table}
    for key in tables:
        table = catalog.tables.get(key)
        same = table and field_signature(table.model) == field_signature(model)
        if len(tables) == 1 and table and same:
            return ir.Record(f"models.{table.model.name}", shape)
    model = ir.Model(f"{context.title}Row", model.doc, fields)
    context.models.append(model)
    return ir.Record(model.name, shape)
