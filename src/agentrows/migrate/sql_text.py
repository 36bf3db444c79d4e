"""Statements and words of SQL text, split by the lexical rules of PostgreSQL.

This is no parser. It skips strings, dollar quotes and comments as the server does, so text inside
of them is never read as a statement. It assumes `standard_conforming_strings = on`, which the
runner sets for its session: a backslash is an ordinary character outside of E'…'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_LETTER: Final = r"A-Za-z_\x80-\U0010ffff"
_NAME: Final = rf"[{_LETTER}][{_LETTER}0-9$]*"
_TOKEN: Final = re.compile(
    rf"""
    --[^\n]*
    | (?P<comment> /\* )
    | (?P<escaped> [eE]' )
    | (?P<string> (?:[uU]&|[bBxX])?' )
    | (?P<dollar> \$(?:[{_LETTER}][{_LETTER}0-9]*)?\$ )
    | (?P<unicode> [uU]&"(?:[^"]|"")+" (?:\s+[uU][eE][sS][cC][aA][pP][eE]\s*'[^']')? )
    | (?P<quoted> "(?:[^"]|"")+" )
    | (?P<name> {_NAME} )
    | \$[0-9]+ | [0-9][{_LETTER}0-9]*
    | (?P<mark> [^\s] )
    """,
    re.VERBOSE,
)
_COMMENT_MARK: Final = re.compile(r"/\*|\*/")
_STRING_END: Final = re.compile(r"(?:[^']|'')*(?:'|\Z)")
_ESCAPED_END: Final = re.compile(r"(?:[^'\\]|''|\\.)*(?:'|\\?\Z)", re.DOTALL)
_CONTINUED: Final = re.compile(r"(?:[ \t\f\v]|--[^\n]*)*\n(?:\s|--[^\n]*\n)*'")
_PART: Final = re.compile(rf'"(?:[^"]|"")+"|{_NAME}')
_LONGEST_NAME: Final = 63
"""PostgreSQL truncates names to this number of bytes."""


@dataclass(frozen=True, slots=True)
class Word:
    r"""A keyword or name in lower case, a quoted name as written, or `\\` outside of any quotes.

    A qualified name is one word. `depth` counts the parentheses around it.
    """

    text: str
    start: int
    depth: int


def statements(sql: str) -> Iterator[list[Word]]:
    """Yield the words of each statement."""
    words: list[Word] = []
    depth, is_name, is_qualified = 0, False, False
    for kind, start, text in tokens(sql):
        if kind == "name":
            if is_qualified:
                last = words.pop()
                words.append(Word(f"{last.text}.{text}", last.start, depth))
            else:
                words.append(Word(text, start, depth))
            is_name, is_qualified = True, False
            continue
        is_qualified, is_name = is_name and text == ".", False
        depth += (text == "(") - (text == ")")
        if text == "\\":
            words.append(Word(text, start, depth))
        elif text == ";":
            yield words
            words, depth = [], 0
    yield words


def line_at(sql: str, start: int) -> int:
    """Return the line, from 1, of a character, from 0."""
    return sql.count("\n", 0, start) + 1


def unqualified(name: str) -> str:
    """Return the last part of a name as the server stores it, without quotes."""
    parts = _PART.findall(name)
    last = parts[-1] if parts else name
    if last.startswith('"'):
        last = last[1:-1].replace('""', '"')
    return last.encode()[:_LONGEST_NAME].decode(errors="ignore")


def tokens(sql: str) -> Iterator[tuple[str, int, str]]:
    """Yield ("name" or "mark", start, text) for each token that is no string and no comment."""
    at = 0
    while token := _TOKEN.search(sql, at):
        at, kind, text = token.end(), token.lastgroup, token[0]
        if kind == "comment":
            at = _end_of_comment(sql, token.start())
        elif kind in ("string", "escaped"):
            at = _end_of_string(sql, at, _ESCAPED_END if kind == "escaped" else _STRING_END)
            yield "mark", token.start(), "'"
        elif kind == "dollar":
            end = sql.find(text, at)
            at = len(sql) if end < 0 else end + len(text)
            yield "mark", token.start(), "'"
        elif kind == "unicode":
            yield "name", token.start(), _decoded(text)
        elif kind == "quoted":
            yield "name", token.start(), text
        elif kind == "name":
            yield "name", token.start(), _folded(text)
        elif kind == "mark":
            yield "mark", token.start(), text


def _end_of_comment(sql: str, start: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(sql, start):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(sql)


def _end_of_string(sql: str, at: int, end: re.Pattern[str]) -> int:
    """Return where a string ends; strings with only a line break between them are one."""
    while True:
        closing = end.match(sql, at)
        at = closing.end() if closing else len(sql)
        continued = _CONTINUED.match(sql, at)
        if continued is None:
            return at
        at = continued.end()


def _folded(name: str) -> str:
    """Lower the letters A to Z, and no others, as the server does in UTF-8."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name)


def _decoded(token: str) -> str:
    """Return the quoted name that U&"…" [UESCAPE 'c'] stands for."""
    text, _, rest = token[2:].rpartition('"')
    text = f'{text}"'
    escape = re.escape(rest.rstrip("'")[-1] if rest else "\\")
    return re.sub(
        rf"{escape}(?:([0-9a-fA-F]{{4}})|\+([0-9a-fA-F]{{6}})|({escape}))",
        lambda code: code[3] or chr(int(code[1] or code[2], 16)),
        text,
    )
