"""A statement as tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Kind", "SqlSyntaxError", "Token", "tokenize"]

Kind = Literal["word", "quoted", "string", "number", "param", "op", "end"]

# A name may have every character beyond ASCII in it, a no-break space too. A line that begins with
# a backslash is a command of psql, as pg_dump writes them; sqlc 1.31 leaves the same lines out.
_TOKEN: Final = re.compile(
    r"""
      (?P<space> [ \t\n\r\f\v]+ | --[^\r\n]* | ^\\[A-Za-z!?;][^\n]* )
    | (?P<block> /\* )
    | (?P<string> (?:[eE]'(?:[^'\\]|\\.|'')*' | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*')
                | \$(?P<tag>(?:[A-Za-z_\u0080-\U0010ffff][\w\u0080-\U0010ffff]*)?)\$
                  .*?\$(?P=tag)\$ )
    | (?P<param> \$\d+ )
    | (?P<number> 0[xXoObB][0-9a-fA-F_]+
                | (?:\d[\d_]*(?:\.(?!\.)[\d_]*)?|\.\d[\d_]*)(?:[eE][-+]?\d+)? )
    | (?P<quoted> "(?:[^"]|"")*" )
    | (?P<word> [A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]* )
    | (?P<op> ::|:=|=>|\.\.|[-+*/<>=~!@\#%^&|`?]+|[()\[\],.;:] )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_COMMENT_IN_OPERATOR: Final = re.compile(r"--|/\*")
_MAY_END_WITH_SIGN: Final = re.compile(r"[~!@#%^&|`?]")


class SqlSyntaxError(Exception):
    """The text is not understood; `position` is where, if it cannot be split into tokens."""

    def __init__(self, message: str, position: int | None = None) -> None:
        """Take the reason, and the offset in the text."""
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class Token:
    """A word in lower case, a quoted name as it is, or an operator."""

    kind: Kind
    text: str


def tokenize(sql: str) -> list[Token]:
    """Return the tokens of a statement, with one of kind `end` at the end."""
    found: list[Token] = []
    position, length = 0, len(sql)
    while position < length:
        match = _TOKEN.match(sql, position)
        if match is None:
            raise SqlSyntaxError(_unreadable(sql, position), position)
        position = match.end()
        kind, text = match.lastgroup, match[0]
        if match["string"]:
            found.append(Token("string", text))
        elif kind == "block":
            position = _end_of_block(sql, position)
        elif kind == "word":
            found.append(Token("word", text.lower() if text.isascii() else _folded(text)))
        elif kind == "quoted":
            found.append(Token("quoted", text[1:-1].replace('""', '"')))
        elif kind == "op":
            operator = _operator(text)
            position -= len(text) - len(operator)
            found.append(Token("op", operator))
        elif kind in {"param", "number"}:
            found.append(Token("param" if kind == "param" else "number", text))
    found.append(Token("end", ""))
    return found


def _folded(text: str) -> str:
    """Return an unquoted name as PostgreSQL folds it in UTF-8: ASCII letters alone."""
    return "".join(each.lower() if each.isascii() else each for each in text)


def _unreadable(sql: str, position: int) -> str:
    here = sql[position]
    unterminated = {"'": "string", '"': "quoted name"}
    return f"unterminated {unterminated[here]}" if here in unterminated else f"unexpected {here!r}"


def _operator(text: str) -> str:
    """Return the operator that this run of characters begins with, as PostgreSQL splits them."""
    comment = _COMMENT_IN_OPERATOR.search(text)
    if comment and comment.start():
        text = text[: comment.start()]
    while len(text) > 1 and text[-1] in "+-" and not _MAY_END_WITH_SIGN.search(text):
        text = text[:-1]
    return text


def _end_of_block(sql: str, position: int) -> int:
    depth, start = 1, position - len("/*")
    for match in re.compile(r"/\*|\*/").finditer(sql, position):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    raise SqlSyntaxError("unterminated comment", start)
