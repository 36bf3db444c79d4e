"""The steps of a run, decided without a database.

The inputs are the row of a tracking table, the history of the track, and its files. The output is
a list of steps, or an error if there is no way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from agentrows._version import __version__
from agentrows.errors import DirtySchema, InvalidTrack, MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentrows.migrate.track import File, LoadedTrack, Migration

NOTHING: Final = -1
"""golang-migrate's number for "no version": in a dirty row after a failed first down file, and in
history entries of a track that was rolled back completely."""

SAME_AS: Final = {
    "d20a4058b6f5beba8bdeb5145e94ef67c97ed8f60f084ba6d68524167224f703": (
        "0d494e482727fb19f91957a13b64b3cb0bc8bf272dddca03477e4e87c95a7fd7"
    )
}
"""Hashes of files that were corrected before the first release, each with its correction's.

vector/000001 had CREATE EXTENSION IF NOT EXISTS, which creates the same schema.
"""

Mover = Literal["nobody", "agentrows", "another tool"]
Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Row:
    """The only row of a tracking table."""

    version: int
    dirty: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a history table: a move of the track to a version.

    `sha256`: the hash of the up file; None for a down file, another tool's move and `force`.
    `is_start`: the start of a file without a transaction; if no entry follows, it was interrupted.
    `file`: the label of the file.
    `library`: the release of agentrows that ran it.
    """

    version: int
    sha256: str | None
    is_start: bool = False
    file: str | None = None
    library: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One file to run.

    `heals`: an earlier run stopped in the middle of this version.
    `rebuilds`: the version is applied, and an object that the file creates is missing.
    """

    migration: Migration
    heals: bool = False
    direction: Direction = "up"
    rebuilds: bool = False

    @property
    def file(self) -> File:
        """The file that runs."""
        return self.migration.up if self.direction == "up" else self.migration.down

    @property
    def reaches(self) -> int:
        """The version in the tracking row afterwards; NOTHING after the last down file."""
        if self.direction == "up":
            return self.migration.version
        return self.migration.version - 1 or NOTHING


def plan_steps(
    applied: Row | None, known: LoadedTrack, target: int | None = None
) -> tuple[Step, ...]:
    """Return the steps from the applied version to the target; 0 rolls back every file.

    Without a target it is the newest file, and a database that is ahead needs no step. The up file
    of a dirty version is run again, also if its down file was interrupted: up files can be applied
    twice.

    Raises:
        DirtySchema: the dirty version has no file, or there is a target.
        MigrationError: no tool writes such a version, or the target cannot be reached.

    """
    if applied and (applied.version < 1 and applied != Row(NOTHING, dirty=True)):
        raise MigrationError(
            f"track {known.track.name!r}: {known.track.table} has the version "
            f"{applied.version}, which no tool writes: correct the row by hand"
        )
    if applied and applied.dirty and applied.version > known.newest:
        raise DirtySchema(
            f"track {known.track.name!r} is dirty at version {applied.version}, and the newest "
            f"file here is {known.newest}: run the release that has this version"
        )
    if target is None:
        return _to_newest(applied, known)
    return _to(target, applied, known)


def _to_newest(applied: Row | None, known: LoadedTrack) -> tuple[Step, ...]:
    dirty = applied is not None and applied.dirty
    version = applied.version if applied else 0
    first = version if dirty else version + 1
    return tuple(
        Step(migration, heals=dirty and migration.version == version)
        for migration in known.migrations
        if migration.version >= first
    )


def _to(target: int, applied: Row | None, known: LoadedTrack) -> tuple[Step, ...]:
    name, version = known.track.name, applied.version if applied else 0
    if applied and applied.dirty:
        raise DirtySchema(
            f"track {name!r}: an earlier run stopped in version {max(version, 1)}; run "
            "`agentrows migrate up` first, which runs that version again"
        )
    if not 0 <= target <= known.newest:
        raise MigrationError(
            f"track {name!r} has no version {target}: choose from 0 (nothing) to {known.newest}"
        )
    if version > known.newest:
        raise MigrationError(
            f"track {name!r} is at {version}, and the newest file here is {known.newest}: use the "
            "release that has the files above it to roll them back"
        )
    ups = [Step(each) for each in known.migrations if version < each.version <= target]
    downs = [
        Step(each, direction="down")
        for each in reversed(known.migrations)
        if target < each.version <= version
    ]
    return tuple(ups or downs)


def version_in(history: Iterable[Entry]) -> int | None:
    """Return the version of the last entry of a history; None if it is empty."""
    last = _last(history)
    return last.version if last else None


def find_mover(row: Row | None, history: Iterable[Entry]) -> Mover:
    """Return the tool that wrote the tracking row last: agentrows if the history agrees."""
    if row is None:
        return "nobody"
    last = _last(history)
    agrees = last is not None and row == Row(last.version, dirty=last.is_start)
    return "agentrows" if agrees else "another tool"


def external_move(row: Row | None, history: Iterable[Entry]) -> int | None:
    """Return the version to which another tool moved the track; None if the history agrees.

    None for a dirty row too: a run repairs it, and records that.
    """
    if row is not None and row.dirty:
        return None
    actual, last = row.version if row else NOTHING, _last(history) or Entry(NOTHING, None)
    return None if actual == last.version and not last.is_start else actual


def check_unchanged(history: Iterable[Entry], known: LoadedTrack) -> None:
    """Raise InvalidTrack if a file was changed or removed after it was applied."""
    applied = _applied(history)
    for migration in known.migrations:
        entry, now = applied.get(migration.version), migration.up.sha256
        if entry and entry.sha256 is not None and SAME_AS.get(entry.sha256, entry.sha256) != now:
            raise InvalidTrack(
                f"{migration.up.label} was changed after it was applied: sha256 {entry.sha256} "
                f"then, {now} now; restore it, and put the change into a new migration"
            )
    # A file above the newest one usually belongs to a newer release; not if this one applied it.
    for entry in find_unknown_applied(history, known) if known.track.is_builtin else ():
        if entry.library == __version__:
            raise InvalidTrack(
                f"{entry.file} was applied by agentrows {__version__}, this release, and is "
                f"missing: sha256 {entry.sha256} then; install the release again"
            )


def find_unknown_applied(history: Iterable[Entry], known: LoadedTrack) -> tuple[Entry, ...]:
    """Return the applied files that this release lacks: of a newer release, or deleted later."""
    return tuple(entry for version, entry in _applied(history).items() if version > known.newest)


def _last(history: Iterable[Entry]) -> Entry | None:
    last: Entry | None = None
    for last in history:  # noqa: B007  the last one is wanted
        pass
    return last


def _applied(history: Iterable[Entry]) -> dict[int, Entry]:
    """Return the entry of each version that agentrows applied and no later move removed."""
    applied: dict[int, Entry] = {}
    for entry in history:
        if entry.sha256 is None:
            # Another tool rolled back to this version, or continued with files of its own.
            applied = {version: e for version, e in applied.items() if version <= entry.version}
        else:
            applied[entry.version] = entry
    return applied
