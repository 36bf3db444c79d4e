"""What can go wrong, as types: the class says what to do next, the message says which one.

::

    AgentRowsError
     ├─ NotFound               there is no such row, or it belongs to somebody else
     ├─ Conflict               what is stored stands against it
     │   ├─ AlreadyExists      an insert met a row with its key
     │   ├─ OwnedByAnother     the id is taken by another user's row
     │   └─ Deleted            the id was used and deleted; it stays deleted
     ├─ InvalidValue           an argument cannot be stored; it is named (also a ValueError)
     ├─ InvalidReference       a row that this one points to is not there
     ├─ UnreadableRow          another writer stored a row that cannot be returned
     ├─ Unavailable            nothing happened; try again later
     │   ├─ PoolTimeout        no connection became free in time
     │   └─ ClientClosed       the client was closed; open another one
     ├─ StatementTimeout       the statement was cancelled for its time (also a TimeoutError)
     ├─ Aborted                deadlock or serialization failure; run the transaction again
     ├─ OutcomeUnknown         the connection was lost in a statement that may have happened
     ├─ ConfigError            settings, credentials or rights are wrong; an operator is needed
     ├─ SchemaBehind           the database lacks a migration
     └─ MigrationError         a migration run stopped
         ├─ MigrationFailed    a file's SQL failed; the run was rolled back
         ├─ LockTimeout        another runner holds the lock
         ├─ DirtySchema        an earlier run left a version half applied
         └─ InvalidTrack       the migration files, or the tracks together, are not well formed

`__cause__` keeps the driver's error. No message holds SQL, a DSN, a password, or the content of
another user's row; a violated key is named with the values that the caller gave.
"""

from __future__ import annotations

import re
import ssl
from typing import Final

import asyncpg
from asyncpg.exceptions import _base as driver  # pyright: ignore[reportPrivateUsage]

__all__ = [
    "Aborted",
    "AgentRowsError",
    "AlreadyExists",
    "ClientClosed",
    "ConfigError",
    "Conflict",
    "Deleted",
    "DirtySchema",
    "InvalidReference",
    "InvalidTrack",
    "InvalidValue",
    "LockTimeout",
    "MigrationError",
    "MigrationFailed",
    "NotFound",
    "OutcomeUnknown",
    "OwnedByAnother",
    "PoolTimeout",
    "SchemaBehind",
    "StatementTimeout",
    "Unavailable",
    "UnreadableRow",
    "has_stale_types",
    "is_answer",
    "translate",
]


class AgentRowsError(Exception):
    """The root of every error that this library raises on purpose."""

    most_tries: int | None = None
    """How many tries of a call may end in this error; None: as many as its class and time allow."""


class NotFound(AgentRowsError):
    """There is no such row, or it belongs to somebody else."""


class Conflict(AgentRowsError):
    """What is stored stands against what was asked."""


class AlreadyExists(Conflict):
    """An insert met a row that has its key already."""


class OwnedByAnother(Conflict):
    """The id is taken by a row of another user, or a policy keeps the row from this user."""


class Deleted(Conflict):
    """The id was used and deleted before; it stays deleted."""


class InvalidValue(AgentRowsError, ValueError):
    """An argument cannot be stored as it is; the message names it."""


class InvalidReference(AgentRowsError):
    """A row that this one points to is not there."""


class UnreadableRow(AgentRowsError):
    """A stored row has a value that cannot be returned; the message names it, without the value."""


class Unavailable(AgentRowsError):
    """The database could not be reached or would not serve; nothing happened, try again."""


class PoolTimeout(Unavailable):
    """No connection of the pool became free in time; nothing was sent."""


class ClientClosed(Unavailable):
    """The client, or the application's pool below it, was closed; nothing was sent."""


class StatementTimeout(AgentRowsError, TimeoutError):
    """The statement ran longer than it may and was cancelled."""


class Aborted(AgentRowsError):
    """The server undid the transaction (deadlock, serialization); run it again."""


class OutcomeUnknown(AgentRowsError):
    """The answer was lost after the statement was sent: it may have happened, or not."""


class ConfigError(AgentRowsError):
    """Settings, credentials or rights are wrong; trying again does not help."""


class SchemaBehind(AgentRowsError):
    """The database lacks a migration that this needs."""


class MigrationError(AgentRowsError):
    """A migration run stopped; the message says what the database holds now."""


class MigrationFailed(MigrationError):
    """A migration's SQL failed, and the run was rolled back."""


class LockTimeout(MigrationError):
    """Another runner held the migration lock until the deadline; nothing was done."""


class DirtySchema(MigrationError):
    """A tracking table says that an earlier run stopped in the middle of a version."""


class InvalidTrack(MigrationError):
    """Migration files, or tracks taken together, are not well formed."""


SET_POOLER: Final = (
    "behind a transaction pooler (pgbouncer, for instance) set AGENTROWS_POOLER=transaction"
)


