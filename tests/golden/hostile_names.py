"""Projects with a name in each position of a schema, of queries and of options.

Each project is a request of sqlc with its schema file. `call_functions` imports the generated
packages and calls every function on a server.
"""

# ruff: noqa: S608  # the names in the statements are quoted

from __future__ import annotations

import base64
import json
import keyword
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from sqlc_gen_asyncpg import SQLC_VERSION, name_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Node = dict[str, Any]

ATTRIBUTES: Final = sorted(
    each for each in {*dir(BaseModel), *dir(type(BaseModel))} if not each.startswith("_")
)
DUNDERS: Final = [
    "__all__", "__annotations__", "__class__", "__debug__", "__dict__", "__doc__", "__getattr__",
    "__init__", "__main__", "__module__", "__name__", "__slots__", "__pydantic_fields__",
]  # fmt: skip
PRIVATE: Final = [
    "_", "__", "_name", "__x", "_Kind", "_INT", "_INT_ADAPTER", "_read_item", "_ITEM_COLUMNS",
    "_decode_item", "_encode_id",
    "_missing_", "_value_", "_ignore_", "_order_", "_generate_next_value_", "_name_",
]  # fmt: skip
BUILTINS: Final = [
    "bool", "bytes", "dict", "float", "frozenset", "id", "int", "list", "next", "object", "print",
    "set", "str", "super", "tuple", "type", "zip", "Exception", "NotImplemented", "Warning",
]  # fmt: skip
ORDINARY: Final = [
    "Any", "GetK", "GET_K", "ITEM", "Item", "Self", "base_models", "cls", "composites", "db",
    "each", "encoders", "fields", "found", "item", "json_texts", "models_", "none", "params",
    "pydantic", "pydantic_field", "ranges", "register", "row", "rows", "rows_", "sequences",
    "status", "true", "false", "uuid", "value", "vectors",
]  # fmt: skip
ODD: Final = [
    "größe", "日本", "ﬁ", "ªb", "ŉ", "İ", "ß", "\u017f", "x²", "a b", "1st", "2", "-", "+", "'",
    '"', "\\", "\\n", "%s", "{x}", "a.b", "a-b", "a$", "#", "😀", "a😀", "\u200b", "\u202e",
    "e\u0301", "\u0345", "\u00b7", "a\nb", "x" * 63,
]  # fmt: skip
IDENTIFIERS: Final = sorted(
    {
        *keyword.kwlist,
        *keyword.softkwlist,
        *ATTRIBUTES,
        *BUILTINS,
        *DUNDERS,
        *ORDINARY,
        *PRIVATE,
        *name_rules.RESERVED,
        *("name", "title", "upper"),
    }
)
# For options; a keyword is refused when the options are read.
OPTION_NAMES: Final = sorted(
    {
        *(
            "class",
            "None",
            "match",
            "copy",
            "json",
            "model_config",
            "mro",
            "name",
            "title",
            "value",
        ),
        *("bool", "int", "list", "object", "str", "super", "tuple", "type", "Exception"),
        *("__all__", "__class__", "__debug__", "__getattr__", "__init__", "__slots__"),
        *("_", "__x", "_name", "_Kind", "_INT_ADAPTER", "_read_item", "_missing_", "_value_"),
        *("Field", "Range", "Row", "UUID", "DBTX", "BaseModel", "Composite"),
        *("enum", "enums", "dt", "models", "reader", "required", "tuples"),
        *("GET_K", "KItem", "KMood", "Open", "OpenKMood", "get_k", "k_id"),
        *("größe", "日本", "ﬁ", "ß", "db", "row", "params"),
    }
)


@dataclass
class Project:
    """The input of one package."""

    schema: str
    catalog: Node
    queries: list[Node] = field(default_factory=list[Node])
    options: Node = field(default_factory=dict[str, Any])

    def request(self, package: str) -> bytes:
        """Return the request, as sqlc sends it."""
        options = {"package": package, "emit_iterators": True, **self.options}
        return json.dumps(
            {
                "sqlc_version": SQLC_VERSION,
                "settings": {"engine": "postgresql", "schema": ["schema.sql"]},
                "catalog": {"default_schema": "public", "schemas": [self.catalog]},
                "queries": self.queries,
                "plugin_options": base64.b64encode(json.dumps(options).encode()).decode(),
            }
        ).encode()


