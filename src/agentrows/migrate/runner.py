"""Applies what is pending, over all tracks, in one transaction and under golang-migrate's locks.

A failure anywhere is a plain ROLLBACK: the database is as it was, no down file has to run, and a
replica that lost the race for the lock has nothing to undo.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.db.pool import connect
from agentrows.errors import (
    ConfigError,
    InvalidTrack,
    MigrationFailed,
    OutcomeUnknown,
    Unavailable,
    translate,
)
from agentrows.migrate import ledger
from agentrows.migrate.lock import hold, lock_ids
from agentrows.migrate.plan import Row, Step, check_unchanged, external_move, plan, version_in
from agentrows.migrate.session import closing, driver_errors
from agentrows.migrate.state import State, Status, describe, locate, read_states
from agentrows.migrate.track import LoadedTrack, Track, load_all
from agentrows.migrate.verify import log_ahead, log_behind, refuse_unsound, status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncpg.transaction import Transaction

    from agentrows.migrate.ledger import Place, Session

logger = logging.getLogger(__name__)

BLOCKED: Final = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class FileRun:
    """One file of a run; `duration_s` is None while it runs."""

    file: str
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did, in order (nothing, if `files` is empty), and where the database stands."""

    files: tuple[FileRun, ...]
    status: Status


@dataclass(frozen=True, slots=True)
class MigrationContext:
    """What a runner of the application's own gets; the repr does not show the DSN."""

    dsn: str = field(repr=False)
    tracks: tuple[Track, ...]


MigrationRunner = Callable[[MigrationContext], Awaitable[None]]
OnProgress = Callable[[FileRun], None]


async def up(
    dsn: str,
    tracks: Sequence[Track],
    *,
    runner_lock_timeout_s: float = 60.0,
    ddl_lock_timeout_s: float = 5.0,
    on_progress: OnProgress | None = None,
) -> Report:
    """Apply every pending file of every track, in one transaction.

    Waits up to `runner_lock_timeout_s` for other runners, and in each statement up to
    `ddl_lock_timeout_s` for a table in use; such a wait that fails is tried again, five times in
    all. `on_progress` is called when a file starts and when it is done, in each try anew. A version
    that an earlier run left half applied is run again first.

    Raises InvalidTrack, ConfigError, Unavailable and LockTimeout before anything was done;
    MigrationFailed, DirtySchema, MigrationError after a rollback; OutcomeUnknown if the connection
    was lost during COMMIT.
    """
    options = _Options(runner_lock_timeout_s, ddl_lock_timeout_s, on_progress)
    return await _run(dsn, load_all(tracks), options, takes_over=True)


async def apply(
    dsn: str,
    tracks: Sequence[Track],
    *,
    runner_lock_timeout_s: float = 60.0,
    ddl_lock_timeout_s: float = 5.0,
    on_progress: OnProgress | None = None,
) -> Report:
    """Do what `up` does, unless another tool migrates this database: then change nothing.

    A database is ours if it has no tracking rows (it is empty, or an ORM made it), or if our
    history agrees with them. Any other is served as it is, ahead or behind, until somebody calls
    `up`; it only has to be whole (DirtySchema). A database that lacks nothing is not locked.
    """
    found = await status(dsn, tracks)
    if found.is_foreign:
        return _leave(found)
    if found.is_current:
        log_ahead(found)
        return Report((), found)
    options = _Options(runner_lock_timeout_s, ddl_lock_timeout_s, on_progress)
    return await _run(dsn, load_all(tracks), options, takes_over=False)


@dataclass(frozen=True, slots=True)
class _Options:
    runner_lock_timeout_s: float
    ddl_lock_timeout_s: float
    on_progress: OnProgress | None

    def tell(self, run: FileRun) -> None:
        if self.on_progress:
            with contextlib.suppress(OSError):  # a closed stderr is no reason to stop
                self.on_progress(run)


