"""Read-only checks: the plan of `up`, and the problems of a database."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import asyncpg

from agentrows.errors import MigrationError
from agentrows.gen.table_stats import find_dead_rows, find_long_threads
from agentrows.migrate import index_catalog, ledger, server
from agentrows.migrate.differences import read_differences
from agentrows.migrate.memory_indexes import find_superseded_indexes, find_unindexed_memories
from agentrows.migrate.messages import server_message
from agentrows.migrate.missing_objects import Applied
from agentrows.migrate.rebuilds import select_rebuilds
from agentrows.migrate.report import PlannedFile
from agentrows.migrate.rollbacks import BlockedRollback, find_blocked_rollbacks
from agentrows.migrate.status import (
    State,
    TrackStatus,
    describe,
    describe_all,
    read_states,
    resolve_table_names,
    with_differences,
    with_lock_holders,
)
from agentrows.migrate.work import decide, schedule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from agentrows.gen.models import DeadRows, LongThreads
    from agentrows.migrate.differences import Difference, Differences
    from agentrows.migrate.ledger import TrackTables
    from agentrows.migrate.plan import Row, Step
    from agentrows.migrate.track import LoadedTrack

T = TypeVar("T")
REFUSED: Final = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InternalServerError,  # also a corrupted row or index of the catalog
    asyncpg.LockNotAvailableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedTableError,
)
"""The errors of one check, after which the others can be made."""


@dataclass(frozen=True, slots=True)
class TrackCheckup:
    """The result of the checks of one track.

    `table`: the tracking table, qualified and quoted; `rows` are its rows.
    `status`: None if the tracking table is not golang-migrate's.
    `problem`: the error that `up` would raise, or the reason for which the objects were not
    compared; without one, `steps` are the files it would run.
    `differences`: objects that are missing or have another definition, each with its cure.
    `missing`: the names of those that are missing. `repair_from`: the version to which
    `force` has to set the track, so that `up` creates those of required files again; None if their
    cures are statements.
    """

    name: str
    table: str
    rows: tuple[Row, ...]
    status: TrackStatus | None
    problem: str | None
    steps: tuple[PlannedFile, ...]
    missing: tuple[str, ...]
    repair_from: int | None
    differences: tuple[Difference, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether the track has no problem; pending files do not count as one."""
        dirty = any(row.dirty for row in self.rows)
        return not (dirty or self.problem or self.differences)


class InvalidIndex(NamedTuple):
    """An INVALID index, with its schema, and its table."""

    name: str
    table: str


class UnindexedMemories(NamedTuple):
    """An estimate of the memories with a number of dimensions, which have no valid index."""

    dimensions: int
    memories: int


