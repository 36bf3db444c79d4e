"""What a run will do, decided from what was read, without a database.

The inputs are a tracking table's row, our history of a track, and the files; the outputs are the
steps, or an error that says why there can be none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from agentrows.errors import DirtySchema, InvalidTrack, MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentrows.migrate.track import LoadedTrack, Migration

NOTHING: Final = -1
"""golang-migrate's number for "no version": of a dirty row after a failed first down, and of
history entries that say that a track was taken down to nothing."""

Mover = Literal["nobody", "agentrows", "another tool"]


@dataclass(frozen=True, slots=True)
class Row:
    """A tracking table's only row."""

    version: int
    dirty: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a history table: the track was moved to this version.

    `sha256` is the hash of the file that ran; an external entry (another tool moved it) has none.
    """

    version: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One file to run; `heals` if an earlier run broke off in the middle of that version."""

    migration: Migration
    heals: bool = False


def plan(row: Row | None, known: LoadedTrack) -> tuple[Step, ...]:
    """Return the steps from what is applied to the newest file; none if the database is ahead.

    A dirty version is run again, whether a way up to it or a way down to it had broken off: up
    files can be applied twice. Raises DirtySchema for a dirty version that no file has, and
    MigrationError for a version that no tool writes.
    """
    if row is None:
        return tuple(Step(migration) for migration in known.migrations)
    if row.dirty and row.version > known.newest:
        raise DirtySchema(
            f"track {known.track.name!r} is dirty at version {row.version}, and the newest file "
            f"here is {known.newest}: run the release that has this version"
        )
    if row.version < 1 and row != Row(NOTHING, dirty=True):
        raise MigrationError(
            f"track {known.track.name!r}: {known.track.table} holds the version {row.version}, "
            "which stands for no file"
        )
    first = row.version if row.dirty else row.version + 1
    return tuple(
        Step(migration, heals=row.dirty and migration.version == row.version)
        for migration in known.migrations
        if migration.version >= first
    )


def version_in(history: Iterable[Entry]) -> int | None:
    """Return where the history's last line says the track is; None if it says nothing."""
    version: int | None = None
    for entry in history:
        version = entry.version
    return version


def moved_by(row: Row | None, history: Iterable[Entry]) -> Mover:
    """Tell who wrote the tracking row last: ours is one on which our history agrees."""
    if row is None:
        return "nobody"
    recorded = version_in(history)
    agrees = recorded is not None and row == Row(recorded, dirty=False)
    return "agentrows" if agrees else "another tool"


def external_move(row: Row | None, history: Iterable[Entry]) -> int | None:
    """Return the version to enter as moved by another tool; None if the history agrees.

    A dirty row is not entered: a run heals it, and enters that.
    """
    if row is not None and row.dirty:
        return None
    actual = row.version if row else NOTHING
    recorded = version_in(history)
    return None if actual == (NOTHING if recorded is None else recorded) else actual


def check_unchanged(history: Iterable[Entry], known: LoadedTrack) -> None:
    """Raise InvalidTrack if a file that we applied is not what it was then."""
    applied = _hashes(history)
    for migration in known.migrations:
        before, now = applied.get(migration.version), migration.up.sha256
        if before not in (None, now):
            raise InvalidTrack(
                f"{migration.up.label} was changed after it was applied: sha256 {before} then, "
                f"{now} now; restore it, and put the change into a new migration"
            )


def _hashes(history: Iterable[Entry]) -> dict[int, str]:
    """Return the hash of each version that stands as we applied it."""
    hashes: dict[int, str] = {}
    for entry in history:
        if entry.sha256 is None:
            # Another tool went down to here, or on from here with files of its own.
            hashes = {v: sha256 for v, sha256 in hashes.items() if v <= entry.version}
        else:
            hashes[entry.version] = entry.sha256
    return hashes
