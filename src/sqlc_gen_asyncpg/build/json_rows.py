"""Rows inside of JSON, as in jsonb_agg(reply): their models, and the decoders of their values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import ir, naming
from sqlc_gen_asyncpg.build.query_types import result_type
from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.infer.values import JSON, RowShape, ValueType
from sqlc_gen_asyncpg.pytypes import PyType, Type
from sqlc_gen_asyncpg.schema.models import row_field

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.build.context import QueryContext
    from sqlc_gen_asyncpg.pytypes import TypeText

__all__ = ["declared_rows", "inferred_rows"]

# Types whose text in JSON is valid for their annotations.
_AS_IT_IS: Final = frozenset({
    "bool", "bpchar", "cidr", "citext", "int2", "int4", "int8", "macaddr", "macaddr8", "money",
    "name", "oid", "text", "time", "tsquery", "tsvector", "uuid", "varchar", "xml",
})  # fmt: skip
_DECODERS: Final = {
    "bytea": "json_bytes",
    "date": "json_date",
    "float4": "json_float",
    "float8": "json_float",
    "inet": "json_address",
    "numeric": "json_numeric",
    "timestamp": "json_time",
    "timestamptz": "json_time_utc",
}


def inferred_rows(
    context: QueryContext, name: str, value: ValueType
) -> tuple[Type, ir.Decoder] | None:
    """Return the type of a column of JSON with rows of a table or a subquery, and its decoder.

    It is None if the value has no rows, or one that cannot be read without loss; then it is JSON.
    """
    if value.row is None or value.type not in JSON or value.dims:
        return None
    count = len(context.models)
    try:
        model, decoder = _row(context, name, value.row, has_text=False)
    except Refused:
        del context.models[count:]
        return None
    py_type = Type(
        PyType.same(model), value.nullable, int(value.is_list), value.is_list and value.null_items
    )
    return py_type, _of_column(decoder, is_list=value.is_list)


def declared_rows(
    context: QueryContext, text: TypeText, pg_type: str
) -> tuple[Type, ir.Decoder] | None:
    """Return the type and the decoder of JSON that a directive declares as `models.Reply[]`.

    None if it names no generated model.

    Raises:
        Refused: the column is no JSON, or the model has a field that JSON cannot contain.

    """
    prefix, _, name = text.name.partition(".")
    tables = {table.model.name: key for key, table in context.catalog.tables.items()}
    if prefix != "models" or name not in tables:
        return None
    if context.catalog.domain_base(pg_type) not in {"json", "jsonb", "text"}:
        raise Refused(f"{text.name} is read from json, jsonb or text, not from {pg_type}")
    if text.dims > 1:
        raise Refused(f"{text.name} is one object or an array of objects")
    key = tables[name]
    shape = RowShape(tuple(context.catalog.schema.tables[key].items()), key)
    has_text = context.catalog.domain_base(pg_type) == "text"
    model, decoder = _row(context, "", shape, has_text=has_text)
    py_type = Type(PyType.same(model), text.nullable, text.dims, text.nullable_element)
    return py_type, _of_column(decoder, is_list=bool(text.dims))


def _of_column(decoder: ir.Decoder, *, is_list: bool) -> ir.Decoder:
    inner = ir.Decoder("json_array", decoder) if is_list else decoder
    return ir.Decoder("from_json", inner)


def _row(
    context: QueryContext, name: str, shape: RowShape, *, has_text: bool
) -> tuple[str, ir.Decoder]:
    """Return the model of a row, and its decoder.

    Raises:
        Refused: a value cannot be read, or there is no model.

    """
    fields = {key: _decoder(context, key, value, has_text=has_text) for key, value in shape.columns}
    decoders = tuple((key, decoder) for key, decoder in fields.items() if decoder)
    model = _model(context, name, shape)
    return model, ir.Decoder("json_row", None, decoders, model)


def _model(context: QueryContext, name: str, shape: RowShape) -> str:
    """Return the model of a table, or a new one for the rows of a subquery."""
    table = context.catalog.tables.get(shape.table) if shape.table else None
    columns = context.catalog.schema.tables.get(shape.table) if shape.table else None
    if table and tuple(columns or ()) == tuple(column for column, _ in shape.columns):
        if table.problems:
            raise Refused(f"the model {table.model.name} cannot be written")
        return f"models.{table.model.name}"
    if context.directives.row or not name:
        raise Refused("the rows are those of no table")
    fields = [_field(context, key, value) for key, value in shape.columns]
    if len({field.name for field in fields}) != len(fields):
        raise Refused("two fields would have one name")
    doc = (f"One of the rows in {name} of {context.query.name}.",)
    return _add_model(context, naming.camel(naming.singular(name)), doc, tuple(fields))


def _add_model(
    context: QueryContext, suffix: str, doc: tuple[str, ...], fields: tuple[ir.Field, ...]
) -> str:
    """Add a model to those of the query, unless it has an equal one; return its name."""
    models = {model.name: model for model in context.models}
    taken = {f"{context.title}Row", f"{context.title}Params"}
    wanted = name = context.title + suffix
    number = 2
    while name in taken or (name in models and models[name].fields != fields):
        name, number = f"{wanted}{number}", number + 1
    if name not in models:
        context.models.append(ir.Model(name, doc, fields))
    return name


def _field(context: QueryContext, name: str, value: ValueType) -> ir.Field:
    source = context.catalog.columns.get(value.origin) if value.origin else None
    column = replace(source or _no_column(context), name=name)
    inner = inferred_rows(context, name, value)
    py_type = inner[0] if inner else result_type(context.catalog, column, value)
    return row_field(context.catalog, column, name, py_type)


def _no_column(context: QueryContext) -> protocol.Column:
    """Return a column of no table, which has neither a comment nor an override."""
    column = context.query.columns[0]
    return replace(column, table=None, comment="", original_name="", embed=None)


def _decoder(
    context: QueryContext, name: str, value: ValueType, *, has_text: bool
) -> ir.Decoder | None:
    """Return the decoder of a value inside of JSON; None if it is taken as it is.

    Raises:
        Refused: there is none.

    """
    catalog = context.catalog
    base = catalog.domain_base(value.type)
    if value.row and base in JSON and not value.dims:
        inner = _row(context, name, value.row, has_text=has_text)[1]
        return ir.Decoder("json_array", inner) if value.is_list else inner
    source = catalog.columns.get(value.origin) if value.origin else None
    py_type = catalog.column_type(source).base if source else catalog.base(value.type)
    dims = value.dims + catalog.domains.get(value.type, ("", 0))[1]
    decoder = _scalar(context, base, py_type, has_text=has_text)
    return ir.Decoder("json_array", decoder) if decoder and dims else decoder


def _scalar(
    context: QueryContext, base: str, py_type: PyType, *, has_text: bool
) -> ir.Decoder | None:
    catalog = context.catalog
    if base in JSON:
        is_text = py_type.row.startswith("PgJsonText[")
        return ir.Decoder("json_text_of" if is_text else "json_value")
    if py_type.encode or py_type in catalog.overrides.converters.values():
        raise Refused(f"a converter cannot read a value of type {base} inside of JSON")
    if base == "numeric" and catalog.options.json != "text" and not has_text:
        raise Refused(
            "a codec for json returns numeric as float, which loses digits; select the JSON as text"
        )
    if base in catalog.schema.composites:
        items = catalog.schema.composites[base].items()
        found = {key: _decoder(context, key, value, has_text=has_text) for key, value in items}
        decoders = tuple((key, each) for key, each in found.items() if each)
        return ir.Decoder("json_row", None, decoders, base)
    if base in _DECODERS:
        return ir.Decoder(_DECODERS[base])
    if base in _AS_IT_IS or base in catalog.enum_types:
        return None
    raise Refused(f"a value of type {base} cannot be read inside of JSON; select it as text")
