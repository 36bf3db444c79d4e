"""The objects that files create and drop, and the tables that they empty, read from their text.

This reads words, not grammar: an index that a DO block creates, and one that is renamed, are not
recognized.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidTrack
from agentrows.migrate.sql_text import statements, unqualified
from agentrows.migrate.table_names import split_table_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentrows.migrate.track import File


@dataclass(frozen=True, slots=True)
class Index:
    """An index that a file creates; `written_table` is its table's name as the file writes it."""

    name: str
    table: str
    written_table: str
    concurrently: bool
    if_not_exists: bool


def created_indexes(file: File) -> tuple[Index, ...]:
    """Return the indexes that a file creates.

    Raises InvalidTrack for an index that is built concurrently and has no name.
    """
    indexes: list[Index] = []
    for words in _statements(file.sql):
        if _starts_with(words, "create", "index"):
            index = _index(words)
            if index is None and "concurrently" in words[:4]:
                raise InvalidTrack(
                    f"{file.label}: builds an index concurrently without a name: give it one, "
                    "by which the INVALID index of a failed build can be found"
                )
            indexes += [index] if index else []
    return tuple(indexes)


def rebuilds_indexes(file: File) -> bool:
    """Return whether a file rebuilds indexes concurrently, under names that the server chooses."""
    return any(
        words[:1] == ["reindex"] and "concurrently" in words for words in _statements(file.sql)
    )


def is_concurrent(file: File) -> bool:
    """Return whether a statement of the file has CONCURRENTLY and so blocks no other session."""
    return any("concurrently" in words for words in _statements(file.sql))


def indexes_after(files: Iterable[File]) -> dict[str, str]:
    """Return the names of the indexes, and their tables, that exist after these files."""
    existing: dict[str, str] = {}
    for file in files:
        for words in _statements(file.sql):
            if _starts_with(words, "create", "index"):
                index = _index(words)
                existing |= {index.name: index.table} if index else {}
            elif words[:2] == ["drop", "index"]:
                for word in words[2:]:
                    existing.pop(unqualified(word), None)
            elif words[:2] == ["drop", "table"]:
                dropped = {unqualified(word) for word in words[2:]}
                existing = {name: table for name, table in existing.items() if table not in dropped}
            elif (renamed := _renamed(words)) is not None:
                old, new = renamed
                existing = {name: new if on == old else on for name, on in existing.items()}
    return existing


NOT_NAMES: Final = {"if", "exists", "only", "cascade", "restrict"}
"""Keywords beside the names of tables in ALTER TABLE and DROP TABLE."""


NOT_COLUMNS: Final = {"constraint", "default", "expression", "identity", "not"}
"""Words after DROP in ALTER TABLE that drop no column."""


def altered_tables(file: File) -> tuple[str, ...]:
    """Return the tables that a file indexes, alters or drops, as the file writes them.

    Only their owner can do that. Statements after SET ROLE are not read.
    """
    tables: list[str] = []
    for words in _statements(file.sql):
        if words[:2] == ["set", "role"] or words[:3] == ["set", "local", "role"]:
            break
        if _starts_with(words, "create", "index"):
            index = _index(words)
            tables += [index.written_table] if index else []
        elif words[:2] == ["alter", "table"]:
            tables += [word for word in words[2:6] if word not in NOT_NAMES][:1]
        elif words[:2] == ["drop", "table"]:
            tables += [word for word in words[2:] if word not in NOT_NAMES]
    return tuple(dict.fromkeys(tables))


def dropped_objects(file: File) -> tuple[tuple[str, str | None], ...]:
    """Return the tables that a file drops, and the columns, each with its table as it is written.

    A table has None for its column.
    """
    dropped: list[tuple[str, str | None]] = []
    for words in _statements(file.sql):
        names = [word for word in words[2:] if word not in NOT_NAMES]
        if words[:2] == ["drop", "table"]:
            dropped += [(name, None) for name in names]
        elif words[:2] == ["alter", "table"] and names:
            dropped += [
                (names[0], unqualified(after[after[0] == "column"]))
                for number, word in enumerate(names)
                if word == "drop" and (after := names[number + 1 : number + 3])
                if after[0] not in NOT_COLUMNS and after != ["column"]
            ]
    return tuple(dict.fromkeys(dropped))


