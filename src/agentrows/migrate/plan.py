"""What a run will do, decided from what was read, without a database.

The inputs are a tracking table's row, our history of a track, and the files; the outputs are the
steps, or an error that says why there can be none.
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
"""golang-migrate's number for "no version": of a dirty row after a failed first down, and of
history entries that say that a track was taken down to nothing."""

SAME_AS: Final = {
    "d20a4058b6f5beba8bdeb5145e94ef67c97ed8f60f084ba6d68524167224f703": (
        "0d494e482727fb19f91957a13b64b3cb0bc8bf272dddca03477e4e87c95a7fd7"
    )
}
"""Hashes of files that were corrected before the first release, with that of the corrected file.

vector/000001 said CREATE EXTENSION IF NOT EXISTS, which leaves the same schema behind.
"""

Mover = Literal["nobody", "agentrows", "another tool"]
Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Row:
    """A tracking table's only row."""

    version: int
    dirty: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a history table: the track was moved to this version.

    `sha256` is the hash of the up file that ran; there is none if another tool moved the track, if
    it was set by hand, and on the way down. `is_start` is entered with the dirty row of a file that
    runs outside of a transaction: if nothing follows, it broke off. `file` is the file's label, and
    `library` the release of agentrows that ran it.
    """

    version: int
    sha256: str | None
    is_start: bool = False
    file: str | None = None
    library: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One file to run.

    `heals` if an earlier run broke off in the middle of that version. `rebuilds` if the version is
    applied and an object that the file makes is missing.
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
        """The version that the tracking row says afterwards; NOTHING after the last way down."""
        if self.direction == "up":
            return self.migration.version
        return self.migration.version - 1 or NOTHING


def plan(applied: Row | None, known: LoadedTrack, target: int | None = None) -> tuple[Step, ...]:
    """Return the steps from what is applied to the target version, 0 for nothing at all.

    Without a target it is the newest file, and a database that is ahead needs no step. A dirty
    version is run again, whether a way up to it or a way down to it had broken off: up files can
    be applied twice. Raises DirtySchema for a dirty version that no file has, and for a dirty one
    when there is a target; MigrationError for a version that no tool writes, and for a target
    that cannot be reached.
    """
    if applied and (applied.version < 1 and applied != Row(NOTHING, dirty=True)):
        raise MigrationError(
            f"track {known.track.name!r}: {known.track.table} holds the version "
            f"{applied.version}, which stands for no file"
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
            f"track {name!r}: an earlier run broke off in version {max(version, 1)}; run "
            "`agentrows migrate up` first, which runs that version again"
        )
    if not 0 <= target <= known.newest:
        raise MigrationError(
            f"track {name!r} has no version {target}: it goes from 0 (nothing) to {known.newest}"
        )
    if version > known.newest:
        raise MigrationError(
            f"track {name!r} is at {version}, and the newest file here is {known.newest}: the "
            "release that has the files above it can take them down"
        )
    ups = [Step(each) for each in known.migrations if version < each.version <= target]
    downs = [
        Step(each, direction="down")
        for each in reversed(known.migrations)
        if target < each.version <= version
    ]
    return tuple(ups or downs)


def version_in(history: Iterable[Entry]) -> int | None:
    """Return where the history's last line says the track is; None if it says nothing."""
    last = _last(history)
    return last.version if last else None


def moved_by(row: Row | None, history: Iterable[Entry]) -> Mover:
    """Tell who wrote the tracking row last: ours is one on which our history agrees."""
    if row is None:
        return "nobody"
    last = _last(history)
    agrees = last is not None and row == Row(last.version, dirty=last.is_start)
    return "agentrows" if agrees else "another tool"


def external_move(row: Row | None, history: Iterable[Entry]) -> int | None:
    """Return the version to enter as moved by another tool; None if the history agrees.

    A dirty row is not entered: a run heals it, and enters that.
    """
    if row is not None and row.dirty:
        return None
    actual, last = row.version if row else NOTHING, _last(history) or Entry(NOTHING, None)
    return None if actual == last.version and not last.is_start else actual


def check_unchanged(history: Iterable[Entry], known: LoadedTrack) -> None:
    """Raise InvalidTrack if a file that we applied is not what it was then, or is gone.

    A file above the newest one may be a newer release's. It cannot be, in a track of the library,
    if the very release that runs now has applied it.
    """
    applied = _applied(history)
    for migration in known.migrations:
        entry, now = applied.get(migration.version), migration.up.sha256
        if entry and entry.sha256 is not None and SAME_AS.get(entry.sha256, entry.sha256) != now:
            raise InvalidTrack(
                f"{migration.up.label} was changed after it was applied: sha256 {entry.sha256} "
                f"then, {now} now; restore it, and put the change into a new migration"
            )
    for entry in not_here(history, known) if known.track.is_builtin else ():
        if entry.library == __version__:
            raise InvalidTrack(
                f"{entry.file} was applied by agentrows {__version__}, which this is, and is gone: "
                f"sha256 {entry.sha256} then; install the release anew"
            )


def not_here(history: Iterable[Entry], known: LoadedTrack) -> tuple[Entry, ...]:
    """Return what we applied and has no file here: a newer release's, or deleted since."""
    return tuple(entry for version, entry in _applied(history).items() if version > known.newest)


def _last(history: Iterable[Entry]) -> Entry | None:
    last: Entry | None = None
    for last in history:  # noqa: B007  the last one is wanted
        pass
    return last


def _applied(history: Iterable[Entry]) -> dict[int, Entry]:
    """Return each version that stands as we applied it."""
    applied: dict[int, Entry] = {}
    for entry in history:
        if entry.sha256 is None:
            # Another tool went down to here, or on from here with files of its own.
            applied = {version: e for version, e in applied.items() if version <= entry.version}
        else:
            applied[entry.version] = entry
    return applied
