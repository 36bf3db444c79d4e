"""Options that change nothing are misspelt or left over: each is a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.schema.overrides import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.errors import Report
    from sqlc_gen_asyncpg.schema.catalog import Catalog

__all__ = ["check_unused"]


def check_unused(catalog: Catalog, request: protocol.Request, report: Report) -> None:
    """Report what of the options nothing in the schema and the queries is called."""
    for message in (
        *_renamed(catalog, request),
        *_excluded(catalog),
        *_composites(catalog),
        *_overrides(catalog),
        *_converters(catalog),
    ):
        report.add("options", f"{message}; correct or remove it")


def _renamed(catalog: Catalog, request: protocol.Request) -> Iterator[str]:
    known = {query.name for query in request.queries}
    for schema in request.schemas:
        default = schema.name == catalog.default_schema
        for prefix in {f"{schema.name}.", "" if default else f"{schema.name}."}:
            known.update(prefix + table.name for table in schema.tables)
            known.update(prefix + name for name in schema.composites)
        prefix = "" if default else f"{schema.name}."
        for enum in schema.enums:
            known.add(prefix + enum.name)
            known.update(f"{prefix}{enum.name}.{value}" for value in enum.values)
    for override in catalog.options.overrides:
        if override.enum:
            known.update(f"{override.enum.name}.{value}" for value in override.enum.values)
    for key in catalog.options.rename:
        if key not in known and not _is_column(catalog, key):
            yield f"rename: no table, column, type, value or query is {key}"


def _is_column(catalog: Catalog, key: str) -> bool:
    """Whether it is `table.column` of any schema, or `schema.table.column`."""
    schema_table, _, column = key.rpartition(".")
    schema, _, table = schema_table.rpartition(".")
    return any(
        (each[1], each[2]) == (table, column) and schema in {"", each[0]}
        for each in catalog.columns
    )


def _excluded(catalog: Catalog) -> Iterator[str]:
    tables = {name for _, name in catalog.tables}
    for name in catalog.options.inflection_exclude_table_names:
        if name not in tables:
            yield f"inflection_exclude_table_names: no table is {name}"


def _composites(catalog: Catalog) -> Iterator[str]:
    for name in catalog.options.composites:
        if normal_name(name) not in catalog.composites:
            yield f"composites: no type is {name}"


def _overrides(catalog: Catalog) -> Iterator[str]:
    for each in catalog.options.overrides:
        default = catalog.default_schema
        if each.column and not any(matches(each.column, path, default) for path in catalog.columns):
            yield f"overrides: no column is {each.column}"
        if each.db_type and normal_name(each.db_type) not in catalog.seen:
            yield f"overrides: no column and no parameter has the type {each.db_type}"


def _converters(catalog: Catalog) -> Iterator[str]:
    overrides = {each.converter for each in catalog.options.overrides}
    for each in catalog.options.converters:
        if each.name not in overrides | catalog.used:
            yield f"converters: no override and no comment names {each.name}"
