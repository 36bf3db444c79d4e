"""The files of `schema:` and `queries:` in sqlc.yaml, found and cut as sqlc does it.

A path without `*`, `?`, `[` or `]` is a file or a folder; any other is a pattern of Go's
filepath.Glob, whose `*` also matches names that begin with a dot and never crosses a `/`. Of what
is found, names that end in `.sql` count, without hidden files and without `*.down.sql`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.errors import GeneratorError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlc_gen_asyncpg import protocol

__all__ = ["read_sql", "require_files", "sql_files", "without_rollback"]

_PATTERN: Final = re.compile(r"[*?\[\]]")
_CLASS: Final = re.compile(r"\[(\^?)((?:\\.|[^\]\\])+)\]", re.DOTALL)
_RANGE: Final = re.compile(r"\\?(.)(?:-\\?(.))?", re.DOTALL)
_ELSEWHERE: Final = "run sqlc in the folder of its configuration, without -f"

# goose, sql-migrate, tern and dbmate: what follows such a line takes the migration back.
_ROLLBACKS: Final = (
    "-- +goose down",
    "-- +migrate down",
    "---- create above / drop below ----",
    "-- migrate:down",
)
# sqlc reads lines into a buffer of this size, and nothing after a line that does not fit.
_LONGEST_LINE: Final = 65_535


def sql_files(paths: Iterable[str], directory: str = "") -> list[Path]:
    """Return the files that paths in sqlc.yaml mean; GeneratorError if one cannot be read.

    They are relative to `directory`, the one of sqlc.yaml, or the current one if it is empty.
    """
    found: list[Path] = []
    for path in paths:
        for each in _expand(path, directory):
            found += _listed(each, path)
    names = [(each, each.name) for each in found]
    return [
        each
        for each, name in names
        if name.endswith(".sql") and not name.startswith(".") and not name.endswith(".down.sql")
    ]


def read_sql(path: Path, errors: str = "replace") -> str:
    """Return the text of a file; GeneratorError if it cannot be read.

    A byte that is no UTF-8, as in an old comment, is no error.
    """
    try:
        return path.read_bytes().decode("utf-8-sig", errors)
    except OSError as error:
        raise _cannot_read(str(path), error) from error


def without_rollback(text: str) -> str:
    """Return the part of a migration that sqlc applies; lines keep their numbers."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.lower().startswith(_ROLLBACKS):
            break
        if len(line.encode("utf-8", "surrogateescape")) > _LONGEST_LINE:
            break
        lines.append(line.removesuffix("\r"))
    return "\n".join(lines)


def require_files(request: protocol.Request) -> None:
    """Raise GeneratorError if the files of the request are not in the current folder.

    Without them domains, composite types, views and comments would be lost silently.
    """
    sql_files(request.schema_paths)
    there = {each.name for each in sql_files(request.query_paths)}
    for query in request.queries if request.query_paths else ():
        if query.filename not in there:
            raise GeneratorError([f"{query.filename} is not there; {_ELSEWHERE}"])


def _cannot_read(path: str, error: OSError | ValueError) -> GeneratorError:
    if isinstance(error, FileNotFoundError):
        return GeneratorError([f"{path} is not there; {_ELSEWHERE}"])
    reason = error.strerror if isinstance(error, OSError) else error
    return GeneratorError([f"{path} cannot be read: {reason}"])


def _listed(path: Path, spelled: str) -> list[Path]:
    """Return a file, or the entries of a folder by name."""
    try:
        path.stat()
        return sorted(path.iterdir()) if path.is_dir() else [path]
    except (OSError, ValueError) as error:
        raise _cannot_read(spelled, error) from error


def _expand(path: str, directory: str) -> list[Path]:
    path = os.path.normpath(path)
    if not _PATTERN.search(path):
        return [Path(directory, path)]
    found = [Path(directory, Path(path).anchor)]
    for part in Path(path).relative_to(Path(path).anchor).parts:
        found = [below for each in found for below in _matches(each, part, path)]
    return found


def _matches(folder: Path, part: str, path: str) -> list[Path]:
    """Return the entries of a folder that one part of a pattern matches, by name."""
    if not re.search(r"[*?\[\\]", part):
        return [folder / part] if (folder / part).exists() else []
    pattern = re.compile(_regex(part, path), re.DOTALL)
    try:
        names = sorted(each.name for each in folder.iterdir())
    except (OSError, ValueError):
        return []  # sqlc passes over a folder that it may not list
    return [folder / name for name in names if pattern.fullmatch(name)]


def _regex(part: str, path: str) -> str:
    """Return a part of a pattern of Go's as a regular expression."""
    found, position = "", 0
    while position < len(part):
        here = part[position]
        position += 1
        if here == "*":
            found += ".*"
        elif here == "?":
            found += "."
        elif here == "[":
            match = _CLASS.match(part, position - 1)
            if match is None:
                raise GeneratorError([f"{path}: the pattern has a [ without its ]"])
            ranges = "".join(_range(each) for each in _RANGE.finditer(match[2]))
            found += f"[{match[1]}{ranges}]" if ranges else "." if match[1] else "(?!)"
            position = match.end()
        elif here == "\\" and position < len(part):
            found += re.escape(part[position])
            position += 1
        else:
            found += re.escape(here)
    return found


def _range(match: re.Match[str]) -> str:
    low, high = match[1], match[2] or match[1]
    return f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""
