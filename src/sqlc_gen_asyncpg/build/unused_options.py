"""Options without effect, which are misspelt or left over: each is a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.schema.overrides import matches_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.errors import Report
    from sqlc_gen_asyncpg.schema.catalog import Catalog

__all__ = ["report_unused_options"]


def report_unused_options(catalog: Catalog, request: protocol.Request, report: Report) -> None:
    """Report the names in options that neither the schema nor the queries have."""
    for message in (
        *_renames(catalog, request),
        *_excluded_tables(catalog),
        *_composites(catalog),
        *_overrides(catalog),
        *_converters(catalog),
    ):
        report.add("options", f"{message}; correct or remove it")


def _renames(catalog: Catalog, request: protocol.Request) -> Iterator[str]:
    names = {query.name for query in request.queries}
    for schema in request.schemas:
        default = schema.name == catalog.default_schema
        for prefix in {f"{schema.name}.", "" if default else f"{schema.name}."}:
            names.update(prefix + table.name for table in schema.tables)
            names.update(prefix + name for name in schema.composites)
            names.update(
                f"{prefix}{name}.{key}"
                for name in schema.composites
                for key in catalog.schema.composites.get(_full_name(catalog, schema, name), ())
            )
        prefix = "" if default else f"{schema.name}."
        for enum in schema.enums:
            names.add(prefix + enum.name)
            names.update(f"{prefix}{enum.name}.{value}" for value in enum.values)
    for override in catalog.options.overrides:
        if override.enum:
            names.update(f"{override.enum.name}.{value}" for value in override.enum.values)
    for key in catalog.options.rename:
        if key not in names and not _is_column(catalog, key):
            yield f"rename: no table, column, type, field, value or query is {key}"


def _full_name(catalog: Catalog, schema: protocol.Schema, name: str) -> str:
    return name if schema.name == catalog.default_schema else f"{schema.name}.{name}"


def _is_column(catalog: Catalog, key: str) -> bool:
    """Whether it is `table.column` of any schema, or `schema.table.column`."""
    schema_table, _, column = key.rpartition(".")
    schema, _, table = schema_table.rpartition(".")
    return any(path[1:] == (table, column) and schema in {"", path[0]} for path in catalog.columns)


def _excluded_tables(catalog: Catalog) -> Iterator[str]:
    tables = {name for _, name in catalog.tables}
    for name in catalog.options.inflection_exclude_table_names:
        if name not in tables:
            yield f"inflection_exclude_table_names: no table is {name}"


def _composites(catalog: Catalog) -> Iterator[str]:
    for name in catalog.options.composites:
        if normal_name(name) not in catalog.composites:
            yield f"composites: no type is {name}"


def _overrides(catalog: Catalog) -> Iterator[str]:
    default = catalog.default_schema
    for override in catalog.options.overrides:
        pattern = override.column
        if pattern and not any(matches_column(pattern, path, default) for path in catalog.columns):
            yield f"overrides: no column is {pattern}"
        if override.db_type and normal_name(override.db_type) not in catalog.seen_types:
            yield f"overrides: no column and no parameter has the type {override.db_type}"


def _converters(catalog: Catalog) -> Iterator[str]:
    used = catalog.used_names | {override.converter for override in catalog.options.overrides}
    for converter in catalog.options.converters:
        if converter.name not in used:
            yield f"converters: no override and no comment names {converter.name}"
