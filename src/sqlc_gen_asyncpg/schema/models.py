"""The enums, composite types and tables of the schema, read into the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir, naming
from sqlc_gen_asyncpg.errors import AlreadyReported, Refused, Report
from sqlc_gen_asyncpg.name_rules import check_name
from sqlc_gen_asyncpg.options import DEFAULT_BASE_CLASS, Options
from sqlc_gen_asyncpg.pytypes import PyType, Type, check_not_shadowed, normal_name
from sqlc_gen_asyncpg.schema.alterations import table_key
from sqlc_gen_asyncpg.schema.catalog import Catalog, TableModel
from sqlc_gen_asyncpg.schema.ddl import read_schema
from sqlc_gen_asyncpg.schema.overrides import JSON_TYPES, TypeOverrides
from sqlc_gen_asyncpg.schema.positions import SchemaPositions
from sqlc_gen_asyncpg.schema.views import read_tables

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import protocol

__all__ = ["read_catalog", "row_field"]


def read_catalog(
    request: protocol.Request, options: Options, report: Report, directory: str = ""
) -> Catalog:
    """Return the catalog of a request; problems are reported.

    Enums and converters come first: columns refer to them.
    """
    overrides = TypeOverrides(options.json, options.vector)
    catalog = Catalog(options, request.default_schema, overrides)
    catalog.positions = SchemaPositions(request.schema_paths, directory)
    if options.base_class != DEFAULT_BASE_CLASS:
        with report.catch("options: base_class"):
            overrides.import_base_class(options.base_class)
    for schema in request.schemas:
        _add_types(catalog, schema, report)
    for override in options.overrides:
        if override.enum:
            with report.catch(f"options: enum {override.enum.name}"):
                _declare_enum(catalog, override.enum.name, override.enum.values)
    for converter in options.converters:
        with report.catch(f"options: converters: {converter.name}"):
            overrides.add_converter(converter)
    _import_classes(options, overrides, report)
    request = _read_files(catalog, request, report, directory)
    for schema in request.schemas:
        for table in schema.tables:
            catalog.tables[schema.name, table.name] = _table(catalog, schema.name, table)
            for column in table.columns:
                catalog.columns[schema.name, table.name, column.name] = column
    return catalog


def row_field(catalog: Catalog, column: protocol.Column, name: str, py_type: Type) -> ir.Field:
    """Return the field of a row for a column that the row has as `name`."""
    renamed = ""
    if column.table and name == (column.original_name or column.name):
        schema, table = catalog.key(column.table)
        keys = (f"{table}.{name}", f"{schema}.{table}.{name}")
        renamed = naming.renamed(catalog.options.rename, keys, "field")
    field_name = renamed or naming.field_name(name)
    alias = name if field_name != name else ""
    return ir.Field(field_name, py_type.row, alias, " ".join(catalog.comment(column).split()))


def _import_classes(options: Options, overrides: TypeOverrides, report: Report) -> None:
    """Import the classes of the application that models of arguments and properties use."""
    if options.input_base_class:
        with report.catch("options: input_base_class"):
            overrides.set_input_base_class(options.input_base_class)
    if options.json_error:
        with report.catch("options: json_error"):
            overrides.set_json_error(options.json_error)


def _add_types(catalog: Catalog, schema: protocol.Schema, report: Report) -> None:
    prefix = "" if schema.name == catalog.default_schema else f"{schema.name}."
    catalog.schema_names.add(schema.name)
    for name in schema.composites:
        catalog.composites[prefix + name] = ""
        with report.catch(
            catalog.positions.place(f"type {prefix}{name}", "type", schema.name, name)
        ):
            check_not_shadowed(prefix + name)
    for enum in schema.enums:
        subject = f"enum {prefix}{enum.name}"
        with report.catch(catalog.positions.place(subject, "type", schema.name, enum.name)):
            catalog.refused_types.add(prefix + enum.name)
            _add_enum(catalog, prefix + enum.name, enum)
            catalog.refused_types.discard(prefix + enum.name)


def _read_files(
    catalog: Catalog, request: protocol.Request, report: Report, directory: str
) -> protocol.Request:
    """Add the definitions of the schema's files; return the request with its views corrected."""
    schema_files = read_schema(request.schema_paths, directory)
    for name, text in catalog.options.domains.items():
        schema_files.domains[normal_name(name)] = (normal_name(text.name), text.dims)
    for name, declared in catalog.options.composites.items():
        schema_files.composites[normal_name(name)] = {
            key: (normal_name(text.name), text.dims) for key, text in declared.items()
        }
    catalog.schema, request = read_tables(request, schema_files)
    catalog.domains = schema_files.domains
    for name, fields in schema_files.composites.items():
        if name in catalog.composites:
            reported = len(report.problems)
            place = catalog.positions.place(
                f"type {name}", "type", *table_key(tuple(name.split(".")))
            )
            with report.catch(place):
                _add_composite(catalog, name, fields)
            if len(report.problems) > reported:
                catalog.refused_types.add(name)
    return request


