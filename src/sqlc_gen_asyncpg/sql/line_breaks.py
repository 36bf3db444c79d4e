"""Long lines of a statement, broken between their expressions; sqlc writes `*` as one line."""

from __future__ import annotations

from typing import Final

from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, tokenize

__all__ = ["break_long_lines"]

WIDTH: Final = 100
# Lines with fewer commas are no long lists, and remain as they were written.
MIN_COMMAS: Final = 3


def break_long_lines(sql: str) -> str:
    """Return the statement with its long lists in lines of at most 100 columns.

    Only a blank after a comma becomes a new line; strings, names and comments are unchanged.
    """
    lines = sql.split("\n")
    if all(len(line) <= WIDTH for line in lines):
        return sql
    try:
        commas = _commas(sql)
    except SqlSyntaxError:
        return sql
    broken: list[str] = []
    start = 0
    for line in lines:
        end = start + len(line)
        inside = [at - start for at in commas if start <= at < end]
        is_list = len(line) > WIDTH and len(inside) >= MIN_COMMAS
        broken += _broken(line, inside) if is_list else [line]
        start = end + 1
    return "\n".join(broken)


def _commas(sql: str) -> list[int]:
    """Return the offsets of the commas outside of the parentheses that their line opens."""
    commas: list[int] = []
    opened = previous = 0
    for token in tokenize(sql):
        if "\n" in sql[previous : token.start]:
            opened = 0
        previous = token.start
        if token.kind != "op":
            continue
        if token.text in {"(", "["}:
            opened += 1
        elif token.text in {")", "]"}:
            opened = max(opened - 1, 0)
        elif token.text == "," and not opened and sql[token.start + 1 : token.start + 2] == " ":
            commas.append(token.start)
    return commas


def _broken(line: str, commas: list[int]) -> list[str]:
    """Break a line after the last comma that fits; further lines are indented by four columns."""
    margin = " " * (len(line) - len(line.lstrip()) + 4)
    lines: list[str] = []
    start, indent = 0, ""
    while len(line) - start + len(indent) > WIDTH:
        later = [at for at in commas if at >= start]
        if not later:
            break
        fitting = [at for at in later if at < start + WIDTH - len(indent)]
        end = (fitting or later[:1])[-1] + 1
        lines.append(indent + line[start:end])
        start = end + len(line[end:]) - len(line[end:].lstrip(" "))
        indent = margin
    return [*lines, indent + line[start:]]
