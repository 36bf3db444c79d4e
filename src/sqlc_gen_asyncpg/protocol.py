"""sqlc's plugin protocol: the request as frozen dataclasses, the response as bytes.

Only this module uses the field names of sqlc's JSON. The request is protojson with the names of the
proto and every field present; options are base64 of JSON, and empty if there are none. Type names
are normalized here.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from sqlc_gen_asyncpg.errors import GeneratorError
from sqlc_gen_asyncpg.pytypes import is_serial, normal_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Column",
    "Enum",
    "Name",
    "Parameter",
    "Query",
    "Request",
    "Schema",
    "Table",
    "TypeName",
    "decode",
    "encode",
]

_MAX_NUMBER: Final = 65_535  # parameters of a statement, which the protocol counts in 16 bits
_MAX_REASON: Final = 200  # characters
_NOT_JSON: Final = (
    "request: not in JSON, and protobuf is the default of sqlc: add `format: json` to the plugin "
    "in sqlc.yaml, beside `cmd: sqlc-gen-asyncpg`"
)
# Megabytes of pg_catalog that no query of an application names a row of.
SYSTEM_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema", "pg_toast", "pg_temp"})


@dataclass(frozen=True, slots=True)
class Name:
    """A table's name; `schema` is empty where the SQL has none."""

    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class TypeName:
    """The normalized name of a type; a serial type is the integer type of its column.

    The columns of serial types are NOT NULL, although sqlc does not report it.
    """

    name: str
    is_serial: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or of a result, or the column that a parameter is compared with."""

    name: str
    type: TypeName
    not_null: bool
    dims: int
    comment: str
    table: Name | None
    original_name: str
    embed: Name | None
    is_slice: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$number` of a query."""

    number: int
    column: Column


