"""The migrator of a database: applies, rolls back and inspects the tracks of migrations.

A run applies the pending files of all tracks in one transaction, under the advisory locks of
golang-migrate. A failure is a plain ROLLBACK: no down file runs, and the rows are unchanged.
"""

from __future__ import annotations

import contextlib
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, get_args

from agentrows.errors import AgentRowsError, InvalidValue, MigrationError
from agentrows.migrate import doctor as checkups
from agentrows.migrate import ledger, relations, server
from agentrows.migrate.arguments import check_count, check_integer, check_timeout
from agentrows.migrate.file_watch import Watcher
from agentrows.migrate.history import HistoryEntry, read_history
from agentrows.migrate.lock import hold_locks, lock_ids
from agentrows.migrate.losses import Loss, find_losses
from agentrows.migrate.plan import NOTHING, Row, version_in
from agentrows.migrate.privileges import changed_tables
from agentrows.migrate.report import FileRun, Options, Report, Transactions
from agentrows.migrate.run import Run, accept_as_is
from agentrows.migrate.session import OwnSession, open_connection
from agentrows.migrate.status import State, Status, resolve_table_names, status_on
from agentrows.migrate.track import Track, get_track, load_all
from agentrows.migrate.verify import (
    check_usable,
    log_ahead,
    log_pending,
    refuse_broken,
    refuse_changed,
)
from agentrows.migrate.work import TrackWork, decide, select_work

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from agentrows.config import Password
    from agentrows.migrate.doctor import Checkup
    from agentrows.migrate.report import OnProgress, PlannedFile
    from agentrows.migrate.track import LoadedTrack

SMALL_TABLES: Final = 8 * 1024 * 1024
"""Bytes of the tables up to which `apply` builds their optional indexes itself."""


