"""INSERT, UPDATE, DELETE and MERGE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.sql import nodes
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError
from sqlc_gen_asyncpg.words import words

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.sql.nodes import Expr
    from sqlc_gen_asyncpg.sql.statements import Statements

__all__ = ["changes"]


def changes(parser: Statements) -> nodes.Dml:
    """Read a statement that changes rows."""
    stream = parser.stream
    if stream.take("insert", "into"):
        return _insert(parser)
    if stream.take("update"):
        return _update(parser)
    if stream.take("delete", "from"):
        return _delete(parser)
    raise SqlSyntaxError(f"{stream.here.text} begins no statement that is understood")


def _target(parser: Statements) -> nodes.Table:
    stream = parser.stream
    stream.take("only")
    parts = stream.dotted()
    stream.take("*")
    alias = ""
    if stream.take("as") or (
        stream.here.kind in {"word", "quoted"}
        and not stream.at_any(words("set using where returning values default select with on"))
        and not stream.at("overriding")
    ):
        alias = stream.name()
    return nodes.Table(parts, alias)


def _insert(parser: Statements) -> nodes.Dml:
    stream = parser.stream
    target = _target(parser)
    columns: tuple[str, ...] = ()
    if stream.at("(") and stream.ahead().text not in {"select", "with", "values", "("}:
        columns = _columns(parser)
    if stream.take("overriding"):
        stream.position += 2
    source = None
    if stream.take("default"):
        stream.expect("values")
    else:
        source = parser.query()
    sets: list[tuple[str, Expr]] = []
    conditions: list[Expr] = []
    conflict = stream.take("on", "conflict")
    if conflict:
        _conflict(parser, sets, conditions)
    returning = parser.items() if stream.take("returning") else ()
    return nodes.Dml(
        "insert", target, columns, source, tuple(sets), (), tuple(conditions), returning, conflict
    )


def _columns(parser: Statements) -> tuple[str, ...]:
    stream = parser.stream
    stream.expect("(")
    found: list[str] = []
    while not found or stream.take(","):
        found.append(stream.name())
        if stream.at(".") or stream.at("["):
            raise SqlSyntaxError("a part of a column")
    stream.expect(")")
    return tuple(found)


def _conflict(parser: Statements, sets: list[tuple[str, Expr]], conditions: list[Expr]) -> None:
    stream = parser.stream
    if stream.take("on", "constraint"):
        stream.name()
    elif stream.at("("):
        stream.skip_parentheses()
        if stream.take("where"):
            conditions.append(parser.expressions.expression())
    stream.expect("do")
    if stream.take("nothing"):
        return
    stream.expect("update")
    stream.expect("set")
    sets += _sets(parser)
    if stream.take("where"):
        conditions.append(parser.expressions.expression())


def _sets(parser: Statements) -> list[tuple[str, Expr]]:
    stream = parser.stream
    found: list[tuple[str, Expr]] = []
    while not found or stream.take(","):
        if stream.at("("):
            names = stream.names()
            stream.expect("=")
            stream.take("row")
            value = parser.expressions.expression()
            if isinstance(value, nodes.Row):
                found += zip(names, value.items, strict=False)
            elif len(names) == 1:
                found.append((names[0], value))
            else:
                found.append(("", value))
            continue
        name = stream.name()
        if stream.take("["):
            found += [("", each) for each in parser.expressions.several("]")]
            name = ""
        elif stream.take("."):
            stream.dotted()
            name = ""
        stream.expect("=")
        found.append((name, parser.expressions.expression()))
    return found


def _update(parser: Statements) -> nodes.Dml:
    stream = parser.stream
    target = _target(parser)
    stream.expect("set")
    sets = _sets(parser)
    sources = parser.sources() if stream.take("from") else ()
    conditions = (parser.expressions.expression(),) if stream.take("where") else ()
    returning = parser.items() if stream.take("returning") else ()
    return nodes.Dml("update", target, (), None, tuple(sets), sources, conditions, returning)


def _delete(parser: Statements) -> nodes.Dml:
    stream = parser.stream
    target = _target(parser)
    sources = parser.sources() if stream.take("using") else ()
    conditions = (parser.expressions.expression(),) if stream.take("where") else ()
    returning = parser.items() if stream.take("returning") else ()
    return nodes.Dml("delete", target, (), None, (), sources, conditions, returning)
