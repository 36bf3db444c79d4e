"""Checks of the text of migrations, before anything runs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidTrack
from agentrows.migrate.sql_text import line_at, statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.migrate.sql_text import Word
    from agentrows.migrate.track import File

_STANDARD: Final = "standard_conforming_strings"


def check_statements(file: File) -> None:
    r"""Raise InvalidTrack, with the line, for statements that cannot run without psql.

    COPY from or to the client needs a client that sends or takes the rows: the server would wait
    for them without limit, with every lock of the run. Commands like `\connect` are psql's own.
    """
    for words in statements(file.sql):
        for word in words:
            if word.text == "\\":
                raise _invalid(
                    file,
                    word,
                    "a backslash command of psql is no SQL (pg_dump writes \\restrict and "
                    "\\connect): take it out",
                )
        copy = _client_copy(words)
        if copy:
            raise _invalid(
                file,
                copy,
                "COPY with STDIN or STDOUT needs a client that sends or takes the rows: write "
                "INSERT statements (pg_dump --inserts), or COPY from a file on the server",
            )
        if words[:1] and words[0].text == "set" and _turns_off_standard_strings(words):
            raise _invalid(
                file,
                words[0],
                f"{_STANDARD} has to stay on: write E'…' for a string with escapes",
            )


def _client_copy(words: Sequence[Word]) -> Word | None:
    """Return the word COPY of a statement that copies from or to the client."""
    if not words or words[0].text != "copy":
        return None
    top = [word.text for word in words if word.depth == 0]
    pairs = itertools.pairwise(top)
    is_client = any(way in ("from", "to") and end in ("stdin", "stdout") for way, end in pairs)
    return words[0] if is_client else None


def _turns_off_standard_strings(words: Sequence[Word]) -> bool:
    texts = [word.text for word in words]
    return _STANDARD in texts[1:3] and texts[-1] in ("off", "false", "no")


def _invalid(file: File, word: Word, problem: str) -> InvalidTrack:
    return InvalidTrack(f"{file.label}, line {line_at(file.sql, word.start)}: {problem}")
