"""Expressions with a special syntax: CASE, CAST, EXTRACT, EXISTS, ARRAY and so on."""

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

# The type of each function without RETURNING, and whether it may return NULL.
_JSON_AND_XML: Final = {
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
    """Read the expression that this word begins; None if it has the usual syntax."""
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
    if word in _JSON_AND_XML:
        return _json_or_xml(parser, word)
    match word:
        case "cast":
            return _cast(parser)
        case "extract":
            return _extract(parser)
        case "substring" | "position" | "overlay" | "trim":
            return _keyword_call(parser, word)
        case "exists":
            query = parser.subquery()
            stream.expect(")")
            return nodes.Subquery("exists", query)
        case "row":
            return nodes.Row(parser.several())
        case _:
            return None


def _json_or_xml(parser: ExpressionParser, word: str) -> Expr:
    """Read a function of SQL/JSON or XML and skip its arguments.

    Raises:
        SqlSyntaxError: a parameter in it has no cast, or it returns an array.

    """
    stream = parser.stream
    stream.next()
    start = stream.position
    stream.skip_parentheses()
    kind, nullable = _JSON_AND_XML[word]
    if word == "json_array" and stream.tokens[start + 1].text in {"select", "values", "with"}:
        nullable = True  # the result is NULL without rows
    inner = stream.tokens[start : stream.position]
    params: list[Expr] = []
    for index, token in enumerate(inner):
        if token.kind == "param":
            if inner[index + 1].text != "::":
                raise SqlSyntaxError(f"{token.text} in {word} needs a cast")
            cast = type_name(Stream([*inner[index + 2 :], Token("end", "")]))
            params.append(nodes.Cast(nodes.Param(int(token.text[1:])), *cast))
        elif (token.kind, token.text) == ("word", "returning"):
            kind, dims = type_name(Stream([*inner[index + 1 :], Token("end", "")]))
            if dims:
                raise SqlSyntaxError(f"{word} that returns an array is not supported")
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
        query = parser.subquery()
        stream.expect(")")
        return nodes.Subquery("array", query)
    stream.expect("[")
    return nodes.Array(_array_items(parser))


def _array_items(parser: ExpressionParser) -> tuple[Expr, ...]:
    """Read the items of an array; a nested array needs no ARRAY."""
    stream = parser.stream
    items: list[Expr] = []
    while not stream.take("]"):
        if items:
            stream.expect(",")
        items.append(nodes.Array(_array_items(parser)) if stream.take("[") else parser.expression())
    return tuple(items)


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


def _keyword_call(parser: ExpressionParser, word: str) -> Expr:
    """Read a call with keywords between its arguments, as in `substring(a FROM b FOR c)`."""
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
        # Without the higher precedence, IN would be read as an operator.
        args.append(parser.expression(8) if word == "position" else parser.expression())
    if not args:
        raise SqlSyntaxError(f"{word} needs an argument")
    if word == "position":
        args.reverse()
    return nodes.Call(name, tuple(args))