def quoted(name: str, quote: str = '"') -> str:
    """Return a name or a string as SQL has it."""
    return quote + name.replace(quote, quote * 2) + quote


def column(name: str, kind: str, table: str = "", *, required: bool = False) -> Node:
    """Return a column of a table or a result, or that of a parameter."""
    return {
        "name": name,
        "type": {"schema": "", "name": kind},
        "not_null": required,
        "is_array": kind == "_text",
        "array_dims": int(kind == "_text"),
        "table": {"schema": "", "name": table} if table else None,
        "original_name": name if table else "",
    }


def query(head: str, sql: str, params: list[Node], columns: list[Node], **more: object) -> Node:
    """Return a query with a head such as `GetK :one`."""
    name, _, cmd = head.partition(" ")
    numbered = [{"number": number, "column": each} for number, each in enumerate(params, 1)]
    return {
        "name": name,
        "cmd": cmd,
        "text": sql,
        "comments": [],
        "filename": "query.sql",
        "params": numbered,
        "columns": columns,
        "insert_into_table": None,
        **more,
    }


def of_table(name: str) -> Project:
    """The name as a table, a column, a file, a query, an argument and a value of an enum."""
    is_word = bool(re.fullmatch(r"\w+", name))
    argument = name if is_word else "k_argument"
    title = name if name.isidentifier() and name.isascii() else "GetK"
    table, own = quoted(name), quoted(name)
    kinds = {
        "k_id": "int4", name: "text", "k_uuid": "uuid", "k_price": "numeric", "k_at": "timestamptz",
        "k_during": "int4range", "k_place": "tid", "k_mood": "k_mood",
    }  # fmt: skip
    columns = [column(each, kind, name, required=each == "k_id") for each, kind in kinds.items()]
    fields = ", ".join(
        f"{quoted(each)} {kind}{' PRIMARY KEY' if each == 'k_id' else ''}"
        for each, kind in kinds.items()
    )
    listed = ", ".join(map(quoted, kinds))
    given = column(argument, "text", required=True)
    queries = [
        query(f"{title} :one", f"SELECT {listed} FROM {table} WHERE {own} = $1", [given], columns),
        query("ListK :many", f"SELECT {own} FROM {table}", [], [columns[1]]),
        query(
            "RowsK :many",
            f"SELECT k_id, {own}, k_at FROM {table} WHERE {own} = $1::text",
            [given],
            [columns[0], columns[1], columns[4]],
        ),
        query(
            "TouchK :execrows",
            f"UPDATE {table} SET {own} = $1::text, k_at = $2",
            [given, column("k_at", "timestamptz", name)],
            [],
        ),
        query(
            "CountK :one",
            f"SELECT count(*) AS total FROM {table} WHERE {own} = $1::text",
            [given],
            [column("total", "int8", required=True)],
        ),
    ]
    return Project(
        f"CREATE TYPE k_mood AS ENUM ({quoted(name, chr(39))}, 'k_other');"
        f"CREATE TABLE {table} ({fields});",
        {
            "name": "public",
            "tables": [{"rel": {"name": name}, "columns": columns}],
            "enums": [{"name": "k_mood", "vals": [name, "k_other"]}],
            "composite_types": [],
        },
        [{**each, "filename": f"{name}.sql"} for each in queries],
    )


def of_type(name: str, kind: str) -> Project:
    """The name as a type, and as a field or a value of the type."""
    own = quoted(name)
    columns = [column("k_id", "int4", "k_item", required=True), column("k_own", name, "k_item")]
    definition = (
        f"CREATE TYPE k_pair AS (x int); CREATE TYPE {own} AS ({own} text, k_in k_pair);"
        if kind == "composite"
        else f"CREATE TYPE {own} AS ENUM ('k_a', {quoted(name, chr(39))});"
    )
    enums = [{"name": name, "vals": ["k_a", name]}] if kind == "enum" else []
    return Project(
        f"{definition} CREATE TABLE k_item (k_id int PRIMARY KEY, k_own {own});",
        {
            "name": "public",
            "tables": [{"rel": {"name": "k_item"}, "columns": columns}],
            "enums": enums,
            "composite_types": [{"name": each} for each in ("k_pair", name)][: 2 - 2 * len(enums)],
        },
        [
            query("GetK :many", "SELECT k_id, k_own FROM k_item", [], columns),
            query("OwnK :many", "SELECT k_own FROM k_item", [], columns[1:]),
            query("SetK :exec", "UPDATE k_item SET k_own = $1", [columns[1]], []),
        ],
    )


