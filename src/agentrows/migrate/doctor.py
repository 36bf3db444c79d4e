"""Looks at a database and changes nothing: what `up` would do, and what is not as it should be."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentrows.db.pool import connect
from agentrows.errors import MigrationError
from agentrows.migrate import catalog, ledger
from agentrows.migrate.act import decide, in_order
from agentrows.migrate.indexes import created_in, standing_after
from agentrows.migrate.runs import PlannedFile
from agentrows.migrate.session import closing, driver_errors
from agentrows.migrate.state import State, TrackStatus, describe, locate, read_states, with_runner
from agentrows.migrate.track import load_all, named

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    import asyncpg

    from agentrows.config import Password
    from agentrows.migrate.catalog import Session
    from agentrows.migrate.ledger import Found
    from agentrows.migrate.plan import Row
    from agentrows.migrate.track import LoadedTrack, Track


@dataclass(frozen=True, slots=True)
class TrackCheckup:
    """What there is to know of one track.

    `status` is None if its tracking table cannot be read as one; `problem` says why `up` would
    refuse, else `steps` are the files that it would run. `missing_indexes` are those that the
    applied files make (as far as their text shows it) and the database has not; once `force` has
    set the track to `repair_from`, `up` makes them again.
    """

    name: str
    table: str
    rows: tuple[Row, ...]
    status: TrackStatus | None
    problem: str | None
    steps: tuple[PlannedFile, ...]
    missing_indexes: tuple[str, ...]
    repair_from: int | None

    @property
    def is_healthy(self) -> bool:
        """Whether the track is whole; pending files are no illness."""
        dirty = any(row.dirty for row in self.rows)
        return not (dirty or self.problem or self.missing_indexes)


@dataclass(frozen=True, slots=True)
class Checkup:
    """What there is to know of a database; each INVALID index comes with its table."""

    tracks: tuple[TrackCheckup, ...]
    invalid_indexes: tuple[tuple[str, str], ...]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing needs an operator."""
        return not self.invalid_indexes and all(track.is_healthy for track in self.tracks)


async def doctor(dsn: str, tracks: Sequence[Track], *, password: Password | None = None) -> Checkup:
    """Look at every track; an illness is in the result, and no error.

    Raises InvalidTrack for malformed files, Unavailable and ConfigError as connecting does.
    """
    loaded = load_all(tracks)
    async with _reading(dsn, password) as (db, session):
        places = locate([each.track for each in loaded], session)
        found = await ledger.read_all(db, places)
        schemas = sorted({place.schema for place in places})
        invalid = await catalog.invalid_in(db, schemas)
        present = await catalog.indexes_in(db, schemas)
        expected = _expected(loaded, found)
        checkups = [
            _look(known, each, _missing(expected, known, present))
            for known, each in zip(loaded, found, strict=True)
        ]
        told = [
            replace(each, status=await with_runner(db, each.status, place, session))
            if each.status
            else each
            for each, place in zip(checkups, places, strict=True)
        ]
    return Checkup(tuple(told), tuple(invalid))


async def plan(
    dsn: str,
    tracks: Sequence[Track],
    *,
    track: str | None = None,
    target: int | None = None,
    password: Password | None = None,
) -> tuple[PlannedFile, ...]:
    """Return the files that `up` would run now, or `goto` with a track and a target, in order.

    Raises what `up` raises before it acts: InvalidTrack, DirtySchema, MigrationError.
    """
    loaded = load_all(tracks)
    if track is not None:
        named(loaded, track)
    async with _reading(dsn, password) as (db, session):
        states = await read_states(db, loaded, session)
    works = in_order(
        [
            decide(state, target)
            for state in states
            if track is None or state.known.track.name == track
        ]
    )
    order = [(work, step) for work in works for step in work.now]
    order += [(work, step) for work in works for step in work.later]
    return tuple(PlannedFile.of(work.state.known.track, step) for work, step in order)


@contextlib.asynccontextmanager
async def _reading(
    dsn: str, password: Password | None
) -> AsyncGenerator[tuple[asyncpg.Connection, Session]]:
    db = await connect(dsn, application_name="agentrows migrate", password=password)
    async with closing(db):
        with driver_errors():
            yield db, await catalog.read_session(db)


def _look(known: LoadedTrack, found: Found, missing: tuple[str, ...]) -> TrackCheckup:
    status, problem = None, None
    steps: tuple[PlannedFile, ...] = ()
    try:
        state = State(known, found.place, found.check(), found.history)
        status = describe(state)
        steps = tuple(PlannedFile.of(known.track, step) for step in decide(state).steps)
    except MigrationError as error:
        problem = str(error)
    return TrackCheckup(
        name=known.track.name,
        table=found.place.tracking,
        rows=found.rows,
        status=status,
        problem=problem,
        steps=steps,
        missing_indexes=missing,
        repair_from=_repair_from(known, missing),
    )


def _repair_from(known: LoadedTrack, missing: tuple[str, ...]) -> int | None:
    """Return the version before the first file that makes a missing index."""
    makers = (
        migration.version
        for migration in known.migrations
        if any(index.name in missing for index in created_in(migration.up))
    )
    return min((version - 1 for version in makers), default=None)


def _expected(
    loaded: Sequence[LoadedTrack], found: Sequence[Found]
) -> Mapping[str, tuple[str, str]]:
    """Return the indexes that the applied files of all tracks leave: their tables, and whose."""
    owners: dict[str, tuple[str, str]] = {}
    for known, each in zip(loaded, found, strict=True):
        row = each.rows[0] if len(each.rows) == 1 else None
        if row is None:
            continue
        applied = [m.up for m in known.migrations if m.version <= row.version - row.dirty]
        for name, table in standing_after(applied).items():
            owners[name] = table, known.track.name
    return owners


def _missing(
    expected: Mapping[str, tuple[str, str]], known: LoadedTrack, present: set[tuple[str, str]]
) -> tuple[str, ...]:
    return tuple(
        sorted(
            name
            for name, (table, owner) in expected.items()
            if owner == known.track.name and (name, table) not in present
        )
    )
