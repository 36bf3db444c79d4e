"""The application's tables, views and enums, and the Python type of each of their columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir, naming, protocol
from sqlc_gen_asyncpg.errors import AlreadyReported, Refused, Report
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.pytypes import (
    PYTHON_NAMES,
    PyType,
    Type,
    builtin,
    check_not_shadowed,
    normal_name,
)
from sqlc_gen_asyncpg.schema import overrides
from sqlc_gen_asyncpg.schema.ddl import read_schema
from sqlc_gen_asyncpg.schema.views import read_tables

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.options import Options, Override
    from sqlc_gen_asyncpg.pytypes import TypeText

__all__ = ["Catalog", "TableModel", "make_field", "read_catalog"]


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
    """What the schema and the options say about types and names."""

    options: Options
    default_schema: str
    tables: dict[tuple[str, str], TableModel] = field(
        default_factory=dict[tuple[str, str], TableModel]
    )
    enums: dict[str, ir.Enum] = field(default_factory=dict[str, ir.Enum])
    enum_types: dict[str, PyType] = field(default_factory=dict[str, PyType])
    declared: dict[str, PyType] = field(default_factory=dict[str, PyType])
    converters: dict[str, PyType] = field(default_factory=dict[str, PyType])
    composites: dict[str, str] = field(default_factory=dict[str, str])
    composite_models: dict[str, ir.Model] = field(default_factory=dict[str, ir.Model])
    composite_types: dict[str, PyType] = field(default_factory=dict[str, PyType])
    imports: dict[str, str] = field(default_factory=dict[str, str])
    columns: dict[tuple[str, str, str], protocol.Column] = field(
        default_factory=dict[tuple[str, str, str], protocol.Column]
    )
    domains: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    schema: Schema = field(default_factory=lambda: Schema("public", {}))
    schemas: set[str] = field(default_factory=set[str])
    seen: set[str] = field(default_factory=set[str])
    used: set[str] = field(default_factory=set[str])
    refused: set[str] = field(default_factory=set[str])

    def key(self, name: protocol.Name) -> tuple[str, str]:
        """Return a table's key; a name without schema is in the default one."""
        return name.schema or self.default_schema, name.name

    def full_name(self, key: tuple[str, str]) -> str:
        """Return a table's name as options and messages have it."""
        return key[1] if key[0] == self.default_schema else ".".join(key)

    def column_type(self, column: protocol.Column) -> Type:
        """Return the type of a column or a parameter; Refused if there is none."""
        nullable = not (column.not_null or column.type.is_serial)
        override = self._override(column, nullable=nullable)
        normal = column.type.name
        self.seen.add(normal)
        if override:
            base = overrides.overridden(self, override, self.domain_base(normal))
        else:
            base = self.base(column.type.name)
        inner = 0 if override else self.domains.get(normal, ("", 0))[1]
        return Type(base, nullable=nullable, dims=column.dims + inner)

    def text_type(self, text: TypeText, current: Type | None, normal: str) -> Type:
        """Return the type that a comment names for what PostgreSQL has as `normal`."""
        return Type(
            self._text_base(text.name, current, self.domain_base(normal)),
            text.nullable,
            text.dims,
            text.nullable_element,
        )

    def _text_base(self, name: str, current: Type | None, normal: str) -> PyType:
        """Find an enum or a converter, then a type of PostgreSQL's, then a name of Python's.

        Python's `datetime` keeps a type that is one.
        """
        for known in (self.declared, self.converters):
            if name in known:
                self.used.add(name)
                return known[name]
        if name in PYTHON_NAMES:
            base = self.base(PYTHON_NAMES[name])
            return current.base if current and current.base.hint == base.hint else base
        try:
            return self.base(normal_name(name))
        except Refused:
            first, dot, _ = name.partition(".")
            if not dot or first in self.schemas or not all(map(str.isidentifier, name.split("."))):
                raise
            return overrides.named_type(self, name, normal)

    def domain_base(self, normal: str) -> str:
        """Return the type that a domain is about; of another type itself."""
        seen = {normal}
        while normal in self.domains and self.domains[normal][0] not in seen:
            normal = self.domains[normal][0]
            seen.add(normal)
        return normal

    def comment(self, column: protocol.Column) -> str:
        """Return the comment of a table's column, also where a result selects it."""
        if column.comment:
            return column.comment
        table = self.tables.get(self.key(column.table)) if column.table else None
        return table.comments.get(column.original_name or column.name, "") if table else ""

    def base(self, normal: str) -> PyType:
        """Return the Python type of a PostgreSQL type; Refused if there is none."""
        if normal in self.refused:
            raise AlreadyReported(f"enum {normal} was refused")
        if normal in self.enum_types:
            return self.enum_types[normal]
        if normal in self.composite_types:
            return self.composite_types[normal]
        if normal in self.composites:
            raise Refused(
                f"type {normal} is composite{self.composites[normal]}; select its fields: "
                "(name).field AS field, or cast it to text"
            )
        domain = self.domains.get(normal)
        if domain and domain[0] != normal:
            return self.base(domain[0])
        return overrides.travelling(self, normal) or builtin(normal)

    def _override(self, column: protocol.Column, *, nullable: bool) -> Override | None:
        """Return the first override by column that matches, else the first by type."""
        table = self.key(column.table) if column.table else ("", "")
        path = (table[0], table[1], column.original_name or column.name)
        for each in self.options.overrides:
            if (
                each.column
                and column.table
                and overrides.matches(each.column, path, self.default_schema)
            ):
                return each
        normal = column.type.name
        for each in self.options.overrides:
            same = each.db_type and normal_name(each.db_type) == normal
            if same and each.nullable in {None, nullable}:
                return each
        return None


