"""Which migration a method needs, said before the statement is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentrows.errors import ConfigError, SchemaBehind

if TYPE_CHECKING:
    from agentrows.db.executor import Executor

SWITCHED_OFF: Final = -1
"""The version of a track that the settings leave out."""


def needs(db: Executor, track: str, version: int) -> None:
    """Raise SchemaBehind if the database is known to be behind this version of a track.

    ConfigError if the settings leave the track out.

    Versions are those read when the client was opened. Of a track that was not there to read
    nothing is known, and the statement itself will tell.
    """
    applied = db.versions.get(track, version)
    if applied == SWITCHED_OFF:
        raise ConfigError(
            f"track {track!r} is switched off: AGENTROWS_{track.upper()}_ENABLED=false"
        )
    if applied < version:
        raise SchemaBehind(
            f"this needs migration {version} of track {track!r}, the database is at {applied}; "
            "run `agentrows migrate up`, and open the client anew"
        )
