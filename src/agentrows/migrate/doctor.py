"""Looks at a database and changes nothing: what `up` would do, and what is not as it should be."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentrows.db.connect import connect
from agentrows.errors import MigrationError
from agentrows.migrate import server
from agentrows.migrate.missing import Applied, read_missing
from agentrows.migrate.rebuilds import rebuilds_in
from agentrows.migrate.report import PlannedFile
from agentrows.migrate.session import closing, driver_errors
from agentrows.migrate.status import (
    State,
    TrackStatus,
    describe,
    describe_all,
    locate,
    read_states,
    read_tables,
    with_runner,
)
from agentrows.migrate.track import load_all, named
from agentrows.migrate.work import decide, in_order

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    import asyncpg

    from agentrows.config import Password
    from agentrows.migrate.ledger import Found
    from agentrows.migrate.missing import Missing
    from agentrows.migrate.plan import Row, Step
    from agentrows.migrate.server import Session
    from agentrows.migrate.track import LoadedTrack, Track


@dataclass(frozen=True, slots=True)
class TrackCheckup:
    """What there is to know of one track.

    `status` is None if its tracking table cannot be read as one; `problem` says why `up` would
    refuse, else `steps` are the files that it would run. `missing_indexes` are indexes and storage
    settings that the applied files make (as far as their text shows it) and the database lacks.
    `up` makes those of optional files again; for the others, it does once `force` has set the track
    to `repair_from`.
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
        found = await read_tables(db, loaded, places)
        invalid = await server.invalid_in(db, sorted({place.schema for place in places}))
        applied = [_applied(known, each) for known, each in zip(loaded, found, strict=True)]
        missing = await read_missing(db, applied)
        described = _describe(loaded, found)
        checkups = [
            _look(known, each, described, missing[known.track.name])
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
        is_up = track is None and target is None
        missing = await read_missing(db, [s.applied for s in states]) if is_up else {}
    works = in_order(
        [
            decide(state, target)
            for state in states
            if track is None or state.known.track.name == track
        ]
    )
    order = [(work.state, step) for work in works for step in work.now]
    order += [(work.state, step) for work in works for step in work.later]
    order += [(each.state, each.step) for each in rebuilds_in(states, missing)] if is_up else []
    required = {each.name: each.required for each in describe_all(states)}
    return tuple(_planned(state.known, step, required) for state, step in order)


@contextlib.asynccontextmanager
async def _reading(
    dsn: str, password: Password | None
) -> AsyncGenerator[tuple[asyncpg.Connection, Session]]:
    db = await connect(dsn, application_name="agentrows migrate", password=password)
    async with closing(db):
        with driver_errors():
            yield db, await server.read_session(db)


def _look(
    known: LoadedTrack,
    found: Found,
    described: Mapping[str, TrackStatus],
    missing: Sequence[Missing],
) -> TrackCheckup:
    status, problem = described.get(known.track.name), None
    steps: tuple[PlannedFile, ...] = ()
    try:
        state = State.of(known, found)
        names = tuple(map(str, missing))
        status = replace(status or describe(state), missing=names)
        planned = decide(state).steps if state.is_readable else ()
        again = [each.step for each in rebuilds_in([state], {known.track.name: missing})]
        steps = tuple(
            _planned(known, step, {known.track.name: status.required})
            for step in (*planned, *again)
        )
    except MigrationError as error:
        problem = str(error)
    absent = [each for each in missing if not each.is_invalid]
    return TrackCheckup(
        name=known.track.name,
        table=found.place.tracking,
        rows=found.rows,
        status=status,
        problem=problem,
        steps=steps,
        missing_indexes=tuple(sorted(map(str, absent))),
        repair_from=min(
            (e.migration.version - 1 for e in absent if e.migration.version <= known.required),
            default=None,
        ),
    )


def _planned(known: LoadedTrack, step: Step, required: Mapping[str, int]) -> PlannedFile:
    optional = step.migration.version > required[known.track.name]
    return PlannedFile.of(known.track, step, optional=optional)


def _describe(loaded: Sequence[LoadedTrack], found: Sequence[Found]) -> dict[str, TrackStatus]:
    """Return where the tracks stand whose tracking table is one."""
    states: list[State] = []
    for known, each in zip(loaded, found, strict=True):
        with contextlib.suppress(MigrationError):
            states.append(State.of(known, each))
    return {status.name: status for status in describe_all(states)}


def _applied(known: LoadedTrack, found: Found) -> Applied:
    """Return the applied migrations; none if the tracking table has several rows."""
    row = found.rows[0] if len(found.rows) == 1 else None
    return Applied(known, found.place, row.version - row.dirty if row else 0)
