"""The state of each track in a database, and its difference from the files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from agentrows.errors import InvalidTrack
from agentrows.migrate import ledger, server
from agentrows.migrate.differences import read_differences
from agentrows.migrate.ledger import TableNames
from agentrows.migrate.lock import lock_ids
from agentrows.migrate.missing_objects import Applied
from agentrows.migrate.plan import (
    Entry,
    Mover,
    Row,
    check_unchanged,
    find_mover,
    find_unknown_applied,
)
from agentrows.migrate.session import translating_errors
from agentrows.migrate.track import load_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentrows.db.sources import Connection
    from agentrows.migrate.differences import Differences
    from agentrows.migrate.ledger import TrackTables
    from agentrows.migrate.server import Session
    from agentrows.migrate.track import LoadedTrack, Track

SUMMARY_NAMES: Final = 2
"""The number of objects that a summary lists by name."""


@dataclass(frozen=True, slots=True)
class State:
    """The files of a track, and the content of its two tables."""

    known: LoadedTrack
    table_names: TableNames
    row: Row | None
    history: tuple[Entry, ...]
    is_readable: bool = True
    """Whether this role can read the tracking table; only an optional track may be unreadable."""

    @classmethod
    def from_tables(cls, known: LoadedTrack, tables: TrackTables) -> Self:
        """Return the state; raise MigrationError if the tracking table is not golang-migrate's."""
        return cls(known, tables.names, tables.tracking_row(), tables.history, tables.is_readable)

    @property
    def version(self) -> int:
        """The version of the tracking row, 0 for none."""
        return max(self.row.version, 0) if self.row else 0

    @property
    def applied(self) -> Applied:
        """The migrations that are completely applied."""
        dirty = self.row is not None and self.row.dirty
        return Applied(self.known, self.table_names, self.version - dirty)

    @property
    def mover(self) -> Mover:
        """The tool that wrote the tracking row last."""
        return find_mover(self.row, self.history)


@dataclass(frozen=True, slots=True)
class TrackStatus:
    """The status of one track in a database.

    `version`: the applied version, None if nothing is applied.
    `newest`: the version of the last file.
    `required`: the version that this release needs.
    `pending`: the labels of the files above `version`; `lacking` are those up to `required`, the
    others are optional.
    `changed`: an error message if an applied file was changed or removed later, else None.
    `unknown_applied`: the labels of applied files that this release does not have, because they
    belong to a newer release or were deleted.
    `lock_holders`: the sessions that hold the migration lock of a dirty track. If there are any, a
    run is still in progress.
    `missing`: objects that applied files created and the database lacks; `altered`: those with
    another definition. `broken`: those of them without which methods fail, each with its cure.
    Missing objects of optional files are not among them: `up` creates them again.
    `is_readable`: False if this role cannot read the tracking table of an optional track.
    """

    name: str
    table: str
    version: int | None
    newest: int
    dirty: bool
    moved_by: Mover
    pending: tuple[str, ...]
    changed: str | None
    unknown_applied: tuple[str, ...] = ()
    lock_holders: tuple[str, ...] = ()
    required: int = 0
    lacking: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    is_readable: bool = True
    altered: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def optional(self) -> tuple[str, ...]:
        """The labels of the pending files above the required version."""
        return self.pending[len(self.lacking) :]

    @property
    def missing_summary(self) -> str:
        """The first names of `missing`, and the number of the others; empty if there are none."""
        return _summarize(self.missing)

    @property
    def altered_summary(self) -> str:
        """The first objects of `altered`, and the number of the others."""
        return _summarize(self.altered)

    @property
    def is_half_applied(self) -> bool:
        """Whether an earlier run stopped in the middle of a required version."""
        # A dirty version above the newest file was left by a newer release. Only files without a
        # transaction leave a dirty version, and in a track with optional files these are optional.
        return self.dirty and (self.required == self.newest or (self.version or 1) <= self.required)

    @property
    def is_ahead(self) -> bool:
        """Whether a newer release migrated the database; this release still works on it."""
        return self.version is not None and self.version > self.newest