def read_catalog(
    request: protocol.Request, options: Options, report: Report, directory: str = ""
) -> Catalog:
    """All enums first, then the tables, whose columns refer to them."""
    catalog = Catalog(options, request.default_schema)
    for schema in request.schemas:
        prefix = "" if schema.name == request.default_schema else f"{schema.name}."
        catalog.schemas.add(schema.name)
        catalog.composites.update(dict.fromkeys((prefix + each for each in schema.composites), ""))
        for name in schema.composites:
            with report.catch(f"type {prefix}{name}"):
                check_not_shadowed(prefix + name)
        for enum in schema.enums:
            with report.catch(f"enum {prefix}{enum.name}"):
                catalog.refused.add(prefix + enum.name)
                _add_enum(catalog, prefix, enum)
                catalog.refused.discard(prefix + enum.name)
    for override in options.overrides:
        if override.enum:
            with report.catch(f"options: enum {override.enum.name}"):
                _declare_enum(catalog, override.enum.name, override.enum.values)
    for converter in options.converters:
        with report.catch(f"options: converters: {converter.name}"):
            catalog.converters[converter.name] = overrides.converter_type(catalog, converter)
    request = _read_files(catalog, request, report, directory)
    for schema in request.schemas:
        for table in schema.tables:
            catalog.tables[schema.name, table.name] = _table(catalog, schema.name, table)
            for column in table.columns:
                catalog.columns[schema.name, table.name, column.name] = column
    return catalog


def _read_files(
    catalog: Catalog, request: protocol.Request, report: Report, directory: str
) -> protocol.Request:
    """Read what only the schema's files say; the request with its views set right."""
    schema_files = read_schema(request.schema_paths, directory)
    for name, of in catalog.options.domains.items():
        schema_files.domains[normal_name(name)] = (normal_name(of.name), of.dims)
    for name, declared in catalog.options.composites.items():
        schema_files.composites[normal_name(name)] = {
            key: (normal_name(of.name), of.dims) for key, of in declared.items()
        }
    catalog.schema, request = read_tables(request, schema_files)
    catalog.domains = schema_files.domains
    for name, fields in schema_files.composites.items():
        if name in catalog.composites:
            with report.catch(f"type {name}"):
                _add_composite(catalog, name, fields)
    return request


def _add_composite(catalog: Catalog, name: str, fields: dict[str, tuple[str, int]]) -> None:
    """Add the model of a composite type; any of its fields may be NULL.

    One that the driver cannot carry, or with a field of no known type, may not be used.
    """
    title = catalog.options.rename.get(name) or naming.camel(name, catalog.options.initialisms)
    found: list[ir.Field] = []
    for key, (kind, dims) in fields.items():
        try:
            of = Type(catalog.base(kind), nullable=True, dims=dims)
            _check_inside(catalog, kind, of)
        except Refused as error:
            catalog.composites[name] = f", and its field {key} cannot be read: {error}"
            return
        annotation = of.row
        if of.base.aware:
            annotation = annotation.replace("dt.datetime", "PgAware")
        python = naming.field_name(key)
        alias = key if python != key else ""
        found.append(ir.Field(python, annotation, alias, default_none=True))
    doc = (f"A value of the type {name}.",)
    catalog.composite_models[title] = ir.Model(title, doc, tuple(found), is_composite=True)
    catalog.composite_types[name] = PyType.same(f"models.{title}")