def of_option(
    options: Node | None = None, comment: str = "", *, batch: str = "-- py: batch items KRow"
) -> Project:
    """A project whose names are in options or in the comments of queries."""
    table = "k_item"
    kinds = {
        "k_id": "int4", "k_label": "text", "k_price": "numeric", "k_uuid": "uuid",
        "k_mood": "k_mood", "k_pair": "k_pair",
    }  # fmt: skip
    columns = [column(each, kind, table, required=each == "k_id") for each, kind in kinds.items()]
    fields = ", ".join(f"{each} {kind}" for each, kind in kinds.items())
    labels = column("labels", "_text", required=True)
    labels["type"]["name"] = "text"
    return Project(
        "CREATE TYPE k_mood AS ENUM ('k_a', 'k_b'); CREATE TYPE k_pair AS (x int, y text);"
        f"CREATE TABLE {table} ({fields.replace('int4', 'int4 PRIMARY KEY', 1)});",
        {
            "name": "public",
            "tables": [{"rel": {"name": table}, "columns": columns}],
            "enums": [{"name": "k_mood", "vals": ["k_a", "k_b"]}],
            "composite_types": [{"name": "k_pair"}],
        },
        [
            query(
                "GetK :one",
                f"SELECT {', '.join(kinds)} FROM {table} WHERE k_label = $1",
                [columns[1]],
                columns,
            ),
            query(
                "RowsK :many",
                f"SELECT k_id, k_label, k_price FROM {table}",
                [],
                columns[:3],
                comments=[comment.removeprefix("--")] if comment else [],
            ),
            query("LabelsK :many", f"SELECT k_label FROM {table}", [], [columns[1]]),
            query(
                "AddK :exec",
                f"UPDATE {table} SET k_label = x FROM unnest($1::text[]) AS x",
                [labels],
                [],
                comments=[batch.removeprefix("--")],
            ),
        ],
        options or {},
    )


def _money(name: str) -> Node:
    paths = {key: f"k_types.{key}" for key in ("from_db", "to_db")}
    converter = {"name": name, "py_type": "k_types.KMoney", **paths}
    override = {"column": "k_item.k_price", "converter": name}
    return {"converters": [converter], "overrides": [override]}


def _override(column: str, **chosen: object) -> Node:
    return {"overrides": [{"column": f"k_item.{column}", **chosen}]}


POSITIONS: Final[dict[str, Callable[[str], Project]]] = {
    "table": of_table,
    "composite": lambda name: of_type(name, "composite"),
    "enum": lambda name: of_type(name, "enum"),
    "rename table": lambda name: of_option({"rename": {"k_item": name}}),
    "rename column": lambda name: of_option({"rename": {"k_item.k_label": name}}),
    "rename enum": lambda name: of_option({"rename": {"k_mood": name}}),
    "rename value": lambda name: of_option({"rename": {"k_mood.k_a": name}}),
    "rename composite": lambda name: of_option({"rename": {"k_pair": name}}),
    "rename query": lambda name: of_option({"rename": {"GetK": name}}),
    "row": lambda name: of_option(comment=f"-- py: row {name}"),
    "batch argument": lambda name: of_option(batch=f"-- py: batch {name} KRow"),
    "batch model": lambda name: of_option(batch=f"-- py: batch items {name}"),
    "py_type": lambda name: of_option(_override("k_label", py_type=f"k_types.{name}")),
    "declared enum": lambda name: of_option(
        _override("k_label", enum={"name": name, "values": ["k_a", name]})
    ),
    "converter": lambda name: of_option(_money(name)),
}
NAMES: Final = {
    "table": [*IDENTIFIERS, *ODD],
    "composite": [*ORDINARY, *ODD, "_text", "bool", "int", "copy", "model_config"],
    "enum": [*ORDINARY, *ODD, "_text", "bool", "int", "mro", "name", "title"],
}


def projects() -> Iterator[tuple[str, str, Project]]:
    """Return every position, every name, and the project that has the name there."""
    for position, build in POSITIONS.items():
        for name in NAMES.get(position, OPTION_NAMES):
            yield position, name, build(name)