async def _run(
    dsn: str, loaded: Sequence[LoadedTrack], options: _Options, *, takes_over: bool
) -> Report:
    async with closing(await connect(dsn, application_name="agentrows migrate")) as db:
        with driver_errors():
            session = await ledger.read_session(db)
            _refuse_pooler(db, session)
            places = locate([each.track for each in loaded], session)
            run = _Run(db, loaded, session, options, takes_over=takes_over)
            ids = lock_ids(session.database, places)
            async with hold(db, ids, timeout_s=options.runner_lock_timeout_s):
                return await run.until_not_blocked()


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that holds the locks."""

    db: asyncpg.Connection
    loaded: Sequence[LoadedTrack]
    session: Session
    options: _Options
    takes_over: bool

    async def until_not_blocked(self) -> Report:
        """Try until no other session is in the way, at most `ATTEMPTS` times."""
        attempt = 1
        while True:
            try:
                return await self.attempt()
            except (MigrationFailed, *BLOCKED) as error:
                cause = error.__cause__ if isinstance(error, MigrationFailed) else error
                if not isinstance(cause, BLOCKED):
                    raise
                busy = ", ".join(map(str, await ledger.busy_backends(self.db))) or "nobody now"
                if attempt == ATTEMPTS:
                    raise MigrationFailed(
                        f"{error}; tried {ATTEMPTS} times, tables are in use by: {busy}"
                    ) from cause
                logger.warning("%s; trying again. Tables are in use by: %s", error, busy)
            pause = FIRST_PAUSE_S * 2 ** (attempt - 1)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  jitter
            attempt += 1

    async def attempt(self) -> Report:
        """Do the whole run in one transaction."""
        transaction = self.db.transaction(isolation="read_committed")
        await transaction.start()
        try:
            report = await self.work()
        except BaseException:
            # If the connection is gone, the server has rolled back already.
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await transaction.rollback()
            raise
        await _commit(transaction)
        return report

    async def work(self) -> Report:
        """Read, decide, and only then act."""
        await ledger.limit_lock_waits(self.db, self.options.ddl_lock_timeout_s)
        states = await read_states(self.db, self.loaded, self.session)
        found = Status(tuple(describe(state) for state in states))
        if found.is_foreign and not self.takes_over:
            return _leave(found)
        work = [(state, _decide(state)) for state in states]
        for state, steps in work:
            if steps and state.known.track.precheck:
                await state.known.track.precheck(self.db)
        log_ahead(found)
        files = [file for state, steps in work for file in await self.apply_track(state, steps)]
        states = await read_states(self.db, self.loaded, self.session)
        return Report(tuple(files), Status(tuple(describe(state) for state in states)))

    async def apply_track(self, state: State, steps: Sequence[Step]) -> list[FileRun]:
        """Enter what another tool did, then run the steps."""
        moved_to = external_move(state.row, state.history)
        if steps or moved_to is not None:
            await ledger.create_tables(self.db, state.place)
        if moved_to is not None:
            came_from = version_in(state.history)
            await ledger.enter_external(self.db, state.place, moved_to, came_from=came_from)
        return [await self.apply_file(state, step) for step in steps]

    async def apply_file(self, state: State, step: Step) -> FileRun:
        """Run one file and record it."""
        place, migration = state.place, step.migration
        self.options.tell(FileRun(migration.up.label))
        mark = await ledger.begin_file(
            self.db,
            place,
            migration.version,
            search_path=await ledger.search_path_for(self.db, state.known.track, self.session),
            lock_timeout_s=self.options.ddl_lock_timeout_s,
        )
        await _execute(self.db, step, place)
        if not await ledger.is_still_in(self.db, mark):
            raise MigrationFailed(
                f"{migration.up.label} ends the transaction that it runs in (a COMMIT or ROLLBACK "
                "of its own): take that statement out. What it committed stays; see `agentrows "
                "migrate status`"
            )
        await ledger.write_row(self.db, place, Row(migration.version, dirty=False))
        seconds = await ledger.enter_step(self.db, place, step, mark)
        run = FileRun(migration.up.label, seconds)
        self.options.tell(run)
        return run


def _decide(state: State) -> tuple[Step, ...]:
    """Return a track's steps; raise InvalidTrack for files that this runner must not run."""
    check_unchanged(state.history, state.known)
    steps = plan(state.row, state.known)
    for step in steps:
        up = step.migration.up
        if up.no_transaction:
            raise InvalidTrack(
                f"{up.label}: asks to run outside of a transaction ({up.no_transaction}), which "
                "this release does not do"
            )
    return steps


def _leave(found: Status) -> Report:
    """Accept a database that another tool migrates, as it is; raise if it is not whole."""
    refuse_unsound(found)
    log_ahead(found)
    log_behind(found)
    return Report((), found)


def _refuse_pooler(db: asyncpg.Connection, session: Session) -> None:
    if db.get_server_pid() != session.backend_pid:
        raise ConfigError(
            "this connection goes through a pooler, which may hand each statement to another "
            "server process; the migration lock needs one: connect to PostgreSQL itself"
        )


async def _execute(db: asyncpg.Connection, step: Step, place: Place) -> None:
    """Run a file as one script; raise MigrationFailed naming the file and the line."""
    up = step.migration.up
    if up.is_blank:  # asyncpg fails on a script without a statement
        return
    try:
        await db.execute(up.sql)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        ours = translate(error)
        if isinstance(ours, Unavailable):
            raise Unavailable(f"{up.label}: {ours}; the run was rolled back") from error
        raise MigrationFailed(_failure(step, place, error)) from error


async def _commit(transaction: Transaction) -> None:
    """Commit; a deferred constraint may still fail here."""
    try:
        await transaction.commit()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        ours = translate(error, lost=OutcomeUnknown)
        if isinstance(ours, OutcomeUnknown):
            raise ours from error
        raise MigrationFailed(f"COMMIT: {_words(error)}; the run was rolled back") from error


def _failure(step: Step, place: Place, error: Exception) -> str:
    up = step.migration.up
    line = ""
    if isinstance(error, asyncpg.PostgresError) and error.position:
        line = f", line {_line(up.sql, int(error.position))}"
    advice = (
        f"; {place.tracking} still says that version {step.migration.version} is half applied: "
        "finish or undo that by hand, then set its row to the version that the schema has, with "
        "dirty = false"
        if step.heals
        else ""
    )
    return f"{up.label}{line}: {_words(error)}; the run was rolled back{advice}"


def _words(error: Exception) -> str:
    """Say what the server said, without the detail that quotes rows."""
    if isinstance(error, asyncpg.PostgresError):
        return f"{error.args[0]} (SQLSTATE {error.sqlstate})"
    return str(error)


def _line(sql: str, position: int) -> int:
    """Return the line, from 1, of the server's position, a count of characters from 1."""
    return sql.count("\n", 0, position - 1) + 1
