"""`sqlc.slice`: `x IN ($n)` becomes `x = ANY($n)` in the text of a query.

The text is masked for this (literals and comments blanked, at equal length) and otherwise left as
it was written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["mask", "rewrite_slices"]

_LITERAL: Final = re.compile(
    r"""
      (?P<string> (?<!\w)[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'
                | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<quoted> "(?:[^"]|"")*" )
    | (?P<comment> --[^\r\n]* )
    | (?P<block> /\* )
    """,
    re.VERBOSE | re.DOTALL,
)


def mask(sql: str) -> str:
    """Replace literals by zeros, quoted names by q and comments by blanks, at equal length."""
    out: list[str] = []
    position = 0
    while match := _LITERAL.search(sql, position):
        out.append(sql[position : match.start()])
        position = _end_of_block(sql, match.end()) if match["block"] else match.end()
        filler = "0" if match["string"] else "q" if match["quoted"] else " "
        out.append(filler * (position - match.start()))
    return "".join(out) + sql[position:]


def _end_of_block(sql: str, position: int) -> int:
    """Return the end of a block comment; these nest."""
    depth = 1
    for match in re.compile(r"/\*|\*/").finditer(sql, position):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(sql)


def rewrite_slices(sql: str, slices: AbstractSet[int]) -> str:
    """Write `x IN ($n)` as `x = ANY($n)`, and `NOT IN` as `<> ALL`, for these parameters.

    Raises:
        Refused: one of the parameters is also used in another way.

    """
    if not slices:
        return sql
    masked = mask(sql)
    out: list[str] = []
    position = 0
    for match in re.finditer(r"\b(NOT\s+)?IN\s*\(\s*\$(\d+)\s*\)", masked, re.IGNORECASE):
        if int(match[2]) in slices:
            operator = "<> ALL" if match[1] else "= ANY"
            out += [sql[position : match.start()], f"{operator}(${match[2]})"]
            position = match.end()
    rewritten = "".join(out) + sql[position:]
    masked = mask(rewritten)
    for number in sorted(slices):
        uses = re.findall(rf"\${number}\b", masked)
        arrays = re.findall(rf"(?:= ANY|<> ALL)\(\${number}\)", masked)
        if len(uses) != len(arrays):
            raise Refused("sqlc.slice must be alone in IN (sqlc.slice(…)) or NOT IN (…)")
    return rewritten