CONTAINERS: Final = {"schema", "extension", "type", "domain"}
"""Kinds of objects with which DROP … CASCADE drops tables or columns."""


def dropped_containers(file: File) -> tuple[tuple[str, str], ...]:
    """Return the schemas, extensions, types and domains that a file drops with CASCADE.

    Each has its kind in lower case, and its name as it is written.
    """
    return tuple(
        dict.fromkeys(
            (words[1], word)
            for words in _statements(file.sql)
            if words[:1] == ["drop"] and words[1:2] and words[1] in CONTAINERS
            if "cascade" in words
            for word in words[2:]
            if word not in NOT_NAMES
        )
    )


def emptied_tables(file: File) -> tuple[tuple[str, bool], ...]:
    """Return the tables of which a file deletes rows (DELETE, TRUNCATE), as it writes them.

    Each has True if TRUNCATE … CASCADE empties it, and with it the tables that reference it.
    """
    tables: list[tuple[str, bool]] = []
    for words in _statements(file.sql):
        if words[:1] == ["truncate"]:
            stops = ("restart", "continue", "cascade", "restrict")
            last = min((words.index(word) for word in stops if word in words), default=None)
            names = [word for word in words[1:last] if word not in ("table", "only")]
            tables += [(name, "cascade" in words) for name in names]
        for number, word in enumerate(words[:-1]):
            if word == "delete" and words[number + 1] == "from":
                names = [name for name in words[number + 2 : number + 4] if name != "only"]
                tables += [(name, False) for name in names[:1]]
    return tuple(dict.fromkeys(tables))


def settings_after(files: Iterable[File]) -> set[tuple[str, str]]:
    """Return the storage settings that exist after these files, each as table and setting.

    A column of ours on a table of another track counts as a setting: `column agentrows_run_id`.
    """
    settings: set[tuple[str, str]] = set()
    for file in files:
        for words in _statements(file.sql):
            if (column := _own_column(words)) is not None:
                settings.add((split_table_name(words[2])[1], f"column {column}"))
            elif words[:2] == ["alter", "table"] and words[3:5] == ["set", "fillfactor"]:
                settings.add((split_table_name(words[2])[1], words[4]))
            elif words[:2] == ["alter", "table"] and words[3:5] == ["reset", "fillfactor"]:
                settings.discard((split_table_name(words[2])[1], words[4]))
            elif words[:2] == ["drop", "table"]:
                dropped = {split_table_name(word)[1] for word in words[2:]}
                settings = {key for key in settings if key[0] not in dropped}
    return settings


def _own_column(words: Sequence[str]) -> str | None:
    """Return the column agentrows_… that `ALTER TABLE … ADD COLUMN IF NOT EXISTS` adds."""
    if words[:2] != ["alter", "table"] or words[3:8] != ["add", "column", "if", "not", "exists"]:
        return None
    return words[8] if words[8].startswith("agentrows_") else None


def _renamed(words: Sequence[str]) -> tuple[str, str] | None:
    """Return the table that `ALTER TABLE … RENAME TO …` renames, and its new name."""
    if words[:2] != ["alter", "table"] or words[-3:-1] != ["rename", "to"]:
        return None
    return unqualified(words[-4]), unqualified(words[-1])


def _index(words: Sequence[str]) -> Index | None:
    """Return the index of `CREATE INDEX [name] ON table`; None if it has no name."""
    rest = list(words[1:])

    def skip(*keywords: str) -> bool:
        has = rest[: len(keywords)] == list(keywords)
        if has:
            del rest[: len(keywords)]
        return has

    skip("unique")
    skip("index")
    concurrently = skip("concurrently")
    if_not_exists = skip("if", "not", "exists")
    if rest[1:2] != ["on"]:
        return None
    name = rest[0]
    del rest[:2]
    skip("only")
    if not rest:
        return None
    return Index(
        name=unqualified(name),
        table=unqualified(rest[0]),
        written_table=rest[0],
        concurrently=concurrently,
        if_not_exists=if_not_exists,
    )


def _starts_with(words: Sequence[str], first: str, second: str) -> bool:
    kind = [word for word in words[:3] if word != "unique"]
    return kind[:2] == [first, second]


def _statements(sql: str) -> Iterator[list[str]]:
    """Yield each statement's words: names as they are written, keywords in lower case."""
    for words in statements(sql):
        yield [word.text for word in words]