class _Lost(AgentRowsError):
    """In the table below: the connection went away, what that means depends on the statement."""


# Looked up along the MRO of the driver's class, so the most specific line wins; None lets the
# error through as it is, because it can only be a bug of ours (or the server's).
_MEANING: Final[dict[type[BaseException], type[AgentRowsError] | None]] = {
    # The connection, and who may have one.
    ConnectionError: _Lost,
    EOFError: _Lost,
    OSError: _Lost,
    TimeoutError: _Lost,
    ssl.SSLError: ConfigError,
    ssl.SSLEOFError: _Lost,
    ssl.SSLZeroReturnError: _Lost,
    asyncpg.PostgresConnectionError: _Lost,
    asyncpg.InternalClientError: _Lost,  # the protocol's state is lost, mostly by a lost connection
    asyncpg.OutdatedSchemaCacheError: _Lost,  # said of an answer that cannot be read any more
    asyncpg.ClientCannotConnectError: Unavailable,
    asyncpg.ConnectionRejectionError: Unavailable,
    asyncpg.TransactionResolutionUnknownError: OutcomeUnknown,
    asyncpg.ProtocolViolationError: _Lost,  # how a pooler ends a connection, whatever the reason
    asyncpg.InvalidAuthorizationSpecificationError: ConfigError,
    asyncpg.InvalidCatalogNameError: ConfigError,
    asyncpg.InvalidRoleSpecificationError: ConfigError,
    asyncpg.InsufficientPrivilegeError: ConfigError,
    asyncpg.AdminShutdownError: _Lost,
    asyncpg.CrashShutdownError: _Lost,
    asyncpg.CannotConnectNowError: Unavailable,
    asyncpg.DatabaseDroppedError: _Lost,
    asyncpg.IdleSessionTimeoutError: _Lost,
    # The server has no means, or is the wrong one, just now.
    asyncpg.InsufficientResourcesError: Unavailable,
    asyncpg.PostgresSystemError: Unavailable,
    asyncpg.ReadOnlySQLTransactionError: Unavailable,
    asyncpg.TargetServerAttributeNotMatched: Unavailable,
    # The transaction is gone.
    asyncpg.TransactionRollbackError: Aborted,
    asyncpg.StatementCompletionUnknownError: OutcomeUnknown,
    asyncpg.LockNotAvailableError: Aborted,
    asyncpg.ObjectInUseError: Aborted,
    asyncpg.SnapshotTooOldError: Aborted,
    asyncpg.InFailedSQLTransactionError: Aborted,
    asyncpg.IdleInTransactionSessionTimeoutError: Aborted,
    asyncpg.TransactionTimeoutError: Aborted,
    asyncpg.InvalidCachedStatementError: Aborted,
    asyncpg.QueryCanceledError: StatementTimeout,
    # What was asked cannot be stored.
    asyncpg.UniqueViolationError: AlreadyExists,
    asyncpg.ExclusionViolationError: Conflict,
    asyncpg.ForeignKeyViolationError: InvalidReference,
    asyncpg.RestrictViolationError: InvalidReference,
    asyncpg.IntegrityConstraintViolationError: InvalidValue,
    asyncpg.WithCheckOptionViolationError: InvalidValue,
    asyncpg.DataError: InvalidValue,
    asyncpg.ProgramLimitExceededError: InvalidValue,
    driver.DataError: InvalidValue,  # the client's own; asyncpg exports the server's by this name
    # The schema is older than the code.
    asyncpg.UndefinedObjectError: SchemaBehind,
    asyncpg.UndefinedTableError: SchemaBehind,
    asyncpg.UndefinedColumnError: SchemaBehind,
    asyncpg.InvalidSchemaNameError: SchemaBehind,
    # A pooler sends each transaction to another server process.
    asyncpg.InvalidSQLStatementNameError: ConfigError,
    asyncpg.DuplicatePreparedStatementError: ConfigError,
    asyncpg.UndefinedFunctionError: ConfigError,  # an older server, or an extension is missing
    # The driver refuses before anything is sent; see _refusal.
    asyncpg.InterfaceError: InvalidValue,
    asyncpg.ClientConfigurationError: ConfigError,
    asyncpg.UnsupportedClientFeatureError: None,
    asyncpg.UnsupportedServerFeatureError: None,
    # Bugs of ours, of the application's own SQL, or of the server: seen as they are.
    asyncpg.SyntaxOrAccessError: None,
    asyncpg.FeatureNotSupportedError: None,
    asyncpg.InternalServerError: None,
    asyncpg.PLPGSQLError: None,
    asyncpg.PostgresError: None,
}

