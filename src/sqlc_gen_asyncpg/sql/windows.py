"""OVER and WINDOW: what a window is ordered by and divided into, and which rows it surely has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.sql.nodes import Expr
    from sqlc_gen_asyncpg.sql.parsers import ExpressionParser

__all__ = ["FRAME_MAY_EXCLUDE_ROW", "over", "window"]

FRAME_MAY_EXCLUDE_ROW: Final = "("
"""In place of a window's name: one whose frame need not hold the row itself."""
_FRAMES: Final = frozenset({"rows", "range", "groups"})


def over(parser: ExpressionParser) -> tuple[str | None, list[Expr]]:
    """Read OVER: the name of its window, empty for one of its own, None if there is no OVER."""
    stream = parser.stream
    if not stream.take("over"):
        return None, []
    if not stream.at("("):
        return stream.name(), []
    found, odd = window(parser)
    return FRAME_MAY_EXCLUDE_ROW if odd else "", found


def window(parser: ExpressionParser) -> tuple[list[Expr], bool]:
    """Read a window's definition, and whether its frame may be without the row itself."""
    stream = parser.stream
    found: list[Expr] = []
    odd = False
    stream.expect("(")
    while not stream.take(")"):
        if stream.take("partition", "by"):
            found.append(parser.expression())
            while stream.take(","):
                found.append(parser.expression())
        elif stream.take("order", "by"):
            found += parser.order()
        elif stream.at_any(*_FRAMES) and stream.ahead().text not in {")", "order", "partition"}:
            odd = _frame(parser)
        else:
            stream.next()
    return found, odd


def _frame(parser: ExpressionParser) -> bool:
    """Read a frame: `preceding` to `following`, with the current row as either, holds the row."""
    stream = parser.stream
    start = stream.position
    depth = 0
    while depth or not stream.at(")"):
        token = stream.next()
        if token.kind == "op":
            depth += (token.text == "(") - (token.text == ")")
    said = [each.text for each in stream.tokens[start + 1 : stream.position] if each.kind == "word"]
    if "exclude" in said:
        whole = said[said.index("exclude") :] == ["exclude", "no", "others"]
        said = said[: said.index("exclude")]
    else:
        whole = True
    ends = [index for index, each in enumerate(said) if each in {"preceding", "following", "row"}]
    first = said[ends[0]] if ends else ""
    last = said[ends[-1]] if len(ends) > 1 else "row"
    return not whole or first == "following" or last == "preceding"
