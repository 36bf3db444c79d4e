"""The tokens of a statement."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["Kind", "SqlSyntaxError", "Token", "tokenize"]

Kind = Literal["word", "quoted", "string", "number", "param", "op", "end"]

# Names may contain any character beyond ASCII, even a no-break space. A line that begins with a
# backslash is a psql command, as pg_dump writes them; sqlc 1.31 skips the same lines.
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
# PostgreSQL joins literals with a new line between them.
_NEW_LINE: Final = r"[ \t\f\v]*(?:--[^\r\n]*)?[\r\n](?:[ \t\n\r\f\v]|--[^\r\n]*[\r\n])*'"
_CONTINUED: Final = re.compile(_NEW_LINE + r"(?P<rest>(?:[^']|'')*')")
_CONTINUED_ESCAPES: Final = re.compile(_NEW_LINE + r"(?P<rest>(?:[^'\\]|\\.|'')*')", re.DOTALL)
_COMMENT_IN_OPERATOR: Final = re.compile(r"--|/\*")
_MAY_END_WITH_SIGN: Final = re.compile(r"[~!@#%^&|`?]")


class SqlSyntaxError(Exception):
    """SQL that the parser cannot read; `position` is an offset in the text, if it is known."""

    def __init__(self, message: str, position: int | None = None) -> None:
        """Store the reason and the offset in the text."""
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class Token:
    """A word in lower case, a quoted name in its own case, a literal or an operator.

    `start` is its offset in the text.
    """

    kind: Kind
    text: str
    start: int = field(default=0, compare=False)


def tokenize(sql: str) -> list[Token]:
    """Return the tokens of a statement; the last one is of kind `end`.

    Raises:
        SqlSyntaxError: the text has no valid token at some position.

    """
    tokens: list[Token] = []
    position, length = 0, len(sql)
    while position < length:
        match = _TOKEN.match(sql, position)
        if match is None:
            raise SqlSyntaxError(_token_error(sql, position), position)
        start, position = position, match.end()
        kind, text = match.lastgroup, match[0]
        if match["string"]:
            text, position = _whole_string(sql, text, position)
            tokens.append(Token("string", text, start))
        elif kind == "block":
            position = _end_of_block(sql, position)
        elif kind == "word":
            word = text.lower() if text.isascii() else _fold(text)
            tokens.append(Token("word", word, start))
        elif kind == "quoted":
            tokens.append(Token("quoted", text[1:-1].replace('""', '"'), start))
        elif kind == "op":
            operator = _first_operator(text)
            position -= len(text) - len(operator)
            tokens.append(Token("op", operator, start))
        elif kind in {"param", "number"}:
            tokens.append(Token("param" if kind == "param" else "number", text, start))
    tokens.append(Token("end", "", length))
    return tokens


def _whole_string(sql: str, text: str, position: int) -> tuple[str, int]:
    """Return a literal with its continuations in further lines, and the position after them."""
    continued = _CONTINUED_ESCAPES if text[0] in "eE" else _CONTINUED
    while text[0] != "$" and (match := continued.match(sql, position)):
        text, position = text[:-1] + match["rest"], match.end()
    return text, position


def _fold(text: str) -> str:
    """Fold an unquoted name as PostgreSQL does in UTF-8: only ASCII letters change."""
    return "".join(char.lower() if char.isascii() else char for char in text)


def _token_error(sql: str, position: int) -> str:
    char = sql[position]
    unterminated = {"'": "string", '"': "quoted name"}
    return f"unterminated {unterminated[char]}" if char in unterminated else f"unexpected {char!r}"


def _first_operator(text: str) -> str:
    """Return the first operator in a run of operator characters, by PostgreSQL's rules."""
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
