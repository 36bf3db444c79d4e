"""A run that holds the locks: transactions, the files in them, and the files that allow none.

A failure in the run's transaction is a plain ROLLBACK. A file that cannot run in a transaction
runs after that one is committed, with its version marked dirty as long as it is not done; the
locks of the tracks that have no such file are free by then, because a golang-migrate that waits
for one of them would be waited for in turn by CREATE INDEX CONCURRENTLY.
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
from agentrows.migrate.cleanup import transaction_block, within_limit
from agentrows.migrate.file_watch import TableLock
from agentrows.migrate.lock import lock_ids
from agentrows.migrate.messages import DRIVER, GOES_ON, UNDONE, advice, failure, words
from agentrows.migrate.nontransactional import apply_outside
from agentrows.migrate.plan import Row, Step, version_in
from agentrows.migrate.privileges import check_privileges
from agentrows.migrate.rebuilds import find_rebuilds, rebuild
from agentrows.migrate.report import FileRun, Report
from agentrows.migrate.status import State, Status, read_states
from agentrows.migrate.verify import check_usable, log_ahead
from agentrows.migrate.work import Work, in_order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from agentrows.migrate.file_watch import Watcher
    from agentrows.migrate.lock import Held
    from agentrows.migrate.report import Options
    from agentrows.migrate.server import Session
    from agentrows.migrate.session import OwnSession
    from agentrows.migrate.track import File, LoadedTrack, Track

    Choose = Callable[[Sequence[State]], "Sequence[Work] | None"]

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
    """A run that holds the locks."""

    db: asyncpg.Connection
    loaded: Sequence[LoadedTrack]
    session: Session
    options: Options
    held: Held
    own: OwnSession
    watcher: Watcher
    first: list[TableLock] = field(default_factory=list[TableLock])
    """Tables that a try waited for in vain: the next one locks them before anything else."""

    async def execute(self, choose: Choose) -> Report:
        """Read, decide, and only then act; `choose` returns None to leave the database alone."""
        states = await self.until_not_blocked(self.read)
        found = Status.of(states)
        chosen = choose(states)
        if chosen is None:
            return leave(found, [each.track for each in self.loaded])
        log_ahead(found)
        works = in_order([work for work in chosen if work.is_needed])
        if not works and not self.options.rebuilds:
            return Report((), found)
        files: list[FileRun] = []
        if works:
            await self.until_not_blocked(partial(self.precheck, works))
            files = await self.inside(works)
        if self.options.is_dry:
            return Report(
                tuple(files), found, tuple(s.file.label for work in works for s in work.later)
            )
        files += await self.after_commit(works, await self.read() if files else states)
        if not files:
            return Report((), found)
        return Report(tuple(files), Status.of(await self.read()))

    async def read(self) -> tuple[State, ...]:
        """Read every track's tables."""
        return await read_states(self.db, self.loaded, self.session)

    async def precheck(self, works: Sequence[Work]) -> None:
        """Check this role's rights, then what each track that has files to apply checks."""
        await check_privileges(
            self.db, [(work.state.place, [step.file for step in work.steps]) for work in works]
        )
        for work in works:
            check = work.state.known.track.precheck
            if check and any(step.direction == "up" for step in work.steps):
                await check(self.db)

    async def inside(self, works: Sequence[Work]) -> list[FileRun]:
        """Run what can be in a transaction: all of it in one, or each file in its own."""

        async def everything() -> list[FileRun]:
            for work in works:
                await self.prepare(work)
            return [
                await self.apply_file(work.state, step, UNDONE)
                for work in works
                for step in work.now
            ]

        if self.options.transaction == "run":
            return await self.until_not_blocked(partial(self.in_transaction, everything, UNDONE))
        runs: list[FileRun] = []
        for work in works:
            prepare = partial(self.prepare, work)
            await self.until_not_blocked(partial(self.in_transaction, prepare, GOES_ON))
            runs += [await self.alone(work.state, step) for step in work.now]
        return runs

    async def after_commit(self, works: Sequence[Work], states: Sequence[State]) -> list[FileRun]:
        """Run the files outside of the transaction, and again those whose index is missing."""
        rebuilds = await find_rebuilds(self.db, states) if self.options.rebuilds else []
        later = [work for work in works if work.later]
        places = {work.state.place for work in later} | {each.state.place for each in rebuilds}
        if places:
            await self.held.keep(lock_ids(self.session.database, places))
        if rebuilds:
            await check_privileges(self.db, [(r.state.place, [r.step.file]) for r in rebuilds])
        runs = await self.outside(later)
        if rebuilds and runs:
            # An entry of the history names the version that the track has now.
            rebuilds = await find_rebuilds(self.db, await self.read())
        return runs + [
            await self.until_not_blocked(partial(rebuild, self, each)) for each in rebuilds
        ]

    async def outside(self, works: Sequence[Work]) -> list[FileRun]:
        """Run the files that allow no transaction, and those behind them, one by one."""
        runs: list[FileRun] = []
        for work in works:
            for step in work.later:
                if step.file.no_transaction:
                    apply = partial(apply_outside, self, work.state, step)
                    run = await self.until_not_blocked(apply)
                else:
                    run = await self.alone(work.state, step)
                runs.append(run)
        return runs

    async def alone(self, state: State, step: Step) -> FileRun:
        """Run one file in a transaction of its own."""
        apply = partial(self.apply_file, state, step, GOES_ON)
        return await self.until_not_blocked(partial(self.in_transaction, apply, GOES_ON))

    async def until_not_blocked(self, act: Callable[[], Awaitable[T]]) -> T:
        """Try until no other session is in the way, at most `ATTEMPTS` times."""
        attempt = 1
        while True:
            try:
                return await act()
            except (MigrationFailed, *BLOCKED) as error:
                cause = error.__cause__ if isinstance(error, MigrationFailed) else error
                if not isinstance(cause, BLOCKED) or not self.options.is_patient:
                    raise
                # A file outside of a transaction may have left settings.
                await self.own.clean(self.held.ids, search_path=self.session.search_path)
                busy = ", ".join(map(str, await server.busy_backends(self.db))) or "nobody now"
                if attempt == ATTEMPTS:
                    raise MigrationFailed(
                        f"{error}; tried {ATTEMPTS} times, tables are in use by: {busy}"
                    ) from cause
                logger.warning("%s; trying again. Tables are in use by: %s", error, busy)
            pause = FIRST_PAUSE_S * 2 ** (attempt - 1)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  jitter
            attempt += 1

    async def in_transaction(self, act: Callable[[], Awaitable[T]], undone: str) -> T:
        """Do it in one transaction, which a dry run does not commit."""
        transaction = self.db.transaction(isolation="read_committed")
        await transaction.start()
        try:
            await self.own.require_locks(self.held.ids)
            await self.lock_tables(undone)
            result = await act()
        except BaseException:
            await within_limit(self.db, transaction.rollback)
            raise
        self.first.clear()
        if self.options.is_dry:
            await transaction.rollback()
            return result
        try:
            await transaction.commit()
        except DRIVER as error:  # a deferred constraint may still fail here
            ours = translate(error, lost=OutcomeUnknown)
            if isinstance(ours, OutcomeUnknown):
                raise OutcomeUnknown(f"COMMIT: {ours}; the next run sees which") from error
            raise MigrationFailed(f"COMMIT: {words(error)}; {undone}") from error
        return result

    async def lock_tables(self, undone: str) -> None:
        """Lock the tables that an earlier try waited for, while no other table is locked."""
        for lock in self.first:
            try:
                # A foreign key needs fewer rights on its table than LOCK TABLE asks for.
                with contextlib.suppress(
                    asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedTableError
                ):
                    async with transaction_block(self.db):
                        await server.lock_table(self.db, lock.table, lock.mode)
            except BLOCKED as error:
                raise MigrationFailed(
                    f"the table {lock.table} is in use: {words(error)}; {undone}"
                ) from error

    async def prepare(self, work: Work) -> None:
        """Create the track's two tables, and enter what another tool did."""
        await ledger.create_tables(self.db, work.state.place)
        if work.moved_to is not None:
            came_from = version_in(work.state.history)
            await ledger.enter_move(self.db, work.state.place, work.moved_to, came_from=came_from)

    async def apply_file(self, state: State, step: Step, undone: str) -> FileRun:
        """Run one file in the open transaction, and record it there."""
        place, file = state.place, step.file
        self.options.tell(FileRun(file.label))
        mark = await ledger.begin_file(
            self.db,
            place,
            step.reaches,
            search_path=await server.search_path_for(self.db, state.known.track, self.session),
            lock_timeout_s=self.options.ddl_lock_timeout_s,
        )
        try:
            await drop_invalid(self.db, file, concurrently=False)
            skipped = await self.execute_file(step, undone)
            if not await ledger.is_still_in(self.db, mark):
                raise MigrationFailed(
                    f"{file.label} ends the transaction that it runs in (a COMMIT or ROLLBACK "
                    "of its own): take that statement out. What it committed stays; see `agentrows "
                    "migrate status`"
                )
            await self.end_file(file, undone)
            await refuse_invalid(self.db, file, undone)
            await refuse_skipped(self.db, file, skipped, undone)
            await refuse_taken(self.db, file, undone)
            await ledger.write_row(self.db, place, Row(step.reaches, dirty=False))
            seconds = await ledger.enter_step(self.db, place, step, mark.started_at)
        except DRIVER as error:
            raise failure(step, error, undone + advice(state, step)) from error
        return self.options.tell(FileRun(file.label, seconds))

    async def end_file(self, file: File, undone: str) -> None:
        """End the settings and leftovers of a file, except its search_path.

        The names of its indexes are resolved in that. Raises MigrationFailed if the file gave back
        the locks of the run.
        """
        path = await session_sql.search_path(self.db)
        await self.own.clean(self.held.ids, search_path=path)
        if not await self.own.holds(self.held.ids):
            raise MigrationFailed(
                f"{file.label} gives back advisory locks of the run (pg_advisory_unlock_all, "
                f"for instance): take that statement out; {undone}"
            )

    async def execute_file(self, step: Step, undone: str) -> tuple[str, ...]:
        """Execute a file; return the server's notices about relations that it skipped."""
        if step.file.is_blank:  # asyncpg fails on a script without a statement
            return ()
        async with self.watcher.watch() as watch:
            try:
                with self.logging_notices(step.file) as skipped:
                    await self.db.execute(step.file.sql)
            except asyncpg.LockNotAvailableError:
                if watch.waits_for and watch.waits_for not in self.first:
                    self.first.append(watch.waits_for)
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
        """Log the server's notices and warnings during a block, under the name of the file.

        Collects those about relations that exist already, which are logged at DEBUG only.
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


def leave(found: Status, tracks: Sequence[Track]) -> Report:
    """Accept a database that another tool migrates, as it is; raise what `verify` raises."""
    check_usable(found, tracks)
    return Report((), found)
