"""Requirements of methods on the schema: migrations that must be applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import ConfigError, SchemaBehind

if TYPE_CHECKING:
    from agentrows.db.executor import Executor

SWITCHED_OFF: Final = -1
"""The version of a track that is disabled by the settings."""
SETTINGS_OF_TRACKS: Final = {
    "vector": "AGENTROWS_VECTOR_ENABLED=false",
    "rls": "set AGENTROWS_ROW_SECURITY=true",
}
"""Each track that settings can disable, and the setting."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A version of a track that the statements of a method need."""

    track: str
    version: int


AGENTS: Final = Requirement("core", 3)
SHARES: Final = Requirement("core", 6)
TASK_OWNERS: Final = Requirement("core", 7)
SESSION_STATES: Final = Requirement("agentrows", 22)
FEEDBACK_KEYS: Final = Requirement("agentrows", 12)
FEEDBACK_TARGETS: Final = Requirement("agentrows", 32)
STORE_ITEMS: Final = Requirement("agentrows", 21)
STORE_VECTORS: Final = Requirement("agentrows_vector", 4)
OWN_MEMORIES: Final = Requirement("agentrows_vector", 5)
THREADS: Final = Requirement("agentrows", 19)
TASK_VERSIONS: Final = Requirement("agentrows", 23)
TRANSCRIPTS: Final = Requirement("agentrows", 35)
HISTORIES: Final = Requirement("agentrows", 36)
VECTORS: Final = Requirement("vector", 1)
ROW_SECURITY: Final = Requirement("rls", 1)


def require(db: Executor, *requirements: Requirement) -> None:
    """Check that the database has a version of each of these tracks.

    The versions are those read when the client was opened. Without a version the statement is
    sent, and the server raises the error.

    Raises:
        ConfigError: the settings disable the track.
        SchemaBehind: the database is at an older version.

    """
    for requirement in requirements:
        track, version = requirement.track, requirement.version
        applied = db.versions.get(track, version)
        if applied == SWITCHED_OFF:
            raise ConfigError(f"track {track!r} is switched off: {SETTINGS_OF_TRACKS[track]}")
        if applied < version:
            raise SchemaBehind(
                f"this needs migration {version} of track {track!r}, the database is at "
                f"{applied}; run `agentrows migrate up`, then open the client again"
            )
