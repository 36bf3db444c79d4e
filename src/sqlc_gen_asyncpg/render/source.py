"""Python source that `ruff format` leaves as it is, at 100 columns.

A statement that fits is on one line; any other has one item per line and a trailing comma, which
the formatter leaves.
"""

from __future__ import annotations

import ast
import re
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "WIDTH",
    "call",
    "comprehension",
    "docstring",
    "sort_names",
    "split_outside_brackets",
    "sql_literal",
    "string",
    "width",
]

WIDTH: Final = 100
_OPENING: Final = re.compile(r'(?:\w+=|"(?:\\.|[^"\\])*": |\d+: )?(?:[\w.]*\(|\{)')
_CLOSING: Final = {"(": ")", "{": "}"}
_KEYWORD_STRING: Final = re.compile(r"""(\w+=)("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""")
_FIRST_SENTENCE: Final = re.compile(r"(.*?[a-z)`\"'][.!?]) +(.*)")
_SENTENCE_ENDS: Final = (".", "!", "?")


def width(line: str) -> int:
    """Return the number of columns of a line; East Asian characters have two."""
    if line.isascii():
        return len(line)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def call(head: str, items: Sequence[str], tail: str, indent: int = 0) -> list[str]:
    """Return `head` + items + `tail`, as in `f(` a, b `)`, on one line or one line per item."""
    margin = " " * indent
    line = f"{margin}{head}{', '.join(items)}{tail}"
    if width(line) <= WIDTH or not items:
        return [line]
    inner = [line for item in items for line in _broken(item, indent + 4, ",")]
    return [margin + head, *inner, margin + tail]


def _broken(text: str, indent: int, tail: str) -> list[str]:
    """Return an item; a call, a tuple, a dict or a union that is too long has several lines."""
    margin = " " * indent
    if width(f"{margin}{text}{tail}") <= WIDTH:
        return [f"{margin}{text}{tail}"]
    parts = split_outside_brackets(text, "|")
    head = _OPENING.match(text)
    if len(parts) > 1:
        lines = [parts[0], *(f"| {part}" for part in parts[1:])]
        return [margin + line for line in [*lines[:-1], lines[-1] + tail]]
    if head and text.endswith(_CLOSING[head[0][-1]]):
        items = [item for item in split_outside_brackets(text[head.end() : -1], ",") if item]
        inner = [line for item in items for line in _broken(item, indent + 4, ",")]
        return [margin + head[0], *inner, f"{margin}{text[-1]}{tail}"]
    if literal := _KEYWORD_STRING.fullmatch(text):
        pieces = _string_pieces(literal[2], WIDTH - indent - 4)
        return [
            f"{margin}{literal[1]}(",
            *(f"{margin}    {each}" for each in pieces),
            f"{margin}){tail}",
        ]
    return [f"{margin}{text}{tail}"]


def _string_pieces(literal: str, limit: int) -> list[str]:
    """Return literals that are joined to this one, each of at most `limit` columns if possible."""
    pieces: list[str] = []
    for word in re.findall(r"\S*\s*", cast("str", ast.literal_eval(literal))):
        if pieces and width(string(pieces[-1] + word)) <= limit:
            pieces[-1] += word
        elif word:
            pieces.append(word)
    return [string(piece) for piece in pieces]


