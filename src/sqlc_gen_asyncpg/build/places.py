"""The positions of problems with a query: `file:line:column: Query`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from sqlc_gen_asyncpg.sql.alignment import align
from sqlc_gen_asyncpg.sql.statements import parse
from sqlc_gen_asyncpg.sql.tokens import SqlSyntaxError

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import protocol

__all__ = ["QueryPlace", "QuerySource"]


@dataclass(frozen=True, slots=True)
class QuerySource:
    """A query in the text of its file: from the comments above its `annotation` to its `end`."""

    path: str
    text: str = field(repr=False)
    start: int
    annotation: int
    end: int


@dataclass(frozen=True, slots=True)
class QueryPlace:
    """A query, or a part of it; `source` is None if its file is not known.

    The position of the part is computed when a problem with it is written.
    """

    query: protocol.Query
    source: QuerySource | None = None
    part: Literal["annotation", "directive", "parameter", "token", "syntax error"] = "annotation"
    words: str = ""
    number: int = 0

    def __str__(self) -> str:
        """Return the position and the name of the query."""
        source = self.source
        if source is None:
            return f"{self.query.filename}: {self.query.name}"
        offset = self._offset(source)
        before = source.text[: source.annotation if offset is None else offset]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f"{source.path}:{line}:{column}: {self.query.name}"

    def of_directive(self, words: str) -> QueryPlace:
        """Return the place of the line `-- py:` that begins with these words."""
        return replace(self, part="directive", words=words)

    def of_parameter(self, number: int) -> QueryPlace:
        """Return the place of the first use of `$number`."""
        return replace(self, part="parameter", number=number)

    def of_token(self, offset: int) -> QueryPlace:
        """Return the place of the token with this offset in sqlc's text of the query."""
        return replace(self, part="token", number=offset)

    def of_syntax_error(self) -> QueryPlace:
        """Return the place of the token that the parser cannot read."""
        return replace(self, part="syntax error")

    def _offset(self, source: QuerySource) -> int | None:
        """Return the offset in the file; None if it is not known."""
        if self.part == "annotation":
            return source.annotation
        if self.part == "directive":
            words = r"\s+".join(map(re.escape, self.words.split()))
            line = re.compile(rf"^--\s*py:\s*{words}(?!\w)", re.MULTILINE)
            match = line.search(source.text, source.start, source.end)
            return match.start() if match else None
        alignment = align(source.text[source.annotation : source.end], self.query.text)
        offset: int | None = self.number
        if self.part == "parameter":
            offset = alignment.params.get(self.number)
        elif self.part == "syntax error":
            offset = _syntax_error(self.query.text)
        found = None if offset is None else alignment.source(offset)
        return None if found is None else source.annotation + found


def _syntax_error(sql: str) -> int | None:
    try:
        parse(sql)
    except SqlSyntaxError as error:
        return error.position
    except RecursionError:
        pass
    return None
