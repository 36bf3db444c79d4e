"""Databases at an older core version, and the errors that are allowed on them."""

from __future__ import annotations

import dataclasses
import re
import shutil
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows import SchemaBehind, migrate

if TYPE_CHECKING:
    from pathlib import Path

CORES: Final = (2, 3, 5, 7)
"""The versions of released schemas, and version 2, which is older than all of them."""
NEEDS_SHARES: Final = 6
OURS: Final = 999_999
OURS_WITHOUT_SHARES: Final = 12
"""The version of the track agentrows before the one that indexes the table of core 6."""
NEEDED: Final = re.compile(r"this needs migration (\d+) of track 'core', the database is at (\d+)")
LACKS_OURS: Final = re.compile(r"\bagentrows_(?!\w*schema_migrations)\w+|track 'agentrows'")
"""The error for an object of the track agentrows that a database without core 6 lacks."""
LATER: Final = (
    (3, re.compile(r'"workload_type" of relation "agent"|column (\w+\.)?"?workload_type')),
    (5, re.compile(r"protocol_version")),
    (6, re.compile(r'relation "session_share(_access)?"')),
    (6, LACKS_OURS),
    (7, re.compile(r'"user_id" of relation "task"|column (t|task)\.user_id')),
)
"""Objects that a test's own SQL may lack, as the server names them, and their versions."""


def tracks_at(core: int, folder: Path) -> tuple[migrate.Track, ...]:
    """The built-in tracks, with `core` up to this version and the `agentrows` files for it."""
    newest, vector, ours, ours_vector = migrate.builtin_tracks()
    highest = OURS if core >= NEEDS_SHARES else OURS_WITHOUT_SHARES
    return (
        _copied(newest, core, folder / "core"),
        vector,
        _copied(ours, highest, folder / "agentrows"),
        ours_vector,
    )


def _copied(track: migrate.Track, highest: int, folder: Path) -> migrate.Track:
    folder.mkdir()
    for path in track.directory.iterdir():
        if path.name.endswith(".sql") and int(path.name[:6]) <= highest:
            shutil.copy(path, folder)
    return dataclasses.replace(track, directory=folder)


def why_expected(error: BaseException, core: int) -> str | None:
    """Return why a database at this core version may raise this error; None if it must not.

    A method may raise SchemaBehind, only with a version above the database's. The SQL of a test
    itself may use objects of a later version: the driver's own error never comes from a method.
    """
    if isinstance(error, BaseExceptionGroup):
        reasons = [why_expected(each, core) for each in error.exceptions]  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType]
        return None if None in reasons else reasons[0]
    if isinstance(error, SchemaBehind):
        match = NEEDED.search(str(error))
        if match and int(match[1]) > core == int(match[2]):
            return f"the method needs core {match[1]}"
        if core < NEEDS_SHARES and LACKS_OURS.search(str(error)):
            return "the method needs the track agentrows, which needs core 6"
    if isinstance(error, asyncpg.UndefinedColumnError | asyncpg.UndefinedTableError):
        for version, words in LATER:
            if version > core and words.search(str(error)):
                return f"the test's own SQL needs core {version}"
    return None
