"""A run of migrations under the locks: its transactions, and the files in and outside of them.

A failure in the run's transaction is a plain ROLLBACK. A file that allows no transaction runs
after that one is committed, with its version marked dirty until it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import asyncpg

from agentrows.errors import MigrationFailed, OutcomeUnknown, translate
from agentrows.migrate import ledger, server, session_sql
from agentrows.migrate.broken_indexes import (
    drop_invalid,
    refuse_invalid,
    refuse_skipped,
    refuse_taken,
)
from agentrows.migrate.cleanup import await_cleanup, transaction_block
from agentrows.migrate.file_watch import TableLock
from agentrows.migrate.lock import lock_ids
from agentrows.migrate.messages import (
    DRIVER,
    GOES_ON,
    UNDONE,
    migration_error,
    repair_advice,
    server_message,
)
from agentrows.migrate.nontransactional import apply_without_transaction
from agentrows.migrate.plan import Row, Step, version_in
from agentrows.migrate.privileges import check_privileges
from agentrows.migrate.rebuilds import Rebuild, find_rebuilds, run_rebuild
from agentrows.migrate.report import FileRun, Report
from agentrows.migrate.status import State, Status, read_states
from agentrows.migrate.verify import check_usable, log_ahead
from agentrows.migrate.work import TrackWork, schedule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from agentrows.migrate.file_watch import Watcher
    from agentrows.migrate.lock import HeldLocks
    from agentrows.migrate.report import Options
    from agentrows.migrate.server import Session
    from agentrows.migrate.session import OwnSession
    from agentrows.migrate.track import File, LoadedTrack, Track

    Choose = Callable[[Sequence[State]], "Sequence[TrackWork] | None"]

logger = logging.getLogger(__name__)

BLOCKED: Final = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
EXISTS_ALREADY: Final = {"42P07", "42P06", "42701", "42710", "42723"}
"""SQLSTATEs of "… already exists, skipping"."""
ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has the locks of its tracks."""

    db: asyncpg.Connection
    loaded: Sequence[LoadedTrack]
    session: Session
    options: Options
    held: HeldLocks
    own: OwnSession
    watcher: Watcher
    contended: list[TableLock] = field(default_factory=list[TableLock])
    """Table locks that an earlier try did not get: the next one takes them first."""

    async def execute(self, choose: Choose) -> Report:
        """Read every track, choose the work, then run it.

        `choose` returns None if the database must be left as it is.
        """
        states = await self.retry_while_blocked(self.read)
        status = Status.from_states(states)
        chosen = choose(states)
        if chosen is None:
            return accept_as_is(status, [track.track for track in self.loaded])
        log_ahead(status)
        works = schedule([work for work in chosen if work.is_needed])
        if not works and not self.options.rebuilds:
            return Report((), status)
        files: list[FileRun] = []
        if works:
            await self.retry_while_blocked(partial(self.precheck, works))
            files = await self.run_transactional(works)
        if self.options.is_dry:
            not_tried = [step.file.label for work in works for step in work.steps_after_commit]
            return Report(tuple(files), status, tuple(not_tried))
        files += await self.run_after_commit(works, await self.read() if files else states)
        if not files:
            return Report((), status)
        return Report(tuple(files), Status.from_states(await self.read()))

    async def read(self) -> tuple[State, ...]:
        """Read the tables of every track."""
        return await read_states(self.db, self.loaded, self.session)

    async def precheck(self, works: Sequence[TrackWork]) -> None:
        """Check this role's rights, then call the precheck of each track with files to apply."""
        await check_privileges(
            self.db,
            [(work.state.table_names, [step.file for step in work.steps]) for work in works],
        )
        for work in works:
            check = work.state.known.track.precheck
            if check and any(step.direction == "up" for step in work.steps):
                await check(self.db)

    async def run_transactional(self, works: Sequence[TrackWork]) -> list[FileRun]:
        """Run the steps before the commit: in one transaction, or each file in its own."""

        async def run_all() -> list[FileRun]:
            for work in works:
                await self.prepare(work)
            return [
                await self.apply_file(work.state, step, UNDONE)
                for work in works
                for step in work.steps_in_run
            ]

        if self.options.transaction == "run":
            return await self.retry_while_blocked(partial(self.in_transaction, run_all, UNDONE))
        runs: list[FileRun] = []
        for work in works:
            prepare = partial(self.prepare, work)
            await self.retry_while_blocked(partial(self.in_transaction, prepare, GOES_ON))
            runs += [
                await self.run_in_own_transaction(work.state, step) for step in work.steps_in_run
            ]
        return runs

    async def run_after_commit(
        self, works: Sequence[TrackWork], states: Sequence[State]
    ) -> list[FileRun]:
        """Run the steps after the commit, then the optional files with missing objects."""
        planned = sum(len(work.steps) for work in works)
        rebuilds = await self.find_rebuilds(states, planned)
        later = [work for work in works if work.steps_after_commit]
        remaining = {work.state.table_names for work in later} | {
            r.state.table_names for r in rebuilds
        }
        if remaining:
            # CREATE INDEX CONCURRENTLY would wait for a golang-migrate that waits for a lock.
            await self.held.release_except(lock_ids(self.session.database, remaining))
        if rebuilds:
            await check_privileges(
                self.db, [(r.state.table_names, [r.step.file]) for r in rebuilds]
            )
        runs = await self.run_nontransactional(later)
        if rebuilds and runs:
            # The history records a rebuild under the version that the track has then.
            rebuilds = await self.find_rebuilds(await self.read(), planned)
        return runs + [
            await self.retry_while_blocked(partial(run_rebuild, self, rebuild))
            for rebuild in rebuilds
        ]

    async def find_rebuilds(self, states: Sequence[State], planned: int) -> list[Rebuild]:
        """Return the applied files to run again after `planned` others, as the options allow."""
        only, most = self.options.only_track, self.options.max_steps
        if not self.options.rebuilds or (most is not None and planned >= most):
            return []
        chosen = [state for state in states if only in (None, state.known.track.name)]
        rebuilds = await find_rebuilds(self.db, chosen)
        return rebuilds if most is None else rebuilds[: most - planned]

    async def run_nontransactional(self, works: Sequence[TrackWork]) -> list[FileRun]:
        """Run the files that allow no transaction, and the files after them, one by one."""
        runs: list[FileRun] = []
        for work in works:
            for step in work.steps_after_commit:
                if step.file.no_transaction:
                    apply = partial(apply_without_transaction, self, work.state, step)
                    run = await self.retry_while_blocked(apply)
                else:
                    run = await self.run_in_own_transaction(work.state, step)
                runs.append(run)
        return runs

    async def run_in_own_transaction(self, state: State, step: Step) -> FileRun:
        """Run one file in a transaction of its own."""
        apply = partial(self.apply_file, state, step, GOES_ON)
        return await self.retry_while_blocked(partial(self.in_transaction, apply, GOES_ON))

    async def retry_while_blocked(self, act: Callable[[], Awaitable[T]]) -> T:
        """Call `act` until no other session blocks it, at most `ATTEMPTS` times."""
        attempt = 1
        while True:
            try:
                return await act()
            except (MigrationFailed, *BLOCKED) as error:
                cause = error.__cause__ if isinstance(error, MigrationFailed) else error
                if not isinstance(cause, BLOCKED) or not self.options.is_patient:
                    raise
                # A file without a transaction may have left settings.
                await self.own.clean(self.held.ids, search_path=self.session.search_path)
                busy = (
                    ", ".join(map(str, await server.find_table_users(self.db))) or "no session now"
                )
                if attempt == ATTEMPTS:
                    raise MigrationFailed(
                        f"{error}; tried {ATTEMPTS} times, tables are in use by: {busy}"
                    ) from cause
                logger.warning("%s; trying again. Tables are in use by: %s", error, busy)
            pause = FIRST_PAUSE_S * 2 ** (attempt - 1)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  jitter
            attempt += 1

    async def in_transaction(self, act: Callable[[], Awaitable[T]], undone: str) -> T:
        """Call `act` in one transaction, which a dry run rolls back.

        `undone` is the state of the database after an error, for the message.
        """
        transaction = self.db.transaction(isolation="read_committed")
        await transaction.start()
        try:
            await self.own.require_locks(self.held.ids)
            await self.lock_contended_tables(undone)
            result = await act()
        except BaseException:
            await await_cleanup(self.db, transaction.rollback)
            raise
        self.contended.clear()
        if self.options.is_dry:
            await transaction.rollback()
            return result
        try:
            await transaction.commit()
        except DRIVER as error:  # a deferred constraint may still fail here
            translated = translate(error, lost=OutcomeUnknown)
            if isinstance(translated, OutcomeUnknown):
                raise OutcomeUnknown(
                    f"COMMIT: {translated}; the next run detects the outcome"
                ) from error
            raise MigrationFailed(f"COMMIT: {server_message(error)}; {undone}") from error
        return result

    async def lock_contended_tables(self, undone: str) -> None:
        """Lock the tables that blocked an earlier try, before any other table is locked."""
        for lock in self.contended:
            try:
                # A foreign key needs fewer rights on its table than LOCK TABLE does.
                with contextlib.suppress(
                    asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedTableError
                ):
                    async with transaction_block(self.db):
                        await server.lock_table(self.db, lock.table, lock.mode)
            except BLOCKED as error:
                raise MigrationFailed(
                    f"the table {lock.table} is in use: {server_message(error)}; {undone}"
                ) from error

    async def prepare(self, work: TrackWork) -> None:
        """Create the track's two tables, and record the moves of another tool."""
        await ledger.create_tables(self.db, work.state.table_names)
        if work.moved_to is not None:
            came_from = version_in(work.state.history)
            await ledger.record_external_move(
                self.db, work.state.table_names, work.moved_to, came_from=came_from
            )

    async def apply_file(self, state: State, step: Step, undone: str) -> FileRun:
        """Run one file in the open transaction, and record it there."""
        names, file = state.table_names, step.file
        self.options.report(FileRun(file.label, direction=step.direction))
        opened = await ledger.begin_file(
            self.db,
            names,
            step.reaches,
            search_path=await server.search_path_for(self.db, state.known.track, self.session),
            lock_timeout_s=self.options.ddl_lock_timeout_s,
        )
        try:
            await drop_invalid(self.db, file, concurrently=False)
            skipped = await self.execute_file(step, undone)
            if not await ledger.is_open(self.db, opened):
                raise MigrationFailed(
                    f"{file.label} ends the transaction that it runs in (a COMMIT or ROLLBACK "
                    "of its own): take that statement out. What it committed stays; see `agentrows "
                    "migrate status`"
                )
            await self.clean_up_after(file, undone)
            await refuse_invalid(self.db, file, undone)
            await refuse_skipped(self.db, file, skipped, undone)
            await refuse_taken(self.db, file, undone)
            await ledger.write_row(self.db, names, Row(step.reaches, dirty=False))
            seconds = await ledger.record_step(self.db, names, step, opened.started_at)
        except DRIVER as error:
            raise migration_error(step, error, undone + repair_advice(state, step)) from error
        return self.options.report(FileRun(file.label, seconds, step.direction))

    async def clean_up_after(self, file: File, undone: str) -> None:
        """Reset the settings and leftovers of a file, except its search_path.

        Raises MigrationFailed if the file released locks of the run.
        """
        # The names of the file's indexes are resolved in its search_path afterwards.
        path = await session_sql.search_path(self.db)
        await self.own.clean(self.held.ids, search_path=path)
        if not await self.own.has_locks(self.held.ids):
            raise MigrationFailed(
                f"{file.label} releases advisory locks of the run (pg_advisory_unlock_all, "
                f"for instance): take that statement out; {undone}"
            )

    async def execute_file(self, step: Step, undone: str) -> tuple[str, ...]:
        """Execute a file; return the server's notices about relations that already existed."""
        if step.file.is_blank:  # asyncpg raises an error for a script without a statement
            return ()
        async with self.watcher.watch() as watch:
            try:
                with self.logging_notices(step.file) as skipped:
                    await self.db.execute(step.file.sql)
            except asyncpg.LockNotAvailableError:
                if watch.waits_for and watch.waits_for not in self.contended:
                    self.contended.append(watch.waits_for)
                raise
            except DRIVER as error:
                if watch.asks_client:
                    raise MigrationFailed(
                        f"{step.file.label}: the server waits for rows of a COPY from the client, "
                        f"which has none: write INSERT statements; {undone}"
                    ) from error
                raise
        return tuple(skipped)

    @contextlib.contextmanager
    def logging_notices(self, file: File) -> Generator[list[str]]:
        """Log the server's notices and warnings in a block, under the name of the file.

        Yields a list of those about relations that already existed, which are logged at DEBUG.
        """
        skipped: list[str] = []

        def log(_db: object, message: asyncpg.PostgresLogMessage) -> None:
            is_skipped = message.sqlstate in EXISTS_ALREADY
            if is_skipped:
                skipped.append(str(message.message))
            level = logging.WARNING if message.severity_en == "WARNING" else logging.INFO
            logger.log(
                logging.DEBUG if is_skipped else level,
                *("%s: %s: %s", file.label, message.severity_en, message.message),
            )

        self.db.add_log_listener(log)
        try:
            yield skipped
        finally:
            self.db.remove_log_listener(log)


def accept_as_is(status: Status, tracks: Sequence[Track]) -> Report:
    """Report on a database that another tool migrates; raise the errors of `verify`."""
    check_usable(status, tracks)
    return Report((), status)