class RefusedCheck(NamedTuple):
    """A check that was not made, and the error of the server."""

    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Checkup:
    """The result of the checks of a database; each INVALID index comes with its table.

    `unindexed_memories`: numbers of dimensions with an estimate of more than 10,000 memories in
    agentrows_memory and no valid index, which is a recommendation and no problem.
    `dead_rows`: tables of which more than 30 % of at least 10,000 rows are dead. `long_threads`:
    tables of at least 10,000 checkpoints with more than 50 per thread. Both are warnings, from
    estimates of the server. `blocked_rollbacks`: down files that fail while policies exist, which
    is a warning too. `superseded_indexes`: indexes of agentrows_memory that an older release built
    and no search uses; a warning. `unchecked`: the checks that the server refused, which is a
    problem.
    """

    tracks: tuple[TrackCheckup, ...]
    invalid_indexes: tuple[InvalidIndex, ...]
    unindexed_memories: tuple[UnindexedMemories, ...] = ()
    dead_rows: tuple[DeadRows, ...] = ()
    long_threads: tuple[LongThreads, ...] = ()
    blocked_rollbacks: tuple[BlockedRollback, ...] = ()
    superseded_indexes: tuple[str, ...] = ()
    unchecked: tuple[RefusedCheck, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether nothing needs an operator."""
        has_problem = bool(self.invalid_indexes or self.unchecked)
        return not has_problem and all(track.is_healthy for track in self.tracks)


async def check_tracks(db: asyncpg.Connection, loaded: Sequence[LoadedTrack]) -> Checkup:
    """Check every track in the caller's transaction; a problem is in the result, not raised."""
    session = await server.read_session(db)
    names_per_track = resolve_table_names([known.track for known in loaded], session)
    # A role that cannot read a tracking table gets a problem of the track, and the other checks.
    tables = await ledger.read_all(db, names_per_track, optional=names_per_track)
    schemas = sorted({names.schema for names in names_per_track})
    pairs = list(zip(loaded, tables, strict=True))
    applied = [_applied(known, content) for known, content in pairs]
    differences = await read_differences(db, applied)
    statuses = _describe_readable(pairs)
    checkups = [
        _check_track(known, content, statuses, differences[known.track.name])
        for known, content in pairs
    ]
    with_holders = [
        replace(checkup, status=await with_lock_holders(db, checkup.status, names, session))
        if checkup.status
        else checkup
        for checkup, names in zip(checkups, names_per_track, strict=True)
    ]
    checks = _DatabaseChecks(db)
    invalid = await checks.read("INVALID index", index_catalog.find_invalid_in_schemas(db, schemas))
    unindexed = await checks.read("memory index", find_unindexed_memories(db))
    return Checkup(
        tracks=tuple(with_holders),
        invalid_indexes=tuple(InvalidIndex(*index) for index in invalid),
        unindexed_memories=tuple(UnindexedMemories(*pair) for pair in unindexed),
        dead_rows=await checks.read("dead rows", find_dead_rows(db, schemas=schemas)),
        long_threads=await checks.read("long threads", find_long_threads(db, schemas=schemas)),
        blocked_rollbacks=await checks.read("roll back", find_blocked_rollbacks(db, applied)),
        superseded_indexes=await checks.read("old index", find_superseded_indexes(db)),
        unchecked=tuple(checks.refused),
    )


@dataclass(slots=True)
class _DatabaseChecks:
    """Checks that are independent of each other: an error of the server ends only one."""

    db: asyncpg.Connection
    refused: list[RefusedCheck] = field(default_factory=list[RefusedCheck])

    async def read(self, check: str, rows: Awaitable[Sequence[T]]) -> tuple[T, ...]:
        """Return the rows of a check; none, and a `RefusedCheck`, if the server raises an error."""
        try:
            async with self.db.transaction():
                return tuple(await rows)
        except REFUSED as error:
            self.refused.append(RefusedCheck(check, server_message(error)))
            return ()


async def plan_files(
    db: asyncpg.Connection,
    loaded: Sequence[LoadedTrack],
    *,
    track: str | None = None,
    target: int | None = None,
) -> tuple[PlannedFile, ...]:
    """Return the files that `up` would run now, or `goto` with a track and a target, in order.

    With a track alone: those of `up` for this track.
    """
    session = await server.read_session(db)
    states = await read_states(db, loaded, session)
    chosen = [state for state in states if track in (None, state.known.track.name)]
    is_up = target is None
    differences = await read_differences(db, [s.applied for s in chosen]) if is_up else {}
    works = schedule([decide(state, target) for state in chosen])
    order = [(work.state, step) for work in works for step in work.steps_in_run]
    order += [(work.state, step) for work in works for step in work.steps_after_commit]
    rebuilds = select_rebuilds(chosen, differences) if is_up else []
    order += [(rebuild.state, rebuild.step) for rebuild in rebuilds]
    required = {status.name: status.required for status in describe_all(states)}
    return tuple(_plan_file(state.known, step, required) for state, step in order)


def _check_track(
    known: LoadedTrack,
    content: TrackTables,
    statuses: Mapping[str, TrackStatus],
    differences: Differences,
) -> TrackCheckup:
    status, problem = statuses.get(known.track.name), None
    steps: tuple[PlannedFile, ...] = ()
    try:
        state = State.from_tables(known, content)
        status = with_differences(status or describe(state), differences)
        if known.required and not state.is_readable:
            problem = f"permission denied for table {content.names.tracking}"
        planned = decide(state).steps if state.is_readable else ()
        rebuilds = select_rebuilds([state], {known.track.name: differences})
        steps = tuple(
            _plan_file(known, step, {known.track.name: status.required})
            for step in (*planned, *(rebuild.step for rebuild in rebuilds))
        )
    except MigrationError as error:
        problem = str(error)
    problem = problem or differences.problem
    absent = [each for each in differences.found if each.actual is None]
    return TrackCheckup(
        name=known.track.name,
        table=content.names.tracking,
        rows=content.rows,
        status=status,
        problem=problem,
        steps=steps,
        missing=tuple(sorted(each.name for each in absent)),
        repair_from=min(
            (each.repair_from for each in absent if each.repair_from is not None), default=None
        ),
        differences=differences.found,
    )


def _plan_file(known: LoadedTrack, step: Step, required: Mapping[str, int]) -> PlannedFile:
    optional = step.migration.version > required[known.track.name]
    return PlannedFile.from_step(known.track, step, optional=optional)


def _describe_readable(pairs: Sequence[tuple[LoadedTrack, TrackTables]]) -> dict[str, TrackStatus]:
    """Return the status of each track with a tracking table of golang-migrate's, by name."""
    states: list[State] = []
    for known, content in pairs:
        with contextlib.suppress(MigrationError):
            states.append(State.from_tables(known, content))
    return {status.name: status for status in describe_all(states)}


def _applied(known: LoadedTrack, content: TrackTables) -> Applied:
    """Return the applied migrations; none if the tracking table has several rows."""
    row = content.rows[0] if len(content.rows) == 1 else None
    return Applied(known, content.names, row.version - row.dirty if row else 0)
