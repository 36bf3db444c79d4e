"""Definitions of functions and procedures: their arguments and results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer.values import Candidate
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.schema.alterations import split_elements
from sqlc_gen_asyncpg.sql.literals import type_name
from sqlc_gen_asyncpg.sql.stream import Stream
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, Token

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_definition"]

_MODES: Final = frozenset({"in", "out", "inout", "variadic"})
_Column = tuple[str, str, int]


def read_definition(stream: Stream, *, is_procedure: bool = False) -> Candidate:
    """Read a definition after its name.

    CALL has a value for each argument of a procedure, those of mode OUT too.

    Raises:
        SqlSyntaxError: a type cannot be read.

    """
    inputs: list[_Column] = []
    outputs: list[_Column] = []
    flags, defaults = "u", 0
    for tokens in split_elements(stream):
        mode = tokens[0].text if tokens[0].text in _MODES and len(tokens) > 1 else ""
        mode, rest = mode or "in", tokens[1:] if mode else tokens
        end = next((i for i, token in enumerate(rest) if _is_default(token)), len(rest))
        column = _argument(rest[:end])
        if mode != "out" or is_procedure:
            inputs.append(column)
            defaults += end < len(rest)
        if mode in {"out", "inout"}:
            outputs.append(column)
        flags += "v" * (mode == "variadic")
    result = "void"
    if stream.take("returns"):
        if stream.take("table"):
            flags += "r"
            outputs += [_argument(tokens) for tokens in split_elements(stream)]
        else:
            flags += "r" * stream.take("setof")
            result = _table_spelling(*type_name(stream))
    if len(outputs) == 1:
        result = _table_spelling(*outputs[0][1:])
    elif outputs:
        result = "record"
    if defaults:
        flags += str(defaults)
    args = tuple(_table_spelling(*column[1:]) for column in inputs)
    names = tuple(column[0] for column in inputs)
    return Candidate(flags, args, result, tuple(outputs), names)


def _is_default(token: Token) -> bool:
    return (token.kind, token.text) in {("word", "default"), ("op", "="), ("op", ":=")}


def _table_spelling(pg_type: str, dims: int) -> str:
    """Return a type as the tables in infer/data have it."""
    name = normal_name(pg_type)
    return f"_{name}" if dims else name


def _argument(tokens: Sequence[Token]) -> _Column:
    """Read `type` or `name type`."""
    for start in (0, 1):
        stream = Stream([*tokens[start:], Token("end", "")])
        try:
            pg_type, dims = type_name(stream)
        except SqlSyntaxError:
            continue
        if stream.here.kind == "end":
            return (tokens[0].text if start else ""), normal_name(pg_type), dims
    raise SqlSyntaxError("an argument's type")
