"""Which indexes a file makes and drops, read from its text.

The server says nothing when `CREATE INDEX IF NOT EXISTS` meets an index of that name that is
INVALID, so the runner has to know the names. This reads words, not grammar: an index that a DO
block makes, and one that is renamed, are not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidTrack
from agentrows.migrate.names import table_name
from agentrows.migrate.sql_text import statements, unqualified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentrows.migrate.track import File


@dataclass(frozen=True, slots=True)
class Index:
    """An index that a file names; `made_on` is the table's name as it is written there.

    `guarded` is that of IF NOT EXISTS, to which any relation of the index's name will do.
    """

    name: str
    table: str
    made_on: str
    concurrently: bool
    guarded: bool


def created_in(file: File) -> tuple[Index, ...]:
    """Return the indexes that a file creates; InvalidTrack for a concurrent one without a name."""
    found: list[Index] = []
    for words in _statements(file.sql):
        if _starts_with(words, "create", "index"):
            index = _index(words)
            if index is None and "concurrently" in words[:4]:
                raise InvalidTrack(
                    f"{file.label}: builds an index concurrently and does not name it; without "
                    "the name nobody finds the INVALID one that a failed build leaves"
                )
            found += [index] if index else []
    return tuple(found)


def reindexes(file: File) -> bool:
    """Whether a file rebuilds indexes concurrently, under names that the server makes up."""
    return any(
        words[:1] == ["reindex"] and "concurrently" in words for words in _statements(file.sql)
    )


def is_concurrent(file: File) -> bool:
    """Whether a statement of the file works concurrently, so that nobody queues behind it."""
    return any("concurrently" in words for words in _statements(file.sql))


def standing_after(files: Iterable[File]) -> dict[str, str]:
    """Return the names of the indexes, and their tables, that these files leave when all ran."""
    standing: dict[str, str] = {}
    for file in files:
        for words in _statements(file.sql):
            if _starts_with(words, "create", "index"):
                index = _index(words)
                standing |= {index.name: index.table} if index else {}
            elif words[:2] == ["drop", "index"]:
                for word in words[2:]:
                    standing.pop(unqualified(word), None)
            elif words[:2] == ["drop", "table"]:
                gone = {unqualified(word) for word in words[2:]}
                standing = {name: table for name, table in standing.items() if table not in gone}
            elif (renamed := _renamed(words)) is not None:
                old, new = renamed
                standing = {name: new if on == old else on for name, on in standing.items()}
    return standing


NOT_NAMES: Final = {"if", "exists", "only", "cascade", "restrict"}
"""Keywords beside the names of tables in ALTER TABLE and DROP TABLE."""


def altered_in(file: File) -> tuple[str, ...]:
    """Return the tables that only their owner can change as a file does, as they are written.

    A file that takes another role is not read on from there.
    """
    tables: list[str] = []
    for words in _statements(file.sql):
        if words[:2] == ["set", "role"] or words[:3] == ["set", "local", "role"]:
            break
        if _starts_with(words, "create", "index"):
            index = _index(words)
            tables += [index.made_on] if index else []
        elif words[:2] == ["alter", "table"]:
            tables += [word for word in words[2:6] if word not in NOT_NAMES][:1]
        elif words[:2] == ["drop", "table"]:
            tables += [word for word in words[2:] if word not in NOT_NAMES]
    return tuple(dict.fromkeys(tables))


def settings_after(files: Iterable[File]) -> set[tuple[str, str]]:
    """Return the storage settings that these files leave: the table's name and the setting's."""
    standing: set[tuple[str, str]] = set()
    for file in files:
        for words in _statements(file.sql):
            if words[:2] == ["alter", "table"] and words[3:5] == ["set", "fillfactor"]:
                standing.add((table_name(words[2])[1], words[4]))
            elif words[:2] == ["alter", "table"] and words[3:5] == ["reset", "fillfactor"]:
                standing.discard((table_name(words[2])[1], words[4]))
            elif words[:2] == ["drop", "table"]:
                gone = {table_name(word)[1] for word in words[2:]}
                standing = {key for key in standing if key[0] not in gone}
    return standing


def _renamed(words: Sequence[str]) -> tuple[str, str] | None:
    """Return the table that `ALTER TABLE … RENAME TO …` renames, and its new name."""
    if words[:2] != ["alter", "table"] or words[-3:-1] != ["rename", "to"]:
        return None
    return unqualified(words[-4]), unqualified(words[-1])


def _index(words: Sequence[str]) -> Index | None:
    """Return the index of `CREATE INDEX [name] ON table`; None if the name is left out."""
    rest = list(words[1:])

    def skip(*keywords: str) -> bool:
        has = rest[: len(keywords)] == list(keywords)
        if has:
            del rest[: len(keywords)]
        return has

    skip("unique")
    skip("index")
    concurrently = skip("concurrently")
    guarded = skip("if", "not", "exists")
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
        made_on=rest[0],
        concurrently=concurrently,
        guarded=guarded,
    )


def _starts_with(words: Sequence[str], first: str, second: str) -> bool:
    kind = [word for word in words[:3] if word != "unique"]
    return kind[:2] == [first, second]


def _statements(sql: str) -> Iterator[list[str]]:
    """Yield each statement's words: names as they are written, keywords in lower case."""
    for words in statements(sql):
        yield [word.text for word in words]
