"""The schema for inference: tables from sqlc's request, views from their own queries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from sqlc_gen_asyncpg import protocol
from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.infer.values import UNKNOWN, ValueType

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.schema.ddl import SchemaFiles
    from sqlc_gen_asyncpg.schema.tables import Key, ViewDefinition

__all__ = ["read_tables"]

_Tables: TypeAlias = "dict[Key, dict[str, ValueType]]"


def read_tables(request: protocol.Request, files: SchemaFiles) -> tuple[Schema, protocol.Request]:
    """Return the schema, and the request with the columns of its views corrected."""
    tables = {
        (schema.name, table.name): {
            column.name: _value_type((schema.name, table.name, column.name), column, files)
            for column in table.columns
        }
        for schema in request.schemas
        for table in schema.tables
    }
    composites = {
        name: {key: ValueType(pg_type, dims) for key, (pg_type, dims) in fields.items()}
        for name, fields in files.composites.items()
    }
    schema = Schema(
        request.default_schema,
        tables,
        files.functions,
        _domain_bases(files),
        composites,
        enums=_enum_values(request),
        required=files.required,
        own_casts=files.own_casts,
    )
    _read_views(schema, tables, files)
    return schema, _correct_request(request, schema)


def _read_views(schema: Schema, tables: _Tables, files: SchemaFiles) -> None:
    """Replace sqlc's types of the views' columns.

    A view that was replaced can be used by views before it, so it takes further rounds.
    """
    views = files.history.views()
    for _ in views if files.history.replaces_views() else views[:1]:
        before = dict(tables)
        for key, view, names in views:
            if key not in tables:
                continue
            if view.columns and view.columns != tuple(tables[key]):
                schema.renamed.add(key)
            past = replace(schema, tables=names.apply(tables))
            tables[key] = _view_columns(past, view, tables[key])
        if tables == before:
            break


def _view_columns(
    schema: Schema, view: ViewDefinition, sqlc_columns: dict[str, ValueType]
) -> dict[str, ValueType]:
    found = columns(Inference(schema), view.query, None)
    values = [replace(value, row=None) for _, value in found]
    if view.is_table:
        names = view.columns or tuple(name for name, _ in found)
        if names != tuple(sqlc_columns) or len(names) != len(values):
            return sqlc_columns  # columns were added, dropped or renamed
        return {
            name: value.with_nullable(nullable=sqlc_columns[name].nullable)
            for name, value in zip(names, values, strict=True)
        }
    if len(values) == len(view.columns or sqlc_columns) == len(sqlc_columns):
        return dict(zip(sqlc_columns, values, strict=True))
    # The query could not be read in full: sqlc's types, but any column may be NULL.
    return {name: value.with_nullable(nullable=True) for name, value in sqlc_columns.items()}


def _domain_bases(files: SchemaFiles) -> dict[str, str]:
    """Return the base type of each domain that is not of an array."""
    bases: dict[str, str] = {}
    for name in files.domains:
        base, dims, seen = name, 0, {name}
        while base in files.domains and not dims:
            base, dims = files.domains[base]
            if base in seen:
                break
            seen.add(base)
        if not dims:
            bases[name] = base
    return bases


def _enum_values(request: protocol.Request) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for schema in request.schemas:
        prefix = "" if schema.name == request.default_schema else f"{schema.name}."
        values.update({prefix + enum.name: enum.values for enum in schema.enums})
    return values


def _correct_request(request: protocol.Request, schema: Schema) -> protocol.Request:
    return replace(
        request,
        schemas=tuple(
            replace(
                part,
                tables=tuple(_correct_table(part.name, table, schema) for table in part.tables),
            )
            for part in request.schemas
        ),
    )


def _correct_table(schema_name: str, table: protocol.Table, schema: Schema) -> protocol.Table:
    values = schema.tables[schema_name, table.name]
    corrected = (_correct_column(column, values[column.name]) for column in table.columns)
    return replace(table, columns=tuple(corrected))


def _correct_column(column: protocol.Column, value: ValueType) -> protocol.Column:
    if not value.type or value.type == "record":
        return replace(column, type=protocol.TypeName(UNKNOWN), not_null=False)
    pg_type = "text" if value.open else value.type
    same = column.type.name == pg_type and column.dims == value.dims
    nullable = not (column.not_null or column.type.is_serial)
    if same and nullable == value.nullable:
        return column
    type_name = column.type if same else protocol.TypeName(pg_type)
    return replace(column, type=type_name, dims=value.dims, not_null=not value.nullable)


def _value_type(
    origin: tuple[str, str, str], column: protocol.Column, files: SchemaFiles
) -> ValueType:
    pg_type = column.type.name
    required = pg_type in files.required and not column.dims
    not_null = column.not_null and not files.history.may_be_null(origin[:2], origin[2])
    nullable = not (not_null or column.type.is_serial or required)
    return ValueType(pg_type, column.dims, nullable=nullable, origin=origin)
