"""Expressions that have a syntax of their own: CASE, CAST, EXTRACT, EXISTS, ARRAY and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.sql import nodes
from sqlc_gen_asyncpg.sql.literals import type_name
from sqlc_gen_asyncpg.sql.stream import Stream
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, Token

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.sql.nodes import Expr
    from sqlc_gen_asyncpg.sql.parsers import ExpressionParser

__all__ = ["special_form"]

# The type of each, unless RETURNING says another, and whether it may be NULL.
_KNOWN: Final = {
    "json": ("json", True),
    "json_array": ("json", False),
    "json_arrayagg": ("json", True),
    "json_exists": ("bool", True),
    "json_object": ("json", False),
    "json_objectagg": ("json", True),
    "json_query": ("jsonb", True),
    "json_scalar": ("json", True),
    "json_serialize": ("text", True),
    "json_value": ("text", True),
    "xmlconcat": ("xml", True),
    "xmlelement": ("xml", True),
    "xmlforest": ("xml", True),
    "xmlparse": ("xml", True),
}


def special_form(parser: ExpressionParser, word: str) -> Expr | None:  # noqa: C901, PLR0911  # one per word
    """Return what this word begins, if it begins something special."""
    stream = parser.stream
    opens = stream.ahead().text == "("
    if word == "case":
        return _case(parser)
    if word == "array" and stream.ahead().text in {"[", "("}:
        return _array(parser)
    if not opens:
        return None
    if word in {"cast", "extract", "substring", "trim", "position", "overlay", "exists", "row"}:
        stream.position += 2
    if word in _KNOWN:
        return _known(parser, word)
    match word:
        case "cast":
            return _cast(parser)
        case "extract":
            return _extract(parser)
        case "substring" | "position" | "overlay" | "trim":
            return _worded(parser, word)
        case "exists":
            found = nodes.Subquery("exists", parser.subquery())
            stream.expect(")")
            return found
        case "row":
            return nodes.Row(parser.several())
        case _:
            return None


def _known(parser: ExpressionParser, word: str) -> Expr:
    """Read SQL/JSON and XML, whose inner syntax is their own; parameters in it must be cast."""
    stream = parser.stream
    stream.next()
    start = stream.position
    stream.skip_parentheses()
    kind, nullable = _KNOWN[word]
    if word == "json_array" and stream.tokens[start + 1].text in {"select", "values", "with"}:
        nullable = True  # without rows there is no array
    inner = stream.tokens[start : stream.position]
    params: list[Expr] = []
    for index, token in enumerate(inner):
        if token.kind == "param":
            if inner[index + 1].text != "::":
                raise SqlSyntaxError(f"{token.text} without a cast in {word}")
            cast = type_name(Stream([*inner[index + 2 :], Token("end", "")]))
            params.append(nodes.Cast(nodes.Param(int(token.text[1:])), *cast))
        elif (token.kind, token.text) == ("word", "returning"):
            kind, dims = type_name(Stream([*inner[index + 1 :], Token("end", "")]))
            if dims:
                raise SqlSyntaxError(f"{word} that returns an array")
    return nodes.FixedType(kind, tuple(params), nullable)


def _case(parser: ExpressionParser) -> Expr:
    stream = parser.stream
    stream.next()
    subject = None if stream.at("when") else parser.expression()
    conditions: list[Expr] = []
    results: list[Expr] = []
    while stream.take("when"):
        conditions.append(parser.expression())
        stream.expect("then")
        results.append(parser.expression())
    otherwise = parser.expression() if stream.take("else") else None
    stream.expect("end")
    return nodes.Case(subject, tuple(conditions), tuple(results), otherwise)


def _array(parser: ExpressionParser) -> Expr:
    stream = parser.stream
    stream.next()
    if stream.take("("):
        found = nodes.Subquery("array", parser.subquery())
        stream.expect(")")
        return found
    stream.expect("[")
    return nodes.Array(_items(parser))


def _items(parser: ExpressionParser) -> tuple[Expr, ...]:
    """Read an array's items; rows of an array need no ARRAY."""
    stream = parser.stream
    found: list[Expr] = []
    while not stream.take("]"):
        if found:
            stream.expect(",")
        found.append(nodes.Array(_items(parser)) if stream.take("[") else parser.expression())
    return tuple(found)


def _cast(parser: ExpressionParser) -> Expr:
    expr = parser.expression()
    parser.stream.expect("as")
    name, dims = type_name(parser.stream)
    parser.stream.expect(")")
    return nodes.Cast(expr, name, dims)


def _extract(parser: ExpressionParser) -> Expr:
    stream = parser.stream
    field = stream.next().text.strip("'").lower()
    stream.expect("from")
    expr = parser.expression()
    stream.expect(")")
    return nodes.Call("extract", (nodes.Const("unknown", field), expr))


def _worded(parser: ExpressionParser, word: str) -> Expr:
    """Read `substring(a from b for c)` and the like."""
    stream = parser.stream
    name = {"trim": "btrim", "position": "strpos"}.get(word, word)
    if word == "trim" and stream.at_any("both", "leading", "trailing"):
        stream.next()
    args: list[Expr] = []
    while not stream.take(")"):
        if stream.take(",") or stream.take("from") or stream.take("for") or stream.take("placing"):
            continue
        if stream.take("in") or stream.take("similar") or stream.take("escape"):
            continue
        # IN would be read as an operator here.
        args.append(parser.expression(8) if word == "position" else parser.expression())
    if not args:
        raise SqlSyntaxError(word)
    if word == "position":
        args.reverse()
    return nodes.Call(name, tuple(args))
