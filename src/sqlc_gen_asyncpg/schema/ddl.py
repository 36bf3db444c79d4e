"""Definitions in the schema's files that sqlc's request does not contain.

These are domains, composite types, the queries of views, functions and procedures. A file that
cannot be read is an error; a statement that cannot be read is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.errors import GeneratorError
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.schema.function_definitions import read_definition
from sqlc_gen_asyncpg.sql.literals import type_name
from sqlc_gen_asyncpg.sql.statements import Statements
from sqlc_gen_asyncpg.sql.stream import Stream
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, Token, tokenize
from sqlc_gen_asyncpg.sqlfiles import read_sql, sql_files, without_rollback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlc_gen_asyncpg.infer.values import Candidate
    from sqlc_gen_asyncpg.sql import nodes

__all__ = ["SchemaFiles", "read_schema", "read_text"]


@dataclass(slots=True)
class SchemaFiles:
    """The definitions in the schema's files; type names are normalized, views have their parts.

    The domains in `required` are NOT NULL. `own_casts`: casts or operators are defined too.
    """

    domains: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    composites: dict[str, dict[str, tuple[str, int]]] = field(
        default_factory=dict[str, dict[str, tuple[str, int]]]
    )
    functions: dict[str, tuple[Candidate, ...]] = field(
        default_factory=dict[str, "tuple[Candidate, ...]"]
    )
    views: dict[tuple[str, ...], tuple[tuple[str, ...], nodes.Query]] = field(
        default_factory=dict[tuple[str, ...], "tuple[tuple[str, ...], nodes.Query]"]
    )
    required: set[str] = field(default_factory=set[str])
    own_casts: bool = False


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
    for statement in _statements(tokenize(text)):
        try:
            _read_statement(Stream(statement), schema_files)
        except (RecursionError, SqlSyntaxError):
            continue
    return schema_files


def _statements(tokens: list[Token]) -> Iterator[list[Token]]:
    start, depth = 0, 0
    for index, token in enumerate(tokens):
        if token.kind == "op":
            depth += (token.text == "(") - (token.text == ")")
        if token.kind == "end" or (token.text == ";" and token.kind == "op" and depth <= 0):
            if tokens[start].text in {"alter", "create"}:
                yield [*tokens[start:index], Token("end", "")]
            start, depth = index + 1, 0


def _read_statement(stream: Stream, schema_files: SchemaFiles) -> None:
    if stream.take("alter", "domain"):
        _alter_domain(stream, schema_files)
        return
    stream.expect("create")
    if stream.take("or"):
        stream.expect("replace")
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
        _create_view(stream, schema_files)


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
    if required:
        schema_files.required.add(name)


def _alter_domain(stream: Stream, schema_files: SchemaFiles) -> None:
    name = _qualified_name(stream.dotted())
    if stream.take("set", "not", "null"):
        schema_files.required.add(name)
    elif stream.take("drop", "not", "null"):
        schema_files.required.discard(name)


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
    name = stream.dotted()[-1]
    definition = read_definition(stream, is_procedure=is_procedure)
    existing = schema_files.functions.get(name, ())
    overloads = [other for other in existing if other.args != definition.args]
    schema_files.functions[name] = (*overloads, definition)


def _create_view(stream: Stream, schema_files: SchemaFiles) -> None:
    for word in ("temp", "temporary", "recursive", "materialized"):
        stream.take(word)
    stream.expect("view")
    stream.take("if", "not", "exists")
    parts = stream.dotted()
    columns = stream.names() if stream.at("(") else ()
    while not stream.take("as"):
        stream.next()
    schema_files.views[parts] = columns, Statements(stream).query()


def _qualified_name(parts: tuple[str, ...]) -> str:
    return normal_name(".".join(parts[-2:]))