def _add_composite(catalog: Catalog, name: str, fields: dict[str, tuple[str, int]]) -> None:
    """Add the model of a composite type; any of its fields may be NULL.

    A type with a field that cannot be read or bound may not be used itself.
    """
    qualified = name if "." in name else f"{catalog.default_schema}.{name}"
    title = naming.renamed(catalog.options.rename, (name, qualified), "class")
    title = title or naming.class_name(name, catalog.options.initialisms)
    model_fields: list[ir.Field] = []
    for key, (pg_type, dims) in fields.items():
        try:
            py_type = Type(catalog.base(pg_type), nullable=True, dims=dims)
            _check_composite_field(catalog, pg_type, py_type)
        except AlreadyReported:
            catalog.refused_types.add(name)
            return
        except Refused as error:
            catalog.composites[name] = f", and its field {key} cannot be read: {error}"
            return
        annotation = py_type.row
        if py_type.base.aware:
            annotation = annotation.replace("dt.datetime", "PgAware")
        keys = (f"{name}.{key}", f"{qualified}.{key}")
        field_name = naming.renamed(catalog.options.rename, keys, "field")
        field_name = field_name or naming.field_name(key)
        if field_name in {field.name for field in model_fields}:
            raise Refused(
                f"a second field would be called {field_name}; "
                f"rename one: rename: {{{name}.{key}: …}}"
            )
        alias = key if field_name != key else ""
        model_fields.append(ir.Field(field_name, annotation, alias, default_none=True))
    doc = (f"A value of the type {name}.",)
    model = ir.Model(title, doc, tuple(model_fields), is_composite=True)
    catalog.composite_models[title] = model
    catalog.composite_types[name] = PyType.same(f"models.{title}")


def _check_composite_field(catalog: Catalog, pg_type: str, py_type: Type) -> None:
    if py_type.base.encode:
        raise Refused(f"{pg_type} cannot be inside of one with these options")
    if catalog.domain_base(pg_type) in JSON_TYPES and catalog.options.json == "codec":
        raise Refused("the driver has no binary codec for json; see the option json")


def _add_enum(catalog: Catalog, pg_type: str, enum: protocol.Enum) -> None:
    check_not_shadowed(pg_type)
    name = naming.renamed(catalog.options.rename, (pg_type,), "class")
    name = name or naming.class_name(pg_type.replace(".", "_"), catalog.options.initialisms)
    doc = _lines(enum.comment) or (f"The values of type {pg_type}.",)
    _put_enum(catalog, pg_type, ir.Enum(name, doc, _members(catalog, pg_type, enum.values)))
    catalog.enum_types[pg_type] = PyType.same(f"enums.{name}")


def _declare_enum(catalog: Catalog, name: str, values: tuple[str, ...]) -> None:
    check_name(name, "class")
    doc = ("Values of a text column, which the database does not enforce.",)
    enum = ir.Enum(name, doc, _members(catalog, name, values), enforced=False)
    if catalog.enums.get(name) != enum:
        _put_enum(catalog, name, enum)
        _put_enum(catalog, name, ir.Enum(f"Open{name}", (), (), enforced=False))
    catalog.overrides.enums[name] = PyType.same(f"enums.Open{name}")


def _put_enum(catalog: Catalog, key: str, enum: ir.Enum) -> None:
    if enum.name in catalog.enums:
        raise Refused(
            f"a second enum would be called {enum.name}; rename one: rename: {{{key}: …}}"
        )
    catalog.enums[enum.name] = enum


def _members(catalog: Catalog, enum: str, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    members: dict[str, str] = {}
    for value in values:
        key = f"{enum}.{value}"
        name = naming.renamed(catalog.options.rename, (key,), "enum member")
        name = name or naming.enum_member(value)
        if name in members:
            raise Refused(
                f"{members[name]!r} and {value!r} would both be {name}; "
                f"rename one: rename: {{{key}: …}}"
            )
        members[name] = value
    return tuple(members.items())


def _table(catalog: Catalog, schema: str, table: protocol.Table) -> TableModel:
    report = Report()
    full_name = catalog.full_name((schema, table.name))
    fields: dict[str, ir.Field] = {}
    for column in table.columns:
        subject = f"table {full_name}: column {column.name}"
        place = catalog.positions.place(subject, "relation", schema, table.name, column.name)
        with report.catch(place):
            field = row_field(catalog, column, column.name, catalog.column_type(column))
            if field.name in fields:
                raise Refused(
                    f"a second field would be called {field.name}; "
                    f"rename one: rename: {{{full_name}.{column.name}: …}}"
                )
            fields[field.name] = field
    title = _table_title(catalog, schema, table.name)
    with report.catch(
        catalog.positions.place(f"table {full_name}", "relation", schema, table.name)
    ):
        keys = (full_name, f"{schema}.{table.name}")
        title = naming.renamed(catalog.options.rename, keys, "class") or title
    doc = _lines(table.comment) or (f"A row of {full_name}.",)
    comments = {column.name: column.comment for column in table.columns}
    model = ir.Model(title, doc, tuple(fields.values()))
    return TableModel(model, comments, tuple(report.problems))


def _table_title(catalog: Catalog, schema: str, table: str) -> str:
    options = catalog.options
    if not options.emit_exact_table_names:
        table = naming.singular(table, options.inflection_exclude_table_names)
    default = schema == catalog.default_schema
    return naming.class_name(table if default else f"{schema}_{table}", options.initialisms)


def _lines(comment: str) -> tuple[str, ...]:
    return tuple(line.rstrip() for line in comment.strip().split("\n")) if comment.strip() else ()
