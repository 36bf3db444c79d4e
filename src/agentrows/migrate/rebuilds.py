"""Rebuilds: second runs of applied files, to create missing objects again.

The version of the track does not change: these files have the same result when they run twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.migrate import ledger, server
from agentrows.migrate.differences import read_differences
from agentrows.migrate.messages import DRIVER, migration_error
from agentrows.migrate.nontransactional import execute_statement, prepare_statement
from agentrows.migrate.plan import Step
from agentrows.migrate.report import FileRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentrows.db.sources import Connection
    from agentrows.migrate.differences import Differences
    from agentrows.migrate.run import Run
    from agentrows.migrate.status import State

UNCHANGED: Final = (
    "the version of its track is unchanged, and `agentrows migrate up` runs the file again"
)


@dataclass(frozen=True, slots=True)
class Rebuild:
    """An applied file to run again."""

    state: State
    step: Step


async def find_rebuilds(db: Connection, states: Sequence[State]) -> list[Rebuild]:
    """Return the applied files that create missing objects again."""
    return select_rebuilds(states, await read_differences(db, [state.applied for state in states]))


def select_rebuilds(
    states: Sequence[State], differences: Mapping[str, Differences]
) -> list[Rebuild]:
    """Return the applied files that create the missing objects of these differences."""
    return [
        Rebuild(state, Step(migration, rebuilds=True))
        for state in states
        for migration in state.known.migrations
        if migration.version in differences[state.known.track.name].rebuilt
    ]


async def run_rebuild(run: Run, rebuild: Rebuild) -> FileRun:
    """Run one file again, and record that in the history."""
    state, step = rebuild.state, rebuild.step
    db, file = run.db, step.file
    run.options.report(FileRun(file.label))
    started_at = await server.configure_session(
        db,
        search_path=await server.search_path_for(db, state.known.track, run.session),
        lock_timeout_s=run.options.ddl_lock_timeout_s,
    )

    async def finish() -> float:
        if not file.no_transaction:
            try:
                await run.execute_file(step, UNCHANGED)
                await run.clean_up_after(file, UNCHANGED)
            except DRIVER as error:
                raise migration_error(step, error, UNCHANGED) from error
        return await ledger.record_rebuild(db, state.table_names, state.version, step, started_at)

    if file.no_transaction:
        statement = await prepare_statement(run, step)
        await execute_statement(run, step, statement, UNCHANGED)
    return run.options.report(FileRun(file.label, await run.in_transaction(finish, UNCHANGED)))
