"""Error messages of a run: the file, the line, and the state of the database afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.errors import MigrationFailed, Unavailable, translate

if TYPE_CHECKING:
    from agentrows.migrate.ledger import TableNames
    from agentrows.migrate.plan import Step
    from agentrows.migrate.status import State

DRIVER: Final = (
    asyncpg.PostgresError,
    asyncpg.PostgresWarning,  # an error with an SQLSTATE for warnings
    asyncpg.InterfaceError,
    OSError,
)
ABOUT_DATA: Final = ("21", "22", "23", "44", "P0")
"""Classes of SQLSTATEs with a detail that may quote rows."""
UNDONE: Final = "the run was rolled back"
POLICIES: Final = (
    "; drop the policies first with `agentrows migrate goto 0 --track rls`; with "
    "AGENTROWS_ROW_SECURITY=true `up` creates them again"
)
GOES_ON: Final = "the files before it remain applied; `agentrows migrate up` continues from here"


def migration_error(step: Step, error: Exception, outcome: str) -> MigrationFailed | Unavailable:
    """Return an error with the file, the line and the state of the database (`outcome`)."""
    translated = translate(error)
    line = ""
    # The position of another statement, one of the runner's own, is no line of the file.
    is_of_file = _field(error, "query") == step.file.sql
    if isinstance(error, asyncpg.PostgresError) and error.position and is_of_file:
        line = f", line {_line(step.file.sql, int(error.position))}"
    if isinstance(translated, Unavailable):
        cause = explain_server_error(error) or translated
        return Unavailable(f"{step.file.label}{line}: {cause}; {outcome}")
    return MigrationFailed(f"{step.file.label}{line}: {server_message(error)}; {outcome}")


def explain_server_error(error: Exception) -> str | None:
    """Return cause and cure if the server is read-only or out of a resource, else None."""
    if not isinstance(error, asyncpg.PostgresError):
        return None
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return (
            f"the server is read-only: {server_message(error)}; it is a standby, or "
            "default_transaction_read_only is on: connect to the primary, with a role that may "
            "write"
        )
    if isinstance(error, asyncpg.DiskFullError):
        # The message may be translated; the name of the source file is not.
        if _field(error, "server_source_filename").startswith("dsm_"):
            return (
                f"the server's shared memory is full: {server_message(error)}; give /dev/shm more "
                "room (containers: --shm-size), or lower max_parallel_maintenance_workers"
            )
        return f"the server's disk is full: {server_message(error)}; make room there"
    if isinstance(error, asyncpg.InsufficientResourcesError | asyncpg.PostgresSystemError):
        return f"the server is out of resources: {server_message(error)}"
    return None


def half_applied_message(names: TableNames, step: Step) -> str:
    """Return the outcome of a file that failed outside of a transaction, with the cure."""
    again = "runs it again" if step.direction == "up" else "applies that version again"
    return (
        f"version {step.reaches} in {names.tracking} is half applied: "
        f"`agentrows migrate up` {again}"
    )


def repair_advice(state: State, step: Step) -> str:
    """Return the cure for a half applied version that failed again; else an empty text."""
    if not step.heals:
        return ""
    return (
        f"; version {step.reaches} in {state.table_names.tracking} is still half applied: finish "
        "or undo it by hand, then record the version of the schema: `agentrows migrate force "
        f"VERSION --track {state.known.track.name}`"
    )


def server_message(error: Exception) -> str:
    """Return the server's message, detail and hint in one line.

    Errors about data have no detail here, because it quotes rows.
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
    """Return a field of the driver's error that its type stubs do not declare."""
    return str(getattr(error, name, None) or "")