@dataclass(frozen=True, slots=True)
class Query:
    """One query; macros and `*` in its text are expanded."""

    name: str
    cmd: str
    text: str
    comments: tuple[str, ...]
    filename: str
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    insert_into: Name | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a view."""

    name: str
    comment: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Enum:
    """A CREATE TYPE … AS ENUM."""

    name: str
    comment: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema of the application (not PostgreSQL's own)."""

    name: str
    tables: tuple[Table, ...]
    enums: tuple[Enum, ...]
    composites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A request of sqlc to generate code."""

    sqlc_version: str
    engine: str
    default_schema: str
    schemas: tuple[Schema, ...]
    queries: tuple[Query, ...]
    options: Mapping[str, object]
    schema_paths: tuple[str, ...] = ()
    query_paths: tuple[str, ...] = ()
    out: str = ""


def decode(raw: bytes) -> Request:
    """Read a request.

    Raises:
        GeneratorError: these bytes are not a request in JSON.

    """
    if not raw.lstrip().startswith(b"{"):  # JSON is an object; protobuf begins with a field
        raise GeneratorError([_NOT_JSON])
    try:
        root = cast("Mapping[str, object]", json.loads(raw))
        catalog = _node(root, "catalog")
        return Request(
            sqlc_version=_text(root, "sqlc_version"),
            engine=_text(_node(root, "settings"), "engine"),
            default_schema=_text(catalog, "default_schema") or "public",
            schemas=tuple(
                _schema(node)
                for node in _nodes(catalog, "schemas")
                if _text(node, "name") not in SYSTEM_SCHEMAS
            ),
            queries=tuple(_query(node) for node in _nodes(root, "queries")),
            options=_options(root, "global_options") | _options(root, "plugin_options"),
            schema_paths=_texts(_node(root, "settings"), "schema"),
            query_paths=_texts(_node(root, "settings"), "queries"),
            out=_output(_node(root, "settings")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = repr(error)
        if len(reason) > _MAX_REASON:  # a UnicodeDecodeError repeats the whole request
            reason = f"{reason[:_MAX_REASON]}…"
        raise GeneratorError(
            [f"request: not a code generation request of sqlc in JSON ({reason})"]
        ) from error


def encode(files: Mapping[str, str]) -> bytes:
    """Return the response with these files, sorted by name."""
    entries = [
        {"name": name, "contents": base64.b64encode(files[name].encode()).decode()}
        for name in sorted(files)
    ]
    return json.dumps({"files": entries}).encode()


def _node(parent: Mapping[str, object], key: str) -> Mapping[str, object]:
    return cast("Mapping[str, object]", parent[key] or {})


def _nodes(parent: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    return cast("list[Mapping[str, object]]", parent[key] or [])


def _text(parent: Mapping[str, object], key: str) -> str:
    value = parent.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{key} is {value!r}, not a string")
    return value or ""


def _number(parent: Mapping[str, object], key: str) -> int:
    value = parent.get(key) or 0
    if not isinstance(value, int) or not 0 <= value <= _MAX_NUMBER:
        raise TypeError(f"{key} is {value!r}, not a small number")
    return value


def _texts(parent: Mapping[str, object], key: str) -> tuple[str, ...]:
    values = tuple(cast("list[object]", parent.get(key) or []))
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"{key} is {values!r}, not a list of strings")
    return cast("tuple[str, ...]", values)


def _output(settings: Mapping[str, object]) -> str:
    """Return the output folder, which only `check` needs."""
    return _text(_node(settings, "codegen"), "out") if "codegen" in settings else ""


def _options(root: Mapping[str, object], key: str) -> dict[str, object]:
    raw = base64.b64decode(_text(root, key))
    return dict(cast("Mapping[str, object]", json.loads(raw) or {})) if raw else {}


def _name(parent: Mapping[str, object], key: str) -> Name | None:
    if not parent.get(key):
        return None
    node = cast("Mapping[str, object]", parent[key])
    return Name(_text(node, "schema"), _text(node, "name"))


def _type_name(column: Mapping[str, object]) -> TypeName:
    name = _name(column, "type")
    if name is None:
        return TypeName("")
    return TypeName(normal_name(name.name, name.schema), is_serial(name.name))


def _column(node: Mapping[str, object]) -> Column:
    dims = _number(node, "array_dims")
    return Column(
        name=_text(node, "name"),
        type=_type_name(node),
        not_null=bool(node.get("not_null")),
        dims=max(dims, 1) if node.get("is_array") else 0,
        comment=_text(node, "comment"),
        table=_name(node, "table"),
        original_name=_text(node, "original_name"),
        embed=_name(node, "embed_table"),
        is_slice=bool(node.get("is_sqlc_slice")),
    )


def _table(node: Mapping[str, object]) -> Table:
    columns = tuple(_column(column) for column in _nodes(node, "columns"))
    return Table(_text(_node(node, "rel"), "name"), _text(node, "comment"), columns)


def _enum(node: Mapping[str, object]) -> Enum:
    return Enum(_text(node, "name"), _text(node, "comment"), _texts(node, "vals"))


def _schema(node: Mapping[str, object]) -> Schema:
    return Schema(
        name=_text(node, "name"),
        tables=tuple(_table(table) for table in _nodes(node, "tables")),
        enums=tuple(_enum(enum) for enum in _nodes(node, "enums")),
        composites=tuple(_text(composite, "name") for composite in _nodes(node, "composite_types")),
    )


def _query(node: Mapping[str, object]) -> Query:
    parameters = [
        Parameter(_number(param, "number"), _column(_node(param, "column")))
        for param in _nodes(node, "params")
    ]
    return Query(
        name=_text(node, "name"),
        cmd=_text(node, "cmd"),
        text=_text(node, "text"),
        comments=_texts(node, "comments"),
        filename=_text(node, "filename"),
        parameters=tuple(sorted(parameters, key=lambda parameter: parameter.number)),
        columns=tuple(_column(column) for column in _nodes(node, "columns")),
        insert_into=_name(node, "insert_into_table"),
    )
