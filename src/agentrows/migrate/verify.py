"""How far a database has come: read-only, without a lock, by a role that may only SELECT.

Every statement here takes a snapshot of its own, on purpose: golang-migrate rewrites its row with
TRUNCATE, and to a snapshot that is older a truncated table is empty.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agentrows.db.connect import connect
from agentrows.errors import DirtySchema, InvalidTrack, SchemaBehind
from agentrows.migrate import server
from agentrows.migrate.missing import read_missing
from agentrows.migrate.session import closing, driver_errors
from agentrows.migrate.status import Status, TrackStatus, describe_all, read_states, with_runner
from agentrows.migrate.track import load_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentrows.config import Password
    from agentrows.db.sources import Connection
    from agentrows.migrate.track import Track

logger = logging.getLogger(__name__)

LONGEST_LINE: Final = 200


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
        session = await server.read_session(db)
        states = await read_states(db, loaded, session)
        missing = await read_missing(db, [state.applied for state in states])
        found = zip(states, describe_all(states), strict=True)
        tracks_now = [
            await with_runner(db, each, state.place, session)
            if each.dirty
            else replace(each, missing=tuple(map(str, missing[each.name])))
            for state, each in found
        ]
        return Status(tuple(tracks_now))


async def verify(dsn: str, tracks: Sequence[Track], *, password: Password | None = None) -> Status:
    """Return where the database stands if this code can work on it.

    A database that is ahead, one whose optional files are pending, and one that another tool
    migrates (ahead or behind), can be worked on; `apply` has the same answer. What is pending is
    logged in one line.

    Raises SchemaBehind naming what is missing, DirtySchema for a version half applied,
    InvalidTrack for an applied file that was changed since; and what `status` raises.
    """
    found = await status(dsn, tracks, password=password)
    check_usable(found, tracks)
    return found


def check_usable(found: Status, tracks: Iterable[Track]) -> None:
    """Raise what `verify` raises, unless this code can work on the database; log what is pending.

    On a database that another tool migrates, the library's own tracks may lack any file: methods
    name the migration that they need.
    """
    refuse_unsound(found)
    own = {track.name for track in tracks if not track.is_builtin}
    behind = [
        track
        for track in found.tracks
        if track.lacking
        and (not found.is_foreign or (track.name in own and track.moved_by != "another tool"))
    ]
    if behind:
        lacks = "; ".join(f"{_lack(track)} ({_files(track)})" for track in behind)
        raise SchemaBehind(f"{lacks}; run `agentrows migrate up`")
    log_ahead(found)
    log_pending(found)


def refuse_unsound(found: Status) -> None:
    """Raise DirtySchema or InvalidTrack for the first track that is half applied or was changed.

    A half applied optional file does not count.
    """
    refuse_changed(found)
    for track in found.tracks:
        if not track.is_half_applied:
            continue
        if track.at_work:
            raise DirtySchema(
                f"track {track.name!r}: a run is at work on version {track.version or 1}: "
                f"{', '.join(track.at_work)}"
            )
        raise DirtySchema(
            f"track {track.name!r}: an earlier run broke off in version {track.version or 1}; "
            "`agentrows migrate up` runs that version again and goes on"
        )


def refuse_changed(found: Status) -> None:
    """Raise InvalidTrack for the first track of which an applied file was changed."""
    for track in found.tracks:
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


def log_pending(found: Status, problem: str = "") -> None:
    """Log in one line of at most 200 characters what `agentrows migrate up` would do.

    `problem` is the error that kept optional files from being applied.
    """
    parts = [_lack(track) for track in found.tracks if track.lacking]
    optional = sum(len(track.optional) for track in found.tracks)
    parts += [f"optional files pending: {optional}"] if optional else []
    parts += [f"missing: {track.missing_summary}" for track in found.tracks if track.missing]
    if not parts:
        return
    parts += [f"not applied: {problem}"] if problem else []
    others = "another tool migrates this database; " if found.is_foreign else ""
    end = f"; {others}see `agentrows migrate plan` and `up`"
    text = "; ".join(parts)
    if len(text) + len(end) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE - len(end) - 2]} …"
    logger.warning("%s%s", text, end)


def _not_here(track: TrackStatus) -> str:
    files = ", ".join(track.not_here)
    return f" ({files}: of a newer release, or deleted)" if files else ""


def _lack(track: TrackStatus) -> str:
    return (
        f"track {track.name!r} is at {track.version or 'nothing'}, this code needs {track.required}"
    )


def _files(track: TrackStatus) -> str:
    """Name the first file that is lacking, and count the others."""
    first, *others = track.lacking
    return f"{first} and {len(others)} more" if others else first
