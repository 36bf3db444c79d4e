"""What a run says when a file fails: the file, the line, and what the database holds now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.errors import MigrationFailed, Unavailable, translate

if TYPE_CHECKING:
    from agentrows.migrate.ledger import Place
    from agentrows.migrate.plan import Step
    from agentrows.migrate.state import State

DRIVER: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
UNDONE: Final = "the run was rolled back"
POLICIES: Final = (
    "; drop the policies first with `agentrows migrate goto 0 --track rls`; with "
    "AGENTROWS_ROW_SECURITY=true `up` makes them again"
)
GOES_ON: Final = "the files before it stay; `agentrows migrate up` goes on from here"


def failure(step: Step, error: Exception, after: str) -> MigrationFailed | Unavailable:
    """Name the file, the line, and what the database holds now."""
    ours = translate(error)
    if isinstance(ours, Unavailable):
        return Unavailable(f"{step.file.label}: {ours}; {after}")
    line = ""
    if isinstance(error, asyncpg.PostgresError) and error.position:
        line = f", line {_line(step.file.sql, int(error.position))}"
    return MigrationFailed(f"{step.file.label}{line}: {words(error)}; {after}")


def half_applied(place: Place, step: Step) -> str:
    """Say that a file outside of a transaction is not done, and what goes on from there."""
    again = "runs it again" if step.direction == "up" else "takes it up again"
    return (
        f"{place.tracking} says that version {step.reaches} is half applied: "
        f"`agentrows migrate up` {again}"
    )


def advice(state: State, step: Step) -> str:
    """Say what to do about a half applied version that cannot be run again."""
    if not step.heals:
        return ""
    return (
        f"; {state.place.tracking} still says that version {step.reaches} is half applied: finish "
        "or undo that by hand, then set its row to the version that the schema has: `agentrows "
        f"migrate force VERSION --track {state.known.track.name}`"
    )


def words(error: Exception) -> str:
    """Return the server's message, without a detail that quotes rows.

    The detail of a dependency names the objects in the way. Policies are those of the track rls.
    """
    if isinstance(error, asyncpg.DependentObjectsStillExistError):
        detail = (error.detail or "").replace("\n", "; ")
        cure = POLICIES if "policy " in detail else ""
        return f"{error.args[0]} (SQLSTATE {error.sqlstate}): {detail}{cure}"
    if isinstance(error, asyncpg.PostgresError):
        return f"{error.args[0]} (SQLSTATE {error.sqlstate})"
    return str(error)


def _line(sql: str, position: int) -> int:
    """Return the line, from 1, of the server's position, a count of characters from 1."""
    return sql.count("\n", 0, position - 1) + 1