def _summarize(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SUMMARY_NAMES])
    more = len(names) - SUMMARY_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a database: its tracks, in the order in which they are applied."""

    tracks: tuple[TrackStatus, ...]

    @classmethod
    def from_states(cls, states: Iterable[State]) -> Self:
        """Return the status of these tracks."""
        return cls(describe_all(tuple(states)))

    @property
    def is_current(self) -> bool:
        """Whether no file is pending, optional files included, and no track dirty or changed.

        False too if methods fail because of a missing or changed object.
        """
        return not any(
            track.pending or track.dirty or track.changed or track.broken for track in self.tracks
        )

    @property
    def is_usable(self) -> bool:
        """Whether this release works on the database; optional files may be pending."""
        return not any(
            track.lacking or track.is_half_applied or track.changed or track.broken
            for track in self.tracks
        )

    @property
    def versions(self) -> dict[str, int]:
        """The version of each track that has one, by name; a dirty version is not included."""
        return {
            track.name: track.version - track.dirty
            for track in self.tracks
            if track.version is not None
        }

    @property
    def is_foreign(self) -> bool:
        """Whether another tool wrote a tracking row after the last run of agentrows."""
        return any(track.moved_by == "another tool" for track in self.tracks)


async def status_on(db: Connection, tracks: Sequence[Track]) -> Status:
    """Return the status of a database on the caller's connection. This only reads.

    Raises the errors of `Migrator.status`.
    """
    # Each statement has its own snapshot: golang-migrate rewrites its row with TRUNCATE, after
    # which the table is empty in an older snapshot.
    loaded = load_all(tracks)
    with translating_errors():
        session = await server.read_session(db)
        states = await read_states(db, loaded, session)
        differences = await read_differences(db, [state.applied for state in states])
        return Status(
            tuple(
                [
                    await with_lock_holders(db, track, state.table_names, session)
                    if track.dirty
                    else with_differences(track, differences[track.name])
                    for state, track in zip(states, describe_all(states), strict=True)
                ]
            )
        )


async def read_states(
    db: Connection, loaded: Sequence[LoadedTrack], session: Session
) -> tuple[State, ...]:
    """Read the state of every track; raise InvalidTrack if two tracks share a table."""
    names_per_track = resolve_table_names([known.track for known in loaded], session)
    tables = await read_tables(db, loaded, names_per_track)
    return tuple(
        State.from_tables(known, content) for known, content in zip(loaded, tables, strict=True)
    )


async def read_tables(
    db: Connection, loaded: Sequence[LoadedTrack], names_per_track: Sequence[TableNames]
) -> tuple[TrackTables, ...]:
    """Read the tables of every track; those of optional tracks if this role can read them."""
    optional = {
        names for known, names in zip(loaded, names_per_track, strict=True) if known.required == 0
    }
    return await ledger.read_all(db, names_per_track, optional=optional)


def resolve_table_names(tracks: Sequence[Track], session: Session) -> tuple[TableNames, ...]:
    """Return the names of each track's tables; raise InvalidTrack if two tracks share one."""
    owners: dict[str, str] = {}
    names_per_track = tuple(
        TableNames(track.schema or session.schema, track.table) for track in tracks
    )
    for track, names in zip(tracks, names_per_track, strict=True):
        for table in (names.tracking, names.history):
            if table in owners:
                raise InvalidTrack(
                    f"the tracks {owners[table]!r} and {track.name!r} both use the table {table}"
                )
            owners[table] = track.name
    return names_per_track


def describe_all(states: Sequence[State]) -> tuple[TrackStatus, ...]:
    """Return the status of each track.

    The optional files of a track are required while a track that declares `after` it lacks
    required files.
    """
    needed = {
        state.known.track.after
        for state in states
        if state.version < state.known.required and state.known.track.after
    }
    return tuple(
        describe(state, required=state.known.newest)
        if state.known.track.name in needed
        else describe(state)
        for state in states
    )


def describe(state: State, *, required: int | None = None) -> TrackStatus:
    """Return the status of a track; `required` overrides the version that the track declares."""
    row, known = state.row, state.known
    version = row.version if row and row.version > 0 else None
    required = known.required if required is None else required
    pending = [m for m in known.migrations if m.version > (version or 0) and state.is_readable]
    return TrackStatus(
        name=known.track.name,
        table=state.table_names.tracking,
        version=version,
        newest=known.newest,
        dirty=row is not None and row.dirty,
        moved_by=state.mover,
        required=required,
        is_readable=state.is_readable,
        pending=tuple(m.up.label for m in pending),
        lacking=tuple(m.up.label for m in pending if m.version <= required),
        changed=_changed(state),
        unknown_applied=tuple(
            entry.file or "" for entry in find_unknown_applied(state.history, known)
        ),
    )


def with_differences(track: TrackStatus, differences: Differences) -> TrackStatus:
    """Add the differences of a track's objects."""
    broken = tuple(
        f"{each} ({each.file}): {each.cure}"
        for each in differences.found
        if each.is_needed and not (each.is_rebuilt and track.required == 0)
    )
    return replace(track, missing=differences.missing, altered=differences.altered, broken=broken)


async def with_lock_holders(
    db: Connection, track: TrackStatus, names: TableNames, session: Session
) -> TrackStatus:
    """Add the holders of the migration lock, if the track is dirty."""
    if not track.dirty:
        return track
    holders = await server.lock_holders(db, lock_ids(session.database, [names]))
    return replace(track, lock_holders=tuple(map(str, holders)))


def _changed(state: State) -> str | None:
    try:
        check_unchanged(state.history, state.known)
    except InvalidTrack as error:
        return str(error)
    return None
