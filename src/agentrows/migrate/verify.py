"""Checks of a status: whether this release works on the database, and which files are pending."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from agentrows.errors import DirtySchema, InvalidTrack, SchemaBehind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentrows.migrate.status import Status, TrackStatus
    from agentrows.migrate.track import Track

logger = logging.getLogger(__name__)

LONGEST_LINE: Final = 200


def check_usable(status: Status, tracks: Iterable[Track]) -> None:
    """Raise the errors of `Migrator.verify`; log the pending files of a usable database.

    On a database that another tool migrates, the library's own tracks may lack any file: methods
    name the migration that they need.
    """
    refuse_unsound(status)
    own = {track.name for track in tracks if not track.is_builtin}
    behind = [
        track
        for track in status.tracks
        if track.lacking
        and (not status.is_foreign or (track.name in own and track.moved_by != "another tool"))
    ]
    if behind:
        problems = "; ".join(f"{_describe_lack(track)} ({_list_files(track)})" for track in behind)
        raise SchemaBehind(f"{problems}; run `agentrows migrate up`")
    refuse_broken(status)
    log_ahead(status)
    log_pending(status)


def refuse_unsound(status: Status) -> None:
    """Raise InvalidTrack for a changed file, DirtySchema for a half applied required one."""
    refuse_changed(status)
    for track in status.tracks:
        if not track.is_half_applied:
            continue
        if track.lock_holders:
            raise DirtySchema(
                f"track {track.name!r}: a run is still applying version {track.version or 1}: "
                f"{', '.join(track.lock_holders)}"
            )
        raise DirtySchema(
            f"track {track.name!r}: an earlier run stopped in version {track.version or 1}; "
            "`agentrows migrate up` runs that version again and continues"
        )


def refuse_changed(status: Status) -> None:
    """Raise InvalidTrack for the first track with an applied file that was changed."""
    for track in status.tracks:
        if track.changed:
            raise InvalidTrack(track.changed)


def refuse_broken(status: Status) -> None:
    """Raise SchemaBehind for the first object without which methods fail."""
    broken = [problem for track in status.tracks for problem in track.broken]
    if broken:
        more = f"; and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise SchemaBehind(f"{broken[0]}{more}; `agentrows migrate doctor` lists every difference")


def log_ahead(status: Status) -> None:
    """Log the tracks that a newer release has migrated."""
    for track in status.tracks:
        if track.is_ahead:
            logger.info(
                "track %r is at %s, this release has files up to %s: compatibility mode%s",
                *(track.name, track.version, track.newest, _list_unknown(track)),
            )


def log_pending(status: Status, problem: str = "") -> None:
    """Log the pending files and missing objects in one line of at most 200 characters.

    `problem` is the error that stopped the optional files.
    """
    parts = [_describe_lack(track) for track in status.tracks if track.lacking]
    optional = sum(len(track.optional) for track in status.tracks)
    parts += [f"optional files pending: {optional}"] if optional else []
    parts += [f"missing: {track.missing_summary}" for track in status.tracks if track.missing]
    parts += [f"changed: {track.altered_summary}" for track in status.tracks if track.altered]
    if not parts:
        return
    parts += [f"not applied: {problem}"] if problem else []
    others = "another tool migrates this database; " if status.is_foreign else ""
    end = f"; {others}see `agentrows migrate doctor` and `plan`"
    text = "; ".join(parts)
    if len(text) + len(end) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE - len(end) - 2]} …"
    logger.warning("%s%s", text, end)


def _list_unknown(track: TrackStatus) -> str:
    files = ", ".join(track.unknown_applied)
    return f" ({files}: of a newer release, or deleted)" if files else ""


def _describe_lack(track: TrackStatus) -> str:
    return (
        f"track {track.name!r} is at {track.version or 'nothing'}, this release needs "
        f"{track.required}"
    )


def _list_files(track: TrackStatus) -> str:
    """Return the label of the first lacking file, and the number of the others."""
    first, *others = track.lacking
    return f"{first} and {len(others)} more" if others else first
