"""A file that allows no transaction, and the version that is dirty until it is done.

A concurrent statement waits without limit: nobody queues behind it, and whoever gives up has built
half an index for nothing. Who is waited for is said all the same, over a second connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from agentrows.migrate import ledger, server
from agentrows.migrate.broken_indexes import drop_invalid, refuse_absent, refuse_invalid
from agentrows.migrate.cleanup import transaction_block
from agentrows.migrate.index_statements import is_concurrent
from agentrows.migrate.messages import DRIVER, GOES_ON, failure, half_applied
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


async def apply_outside(run: Run, state: State, step: Step) -> FileRun:
    """Run one file without a transaction; its version is dirty until it is done."""
    db, place, file = run.db, state.place, step.file
    run.options.tell(FileRun(file.label))
    started_at = await server.prepare_session(
        db,
        search_path=await server.search_path_for(db, state.known.track, run.session),
        lock_timeout_s=run.options.ddl_lock_timeout_s,
    )
    half = half_applied(place, step)
    statement = await prepare_statement(run, step)
    await _mark(run, state, step)
    try:
        async with waiting_for_old_transactions(run, file):
            await drop_invalid(db, file, concurrently=True)
            if statement:
                with run.logging_notices(file):
                    await statement.fetch()
        await run.end_file(file, half)
    except DRIVER as error:
        raise failure(step, error, half) from error
    await refuse_invalid(db, file, half)
    await refuse_absent(db, file, half)

    async def finish() -> float:
        await ledger.write_row(db, place, Row(step.reaches, dirty=False))
        return await ledger.enter_step(db, place, step, started_at)

    return run.options.tell(FileRun(file.label, await run.in_transaction(finish, half)))


async def prepare_statement(run: Run, step: Step) -> PreparedStatement[asyncpg.Record] | None:
    """Let the server read a file that holds one statement, before anything is marked."""
    if step.file.is_blank:
        return None
    try:
        return await run.db.prepare(step.file.sql)
    except DRIVER as error:
        raise failure(step, error, f"it was not run, {GOES_ON}") from error


async def _mark(run: Run, state: State, step: Step) -> None:
    """Commit that a version is half applied, and by us."""
    async with transaction_block(run.db):
        await run.own.require_locks(run.held.ids)
        await ledger.write_row(run.db, state.place, Row(step.reaches, dirty=True))
        await ledger.enter_start(run.db, state.place, step)


@contextlib.asynccontextmanager
async def waiting_for_old_transactions(run: Run, file: File) -> AsyncGenerator[None]:
    """Let a block's concurrent statements wait as long as they must, and log for whom.

    In a run that is not patient they wait as long as any other statement.
    """
    if not (run.options.is_patient and is_concurrent(file)):
        yield
        return
    await server.limit_lock_wait(run.db, None)
    watch = asyncio.create_task(_watch(run, file.label))
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
    await server.limit_lock_wait(run.db, run.options.ddl_lock_timeout_s)


async def _watch(run: Run, label: str) -> None:
    """Look after as long as any other statement would have waited, then less and less often."""
    pause = run.options.ddl_lock_timeout_s
    await asyncio.sleep(pause)
    with contextlib.suppress(Exception):  # it is only there to tell
        async with run.watcher.second_connection() as db:
            while True:
                blockers = await server.blockers_of(db, run.session.backend_pid)
                if blockers:
                    logger.warning(
                        "%s waits until these transactions end: %s",
                        *(label, ", ".join(map(str, blockers))),
                    )
                pause = min(max(pause, 1.0) * 2, LONGEST_PAUSE_S)
                await asyncio.sleep(pause)
