"""Lookups: the Python type and the name of each table, column, enum and composite type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.errors import AlreadyReported, Refused
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.pytypes import PYTHON_NAMES, PyType, Type, builtin, normal_name
from sqlc_gen_asyncpg.schema.overrides import TypeOverrides, matches_column
from sqlc_gen_asyncpg.schema.positions import SchemaPositions

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import ir, protocol
    from sqlc_gen_asyncpg.options import Options, Override
    from sqlc_gen_asyncpg.pytypes import TypeText

__all__ = ["Catalog", "TableModel"]


@dataclass(frozen=True, slots=True)
class TableModel:
    """A table's model; `comments` are its columns' comments by SQL name.

    Its problems count only if the model is written.
    """

    model: ir.Model
    comments: dict[str, str]
    problems: tuple[str, ...]


@dataclass(slots=True)
class Catalog:
    """The types and names of the schema and of the options.

    `composites` has the reason why a composite type cannot be used, empty until its fields are
    read. `seen_types` and `used_names` are filled by the lookups, for the check of unused options.
    """

    options: Options
    default_schema: str
    overrides: TypeOverrides
    tables: dict[tuple[str, str], TableModel] = field(
        default_factory=dict[tuple[str, str], TableModel]
    )
    enums: dict[str, ir.Enum] = field(default_factory=dict[str, "ir.Enum"])
    enum_types: dict[str, PyType] = field(default_factory=dict[str, PyType])
    refused_types: set[str] = field(default_factory=set[str])
    composites: dict[str, str] = field(default_factory=dict[str, str])
    composite_models: dict[str, ir.Model] = field(default_factory=dict[str, "ir.Model"])
    composite_types: dict[str, PyType] = field(default_factory=dict[str, PyType])
    columns: dict[tuple[str, str, str], protocol.Column] = field(
        default_factory=dict[tuple[str, str, str], "protocol.Column"]
    )
    domains: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    schema: Schema = field(default_factory=lambda: Schema("public", {}))
    positions: SchemaPositions = field(default_factory=SchemaPositions)
    schema_names: set[str] = field(default_factory=set[str])
    seen_types: set[str] = field(default_factory=set[str])
    used_names: set[str] = field(default_factory=set[str])

    def key(self, name: protocol.Name) -> tuple[str, str]:
        """Return a table's key; a name without schema is in the default one."""
        return name.schema or self.default_schema, name.name

    def full_name(self, key: tuple[str, str]) -> str:
        """Return a table's name as options and messages have it."""
        return key[1] if key[0] == self.default_schema else ".".join(key)

    def column_type(self, column: protocol.Column) -> Type:
        """Return the type of a column or a parameter.

        Raises:
            Refused: there is no Python type for it.

        """
        nullable = not (column.not_null or column.type.is_serial)
        override = self._override(column, nullable=nullable)
        pg_type = column.type.name
        self.seen_types.add(pg_type)
        if override:
            base = self.overrides.overridden_type(override, self.domain_base(pg_type))
            return Type(base, nullable=nullable, dims=column.dims)
        domain_dims = self.domains.get(pg_type, ("", 0))[1]
        return Type(self.base(pg_type), nullable=nullable, dims=column.dims + domain_dims)

    def text_type(self, text: TypeText, current: Type | None, pg_type: str) -> Type:
        """Return the type that a directive names for a value of type `pg_type`.

        `current` is the type of the value without the directive, or None.
        """
        return Type(
            self._text_base(text.name, current, self.domain_base(pg_type)),
            text.nullable,
            text.dims,
            text.nullable_element,
        )

    def _text_base(self, name: str, current: Type | None, pg_type: str) -> PyType:
        """Find an enum or a converter, then a type of PostgreSQL, then a name of Python."""
        for named in (self.overrides.enums, self.overrides.converters):
            if name in named:
                self.used_names.add(name)
                return named[name]
        if name in PYTHON_NAMES:
            base = self.base(PYTHON_NAMES[name])
            # Python's `datetime` is timestamptz, but a timestamp is one already.
            return current.base if current and current.base.hint == base.hint else base
        try:
            return self.base(normal_name(name))
        except Refused:
            first, dot, _ = name.partition(".")
            is_path = dot and all(map(str.isidentifier, name.split(".")))
            if not is_path or first in self.schema_names:
                raise
            return self.overrides.named_type(name, pg_type)

    def domain_base(self, pg_type: str) -> str:
        """Return the base type of a domain; another type is its own."""
        seen = {pg_type}
        while pg_type in self.domains and self.domains[pg_type][0] not in seen:
            pg_type = self.domains[pg_type][0]
            seen.add(pg_type)
        return pg_type

    def comment(self, column: protocol.Column) -> str:
        """Return the comment of a table's column, also where a result selects it."""
        if column.comment:
            return column.comment
        table = self.tables.get(self.key(column.table)) if column.table else None
        return table.comments.get(column.original_name or column.name, "") if table else ""

    def base(self, pg_type: str) -> PyType:
        """Return the Python type of a PostgreSQL type.

        Raises:
            Refused: there is none.

        """
        if pg_type in self.refused_types:
            raise AlreadyReported(f"type {pg_type} was refused")
        if pg_type in self.enum_types:
            return self.enum_types[pg_type]
        if pg_type in self.composite_types:
            return self.composite_types[pg_type]
        if pg_type in self.composites:
            raise Refused(
                f"type {pg_type} is composite{self.composites[pg_type]}; select its fields: "
                "(name).field AS field, or cast it to text"
            )
        domain = self.domains.get(pg_type)
        if domain and domain[0] != pg_type:
            return self.base(domain[0])
        return self.overrides.wire_format_type(pg_type) or builtin(pg_type)

    def _override(self, column: protocol.Column, *, nullable: bool) -> Override | None:
        """Return the first override by column that matches, else the first by type."""
        table = self.key(column.table) if column.table else ("", "")
        path = (table[0], table[1], column.original_name or column.name)
        for override in self.options.overrides if column.table else ():
            pattern = override.column
            if pattern and matches_column(pattern, path, self.default_schema):
                return override
        for override in self.options.overrides:
            same = override.db_type and normal_name(override.db_type) == column.type.name
            if same and override.nullable in {None, nullable}:
                return override
        return None
