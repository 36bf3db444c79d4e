"""The places of a statement's tokens in the file that sqlc read it from.

sqlc replaces `sqlc.arg(x)` and `@x` by `$1`, and `*` and `sqlc.embed(t)` by columns; it leaves out
comments.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, tokenize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlc_gen_asyncpg.sql.tokens import Token

__all__ = ["Alignment", "align"]

# Tokens that have to follow `*` in both texts, as the columns in its place contain commas.
_FOLLOWING: Final = 4


@dataclass(frozen=True, slots=True)
class Alignment:
    """The offsets of tokens in sqlc's text and, at the same index, in the source.

    `params` are the offsets of the first use of each `$n` in sqlc's text.
    """

    offsets: Sequence[int]
    sources: Sequence[int]
    params: Mapping[int, int]

    def source(self, offset: int) -> int | None:
        """Return the place in the source of an offset in sqlc's text; None if it is not known."""
        index = bisect_right(self.offsets, offset) - 1
        return self.sources[index] if index >= 0 else None


@lru_cache(maxsize=4)  # a query with many problems is aligned once
def align(source: str, sql: str) -> Alignment:
    """Return the alignment of a statement with its source, up to the first unknown change."""
    try:
        ours, theirs = _without_macros(tokenize(source)), tokenize(sql)
    except SqlSyntaxError:
        return Alignment((), (), {})
    offsets: list[int] = []
    sources: list[int] = []
    i, j = 0, 0
    while i < len(ours) and theirs[j].kind != "end":
        offsets.append(theirs[j].start)
        sources.append(ours[i].start)
        if _same(ours[i], theirs[j]):
            j += 1
        elif ours[i].text != "*":
            break
        else:  # the columns in its place
            while [token.text for token in ours[i + 1 : i + 3]] == [",", "*"]:
                i += 2
            j = _index_of(ours[i + 1 : i + 1 + _FOLLOWING], theirs, j)
        i += 1
    params: dict[int, int] = {}
    for token in theirs:
        if token.kind == "param":
            params.setdefault(int(token.text[1:]), token.start)
    return Alignment(offsets, sources, params)


def _without_macros(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens of one statement with `$` for a parameter and `*` for `sqlc.embed`."""
    result: list[Token] = []
    index = 0
    while tokens[index].kind != "end" and tokens[index].text != ";":
        token = tokens[index]
        if token.text == "@" and tokens[index + 1].kind in {"word", "quoted"}:
            token, index = replace(token, kind="param"), index + 1
        elif token.text == "sqlc" and tokens[index + 1].text == ".":
            is_embed = tokens[index + 2].text == "embed"
            token = replace(token, kind="op" if is_embed else "param", text="*")
            while tokens[index].kind != "end" and tokens[index].text != ")":
                index += 1
        result.append(token)
        index += tokens[index].kind != "end"
    return result


def _same(one: Token, other: Token) -> bool:
    names = {"word", "quoted"}
    if one.kind == other.kind == "param":
        return True
    return one.text == other.text and (one.kind == other.kind or {one.kind, other.kind} == names)


def _index_of(following: Sequence[Token], theirs: Sequence[Token], after: int) -> int:
    """Return where these tokens follow in sqlc's text; its end if they do not."""
    stars = (index for index, token in enumerate(following) if token.text == "*")
    wanted = following[: next(stars, len(following))]
    for index in range(after, len(theirs)) if wanted else ():
        found = theirs[index : index + len(wanted)]
        if len(found) == len(wanted) and all(map(_same, wanted, found)):
            return index
    return len(theirs) - 1
