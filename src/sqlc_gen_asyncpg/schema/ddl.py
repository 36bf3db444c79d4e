"""Definitions in the schema's files that sqlc's request does not contain.

These are domains, composite types, the queries of views, functions and procedures, and the changes
of names. Statements are applied in their order. A file that cannot be read is an error; a statement
that cannot be read is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.errors import GeneratorError
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.schema.alterations import alter_table, create_relation, table_key
from sqlc_gen_asyncpg.schema.function_definitions import read_definition
from sqlc_gen_asyncpg.schema.tables import TableHistory
from sqlc_gen_asyncpg.sql.literals import type_name
from sqlc_gen_asyncpg.sql.stream import Stream
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, Token, tokenize
from sqlc_gen_asyncpg.sqlfiles import read_sql, sql_files, without_rollback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlc_gen_asyncpg.infer.values import Candidate

__all__ = ["SchemaFiles", "read_schema", "read_text", "split_statements"]

_RELATIONS: Final = ("table", "view", "materialized", "foreign")
_FUNCTIONS: Final = ("function", "procedure", "routine", "aggregate")
_CASCADE: Final = ("cascade", "restrict")


@dataclass(slots=True)
class SchemaFiles:
    """The definitions in the schema's files; type names are normalized.

    The key of a function is its name, after `schema.` if the schema is not `public`. The domains in
    `required` are NOT NULL. `own_casts`: casts or operators are defined too.
    """

    domains: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    composites: dict[str, dict[str, tuple[str, int]]] = field(
        default_factory=dict[str, dict[str, tuple[str, int]]]
    )
    functions: dict[str, tuple[Candidate, ...]] = field(
        default_factory=dict[str, "tuple[Candidate, ...]"]
    )
    history: TableHistory = field(default_factory=TableHistory)
    required: set[str] = field(default_factory=set[str])
    own_casts: bool = False

    def add_type_name(self, old: str, new: str) -> None:
        """Rename a domain or a composite type; columns and views may still have the old name."""
        if old in self.domains:
            self.domains[new] = self.domains[old]
        if old in self.composites:
            self.composites[new] = self.composites[old]
        if old in self.required:
            self.required.add(new)

    def drop_type(self, name: str) -> None:
        """Remove a domain or a composite type."""
        self.domains.pop(name, None)
        self.composites.pop(name, None)
        self.required.discard(name)

    def drop_schema(self, schema: str) -> None:
        """Remove the tables, views, types and functions of a schema."""
        self.history.drop_schema(schema)
        prefix = f"{schema}."
        is_public = schema == "public"

        def is_in_schema(name: str) -> bool:
            return "." not in name if is_public else name.startswith(prefix)

        for name in [name for name in (*self.domains, *self.composites) if is_in_schema(name)]:
            self.drop_type(name)
        self.functions = {
            name: candidates
            for name, candidates in self.functions.items()
            if not is_in_schema(name)
        }


def read_schema(paths: tuple[str, ...], directory: str = "") -> SchemaFiles:
    """Read the files of `schema:` in sqlc.yaml, which is in `directory`.

    Raises:
        GeneratorError: a file cannot be read, or cannot be split into statements; with the place.

    """
    schema_files = SchemaFiles()
    for path in sql_files(paths, directory):
        text = without_rollback(read_sql(path, "surrogateescape"))
        try:
            read_text(text, schema_files)
        except SqlSyntaxError as error:
            before = text[: error.position or 0]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            raise GeneratorError([f"{path}:{line}:{column}: {error}"]) from error
    return schema_files


def read_text(text: str, schema_files: SchemaFiles | None = None) -> SchemaFiles:
    """Read the statements of one file.

    Raises:
        SqlSyntaxError: the text cannot be split into statements.

    """
    schema_files = schema_files or SchemaFiles()
    for statement in split_statements(tokenize(text)):
        try:
            _read_statement(Stream(statement), schema_files)
        except (RecursionError, SqlSyntaxError):
            continue
    return schema_files


def split_statements(tokens: list[Token]) -> Iterator[list[Token]]:
    """Yield the statements ALTER, CREATE and DROP, each with an end."""
    start, depth = 0, 0
    for index, token in enumerate(tokens):
        if token.kind == "op":
            depth += (token.text == "(") - (token.text == ")")
        if token.kind == "end" or (token.text == ";" and token.kind == "op" and depth <= 0):
            if tokens[start].text in {"alter", "create", "drop"}:
                yield [*tokens[start:index], Token("end", "")]
            start, depth = index + 1, 0


def _read_statement(stream: Stream, schema_files: SchemaFiles) -> None:
    verb = stream.next().text
    if verb == "create":
        if stream.take("or"):
            stream.expect("replace")
        _create(stream, schema_files)
    elif verb == "alter":
        _alter(stream, schema_files)
    else:
        _drop(stream, schema_files)


def _create(stream: Stream, schema_files: SchemaFiles) -> None:
    if stream.take("domain"):
        _create_domain(stream, schema_files)
    elif stream.take("type"):
        name = _qualified_name(stream.dotted())
        stream.expect("as")
        schema_files.composites[name] = _composite_fields(stream)
    elif stream.at("function") or stream.at("procedure"):
        _create_function(stream, schema_files)
    elif stream.at("cast") or stream.at("operator"):
        schema_files.own_casts = True
    else:
        create_relation(stream, schema_files.history)


def _alter(stream: Stream, schema_files: SchemaFiles) -> None:
    if stream.at_any(*_FUNCTIONS):
        _alter_function(stream, schema_files)
    elif stream.at_any(*_RELATIONS):
        stream.take("materialized")
        stream.take("foreign")
        stream.next()
        alter_table(stream, schema_files.history)
    else:
        _alter_type(stream, schema_files)


def _drop(stream: Stream, schema_files: SchemaFiles) -> None:
    kind = stream.next().text
    if kind in {"materialized", "foreign"}:
        kind = stream.next().text
    if stream.take("if"):
        stream.expect("exists")
    while stream.here.kind != "end" and not stream.at_any(*_CASCADE):
        name = stream.dotted()
        if kind == "schema":
            schema_files.drop_schema(name[-1])
        if kind in {"table", "view"}:
            schema_files.history.drop(table_key(name))
        elif kind in {"domain", "type"}:
            schema_files.drop_type(_qualified_name(name))
        elif kind in _FUNCTIONS:
            key = _function_key(name)
            dropped = _overloads(stream, schema_files, key, kind)
            _put_functions(
                schema_files,
                key,
                [each for each in schema_files.functions.get(key, ()) if each not in dropped],
            )
        stream.take(",")


def _alter_function(stream: Stream, schema_files: SchemaFiles) -> None:
    kind = stream.next().text
    name = stream.dotted()
    key = _function_key(name)
    moved = _overloads(stream, schema_files, key, kind)
    schema = name[:-1]
    if stream.take("rename", "to"):
        new = _function_key((*schema, stream.name()))
    elif stream.take("set", "schema"):
        new = _function_key((stream.name(), name[-1]))
    else:
        return
    stay = [each for each in schema_files.functions.get(key, ()) if each not in moved]
    _put_functions(schema_files, key, stay)
    _put_functions(schema_files, new, [*schema_files.functions.get(new, ()), *moved])


def _overloads(
    stream: Stream, schema_files: SchemaFiles, key: str, kind: str
) -> tuple[Candidate, ...]:
    """Return the functions with the arguments that follow; all of the name if none follow."""
    functions = schema_files.functions.get(key, ())
    if not stream.at("("):
        return functions
    args = read_definition(stream, is_procedure=kind == "procedure").args
    return tuple(each for each in functions if each.args == args)


def _put_functions(schema_files: SchemaFiles, key: str, functions: list[Candidate]) -> None:
    schema_files.functions.pop(key, None)
    if functions:
        schema_files.functions[key] = tuple(functions)


def _function_key(parts: tuple[str, ...]) -> str:
    schema, name = table_key(parts)
    return name if schema == "public" else f"{schema}.{name}"


def _create_domain(stream: Stream, schema_files: SchemaFiles) -> None:
    name = _qualified_name(stream.dotted())
    stream.take("as")
    base, dims = type_name(stream)
    base = normal_name(base)
    schema_files.domains[name] = (base, dims)
    required = base in schema_files.required and not dims
    while stream.here.kind != "end":
        if stream.at("("):
            stream.skip_parentheses()
        elif stream.take("not", "null"):
            required = True
        else:
            stream.next()
    schema_files.required.discard(name)
    if required:
        schema_files.required.add(name)


def _alter_type(stream: Stream, schema_files: SchemaFiles) -> None:
    if not stream.take("domain"):
        stream.expect("type")
    parts = stream.dotted()
    name = _qualified_name(parts)
    if stream.take("set", "not", "null"):
        schema_files.required.add(name)
    elif stream.take("drop", "not", "null"):
        schema_files.required.discard(name)
    elif stream.take("rename", "to"):
        schema_files.add_type_name(name, _qualified_name((*parts[:-1], stream.name())))
    elif stream.take("set", "schema"):
        schema_files.add_type_name(name, _qualified_name((stream.name(), parts[-1])))


def _composite_fields(stream: Stream) -> dict[str, tuple[str, int]]:
    stream.expect("(")
    fields: dict[str, tuple[str, int]] = {}
    while not fields or stream.take(","):
        name = stream.name()
        pg_type, dims = type_name(stream)
        fields[name] = (normal_name(pg_type), dims)
        if stream.take("collate"):
            stream.dotted()
    stream.expect(")")
    return fields


def _create_function(stream: Stream, schema_files: SchemaFiles) -> None:
    is_procedure = stream.next().text == "procedure"
    key = _function_key(stream.dotted())
    definition = read_definition(stream, is_procedure=is_procedure)
    existing = schema_files.functions.get(key, ())
    overloads = [other for other in existing if other.args != definition.args]
    schema_files.functions[key] = (*overloads, definition)


def _qualified_name(parts: tuple[str, ...]) -> str:
    return normal_name(".".join(parts[-2:]))
