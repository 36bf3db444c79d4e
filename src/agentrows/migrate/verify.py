"""How far a database has come: read-only, without a lock, by a role that may only SELECT.

Every statement here takes a snapshot of its own, on purpose: golang-migrate rewrites its row with
TRUNCATE, and to a snapshot that is older a truncated table is empty.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agentrows.db.pool import connect
from agentrows.errors import DirtySchema, InvalidTrack, SchemaBehind
from agentrows.migrate import catalog
from agentrows.migrate.session import closing, driver_errors
from agentrows.migrate.state import Status, TrackStatus, describe, read_states, with_runner
from agentrows.migrate.track import load_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.config import Password
    from agentrows.db.sources import Connection
    from agentrows.migrate.track import Track

logger = logging.getLogger(__name__)


async def status(dsn: str, tracks: Sequence[Track], *, password: Password | None = None) -> Status:
    """Return where the database stands; an empty one, and a dirty one, is no error.

    Raises InvalidTrack for malformed files, MigrationError for a tracking table that is not
    golang-migrate's, Unavailable and ConfigError as connecting does.
    """
    db = await connect(dsn, application_name="agentrows migrate", password=password)
    async with closing(db):
        return await status_on(db, tracks)


async def status_on(db: Connection, tracks: Sequence[Track]) -> Status:
    """Return what `status` does, on a connection of the caller's."""
    loaded = load_all(tracks)
    with driver_errors():
        session = await catalog.read_session(db)
        states = await read_states(db, loaded, session)
        told = [await with_runner(db, describe(each), each.place, session) for each in states]
        return Status(tuple(told))


async def verify(dsn: str, tracks: Sequence[Track], *, password: Password | None = None) -> Status:
    """Return where the database stands if this code can work on it; ahead is fine.

    Raises SchemaBehind naming what is missing, DirtySchema for a version half applied,
    InvalidTrack for an applied file that was changed since; and what `status` raises.
    """
    found = await status(dsn, tracks, password=password)
    refuse_unsound(found)
    behind = "; ".join(_lack(track) for track in found.tracks if track.pending)
    if behind:
        raise SchemaBehind(f"{behind}; run `agentrows migrate up`")
    log_ahead(found)
    return found


def refuse_unsound(found: Status) -> None:
    """Raise DirtySchema or InvalidTrack for the first track that is dirty or was changed."""
    for track in found.tracks:
        if track.at_work:
            raise DirtySchema(
                f"track {track.name!r}: a run is at work on version {track.version or 1}: "
                f"{', '.join(track.at_work)}"
            )
        if track.dirty:
            raise DirtySchema(
                f"track {track.name!r}: an earlier run broke off in version {track.version or 1}; "
                "`agentrows migrate up` runs that version again and goes on"
            )
        if track.changed:
            raise InvalidTrack(track.changed)


def log_ahead(found: Status) -> None:
    """Log the tracks that a newer release has migrated."""
    for track in found.tracks:
        if track.is_ahead:
            logger.info(
                "track %r is at %s, this code knows %s: served in compatibility mode%s",
                *(track.name, track.version, track.newest, _not_here(track)),
            )


def log_behind(found: Status) -> None:
    """Log the tracks that lack files."""
    for track in found.tracks:
        if track.pending:
            logger.warning("%s; served as it is, because another tool migrates it", _lack(track))


def _not_here(track: TrackStatus) -> str:
    files = ", ".join(track.not_here)
    return f" ({files}: of a newer release, or deleted)" if files else ""


def _lack(track: TrackStatus) -> str:
    files = ", ".join(track.pending)
    return (
        f"track {track.name!r} is at {track.version or 'nothing'}, this code needs {track.newest} "
        f"({files})"
    )
