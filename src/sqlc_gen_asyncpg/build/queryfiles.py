"""The comments that belong to a query, by their lines in its file.

sqlc's request has the lines of all comments between the statement before and the end of this one: a
licence, a heading, those inside of the SQL. The query's own are those that touch its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.sqlfiles import read_sql, sql_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Layout", "read_layouts"]

_NAME: Final = re.compile(r"--\s*name:\s*(\w+)\s*:")
_COMMENT: Final = "--"


@dataclass(frozen=True, slots=True)
class Layout:
    """The comment that touches a query's name, and what stands above the first one of a file."""

    doc: tuple[str, ...]
    head: tuple[str, ...] = ()


def read_layouts(paths: tuple[str, ...], directory: str = "") -> Mapping[tuple[str, str], Layout]:
    """Read the files of `queries:`; the keys are file and query names."""
    found: dict[tuple[str, str], Layout] = {}
    for each in sql_files(paths, directory):
        _read(each, found)
    return found


def _read(path: Path, found: dict[tuple[str, str], Layout]) -> None:
    lines = read_sql(path).splitlines()
    first = True
    for number, line in enumerate(lines):
        match = _NAME.match(line)
        if not match:
            continue
        start, end = number, number + 1
        while start > 0 and lines[start - 1].startswith(_COMMENT):
            start -= 1
        while end < len(lines) and lines[end].startswith(_COMMENT):
            end += 1
        head = _head(lines[:start]) if first else ()
        doc = tuple(each[2:] for each in [*lines[start:number], *lines[number + 1 : end]])
        found.setdefault((path.name, match[1]), Layout(doc, head))
        first = False


def _head(lines: list[str]) -> tuple[str, ...]:
    """Return the comments that a file begins with; blank lines stay between them."""
    plain = [each for each in lines if each.startswith(_COMMENT) or not each.strip()]
    return tuple(each[2:] for each in plain)
