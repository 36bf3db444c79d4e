"""What a run says when a file fails: the file, the line, and what the database holds now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.errors import MigrationFailed, Unavailable, translate

if TYPE_CHECKING:
    from agentrows.migrate.ledger import Place
    from agentrows.migrate.plan import Step
    from agentrows.migrate.status import State

DRIVER: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
ABOUT_DATA: Final = ("21", "22", "23", "44", "P0")
"""Classes of SQLSTATEs whose detail may quote rows."""
UNDONE: Final = "the run was rolled back"
POLICIES: Final = (
    "; drop the policies first with `agentrows migrate goto 0 --track rls`; with "
    "AGENTROWS_ROW_SECURITY=true `up` makes them again"
)
GOES_ON: Final = "the files before it stay; `agentrows migrate up` goes on from here"


def failure(step: Step, error: Exception, after: str) -> MigrationFailed | Unavailable:
    """Name the file, the line, and what the database holds now."""
    ours = translate(error)
    line = ""
    # Otherwise the statement is one of the runner's own.
    is_of_file = _field(error, "query") == step.file.sql
    if isinstance(error, asyncpg.PostgresError) and error.position and is_of_file:
        line = f", line {_line(step.file.sql, int(error.position))}"
    if isinstance(ours, Unavailable):
        return Unavailable(f"{step.file.label}{line}: {explained(error) or ours}; {after}")
    return MigrationFailed(f"{step.file.label}{line}: {words(error)}; {after}")


def explained(error: Exception) -> str | None:
    """Return the cause and the cure of a server that has no means, or takes no writes.

    None for other errors.
    """
    if not isinstance(error, asyncpg.PostgresError):
        return None
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return (
            f"the server takes no writes: {words(error)}; it is a standby, or "
            "default_transaction_read_only is on: connect to the primary, with a role that may "
            "write"
        )
    if isinstance(error, asyncpg.DiskFullError):
        # The source file is a better sign than the message, which may be translated.
        if _field(error, "server_source_filename").startswith("dsm_"):
            return (
                f"the server's shared memory is full: {words(error)}; give /dev/shm more room "
                "(containers: --shm-size), or lower max_parallel_maintenance_workers"
            )
        return f"the server's disk is full: {words(error)}; make room there"
    if isinstance(error, asyncpg.InsufficientResourcesError | asyncpg.PostgresSystemError):
        return f"the server lacks the means: {words(error)}"
    return None


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
    """Return the server's message, detail and hint, in one line.

    Without the detail of errors about data, which quotes rows.
    """
    if not isinstance(error, asyncpg.PostgresError):
        return str(error)
    sqlstate = error.sqlstate or ""
    text = f"{error.args[0]} (SQLSTATE {sqlstate})"
    if error.detail and not sqlstate.startswith(ABOUT_DATA):
        text += f"; detail: {' '.join(error.detail.split())}"
    if error.hint:
        text += f"; hint: {' '.join(error.hint.split())}"
    if isinstance(error, asyncpg.DependentObjectsStillExistError) and "policy " in text:
        text += POLICIES
    return text


def _line(sql: str, position: int) -> int:
    """Return the line, from 1, of the server's position, a count of characters from 1."""
    return sql.count("\n", 0, position - 1) + 1


def _field(error: Exception, name: str) -> str:
    """Return a field of the driver's error that its type stubs leave out."""
    return str(getattr(error, name, None) or "")
