"""Applies what is pending, over all tracks, in one transaction and under golang-migrate's locks.

A failure anywhere is a plain ROLLBACK: the database is as it was, no down file has to run, and a
replica that lost the race for the lock has nothing to undo.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.db.connect import connect
from agentrows.errors import AgentRowsError, ConfigError, MigrationError
from agentrows.migrate import ledger, relations, server
from agentrows.migrate.file_watch import Watcher
from agentrows.migrate.lock import hold, lock_ids
from agentrows.migrate.plan import NOTHING, Row, version_in
from agentrows.migrate.privileges import tables_in
from agentrows.migrate.report import FileRun, Options, Report
from agentrows.migrate.run import Run, leave
from agentrows.migrate.session import POOLED, OwnSession, closing, driver_errors
from agentrows.migrate.status import State, Status, locate
from agentrows.migrate.track import load_all, named
from agentrows.migrate.verify import log_ahead, log_pending, refuse_changed, status
from agentrows.migrate.work import Work, decide

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from agentrows.config import Password
    from agentrows.migrate.report import OnProgress, Transactions
    from agentrows.migrate.server import Session
    from agentrows.migrate.track import LoadedTrack, Track

SMALL_TABLES: Final = 8 * 1024 * 1024
"""Bytes of the tables up to which `apply` builds their optional indexes itself."""


async def up(  # noqa: PLR0913  one argument per thing to say
    dsn: str,
    tracks: Sequence[Track],
    *,
    transaction: Transactions = "run",
    runner_lock_timeout_s: float = 60.0,
    ddl_lock_timeout_s: float = 5.0,
    on_progress: OnProgress | None = None,
    password: Password | None = None,
) -> Report:
    """Apply every pending file of every track, in one transaction.

    With `transaction="file"` each file has its own: a large database is not locked from the first
    file to the last, and a run that stops keeps what is committed. A file that allows no
    transaction runs after all others, its version dirty until it is done.

    Waits up to `runner_lock_timeout_s` for other runners, and in each statement up to
    `ddl_lock_timeout_s` for a table in use; such a wait that fails is tried again, five times in
    all. `on_progress` is called when a file starts and when it is done, in each try anew. A version
    that an earlier run left half applied is run again first. An applied optional file whose index
    or storage setting is missing is run again last. `password` is asked for the connection and wins
    over the DSN's.

    Raises InvalidTrack, ConfigError, Unavailable and LockTimeout before anything was done;
    MigrationFailed, DirtySchema, MigrationError after a rollback; OutcomeUnknown if the connection
    was lost during COMMIT.
    """
    options = Options(
        runner_lock_timeout_s, ddl_lock_timeout_s, on_progress, transaction, rebuilds=True
    )
    async with _run(dsn, load_all(tracks), options, password) as run:
        return await run.execute(lambda states: [decide(state) for state in states])


async def apply(  # noqa: PLR0913  one argument per thing to say
    dsn: str,
    tracks: Sequence[Track],
    *,
    runner_lock_timeout_s: float = 60.0,
    ddl_lock_timeout_s: float = 5.0,
    on_progress: OnProgress | None = None,
    password: Password | None = None,
) -> Report:
    """Apply the required files, unless another tool migrates this database: then change nothing.

    A database is ours if it has no tracking rows (it is empty, or an ORM made it), or if our
    history agrees with them. Any other is served as it is, ahead or behind, until `up` is called;
    it must only pass `verify`. What a run of ours left half applied is run again.

    Only the tracks that have required files are locked, and only if one is pending: a session that
    builds indexes keeps no service waiting. Optional files are then applied where their tables are
    smaller than 8 MB and nothing is in the way; a failure there is logged. Any others are left to
    `up`.
    """
    loaded = load_all(tracks)
    options = Options(runner_lock_timeout_s, ddl_lock_timeout_s, on_progress)
    found = await status(dsn, tracks, password=password)
    if found.is_foreign:
        return leave(found, tracks)
    refuse_changed(found)
    files: tuple[FileRun, ...] = ()
    if not found.is_usable:
        required = {track.name: track.required for track in found.tracks if track.required}
        files = await _apply_required(dsn, loaded, required, options, password)
        found = await status(dsn, tracks, password=password)
        if found.is_foreign:
            return Report(files, found)
    problem = ""
    if not found.is_current:
        wanted = [each for each in loaded if each.optional]
        optional = replace(options, runner_lock_timeout_s=0.0, is_patient=False)
        try:
            files += await _apply_optional(dsn, wanted, optional, password)
        except AgentRowsError as error:  # a service starts without them
            problem = str(error)
        found = await status(dsn, tracks, password=password)
    log_ahead(found)
    log_pending(found, problem)
    return Report(files, found)


async def _apply_required(
    dsn: str,
    loaded: Sequence[LoadedTrack],
    required: Mapping[str, int],
    options: Options,
    password: Password | None,
) -> tuple[FileRun, ...]:
    """Apply the files up to these versions; nothing if another tool has moved a track since."""

    def choose(states: Sequence[State]) -> Sequence[Work] | None:
        if Status.of(states).is_foreign:
            return None
        return [decide(each, required=required[each.known.track.name]) for each in states]

    needed = [each for each in loaded if each.track.name in required]
    async with _run(dsn, needed, options, password) as run:
        return (await run.execute(choose)).files


async def _apply_optional(
    dsn: str, loaded: Sequence[LoadedTrack], options: Options, password: Password | None
) -> tuple[FileRun, ...]:
    """Apply optional files, if their tables are small."""
    async with _run(dsn, loaded, options, password) as run:
        pending = [
            (state.place, step.file) for state in await run.read() for step in decide(state).steps
        ]
        if await relations.size_of(run.db, tables_in(pending)) > SMALL_TABLES:
            return ()
        report = await run.execute(lambda states: [decide(state) for state in states])
        return report.files


async def dry_run(  # noqa: PLR0913  one argument per thing to say
    dsn: str,
    tracks: Sequence[Track],
    *,
    runner_lock_timeout_s: float = 60.0,
    ddl_lock_timeout_s: float = 5.0,
    on_progress: OnProgress | None = None,
    password: Password | None = None,
) -> Report:
    """Execute every pending file in one transaction, and roll it back.

    The report has the time of each file, and names those that were not tried: one that allows no
    transaction, and those of its track behind it. Tables are locked as in a run, until the end.
    Raises what `up` raises.
    """
    options = Options(runner_lock_timeout_s, ddl_lock_timeout_s, on_progress, is_dry=True)
    async with _run(dsn, load_all(tracks), options, password) as run:
        return await run.execute(lambda states: [decide(state) for state in states])


async def goto(  # noqa: PLR0913  one argument per thing to say
    dsn: str,
    tracks: Sequence[Track],
    version: int,
    *,
    track: str,
    runner_lock_timeout_s: float = 60.0,
    ddl_lock_timeout_s: float = 5.0,
    on_progress: OnProgress | None = None,
    password: Password | None = None,
) -> Report:
    """Take one track up or down to a version, 0 for nothing, in one transaction.

    Raises what `up` raises; DirtySchema for a track that is half applied (`up` heals it), and
    MigrationError for a version that has no file or is out of reach.
    """
    loaded = load_all(tracks)
    name = named(loaded, track)
    options = Options(runner_lock_timeout_s, ddl_lock_timeout_s, on_progress)
    async with _run(dsn, loaded, options, password) as run:
        return await run.execute(
            lambda states: [decide(each, version) for each in states if each.known is name]
        )


async def down(  # noqa: PLR0913  one argument per thing to say
    dsn: str,
    tracks: Sequence[Track],
    count: int,
    *,
    track: str,
    runner_lock_timeout_s: float = 60.0,
    ddl_lock_timeout_s: float = 5.0,
    on_progress: OnProgress | None = None,
    password: Password | None = None,
) -> Report:
    """Run so many down files of one track, newest first, in one transaction.

    Raises what `goto` raises, also if fewer versions are applied than that.
    """
    loaded = load_all(tracks)
    known = named(loaded, track)

    def choose(states: Sequence[State]) -> Sequence[Work]:
        (state,) = (each for each in states if each.known is known)
        applied = state.row.version if state.row else 0
        if not 1 <= count <= max(applied, 0) and not (state.row and state.row.dirty):
            raise MigrationError(f"track {track!r} is at {applied}: it cannot go down {count}")
        return [decide(state, applied - count)]

    options = Options(runner_lock_timeout_s, ddl_lock_timeout_s, on_progress)
    async with _run(dsn, loaded, options, password) as run:
        return await run.execute(choose)


async def force(  # noqa: PLR0913  one argument per thing to say
    dsn: str,
    tracks: Sequence[Track],
    version: int,
    *,
    track: str,
    runner_lock_timeout_s: float = 60.0,
    password: Password | None = None,
) -> Status:
    """Write that a track is at this version, 0 for nothing, and whole; run no file.

    For a version that somebody finished or undid by hand. It replaces a dirty row, and several
    rows. Raises MigrationError for another tool's table and for a version without a file.
    """
    loaded = load_all(tracks)
    known = named(loaded, track)
    if not 0 <= version <= known.newest:
        raise MigrationError(f"track {track!r} has no version {version}: 0 to {known.newest}")
    options = Options(runner_lock_timeout_s, 5.0, None)
    async with _run(dsn, loaded, options, password) as run:
        (place,) = locate([known.track], run.session)
        (found,) = await ledger.read_all(run.db, [place])
        found.check_shape()
        reached = version or NOTHING

        async def write() -> None:
            came_from = version_in(found.history)
            await ledger.create_tables(run.db, place)
            await ledger.write_row(run.db, place, Row(reached, dirty=False))
            await ledger.enter_move(run.db, place, reached, came_from=came_from, outcome="forced")

        await run.until_not_blocked(lambda: run.in_transaction(write, "nothing was written"))
        return Status.of(await run.read())


@contextlib.asynccontextmanager
async def _run(
    dsn: str, loaded: Sequence[LoadedTrack], options: Options, password: Password | None
) -> AsyncGenerator[Run]:
    """Connect, and hold the locks of all tracks for a block."""
    db = await connect(dsn, application_name="agentrows migrate", password=password)
    async with closing(db):
        with driver_errors():
            session = await _read_session(db)
            places = locate([each.track for each in loaded], session)
            ids = lock_ids(session.database, places)
            own = await OwnSession.start(db, lock_timeout_s=options.ddl_lock_timeout_s)
            watcher = Watcher(db, dsn, password, session, options.ddl_lock_timeout_s)
            async with hold(db, ids, timeout_s=options.runner_lock_timeout_s) as held:
                yield Run(db, loaded, session, options, held, own, watcher)


async def _read_session(db: asyncpg.Connection) -> Session:
    """Read what the connection starts with; raise ConfigError if it goes through a pooler."""
    try:
        session = await server.read_session(db)
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError) as error:
        raise ConfigError(POOLED) from error  # the process that answers is not always the same
    if db.get_server_pid() != session.backend_pid:
        raise ConfigError(POOLED)
    return session
