"""OVER and WINDOW: the expressions of a window, and whether its frame has the current row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.sql.nodes import Expr
    from sqlc_gen_asyncpg.sql.parsers import ExpressionParser

__all__ = ["FRAME_MAY_EXCLUDE_ROW", "over", "window"]

FRAME_MAY_EXCLUDE_ROW: Final = "("
"""Replaces the name of an unnamed window with a frame that may exclude the current row."""
_FRAMES: Final = frozenset({"rows", "range", "groups"})


def over(parser: ExpressionParser) -> tuple[str | None, list[Expr]]:
    """Read OVER; return the window's name (empty if unnamed, None without OVER) and expressions."""
    stream = parser.stream
    if not stream.take("over"):
        return None, []
    if not stream.at("("):
        return stream.name(), []
    exprs, may_exclude_row = window(parser)
    return FRAME_MAY_EXCLUDE_ROW if may_exclude_row else "", exprs


def window(parser: ExpressionParser) -> tuple[list[Expr], bool]:
    """Read a window definition; return its expressions and whether it may exclude the row."""
    stream = parser.stream
    exprs: list[Expr] = []
    may_exclude_row = False
    stream.expect("(")
    while not stream.take(")"):
        if stream.take("partition", "by"):
            exprs.append(parser.expression())
            while stream.take(","):
                exprs.append(parser.expression())
        elif stream.take("order", "by"):
            exprs += parser.order()
        elif stream.at_any(*_FRAMES) and stream.ahead().text not in {")", "order", "partition"}:
            may_exclude_row = _frame(parser)
        else:
            stream.next()
    return exprs, may_exclude_row


def _frame(parser: ExpressionParser) -> bool:
    """Read a frame and return whether it may exclude the current row.

    It contains the row if it begins at PRECEDING or CURRENT ROW, ends at CURRENT ROW or FOLLOWING,
    and excludes no rows.
    """
    stream = parser.stream
    start = stream.position
    depth = 0
    while depth or not stream.at(")"):
        token = stream.next()
        if token.kind == "op":
            depth += (token.text == "(") - (token.text == ")")
    frame = stream.tokens[start + 1 : stream.position]
    words = [token.text for token in frame if token.kind == "word"]
    excludes_nothing = True
    if "exclude" in words:
        exclusion = words.index("exclude")
        excludes_nothing = words[exclusion:] == ["exclude", "no", "others"]
        words = words[:exclusion]
    bounds = [word for word in words if word in {"preceding", "following", "row"}]
    first = bounds[0] if bounds else ""
    last = bounds[-1] if len(bounds) > 1 else "row"
    return not excludes_nothing or first == "following" or last == "preceding"
