"""Runs applied optional files again whose index or storage setting is missing.

The track's version stays: these files have the same result when they run twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.migrate import ledger, server
from agentrows.migrate.broken_indexes import drop_invalid, refuse_absent, refuse_invalid
from agentrows.migrate.messages import DRIVER, failure
from agentrows.migrate.missing import read_missing
from agentrows.migrate.nontransactional import prepare_statement, waiting_for_old_transactions
from agentrows.migrate.plan import Step
from agentrows.migrate.report import FileRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentrows.db.sources import Connection
    from agentrows.migrate.missing import Missing
    from agentrows.migrate.run import Run
    from agentrows.migrate.status import State

STAYS: Final = "the version of its track stays, and `agentrows migrate up` tries again"


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A file to run again."""

    state: State
    step: Step


async def find_rebuilds(db: Connection, states: Sequence[State]) -> list[Rebuild]:
    """Return the applied optional files whose objects are missing now."""
    return rebuilds_in(states, await read_missing(db, [state.applied for state in states]))


def rebuilds_in(states: Sequence[State], missing: Mapping[str, Sequence[Missing]]) -> list[Rebuild]:
    """Return the applied optional files of these tracks whose objects are missing."""
    return [
        Rebuild(state, Step(migration, rebuilds=True))
        for state in states
        for migration in state.known.optional
        if migration in {each.migration for each in missing[state.known.track.name]}
    ]


async def rebuild(run: Run, wanted: Rebuild) -> FileRun:
    """Run one file again, and enter that into the history."""
    state, step = wanted.state, wanted.step
    db, file = run.db, step.file
    run.options.tell(FileRun(file.label))
    started_at = await server.prepare_session(
        db,
        search_path=await server.search_path_for(db, state.known.track, run.session),
        lock_timeout_s=run.options.ddl_lock_timeout_s,
    )

    async def finish() -> float:
        if not file.no_transaction:
            try:
                await db.execute(file.sql)
            except DRIVER as error:
                raise failure(step, error, STAYS) from error
        return await ledger.enter_rebuild(db, state.place, state.version, step, started_at)

    if file.no_transaction:
        statement = await prepare_statement(run, step)
        try:
            async with waiting_for_old_transactions(run, file):
                await drop_invalid(db, file, concurrently=True)
                if statement:
                    await statement.fetch()
        except DRIVER as error:
            raise failure(step, error, STAYS) from error
        await refuse_invalid(db, file, STAYS)
        await refuse_absent(db, file, STAYS)
    return run.options.tell(FileRun(file.label, await run.in_transaction(finish, STAYS)))
