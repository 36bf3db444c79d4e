"""The files of `schema:` and `queries:` in sqlc.yaml, listed and cut as sqlc does it.

A path without `*`, `?`, `[` or `]` is a file or a folder; any other is a pattern of Go's
filepath.Glob: its `*` also matches names that begin with a dot and never crosses a `/`. Only files
that end in `.sql` count, without hidden files and without `*.down.sql`.
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
_RUN_IN_FOLDER: Final = "paths are relative to the folder of sqlc.yaml; run sqlc there"

# goose, sql-migrate, tern and dbmate: the statements after such a line undo the migration.
_ROLLBACKS: Final = (
    "-- +goose down",
    "-- +migrate down",
    "---- create above / drop below ----",
    "-- migrate:down",
)
# sqlc reads lines into a buffer of this size, and nothing after a line that does not fit.
_MAX_LINE: Final = 65_535


def sql_files(paths: Iterable[str], directory: str = "") -> list[Path]:
    """Return the files of paths in sqlc.yaml.

    They are relative to `directory`, that of sqlc.yaml, or to the current one if it is empty.

    Raises:
        GeneratorError: a file or a folder does not exist or cannot be read.

    """
    files: list[Path] = []
    for path in paths:
        for expanded in _expand(path, directory):
            files += _list(expanded, path)
    return [
        file
        for file in files
        if file.name.endswith(".sql") and not file.name.startswith(".")
        if not file.name.endswith(".down.sql")
    ]


def read_sql(path: Path, errors: str = "replace") -> str:
    """Return the text of a file.

    A byte that is not UTF-8, as in an old comment, is not an error.

    Raises:
        GeneratorError: the file cannot be read.

    """
    try:
        return path.read_bytes().decode("utf-8-sig", errors)
    except OSError as error:
        raise _cannot_read(str(path), error) from error


def without_rollback(text: str) -> str:
    """Return the part of a migration that sqlc applies; the numbers of lines stay."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.lower().startswith(_ROLLBACKS):
            break
        if len(line.encode("utf-8", "surrogateescape")) > _MAX_LINE:
            break
        lines.append(line.removesuffix("\r"))
    return "\n".join(lines)


def require_files(request: protocol.Request, directory: str = "") -> None:
    """Raise GeneratorError if the files of the request are not in the folder of sqlc.yaml.

    Without them domains, composite types, views and comments would be lost silently.
    """
    sql_files(request.schema_paths, directory)
    names = {file.name for file in sql_files(request.query_paths, directory)}
    for query in request.queries if request.query_paths else ():
        if query.filename not in names:
            raise GeneratorError([f"{query.filename} does not exist; {_RUN_IN_FOLDER}"])


def _cannot_read(path: str, error: OSError | ValueError) -> GeneratorError:
    if isinstance(error, FileNotFoundError):
        return GeneratorError([f"{path} does not exist; {_RUN_IN_FOLDER}"])
    reason = error.strerror if isinstance(error, OSError) else error
    return GeneratorError([f"{path} cannot be read: {reason}"])


def _list(path: Path, spelled: str) -> list[Path]:
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
    folders = [Path(directory, Path(path).anchor)]
    for part in Path(path).relative_to(Path(path).anchor).parts:
        folders = [entry for folder in folders for entry in _matches(folder, part, path)]
    return folders


def _matches(folder: Path, part: str, path: str) -> list[Path]:
    """Return the entries of a folder that one part of a pattern matches, by name."""
    if not re.search(r"[*?\[\\]", part):
        return [folder / part] if (folder / part).exists() else []
    pattern = re.compile(_regex(part, path), re.DOTALL)
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except (OSError, ValueError):
        return []  # sqlc skips a folder that it may not list
    return [folder / name for name in names if pattern.fullmatch(name)]


def _regex(part: str, path: str) -> str:
    """Return a part of a Go pattern as a regular expression."""
    regex, position = "", 0
    while position < len(part):
        char = part[position]
        position += 1
        if char == "*":
            regex += ".*"
        elif char == "?":
            regex += "."
        elif char == "[":
            match = _CLASS.match(part, position - 1)
            if match is None:
                raise GeneratorError([f"{path}: the pattern has a [ without its ]"])
            ranges = "".join(_range(item) for item in _RANGE.finditer(match[2]))
            regex += f"[{match[1]}{ranges}]" if ranges else "." if match[1] else "(?!)"
            position = match.end()
        elif char == "\\" and position < len(part):
            regex += re.escape(part[position])
            position += 1
        else:
            regex += re.escape(char)
    return regex


def _range(match: re.Match[str]) -> str:
    low, high = match[1], match[2] or match[1]
    return f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""
