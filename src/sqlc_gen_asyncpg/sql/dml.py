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
    """Read an INSERT, UPDATE, DELETE or CALL.

    Raises:
        SqlSyntaxError: another statement is next.

    """
    stream = parser.stream
    if stream.take("insert", "into"):
        return _insert(parser)
    if stream.take("update"):
        return _update(parser)
    if stream.take("delete", "from"):
        return _delete(parser)
    if stream.take("call"):
        return nodes.CallStatement(parser.expressions.expression())
    raise SqlSyntaxError(f"{stream.here.text} does not begin a supported statement")


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
    columns: list[str] = []
    while not columns or stream.take(","):
        columns.append(stream.name())
        if stream.at(".") or stream.at("["):
            raise SqlSyntaxError("a part of a column in the list of INSERT is not supported")
    stream.expect(")")
    return tuple(columns)


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
    """Read the assignments of SET.

    The columns of `(a, b) = (SELECT …)` get no name, so that their types stay open.
    """
    stream = parser.stream
    table = target.alias or target.parts[-1]
    assignments: list[tuple[Expr, Expr]] = []
    while not assignments or stream.take(","):
        if stream.at("("):
            targets: list[Expr] = [nodes.Ref((table, name)) for name in stream.names()]
            stream.expect("=")
            stream.take("row")
            value = parser.expressions.expression()
            if isinstance(value, nodes.Row):
                assignments += zip(targets, value.items, strict=False)
            else:
                assignments.append((targets[0] if len(targets) == 1 else nodes.Ref(("",)), value))
            continue
        assigned = _assignment_target(parser, nodes.Ref((table, stream.name())))
        stream.expect("=")
        assignments.append((assigned, parser.expressions.expression()))
    return assignments


def _assignment_target(parser: StatementParser, column: Expr) -> Expr:
    """Read the element, slice or field of a column that is set."""
    stream = parser.stream
    target = column
    while not stream.at("="):
        if stream.take("."):
            target = nodes.Member(target, stream.name())
        else:
            stream.expect("[")
            target = parser.expressions.subscript(target)
    return target


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
