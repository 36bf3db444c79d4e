"""The positions of tables, columns and types in the schema's files: `file:line:column`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from sqlc_gen_asyncpg.schema.alterations import split_elements, table_key
from sqlc_gen_asyncpg.schema.ddl import split_statements
from sqlc_gen_asyncpg.sql.stream import Stream
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError, tokenize
from sqlc_gen_asyncpg.sqlfiles import read_sql, sql_files, without_rollback

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SchemaPlace", "SchemaPositions"]

_Kind = Literal["relation", "type"]
_KINDS: Final[dict[str, _Kind]] = {
    "table": "relation",
    "view": "relation",
    "type": "type",
    "domain": "type",
}
_MODIFIERS: Final = (
    *("or", "replace", "global", "local", "temp", "temporary", "unlogged", "foreign"),
    *("materialized", "recursive"),
)
# The key of a column is that of its table and its name.
_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Position:
    path: str
    text: str = field(repr=False)
    offset: int

    def __str__(self) -> str:
        before = self.text[: self.offset]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f"{self.path}:{line}:{column}"


@dataclass(slots=True)
class SchemaPositions:
    """The positions in the files of `schema:`, which are read when the first one is needed."""

    paths: tuple[str, ...] = ()
    directory: str = ""
    _found: dict[_Key, _Position] | None = None

    def place(self, subject: str, kind: _Kind, *names: str) -> SchemaPlace:
        """Return the place of a schema's table or type, or of its column, for problems with it."""
        return SchemaPlace(self, subject, (kind, *names))

    def find(self, key: _Key) -> str:
        """Return the position of a key, or of its table; empty if it is not in the files."""
        if self._found is None:
            reader = _Reader()
            for path in sql_files(self.paths, self.directory):
                reader.read_file(path)
            self._found = reader.positions
        found = self._found.get(key) or self._found.get(key[:3])
        return str(found) if found else ""


@dataclass(frozen=True, slots=True)
class SchemaPlace:
    """A table, a column or a type; `str()` is its position and the subject."""

    positions: SchemaPositions
    subject: str
    key: _Key

    def __str__(self) -> str:
        """Return the position, if the files have it, and the subject."""
        position = self.positions.find(self.key)
        return f"{position}: {self.subject}" if position else self.subject

    def of_directive(self, _words: str, /) -> SchemaPlace:
        """Return this place: the schema has no directives."""
        return self

    def of_token(self, _offset: int, /) -> SchemaPlace:
        """Return this place."""
        return self


@dataclass(slots=True)
class _Reader:
    """The positions of the names that exist after the statements so far."""

    positions: dict[_Key, _Position] = field(default_factory=dict[_Key, "_Position"])
    path: str = ""
    text: str = ""

    def read_file(self, path: Path) -> None:
        self.path, self.text = str(path), without_rollback(read_sql(path, "surrogateescape"))
        for statement in split_statements(tokenize(self.text)):
            try:
                self._read(Stream(statement))
            except SqlSyntaxError:
                continue

    def _position(self, offset: int) -> _Position:
        return _Position(self.path, self.text, offset)

    def _read(self, stream: Stream) -> None:
        verb = stream.next().text
        while stream.at_any(*_MODIFIERS):
            stream.next()
        word = stream.next().text
        kind = _KINDS.get(word)
        while stream.at_any("if", "not", "exists", "only"):
            stream.next()
        if (verb, word) == ("drop", "schema"):
            for name in _KINDS.values():
                self._move((name, stream.here.text), None)
        if kind is None:
            return
        start = stream.here.start
        key = (kind, *table_key(stream.dotted()))
        if verb == "create":
            self.positions.setdefault(key, self._position(start))
            for tokens in split_elements(stream) if stream.at("(") else ():
                self.positions.setdefault((*key, tokens[0].text), self._position(tokens[0].start))
        elif verb == "drop":
            self._move(key, None)
            while stream.take(","):
                self._move((kind, *table_key(stream.dotted())), None)
        else:
            self._alter(stream, key)

    def _alter(self, stream: Stream, key: _Key) -> None:
        if stream.take("rename", "to"):
            self._move(key, (*key[:2], stream.name()))
        elif stream.take("set", "schema"):
            self._move(key, (key[0], stream.name(), key[2]))
        elif stream.take("rename"):
            stream.take("column")
            old = (*key, stream.name())
            stream.expect("to")
            self._move(old, (*key, stream.name()))
        while stream.here.kind != "end":
            if not stream.take("add"):
                stream.next()
                continue
            stream.take("column")
            stream.take("if", "not", "exists")
            start = stream.here.start
            self.positions.setdefault((*key, stream.name()), self._position(start))

    def _move(self, old: _Key, new: _Key | None) -> None:
        """Rename a key and those of its columns, or remove them."""
        size = len(old)
        for key in [key for key in self.positions if key[:size] == old]:
            position = self.positions.pop(key)
            if new:
                self.positions[(*new, *key[size:])] = position