def _check_inside(catalog: Catalog, kind: str, of: Type) -> None:
    """Refuse what cannot be a field of a composite value."""
    if of.base.encode:
        raise Refused(f"{kind} cannot be inside of one with these options")
    if catalog.domain_base(kind) in overrides.JSON_TYPES and catalog.options.json == "codec":
        raise Refused("the driver has no binary codec for json; see the option json")


def _add_enum(catalog: Catalog, prefix: str, enum: protocol.Enum) -> None:
    normal = prefix + enum.name
    check_not_shadowed(normal)
    name = catalog.options.rename.get(normal)
    name = name or naming.camel(normal.replace(".", "_"), catalog.options.initialisms)
    doc = _lines(enum.comment) or (f"The values of type {normal}.",)
    _put_enum(catalog, normal, ir.Enum(name, doc, _members(catalog, normal, enum.values)))
    catalog.enum_types[normal] = PyType.same(f"enums.{name}")


def _declare_enum(catalog: Catalog, name: str, values: tuple[str, ...]) -> None:
    doc = ("Values of a text column, which the database does not enforce.",)
    enum = ir.Enum(name, doc, _members(catalog, name, values), enforced=False)
    if catalog.enums.get(name) != enum:
        _put_enum(catalog, name, enum)
        _put_enum(catalog, name, ir.Enum(f"Open{name}", (), (), enforced=False))
    catalog.declared[name] = PyType(
        hint=f"enums.Open{name}",
        row=f"enums.Open{name}",
        argument=f"enums.{name}",
        field=f"enums.{name}",
    )


def _put_enum(catalog: Catalog, normal: str, enum: ir.Enum) -> None:
    if enum.name in catalog.enums:
        raise Refused(
            f"a second enum would be called {enum.name}; rename one: rename: {{{normal}: …}}"
        )
    catalog.enums[enum.name] = enum


def _members(catalog: Catalog, normal: str, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for value in values:
        key = f"{normal}.{value}"
        name = catalog.options.rename.get(key) or naming.enum_member(value)
        if name in found:
            raise Refused(
                f"{found[name]!r} and {value!r} would both be {name}; "
                f"rename one: rename: {{{key}: …}}"
            )
        found[name] = value
    return tuple(found.items())


def _table(catalog: Catalog, schema: str, table: protocol.Table) -> TableModel:
    report = Report()
    options = catalog.options
    default = schema == catalog.default_schema
    full = table.name if default else f"{schema}.{table.name}"
    name = options.rename.get(full) or options.rename.get(f"{schema}.{table.name}", "")
    if not name:
        one = table.name
        if not options.emit_exact_table_names:
            one = naming.singular(one, options.inflection_exclude_table_names)
        name = naming.camel(one if default else f"{schema}_{one}", options.initialisms)
    fields: dict[str, ir.Field] = {}
    for column in table.columns:
        with report.catch(f"table {full}: column {column.name}"):
            made = make_field(catalog, column, column.name, catalog.column_type(column))
            if made.name in fields:
                raise Refused(
                    f"a second field would be called {made.name}; "
                    f"rename one: rename: {{{full}.{column.name}: …}}"
                )
            fields[made.name] = made
    doc = _lines(table.comment) or (f"A row of {full}.",)
    comments = {each.name: each.comment for each in table.columns}
    model = ir.Model(name, doc, tuple(fields.values()))
    return TableModel(model, comments, tuple(report.problems))


def make_field(catalog: Catalog, column: protocol.Column, name: str, of: Type) -> ir.Field:
    """Return the field of a row for a column that is called `name` there."""
    renamed = ""
    if column.table and name == (column.original_name or column.name):
        schema, table = catalog.key(column.table)
        rename = catalog.options.rename
        renamed = rename.get(f"{table}.{name}") or rename.get(f"{schema}.{table}.{name}", "")
    python = renamed or naming.field_name(name)
    alias = name if python != name else ""
    return ir.Field(python, of.row, alias, " ".join(catalog.comment(column).split()))


def _lines(comment: str) -> tuple[str, ...]:
    return tuple(line.rstrip() for line in comment.strip().split("\n")) if comment.strip() else ()