def split_outside_brackets(text: str, at: str) -> list[str]:
    """Split at a character outside of brackets and strings."""
    parts: list[str] = []
    depth = start = 0
    for match in re.finditer(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|.', text, re.DOTALL):
        char = match[0]
        depth += (char in "([{") - (char in ")]}") if len(char) == 1 else 0
        if char == at and not depth:
            parts.append(text[start : match.start()].strip())
            start = match.end()
    return [*parts, text[start:].strip()]


def comprehension(head: str, element: str, clause: str, indent: int = 0) -> list[str]:
    """Return `head [element clause]`, on one line or one line per part."""
    margin = " " * indent
    line = f"{margin}{head}[{element} {clause}]"
    if width(line) <= WIDTH:
        return [line]
    inner = f"{margin}    {element} {clause}"
    apart = [*_broken(element, indent + 4, ""), f"{margin}    {clause}"]
    lines = [inner] if width(inner) <= WIDTH else apart
    return [f"{margin}{head}[", *lines, f"{margin}]"]


def string(value: str) -> str:
    """Return a string in the quotes that the formatter prefers."""
    quote = "'" if value.count('"') > value.count("'") else '"'
    return quote + _escape(value, quote) + quote


def _escape(value: str, quote: str) -> str:
    if value.isprintable() and "\\" not in value and quote not in value:
        return value
    return "".join(_escape_char(char, quote) for char in value)


def _escape_char(char: str, quote: str) -> str:
    if char in {"\\", quote}:
        return "\\" + char
    if char.isprintable():
        return char
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    if char in named:
        return named[char]
    number = ord(char)
    for digits, letter in ((2, "x"), (4, "u")):
        if number < 16**digits:
            return f"\\{letter}{number:0{digits}x}"
    return f"\\U{number:08x}"


def sql_literal(text: str) -> str:
    """Return a query in triple quotes, readable; `ast.literal_eval` of it is the text."""
    plain = text.replace("\n", "").replace("\t", "").isprintable()
    quotable = plain and '"""' not in text and not text.endswith('"')
    if quotable and "\\" not in text:
        return f'"""{text}"""'
    if quotable and not text.endswith("\\"):
        return f'r"""{text}"""'
    escaped = "".join(char if char in '\n\t"' else _escape_char(char, "") for char in text)
    quotes = re.sub(r'"{3,}|"+\Z', lambda match: '\\"' * len(match[0]), escaped)
    return f'"""{quotes}"""'


def docstring(lines: Sequence[str], indent: int = 0) -> list[str]:
    """Return a docstring of these lines; a blank line follows a first line that is a sentence.

    Without lines there is no docstring.
    """
    if not lines:
        return []
    margin = " " * indent
    rest = textwrap.dedent("\n".join(line.rstrip().expandtabs() for line in lines[1:]))
    shown = [_printable(line) for line in (lines[0].strip(), *(rest.split("\n") if rest else ()))]
    limit = WIDTH - indent - len('r""""""')
    if width(shown[0]) > limit and (sentence := _FIRST_SENTENCE.match(shown[0])):
        shown[:1] = [sentence[1], sentence[2]]
    if len(shown) == 1 and not shown[0].endswith((*_SENTENCE_ENDS, ":")):
        shown[0] += "."
    if len(shown) > 1 and shown[1] and shown[0].endswith(_SENTENCE_ENDS):
        shown.insert(1, "")
    first, *others = shown
    shown = [
        *_wrapped(first, limit - 1),
        *(wrapped for line in others for wrapped in _wrapped(line, WIDTH - indent)),
    ]
    text = "\n".join(margin + line if index and line else line for index, line in enumerate(shown))
    opening = f'{margin}r"""' if "\\" in text else f'{margin}"""'
    closing = '"""' if len(shown) == 1 else f'\n{margin}"""'
    return f"{opening}{text}{closing}".split("\n")


def _wrapped(line: str, limit: int) -> list[str]:
    """Break a line between words; each has the indentation of the first, if it has several."""
    if width(line) <= limit:
        return [line]
    margin = line[: len(line) - len(line.lstrip())]
    lines: list[str] = []
    for word in line.split():
        if lines and width(f"{lines[-1]} {word}") <= limit:
            lines[-1] += f" {word}"
        else:
            lines.append(margin + word)
    return lines


def _printable(line: str) -> str:
    """Return a line of documentation as a docstring, raw or not, may contain it."""
    clean = "".join(char if char.isprintable() else " " for char in line.expandtabs())
    return clean.replace('"""', "'''").rstrip()


def sort_names(names: Iterable[str], *, fold: bool = False) -> list[str]:
    """Sort as ruff wants `__all__` (and, with `fold`, imports): CONSTANTS, Classes, functions.

    Numbers in names are compared as numbers, and precede letters: Agg2Row, Agg10Row, AggRow.
    """

    def key(name: str) -> tuple[int, list[tuple[int, int, str]], str]:
        kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
        chunks = re.findall(r"\d+|\D", name.lower() if fold else name)
        return kind, [_natural(chunk) for chunk in chunks], name

    return sorted(set(names), key=key)


def _natural(chunk: str) -> tuple[int, int, str]:
    if not chunk.isdecimal():
        return 2, 0, chunk
    return (0, 0, chunk) if chunk.startswith("0") else (1, int(chunk), "")
