"""Files that allow no transaction; the version of such a file is dirty until it is done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from agentrows.migrate import ledger, server
from agentrows.migrate.broken_indexes import drop_invalid, refuse_absent, refuse_invalid
from agentrows.migrate.cleanup import transaction_block
from agentrows.migrate.index_statements import is_concurrent
from agentrows.migrate.messages import DRIVER, GOES_ON, half_applied_message, migration_error
from agentrows.migrate.plan import Row
from agentrows.migrate.report import FileRun

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import asyncpg
    from asyncpg.prepared_stmt import PreparedStatement

    from agentrows.migrate.plan import Step
    from agentrows.migrate.run import Run
    from agentrows.migrate.status import State
    from agentrows.migrate.track import File

logger = logging.getLogger(__name__)

LONGEST_PAUSE_S: Final = 60.0


async def apply_without_transaction(run: Run, state: State, step: Step) -> FileRun:
    """Run one file without a transaction, and record its version."""
    db, names, file = run.db, state.table_names, step.file
    run.options.report(FileRun(file.label, direction=step.direction))
    started_at = await server.configure_session(
        db,
        search_path=await server.search_path_for(db, state.known.track, run.session),
        lock_timeout_s=run.options.ddl_lock_timeout_s,
    )
    outcome = half_applied_message(names, step)
    statement = await prepare_statement(run, step)
    await _mark_dirty(run, state, step)
    await execute_statement(run, step, statement, outcome)

    async def finish() -> float:
        await ledger.write_row(db, names, Row(step.reaches, dirty=False))
        return await ledger.record_step(db, names, step, started_at)

    return run.options.report(FileRun(file.label, await run.in_transaction(finish, outcome)))


async def prepare_statement(run: Run, step: Step) -> PreparedStatement[asyncpg.Record] | None:
    """Prepare the statement of a file; None for a blank file.

    An error of syntax is so raised before the version is dirty.
    """
    if step.file.is_blank:
        return None
    try:
        return await run.db.prepare(step.file.sql)
    except DRIVER as error:
        raise migration_error(step, error, f"it was not run, {GOES_ON}") from error


async def execute_statement(
    run: Run, step: Step, statement: PreparedStatement[asyncpg.Record] | None, outcome: str
) -> None:
    """Execute the statement of a file, and check the indexes that it creates.

    `outcome` is the state of the database after an error, for the message.
    """
    db, file = run.db, step.file
    try:
        async with _without_lock_timeout(run, file):
            await drop_invalid(db, file, concurrently=True)
            if statement:
                with run.logging_notices(file):
                    await statement.fetch()
        await run.clean_up_after(file, outcome)
    except DRIVER as error:
        raise migration_error(step, error, outcome) from error
    await refuse_invalid(db, file, outcome)
    await refuse_absent(db, file, outcome)


async def _mark_dirty(run: Run, state: State, step: Step) -> None:
    """Commit a dirty version, and the start of its file in the history."""
    async with transaction_block(run.db):
        await run.own.require_locks(run.held.ids)
        await ledger.write_row(run.db, state.table_names, Row(step.reaches, dirty=True))
        await ledger.record_start(run.db, state.table_names, step)


@contextlib.asynccontextmanager
async def _without_lock_timeout(run: Run, file: File) -> AsyncGenerator[None]:
    """Remove the lock timeout of concurrent statements in a block, and log their blockers.

    Not in the run of a service that starts, which does not wait for other sessions.
    """
    if not (run.options.is_patient and is_concurrent(file)):
        yield
        return
    # It blocks no other session, and giving up would waste the work done so far.
    await server.limit_lock_wait(run.db, None)
    logging_task = asyncio.create_task(_log_blockers(run, file.label))
    try:
        yield
    finally:
        logging_task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await logging_task
    await server.limit_lock_wait(run.db, run.options.ddl_lock_timeout_s)


async def _log_blockers(run: Run, label: str) -> None:
    """Log blockers after the normal lock timeout, then with growing pauses."""
    pause = run.options.ddl_lock_timeout_s
    await asyncio.sleep(pause)
    with contextlib.suppress(Exception):  # without a second connection the file still runs
        async with run.watcher.second_connection() as db:
            while True:
                blockers = await server.find_blockers(db, run.session.backend_pid)
                if blockers:
                    logger.warning(
                        "%s waits until these transactions end: %s",
                        *(label, ", ".join(map(str, blockers))),
                    )
                pause = min(max(pause, 1.0) * 2, LONGEST_PAUSE_S)
                await asyncio.sleep(pause)