# The driver's message for a connection that the server has just ended; nothing was sent.
NOT_BEGUN: Final = "cannot switch to state"
# InterfaceError has no subclasses, so its messages (always English) are told apart: first those
# about a connection or a pool, then those about authentication. All others are about arguments.
UNUSABLE: Final = re.compile(
    r"is clos(ed|ing)|released back|another operation is|not initialized|manually started"
)
AUTHENTICATION: Final = re.compile(r"authentication|gssapi|sspi|scram", re.IGNORECASE)
OF_AN_ARGUMENT: Final = "query argument"
# PostgreSQL never translates its internal messages; the name of a function stands for the others.
STALE_OBJECT: Final = re.compile(r"cache lookup failed for|could not open relation with OID")
STALE_TYPE: Final = "lookup_type_cache"
STALE_TRIES: Final = 5
# Where the server checks rows against policies; the words of its message depend on its language.
POLICY_CHECK: Final = "ExecWithCheckOptions"
_SAYING: Final[dict[type[AgentRowsError], str]] = {
    Unavailable: "the database is not available: {}",
    OutcomeUnknown: "the answer was lost, the statement may have happened or not: {}",
    Aborted: "the transaction was undone, run it again: {}",
    StatementTimeout: "the statement was cancelled: {}",
    AlreadyExists: "a row with this key exists already: {}",
    SchemaBehind: "{}; the schema is older than this code, run `agentrows migrate up`",
}


def translate(
    error: BaseException, *, lost: type[Unavailable | OutcomeUnknown] = Unavailable
) -> AgentRowsError | None:
    """Return our error for one of the driver's; None if it should be seen as it is.

    `lost` is what a lost connection means for the statement: Unavailable where nothing can have
    happened or it can be repeated, else OutcomeUnknown. The caller raises the result `from error`.
    """
    if isinstance(error, AgentRowsError):
        return None
    if has_stale_types(error):
        return stale_types(_words(error))
    meaning = next((_MEANING[cls] for cls in type(error).__mro__ if cls in _MEANING), None)
    if meaning is None:
        return None
    if meaning is ConfigError and getattr(error, "server_source_function", None) == POLICY_CHECK:
        meaning = OwnedByAnother
    if isinstance(error, asyncpg.InternalClientError) and NOT_BEGUN in str(error):
        meaning = Unavailable
    if meaning is InvalidValue and isinstance(error, asyncpg.InterfaceError):
        meaning = _refusal(error)
    if meaning is _Lost:
        timed_out = isinstance(error, TimeoutError) and lost is not OutcomeUnknown
        meaning = StatementTimeout if timed_out else lost
    return meaning(_SAYING.get(meaning, "{}").format(_words(error)))


def is_answer(error: BaseException) -> bool:
    """Return whether a connection can be used as it is after an error of the driver.

    It can after an ERROR of the server, and after an argument that was never sent.
    """
    if isinstance(error, asyncpg.PostgresError):
        # The driver raises the server's class for an argument that it cannot encode.
        is_ours = isinstance(error, asyncpg.DataError) and error.severity_en is None
        return is_ours or error.severity_en == "ERROR"
    if isinstance(error, asyncpg.InterfaceError):
        return _refusal(error) is InvalidValue
    return isinstance(error, driver.DataError)


class StaleTypes(Unavailable):
    """The connection has the numbers of types that were dropped; a new connection does not."""

    most_tries = STALE_TRIES


def stale_types(words: str) -> StaleTypes:
    """Return the error for a connection whose types were dropped and created again."""
    return StaleTypes(f"a type was dropped, and perhaps created again, in the database: {words}")


def has_stale_types(error: BaseException | None) -> bool:
    """Return whether an error shows that connections opened so far have outdated types.

    The statement had no effect: the server refused it, or it was not sent.
    """
    if isinstance(error, asyncpg.InternalServerError):
        return bool(STALE_OBJECT.search(str(error)))
    if isinstance(error, asyncpg.UndefinedObjectError):
        return error.server_source_function == STALE_TYPE
    return isinstance(error, StaleTypes)


def _refusal(error: asyncpg.InterfaceError) -> type[AgentRowsError]:
    """Return the meaning of an InterfaceError, which the driver raises before it sends anything."""
    words = str(error)
    if words.startswith(OF_AN_ARGUMENT):
        return InvalidValue
    if UNUSABLE.search(words):
        return Unavailable
    return ConfigError if AUTHENTICATION.search(words) else InvalidValue


def _words(error: BaseException) -> str:
    """Say what the driver said, in one line and without its SQL context."""
    if isinstance(
        error, asyncpg.InvalidSQLStatementNameError | asyncpg.DuplicatePreparedStatementError
    ):
        return f"{error.args[0]}; {SET_POOLER}"
    if isinstance(error, asyncpg.UniqueViolationError) and error.detail:
        return str(error.detail).rstrip(".")
    if isinstance(error, TimeoutError) and not error.args:
        return "no answer in time"
    if isinstance(error, OSError):
        return str(error)
    return str(error.args[0]) if error.args else type(error).__name__
