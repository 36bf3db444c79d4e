"""INSERT, UPDATE, DELETE and CALL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.sql import nodes
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.sql.nodes import Expr
    from sqlc_gen_asyncpg.sql.parsers import StatementParser

__all__ = ["changes"]


def changes(parser: StatementParser) -> nodes.Dml | nodes.CallStatement:
    """Read a statement that changes rows."""
    stream = parser.stream
    if stream.take("insert", "into"):
        return _insert(parser)
    if stream.take("update"):
        return _update(parser)
    if stream.take("delete", "from"):
        return _delete(parser)
    if stream.take("call"):
        return nodes.CallStatement(parser.expressions.expression())
    raise SqlSyntaxError(f"{stream.here.text} begins no statement that is understood")


def _target(parser: StatementParser) -> nodes.Table:
    stream = parser.stream
    stream.take("only")
    parts = stream.dotted()
    stream.take("*")
    alias = ""
    if stream.take("as") or (
        stream.here.kind in {"word", "quoted"}
        and not stream.at_any(
            "set", "using", "where", "returning", "values", "default", "select", "with", "on"
        )
        and not stream.at("overriding")
    ):
        alias = stream.name()
    return nodes.Table(parts, alias)


def _insert(parser: StatementParser) -> nodes.Dml:
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
    sets: list[tuple[Expr, Expr]] = []
    conditions: list[Expr] = []
    conflict = stream.take("on", "conflict")
    may_skip_row = conflict and _conflict(parser, target, sets, conditions)
    returning = parser.items() if stream.take("returning") else ()
    return nodes.Dml(
        "insert",
        target,
        columns,
        source,
        tuple(sets),
        (),
        tuple(conditions),
        returning,
        conflict,
        may_skip_row,
    )


def _columns(parser: StatementParser) -> tuple[str, ...]:
    stream = parser.stream
    stream.expect("(")
    found: list[str] = []
    while not found or stream.take(","):
        found.append(stream.name())
        if stream.at(".") or stream.at("["):
            raise SqlSyntaxError("a part of a column")
    stream.expect(")")
    return tuple(found)


def _conflict(
    parser: StatementParser,
    target: nodes.Table,
    sets: list[tuple[Expr, Expr]],
    conditions: list[Expr],
) -> bool:
    """Read ON CONFLICT; return whether a row may be neither inserted nor updated."""
    stream = parser.stream
    if stream.take("on", "constraint"):
        stream.name()
    elif stream.at("("):
        stream.skip_parentheses()
        if stream.take("where"):
            conditions.append(parser.expressions.expression())
    stream.expect("do")
    if stream.take("nothing"):
        return True
    stream.expect("update")
    stream.expect("set")
    sets += _sets(parser, target)
    filtered = stream.take("where")
    if filtered:
        conditions.append(parser.expressions.expression())
    return filtered


def _sets(parser: StatementParser, target: nodes.Table) -> list[tuple[Expr, Expr]]:
    """Read what is set, and to what; a place without a name has a type that is not known."""
    stream = parser.stream
    table = target.alias or target.parts[-1]
    found: list[tuple[Expr, Expr]] = []
    while not found or stream.take(","):
        if stream.at("("):
            places: list[Expr] = [nodes.Ref((table, each)) for each in stream.names()]
            stream.expect("=")
            stream.take("row")
            value = parser.expressions.expression()
            if isinstance(value, nodes.Row):
                found += zip(places, value.items, strict=False)
            else:
                found.append((places[0] if len(places) == 1 else nodes.Ref(("",)), value))
            continue
        place = _place(parser, nodes.Ref((table, stream.name())))
        stream.expect("=")
        found.append((place, parser.expressions.expression()))
    return found


def _place(parser: StatementParser, column: Expr) -> Expr:
    """Read what of a column is set: an element, a slice or a field."""
    stream = parser.stream
    place = column
    while not stream.at("="):
        if stream.take("."):
            place = nodes.Member(place, stream.name())
        else:
            stream.expect("[")
            place = parser.expressions.subscript(place)
    return place


def _update(parser: StatementParser) -> nodes.Dml:
    stream = parser.stream
    target = _target(parser)
    stream.expect("set")
    sets = _sets(parser, target)
    sources = parser.sources() if stream.take("from") else ()
    conditions = (parser.expressions.expression(),) if stream.take("where") else ()
    returning = parser.items() if stream.take("returning") else ()
    return nodes.Dml("update", target, (), None, tuple(sets), sources, conditions, returning)


def _delete(parser: StatementParser) -> nodes.Dml:
    stream = parser.stream
    target = _target(parser)
    sources = parser.sources() if stream.take("using") else ()
    conditions = (parser.expressions.expression(),) if stream.take("where") else ()
    returning = parser.items() if stream.take("returning") else ()
    return nodes.Dml("delete", target, (), None, (), sources, conditions, returning)
