"""The tables as expressions see them; views by their own queries, where these can be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import protocol
from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.infer.values import UNKNOWN, ValueType

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.schema.ddl import SchemaFiles

__all__ = ["read_tables"]


def read_tables(request: protocol.Request, files: SchemaFiles) -> tuple[Schema, protocol.Request]:
    """Return the tables, and the request with the columns of its views set right."""
    tables = {
        (schema.name, table.name): {
            each.name: _info((schema.name, table.name, each.name), each, files)
            for each in table.columns
        }
        for schema in request.schemas
        for table in schema.tables
    }
    found = Schema(
        request.default_schema,
        tables,
        files.functions,
        _domains(files),
        {
            name: {key: ValueType(kind, dims) for key, (kind, dims) in fields.items()}
            for name, fields in files.composites.items()
        },
        enums=_enums(request),
        required=files.required,
        own_casts=files.own_casts,
    )
    for parts, (names, query) in files.views.items():
        named = found.table(parts)
        if named is None:
            continue
        if names and names != tuple(named[1]):
            found.renamed.add(named[0])
        infos = [info for _, info in columns(Inference(found), query, None)]
        there = list(tables[named[0]])
        if len(infos) == len(names or there) == len(there):
            tables[named[0]] = dict(zip(there, infos, strict=True))
        else:
            tables[named[0]] = {name: info.null(nullable=True) for name, info in named[1].items()}
    return found, _corrected(request, found)


def _domains(files: SchemaFiles) -> dict[str, str]:
    """Return the type behind every domain that is not of an array."""
    found: dict[str, str] = {}
    for name in files.domains:
        base, dims, seen = name, 0, {name}
        while base in files.domains and not dims:
            base, dims = files.domains[base]
            if base in seen:
                break
            seen.add(base)
        if not dims:
            found[name] = base
    return found


def _enums(request: protocol.Request) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for schema in request.schemas:
        prefix = "" if schema.name == request.default_schema else f"{schema.name}."
        found.update({prefix + each.name: each.values for each in schema.enums})
    return found


def _corrected(request: protocol.Request, found: Schema) -> protocol.Request:
    schemas = tuple(
        replace(
            schema,
            tables=tuple(
                replace(
                    table,
                    columns=tuple(
                        _column(each, found.tables[schema.name, table.name][each.name])
                        for each in table.columns
                    ),
                )
                for table in schema.tables
            ),
        )
        for schema in request.schemas
    )
    return replace(request, schemas=schemas)


def _column(column: protocol.Column, info: ValueType) -> protocol.Column:
    if not info.type or info.type == "record":
        return replace(column, type=protocol.TypeName(UNKNOWN), not_null=False)
    kind = "text" if info.open else info.type
    same = column.type.name == kind and column.dims == info.dims
    nullable = not (column.not_null or column.type.is_serial)
    if same and nullable == info.nullable:
        return column
    there = column.type if same else protocol.TypeName(kind)
    return replace(column, type=there, dims=info.dims, not_null=not info.nullable)


def _info(origin: tuple[str, str, str], column: protocol.Column, files: SchemaFiles) -> ValueType:
    kind = column.type.name
    required = kind in files.required and not column.dims
    nullable = not (column.not_null or column.type.is_serial or required)
    return ValueType(kind, column.dims, nullable=nullable, origin=origin)
