"""Python text that `ruff format` leaves as it is, at 100 columns.

What fits stands on one line; what does not has one item per line and a trailing comma, which the
formatter keeps.
"""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["WIDTH", "call", "docstring", "sort_names", "sql_literal", "string", "width"]

WIDTH: Final = 100
_SENTENCE_ENDS: Final = (".", "!", "?")


def width(line: str) -> int:
    """Return the columns a line takes; East Asian characters take two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in line)


def call(head: str, items: Sequence[str], tail: str, indent: int = 0) -> list[str]:
    """`head` + items + `tail`, as in `f(` a, b `)`, on one line or on one line per item."""
    margin = " " * indent
    line = f"{margin}{head}{', '.join(items)}{tail}"
    if width(line) <= WIDTH or not items:
        return [line]
    return [margin + head, *(f"{margin}    {each}," for each in items), margin + tail]


def string(value: str) -> str:
    """Return a string in the quotes that the formatter prefers."""
    quote = "'" if '"' in value and "'" not in value else '"'
    return quote + _escape(value, quote) + quote


def _escape(value: str, quote: str) -> str:
    return "".join(_escape_char(each, quote) for each in value)


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
    plain = all(each.isprintable() or each in "\n\t" for each in text)
    quotable = plain and '"""' not in text and not text.endswith('"')
    if quotable and "\\" not in text:
        return f'"""{text}"""'
    if quotable and not text.endswith("\\"):
        return f'r"""{text}"""'
    lines = (
        "".join(each if each in "\n\t\"'" else _escape_char(each, '"') for each in line)
        for line in text.split("\n")
    )
    escaped = "\n".join(lines).replace('"""', '\\"\\"\\"')
    return '"""' + (escaped[:-1] + '\\"' if escaped.endswith('"') else escaped) + '"""'


def docstring(lines: Sequence[str], indent: int = 0) -> list[str]:
    """Return a docstring of these lines; a first line that is a sentence stands alone."""
    margin = " " * indent
    rest = textwrap.dedent("\n".join(line.rstrip().expandtabs() for line in lines[1:]))
    shown = [lines[0].strip().expandtabs(), *(rest.split("\n") if lines[1:] else ())]
    if len(shown) == 1 and not shown[0].endswith((*_SENTENCE_ENDS, ":")):
        shown[0] += "."
    if len(shown) > 1 and shown[1] and shown[0].endswith(_SENTENCE_ENDS):
        shown.insert(1, "")
    text = "\n".join(margin + line if index and line else line for index, line in enumerate(shown))
    raw = "\\" in text and '"""' not in text
    if not raw:
        text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    single = len(shown) == 1
    if single and text.endswith('"'):
        text += " "
    opening = f'{margin}r"""' if raw else f'{margin}"""'
    whole = opening + text + ('"""' if single else f'\n{margin}"""')
    return whole.split("\n")


def sort_names(names: Iterable[str]) -> list[str]:
    """In the order that ruff wants for imports and `__all__`: CONSTANTS, Classes, functions."""

    def key(name: str) -> tuple[int, str, str]:
        bare = name.lstrip("_")
        kind = 0 if bare.isupper() and len(bare) > 1 else 1 if bare[:1].isupper() else 2
        return kind, name.lower(), name

    return sorted(set(names), key=key)