@dataclass(frozen=True, slots=True)
class Migrator:
    """Applies, rolls back and inspects the migrations of one database.

    `tracks` are `builtin_tracks()`, then the application's own. `password` is called for each
    connection and has precedence over the password in the DSN. A run waits up to `lock_timeout_s`
    for another runner (0: not at all), and each statement up to `ddl_lock_timeout_s` for a table
    in use. `statement_timeout_s` limits each statement of a run, builds of indexes included; None
    is the limit of the DSN, or none. `on_progress` is called when a file starts and when it is
    done, again in each retry.

    Each method opens a connection of its own and closes it.

    Raises:
        InvalidValue: an argument has the wrong type, or a timeout is negative or not finite.

    """

    dsn: str = field(repr=False)
    tracks: Sequence[Track]
    _: KW_ONLY
    password: Password | None = field(default=None, repr=False)
    lock_timeout_s: float = 60.0
    ddl_lock_timeout_s: float = 5.0
    statement_timeout_s: float | None = None
    on_progress: OnProgress | None = None

    def __post_init__(self) -> None:
        """Check every argument."""
        if not isinstance(self.dsn, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"dsn must be text, not {type(self.dsn).__name__}")
        if not isinstance(self.tracks, list | tuple) or not all(
            isinstance(track, Track)  # pyright: ignore[reportUnnecessaryIsInstance]
            for track in self.tracks
        ):
            raise InvalidValue("tracks must be a list or tuple of Track")
        for name, function in (("password", self.password), ("on_progress", self.on_progress)):
            if not (function is None or callable(function)):
                raise InvalidValue(f"{name} must be a function")
        check_timeout("lock_timeout_s", self.lock_timeout_s, shortest=0.0)
        # The server takes 0 for no limit at all.
        check_timeout("ddl_lock_timeout_s", self.ddl_lock_timeout_s, shortest=0.001)
        if self.statement_timeout_s is not None:
            check_timeout("statement_timeout_s", self.statement_timeout_s, shortest=0.001)

    async def up(
        self,
        *,
        transaction: Transactions = "run",
        track: str | None = None,
        max_steps: int | None = None,
    ) -> Report:
        """Apply every pending file of every track, or of one, in one transaction.

        With `transaction="file"` each file has its own: the tables of a large database are not
        locked from the first file to the last, and a run that fails leaves the files before it
        applied. A file that allows no transaction runs after all others, its version dirty until
        it is done.

        A version that an earlier run left half applied is run again first. An applied file of the
        library's own tracks, or an optional one of another track, is run again last if an object is
        missing that it creates. If a table is in use for longer than `ddl_lock_timeout_s`, the
        transaction is rolled back and tried again, five times in all. With `max_steps` the run ends
        after this number of files, in the order of `plan`.

        Raises:
            InvalidValue, InvalidTrack, ConfigError, Unavailable, LockTimeout: nothing was done.
            MigrationFailed, DirtySchema, MigrationError: the open transaction was rolled back.
            OutcomeUnknown: the connection was lost during COMMIT.

        """
        if transaction not in get_args(Transactions):
            raise InvalidValue(f"transaction must be 'run' or 'file', got {transaction!r}")
        if max_steps is not None:
            check_count("max_steps", max_steps)
        loaded = load_all(self.tracks)
        if track is not None:
            get_track(loaded, track)
        options = replace(
            self._options,
            transaction=transaction,
            rebuilds=True,
            max_steps=max_steps,
            only_track=track,
        )
        async with self._run(loaded, options) as run:
            return await run.execute(partial(select_work, track=track, max_steps=max_steps))

    async def apply(self) -> Report:
        """Apply the required files, unless another tool migrates this database.

        This is the step of a service that starts. A database is migrated if it has no tracking
        rows (it is empty, or an ORM created its tables), or if the history agrees with them. Any
        other database is left as it is, ahead or behind, and only has to pass `verify`. A version
        that an earlier run left half applied is run again.

        Only the tracks that have required files are locked, and only if one is pending. Optional
        files are then applied if their tables are smaller than 8 MB together and no other session
        is in the way; a failure there is logged. `up` applies the others.

        Raises the errors of `up`, SchemaBehind if methods fail because of a missing or changed
        object and, on a database that another tool migrates, the errors of `verify`.
        """
        loaded = load_all(self.tracks)
        status = await self.status()
        if status.is_foreign:
            return accept_as_is(status, self.tracks)
        refuse_changed(status)
        files: tuple[FileRun, ...] = ()
        if not status.is_usable:
            required = {track.name: track.required for track in status.tracks if track.required}
            files = await self._apply_required(loaded, required)
            status = await self.status()
            if status.is_foreign:
                return Report(files, status)
        problem = ""
        if not status.is_current:
            try:
                files += await self._apply_optional([track for track in loaded if track.optional])
            except AgentRowsError as error:  # a service starts without the optional files
                problem = str(error)
            status = await self.status()
        refuse_broken(status)
        log_ahead(status)
        log_pending(status, problem)
        return Report(files, status)

    async def dry_run(self) -> Report:
        """Execute every pending file in one transaction, and roll it back.

        The report has the duration of each file, and the names of those that were not tried: a
        file that allows no transaction, and the later files of its track. Tables are locked as in
        a run, until the end.

        Raises the errors of `up`.
        """
        async with self._run(load_all(self.tracks), replace(self._options, is_dry=True)) as run:
            return await run.execute(select_work)

    async def goto(self, track: str, version: int) -> Report:
        """Move one track up or down to a version, in one transaction; 0 rolls back every file.

        Raises:
            DirtySchema: the track is half applied; `up` repairs it.
            MigrationError: the version has no file, or cannot be reached with the files.
            Also the errors of `up`.

        """
        check_integer("version", version)
        loaded = load_all(self.tracks)
        known = get_track(loaded, track)
        async with self._run(loaded, self._options) as run:
            return await run.execute(
                lambda states: [decide(state, version) for state in states if state.known is known]
            )

    async def down(self, track: str, count: int = 1) -> Report:
        """Roll one track back by `count` versions, newest first, in one transaction.

        Rows in dropped tables are lost. Raises the errors of `goto`, also if fewer than `count`
        versions are applied.
        """
        check_integer("count", count)
        loaded = load_all(self.tracks)
        known = get_track(loaded, track)

        def choose(states: Sequence[State]) -> Sequence[TrackWork]:
            (state,) = (state for state in states if state.known is known)
            applied = state.row.version if state.row else 0
            if not 1 <= count <= max(applied, 0) and not (state.row and state.row.dirty):
                raise MigrationError(f"track {track!r} is at {applied}: it cannot go down {count}")
            return [decide(state, applied - count)]

        async with self._run(loaded, self._options) as run:
            return await run.execute(choose)

    async def force(self, track: str, version: int) -> Status:
        """Record that a track is at this version and not dirty; run no file. 0 is no version.

        For a version that was finished or undone by hand. It replaces a dirty row, and several
        rows.

        Raises:
            MigrationError: the tracking table is another tool's, or the version has no file.
            Also the errors of `up`.

        """
        check_integer("version", version)
        loaded = load_all(self.tracks)
        known = get_track(loaded, track)
        if not 0 <= version <= known.newest:
            raise MigrationError(f"track {track!r} has no version {version}: 0 to {known.newest}")
        async with self._run(loaded, self._options) as run:
            (names,) = resolve_table_names([known.track], run.session)
            (tables,) = await ledger.read_all(run.db, [names])
            tables.check_shape()
            reached = version or NOTHING

            async def write() -> None:
                came_from = version_in(tables.history)
                await ledger.create_tables(run.db, names)
                await ledger.write_row(run.db, names, Row(reached, dirty=False))
                await ledger.record_external_move(
                    run.db, names, reached, came_from=came_from, outcome="forced"
                )

            await run.retry_while_blocked(lambda: run.in_transaction(write, "nothing was written"))
            return Status.from_states(await run.read())

    async def status(self) -> Status:
        """Return the version and the pending files of each track. This only reads.

        An empty database or a dirty track does not raise an error.

        Raises:
            InvalidTrack: the files are malformed.
            MigrationError: a tracking table is not golang-migrate's.
            Unavailable, ConfigError: the connection failed.

        """
        async with open_connection(self.dsn, self.password) as db:
            return await status_on(db, self.tracks)

    async def verify(self) -> Status:
        """Return the status if this release works on the database. This only reads.

        It works on a database that is ahead, on one with pending optional files, and on one that
        another tool migrates, ahead or behind. Pending files are logged in one line.

        Raises:
            SchemaBehind: a required file is pending, or methods fail because an object of an
                applied file is missing or has another definition.
            DirtySchema: a version is half applied.
            InvalidTrack: a file was changed after it was applied.
            Also the errors of `status`.

        """
        status = await self.status()
        check_usable(status, self.tracks)
        return status

    async def plan(
        self, track: str | None = None, target: int | None = None
    ) -> tuple[PlannedFile, ...]:
        """Return the files that `up` would run now, in order. This only reads.

        With a track: those of this track; with a target too: the files that `goto` would run.

        Raises:
            InvalidTrack: the files are malformed, or no track has this name.
            DirtySchema, MigrationError: `up` or `goto` would raise it before the first file.
            Unavailable, ConfigError: the connection failed.

        """
        if target is not None:
            check_integer("target", target)
        loaded = load_all(self.tracks)
        if track is not None:
            get_track(loaded, track)
        async with open_connection(self.dsn, self.password) as db:
            return await checkups.plan_files(db, loaded, track=track, target=target)

    async def history(self, track: str | None = None) -> tuple[HistoryEntry, ...]:
        """Return the moves of every track, or of one, oldest first. This only reads.

        Raises:
            InvalidTrack: the files are malformed, or no track has this name.
            MigrationError: a tracking table is not golang-migrate's.
            Unavailable, ConfigError: the connection failed, or the role cannot read a history.

        """
        loaded = load_all(self.tracks)
        if track is not None:
            get_track(loaded, track)
        async with open_connection(self.dsn, self.password) as db:
            return await read_history(db, loaded, track=track)

    async def find_losses(
        self, track: str, *, version: int | None = None, count: int = 1
    ) -> tuple[Loss, ...]:
        """Return the tables with rows that `goto` or `down` would drop. This only reads.

        Without a version they are those of `down` by `count` versions. Raises the errors of `plan`.
        """
        known = get_track(load_all(self.tracks), track)
        async with open_connection(self.dsn, self.password) as db:
            return await find_losses(db, known, version=version, count=count)

    async def doctor(self) -> Checkup:
        """Check every track; a problem is in the result and raises no error. This only reads.

        Raises:
            InvalidTrack: the files are malformed.
            Unavailable, ConfigError: the connection failed.

        """
        loaded = load_all(self.tracks)
        async with open_connection(self.dsn, self.password) as db, db.transaction(readonly=True):
            await server.limit_lock_waits(db)
            return await checkups.check_tracks(db, loaded)

    @property
    def _options(self) -> Options:
        return Options(
            self.lock_timeout_s,
            self.ddl_lock_timeout_s,
            self.on_progress,
            statement_timeout_s=self.statement_timeout_s,
        )

    async def _apply_required(
        self, loaded: Sequence[LoadedTrack], required: Mapping[str, int]
    ) -> tuple[FileRun, ...]:
        """Apply the files up to these versions, unless another tool has moved a track meanwhile."""

        def choose(states: Sequence[State]) -> Sequence[TrackWork] | None:
            if Status.from_states(states).is_foreign:
                return None
            return [decide(state, required=required[state.known.track.name]) for state in states]

        needed = [track for track in loaded if track.track.name in required]
        async with self._run(needed, self._options) as run:
            return (await run.execute(choose)).files

    async def _apply_optional(self, loaded: Sequence[LoadedTrack]) -> tuple[FileRun, ...]:
        """Apply optional files if their tables are small, without waiting for other sessions."""
        options = replace(self._options, lock_timeout_s=0.0, is_patient=False)
        async with self._run(loaded, options) as run:
            pending = [
                (state.table_names, step.file)
                for state in await run.read()
                for step in decide(state).steps
            ]
            if await relations.total_size(run.db, changed_tables(pending)) > SMALL_TABLES:
                return ()
            return (await run.execute(select_work)).files

    @contextlib.asynccontextmanager
    async def _run(self, loaded: Sequence[LoadedTrack], options: Options) -> AsyncGenerator[Run]:
        """Connect and lock all these tracks for a block."""
        async with open_connection(self.dsn, self.password) as db:
            own, session = await OwnSession.start(
                db,
                lock_timeout_s=options.ddl_lock_timeout_s,
                statement_timeout_s=options.statement_timeout_s,
            )
            names_per_track = resolve_table_names([track.track for track in loaded], session)
            ids = lock_ids(session.database, names_per_track)
            watcher = Watcher(db, self.dsn, self.password, session, options.ddl_lock_timeout_s)
            async with hold_locks(db, ids, timeout_s=options.lock_timeout_s) as held:
                yield Run(db, loaded, session, options, held, own, watcher)
