"""What a database holds of each track, and how that compares with the files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from agentrows.errors import InvalidTrack
from agentrows.migrate import ledger, server
from agentrows.migrate.ledger import Place
from agentrows.migrate.lock import lock_ids
from agentrows.migrate.missing import Applied
from agentrows.migrate.plan import Entry, Mover, Row, check_unchanged, moved_by, not_here

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentrows.db.sources import Connection
    from agentrows.migrate.ledger import Found
    from agentrows.migrate.server import Session
    from agentrows.migrate.track import LoadedTrack, Track

NAMED: Final = 2
"""How many missing objects a summary names."""


@dataclass(frozen=True, slots=True)
class State:
    """A track's files, where its tables are, and what they hold."""

    known: LoadedTrack
    place: Place
    row: Row | None
    history: tuple[Entry, ...]
    is_readable: bool = True
    """Whether this role can read the tracking table; only an optional track may be unreadable."""

    @classmethod
    def of(cls, known: LoadedTrack, found: Found) -> Self:
        """Return the state; raise MigrationError for a tracking table that is not one."""
        return cls(known, found.place, found.check(), found.history, found.is_readable)

    @property
    def version(self) -> int:
        """The version of the tracking row, 0 for none."""
        return max(self.row.version, 0) if self.row else 0

    @property
    def applied(self) -> Applied:
        """The migrations that are applied and whole."""
        dirty = self.row is not None and self.row.dirty
        return Applied(self.known, self.place, self.version - dirty)

    @property
    def mover(self) -> Mover:
        """Who wrote the tracking row last."""
        return moved_by(self.row, self.history)


@dataclass(frozen=True, slots=True)
class TrackStatus:
    """Where one track of a database stands.

    `version` is None if nothing is applied, `newest` is the last file's; `pending` are the labels
    of the files above `version`. `changed` says which applied file is no longer what it was, or is
    gone. `not_here` are the labels of applied files that this code has not: a newer release's, or
    deleted since. `at_work` are the sessions that hold the lock of a dirty track: a run that is not
    done yet. `required` is the version that this code needs: of the pending files, `lacking` are
    those up to it, and the others are optional. `missing` are indexes and storage settings that
    applied files made and the database no longer has. `is_readable` is False for an optional track
    whose table this role cannot read: nothing is known of it.
    """

    name: str
    table: str
    version: int | None
    newest: int
    dirty: bool
    moved_by: Mover
    pending: tuple[str, ...]
    changed: str | None
    not_here: tuple[str, ...] = ()
    at_work: tuple[str, ...] = ()
    required: int = 0
    lacking: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    is_readable: bool = True

    @property
    def optional(self) -> tuple[str, ...]:
        """The labels of the pending files that this code can do without."""
        return self.pending[len(self.lacking) :]

    @property
    def missing_summary(self) -> str:
        """The first names of `missing`, and the number of the others; empty if nothing is."""
        shown = ", ".join(self.missing[:NAMED])
        more = len(self.missing) - NAMED
        return f"{shown} and {more} more" if more > 0 else shown

    @property
    def is_half_applied(self) -> bool:
        """Whether a run broke off in a version that is not optional.

        A dirty version above the newest file is a newer release's. If this code has optional files,
        that release runs an optional one there: any other file is applied in a transaction.
        """
        return self.dirty and (self.required == self.newest or (self.version or 1) <= self.required)

    @property
    def is_ahead(self) -> bool:
        """Whether a newer release has migrated the database; that one works with this code."""
        return self.version is not None and self.version > self.newest


@dataclass(frozen=True, slots=True)
class Status:
    """Where every track of a database stands, in the order in which they are applied."""

    tracks: tuple[TrackStatus, ...]

    @classmethod
    def of(cls, states: Iterable[State]) -> Self:
        """Say where each track stands."""
        return cls(describe_all(tuple(states)))

    @property
    def is_current(self) -> bool:
        """Whether nothing is pending, optional files included, nor dirty, nor changed."""
        return not any(track.pending or track.dirty or track.changed for track in self.tracks)

    @property
    def is_usable(self) -> bool:
        """Whether this release can work on the database: only optional files may be pending."""
        return not any(
            track.lacking or track.is_half_applied or track.changed for track in self.tracks
        )

    @property
    def versions(self) -> dict[str, int]:
        """The version of each track that has one, by name; a dirty one counts as not there yet."""
        return {
            track.name: track.version - track.dirty
            for track in self.tracks
            if track.version is not None
        }

    @property
    def is_foreign(self) -> bool:
        """Whether another tool wrote a tracking row since our last run."""
        return any(track.moved_by == "another tool" for track in self.tracks)


async def read_states(
    db: Connection, loaded: Sequence[LoadedTrack], session: Session
) -> tuple[State, ...]:
    """Read every track's row and history; raise InvalidTrack if two tracks share a table."""
    places = locate([each.track for each in loaded], session)
    found = await read_tables(db, loaded, places)
    return tuple(State.of(known, each) for known, each in zip(loaded, found, strict=True))


async def read_tables(
    db: Connection, loaded: Sequence[LoadedTrack], places: Sequence[Place]
) -> tuple[Found, ...]:
    """Read every track's tables; those of optional tracks only as far as this role can."""
    optional = {place for known, place in zip(loaded, places, strict=True) if known.required == 0}
    return await ledger.read_all(db, places, optional=optional)


def locate(tracks: Sequence[Track], session: Session) -> tuple[Place, ...]:
    """Return where each track's tables are; raise InvalidTrack if two tracks share one."""
    owners: dict[str, str] = {}
    places = tuple(Place(track.schema or session.schema, track.table) for track in tracks)
    for track, place in zip(tracks, places, strict=True):
        for table in (place.tracking, place.history):
            if table in owners:
                raise InvalidTrack(
                    f"the tracks {owners[table]!r} and {track.name!r} both use the table {table}"
                )
            owners[table] = track.name
    return places


def describe_all(states: Sequence[State]) -> tuple[TrackStatus, ...]:
    """Return where each track stands.

    A track's optional files are required while one that comes `after` it lacks files.
    """
    waited_for = {
        state.known.track.after
        for state in states
        if state.version < state.known.required and state.known.track.after
    }
    return tuple(
        describe(state, required=state.known.newest)
        if state.known.track.name in waited_for
        else describe(state)
        for state in states
    )


def describe(state: State, *, required: int | None = None) -> TrackStatus:
    """Return where a track stands; `required` replaces the version that the track declares."""
    row, known = state.row, state.known
    version = row.version if row and row.version > 0 else None
    required = known.required if required is None else required
    pending = [m for m in known.migrations if m.version > (version or 0) and state.is_readable]
    return TrackStatus(
        name=known.track.name,
        table=state.place.tracking,
        version=version,
        newest=known.newest,
        dirty=row is not None and row.dirty,
        moved_by=state.mover,
        required=required,
        is_readable=state.is_readable,
        pending=tuple(m.up.label for m in pending),
        lacking=tuple(m.up.label for m in pending if m.version <= required),
        changed=_changed(state),
        not_here=tuple(entry.file or "" for entry in not_here(state.history, known)),
    )


async def with_runner(
    db: Connection, track: TrackStatus, place: Place, session: Session
) -> TrackStatus:
    """Add who holds the migration lock, if the track is dirty."""
    if not track.dirty:
        return track
    holders = await server.lock_holders(db, lock_ids(session.database, [place]))
    return replace(track, at_work=tuple(map(str, holders)))


def _changed(state: State) -> str | None:
    try:
        check_unchanged(state.history, state.known)
    except InvalidTrack as error:
        return str(error)
    return None
