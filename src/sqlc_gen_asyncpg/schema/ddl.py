"""Definitions in the schema's files that sqlc's request does not contain.

Domains, composite types, the queries of views and the results of functions. A file that cannot be
read is an error; a statement that is not understood is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.errors import GeneratorError
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.schema.function_definitions import function
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
    """What was found; names as `normal_name` spells them, views by their parts.

    The domains in `required` are NOT NULL. With `own_casts` casts or operators are defined too.
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

    GeneratorError, with the place, if a file cannot be read or not be split into statements.
    """
    found = SchemaFiles()
    for path in sql_files(paths, directory):
        text = without_rollback(read_sql(path, "surrogateescape"))
        try:
            read_text(text, found)
        except SqlSyntaxError as error:
            before = text[: error.position or 0]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            raise GeneratorError([f"{path}:{line}:{column}: {error}"]) from error
    return found


def read_text(text: str, found: SchemaFiles | None = None) -> SchemaFiles:
    """Read one file's statements; SqlSyntaxError if they cannot be told apart."""
    found = found or SchemaFiles()
    for statement in _statements(tokenize(text)):
        try:
            _read(Stream(statement), found)
        except (RecursionError, SqlSyntaxError):
            continue
    return found


def _statements(tokens: list[Token]) -> Iterator[list[Token]]:
    start, depth = 0, 0
    for index, token in enumerate(tokens):
        if token.kind == "op":
            depth += (token.text == "(") - (token.text == ")")
        if token.kind == "end" or (token.text == ";" and token.kind == "op" and depth <= 0):
            if tokens[start].text in {"alter", "create"}:
                yield [*tokens[start:index], Token("end", "")]
            start, depth = index + 1, 0


def _read(stream: Stream, found: SchemaFiles) -> None:
    if stream.take("alter", "domain"):
        _alter_domain(stream, found)
        return
    stream.expect("create")
    if stream.take("or"):
        stream.expect("replace")
    if stream.take("domain"):
        _domain(stream, found)
    elif stream.take("type"):
        name = _spelled(stream.dotted())
        stream.expect("as")
        found.composites[name] = _fields(stream)
    elif stream.take("function") or stream.take("procedure"):
        _function(stream, found)
    elif stream.at("cast") or stream.at("operator"):
        found.own_casts = True
    else:
        _view(stream, found)


def _domain(stream: Stream, found: SchemaFiles) -> None:
    name = _spelled(stream.dotted())
    stream.take("as")
    kind, dims = type_name(stream)
    found.domains[name] = (normal_name(kind), dims)
    required = normal_name(kind) in found.required and not dims
    while stream.here.kind != "end":
        if stream.at("("):
            stream.skip_parentheses()
        elif stream.take("not", "null"):
            required = True
        else:
            stream.next()
    if required:
        found.required.add(name)


def _alter_domain(stream: Stream, found: SchemaFiles) -> None:
    name = _spelled(stream.dotted())
    if stream.take("set", "not", "null"):
        found.required.add(name)
    elif stream.take("drop", "not", "null"):
        found.required.discard(name)


def _fields(stream: Stream) -> dict[str, tuple[str, int]]:
    stream.expect("(")
    fields: dict[str, tuple[str, int]] = {}
    while not fields or stream.take(","):
        name = stream.name()
        kind, dims = type_name(stream)
        fields[name] = (normal_name(kind), dims)
        if stream.take("collate"):
            stream.dotted()
    stream.expect(")")
    return fields


def _function(stream: Stream, found: SchemaFiles) -> None:
    name = stream.dotted()[-1]
    made = function(stream)
    others = [each for each in found.functions.get(name, ()) if each.args != made.args]
    found.functions[name] = (*others, made)


def _view(stream: Stream, found: SchemaFiles) -> None:
    for word in ("temp", "temporary", "recursive", "materialized"):
        stream.take(word)
    stream.expect("view")
    stream.take("if", "not", "exists")
    parts = stream.dotted()
    columns = stream.names() if stream.at("(") else ()
    while not stream.take("as"):
        stream.next()
    found.views[parts] = columns, Statements(stream).query()


def _spelled(parts: tuple[str, ...]) -> str:
    return normal_name(".".join(parts[-2:]))
