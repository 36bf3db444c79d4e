"""The errors of agentrows: the class determines the next step, the message names the object.

::

    AgentRowsError
     ├─ NotFound               there is no such row, or it belongs to another user
     ├─ Conflict               the stored rows do not allow the call
     │   ├─ AlreadyExists      a row with this key exists
     │   ├─ OwnedByAnother     a row of another user has this id
     │   ├─ Deleted            the row was deleted; its id cannot be reused
     │   └─ Stale              the row has another version; read it again
     ├─ InvalidValue           an argument cannot be stored; it is named (also a ValueError)
     ├─ InvalidReference       a referenced row does not exist
     ├─ UnreadableRow          a row of another writer cannot be returned
     ├─ Unavailable            nothing happened; try again later
     │   ├─ PoolTimeout        no connection became free in time
     │   └─ ClientClosed       the client is closed; open another one
     ├─ StatementTimeout       the statement reached its time limit (also a TimeoutError)
     ├─ Aborted                deadlock or serialization failure; run the transaction again
     ├─ OutcomeUnknown         the connection was lost; the statement may have taken effect
     ├─ ConfigError            an operator has to correct settings, credentials or rights
     ├─ SchemaBehind           the database lacks a migration
     └─ MigrationError         a migration run stopped
         ├─ MigrationFailed    a file's SQL failed; the run was rolled back
         ├─ LockTimeout        another runner holds the lock
         ├─ DirtySchema        an earlier run ended in the middle of a version
         └─ InvalidTrack       the migration files or the tracks are not valid

`__cause__` is the driver's error. No message contains SQL, a DSN, a password, or the content of
another user's row; the message for a violated key contains the values that the caller passed.
The constructors of the `New…` and `Imported…` models raise InvalidValue too, as methods do;
`model_validate` raises pydantic's ValidationError, which web frameworks turn into a reply.
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
    "Stale",
    "StatementTimeout",
    "Unavailable",
    "UnreadableRow",
    "has_stale_types",
    "leaves_connection_usable",
    "translate",
]


class AgentRowsError(Exception):
    """The base class of every error of this library."""

    most_tries: int | None = None
    """Attempts of a call that may raise this error; None: as its class and the time allow."""


class NotFound(AgentRowsError):
    """There is no such row, or it belongs to another user."""


class Conflict(AgentRowsError):
    """The stored rows do not allow the call."""


class AlreadyExists(Conflict):
    """A row with this key exists."""


class OwnedByAnother(Conflict):
    """A row of another user has this id, or a policy hides the row from this user."""


class Deleted(Conflict):
    """The row was deleted; its id cannot be reused."""


class Stale(Conflict):
    """The row was changed since the caller read it: read it again, then repeat the change."""


class InvalidValue(AgentRowsError, ValueError):
    """An argument cannot be stored; the message names it."""


class InvalidReference(AgentRowsError):
    """A referenced row does not exist."""


class UnreadableRow(AgentRowsError):
    """A stored row cannot be returned; the message identifies it without its content."""


class Unavailable(AgentRowsError):
    """The database could not be reached or refused to serve; nothing happened, call again."""


class PoolTimeout(Unavailable):
    """No connection of the pool became free in time; nothing was sent."""


class ClientClosed(Unavailable):
    """The client or its pool is closed; nothing was sent."""


class StatementTimeout(AgentRowsError, TimeoutError):
    """The statement reached its time limit and was cancelled."""


class Aborted(AgentRowsError):
    """The server rolled the transaction back (deadlock, serialization); run it again."""


class OutcomeUnknown(AgentRowsError):
    """The reply was lost after the statement was sent: it may or may not have taken effect."""


class ConfigError(AgentRowsError):
    """Settings, credentials or rights are wrong; an operator has to correct them."""


class SchemaBehind(AgentRowsError):
    """The database lacks a migration that the call requires."""


class MigrationError(AgentRowsError):
    """A migration run stopped; the message describes the state of the database."""


class MigrationFailed(MigrationError):
    """A migration's SQL failed, and the run was rolled back."""


class LockTimeout(MigrationError):
    """Another runner held the migration lock until the deadline; nothing was done."""


class DirtySchema(MigrationError):
    """A tracking table records that an earlier run stopped in the middle of a version."""


class InvalidTrack(MigrationError):
    """The migration files or the tracks are not valid."""


SET_POOLER: Final = (
    "behind a transaction pooler (pgbouncer, for instance) set AGENTROWS_POOLER=transaction"
)


class _Lost(AgentRowsError):
    """In the table below: the connection was lost, and the statement determines the class."""


# The first class of the MRO of the driver's error that is in this table. None: the error is raised
# as it is, because it is a bug of this library, of the application's SQL, or of the server.
_MEANING: Final[dict[type[BaseException], type[AgentRowsError] | None]] = {
    # The connection and its authentication.
    ConnectionError: _Lost,
    EOFError: _Lost,
    OSError: _Lost,
    TimeoutError: _Lost,
    ssl.SSLError: ConfigError,
    ssl.SSLEOFError: _Lost,
    ssl.SSLZeroReturnError: _Lost,
    asyncpg.PostgresConnectionError: _Lost,
    asyncpg.InternalClientError: _Lost,  # mostly a lost connection
    asyncpg.OutdatedSchemaCacheError: _Lost,  # the reply cannot be decoded any more
    asyncpg.ClientCannotConnectError: Unavailable,
    asyncpg.ConnectionRejectionError: Unavailable,
    asyncpg.TransactionResolutionUnknownError: OutcomeUnknown,
    asyncpg.ProtocolViolationError: _Lost,  # a pooler ends a connection with it
    asyncpg.InvalidAuthorizationSpecificationError: ConfigError,
    asyncpg.InvalidCatalogNameError: ConfigError,
    asyncpg.InvalidRoleSpecificationError: ConfigError,
    asyncpg.InsufficientPrivilegeError: ConfigError,
    asyncpg.AdminShutdownError: _Lost,
    asyncpg.CrashShutdownError: _Lost,
    asyncpg.CannotConnectNowError: Unavailable,
    asyncpg.DatabaseDroppedError: _Lost,
    asyncpg.IdleSessionTimeoutError: _Lost,
    # The server lacks resources, or is a replica.
    asyncpg.InsufficientResourcesError: Unavailable,
    asyncpg.PostgresSystemError: Unavailable,
    asyncpg.ReadOnlySQLTransactionError: Unavailable,
    asyncpg.TargetServerAttributeNotMatched: Unavailable,
    # The transaction was rolled back.
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
    # The values cannot be stored.
    asyncpg.UniqueViolationError: AlreadyExists,
    asyncpg.ExclusionViolationError: Conflict,
    asyncpg.ForeignKeyViolationError: InvalidReference,
    asyncpg.RestrictViolationError: InvalidReference,
    asyncpg.IntegrityConstraintViolationError: InvalidValue,
    asyncpg.WithCheckOptionViolationError: InvalidValue,
    asyncpg.DataError: InvalidValue,
    asyncpg.ProgramLimitExceededError: InvalidValue,
    driver.DataError: InvalidValue,  # of the client; asyncpg.DataError is that of the server
    # The schema is older than the code.
    asyncpg.UndefinedObjectError: SchemaBehind,
    asyncpg.UndefinedTableError: SchemaBehind,
    asyncpg.UndefinedColumnError: SchemaBehind,
    asyncpg.InvalidSchemaNameError: SchemaBehind,
    # A pooler runs each transaction in another server process.
    asyncpg.InvalidSQLStatementNameError: ConfigError,
    asyncpg.DuplicatePreparedStatementError: ConfigError,
    asyncpg.UndefinedFunctionError: ConfigError,  # an older server, or a missing extension
    # Raised before anything is sent; see _interface_error.
    asyncpg.InterfaceError: InvalidValue,
    asyncpg.ClientConfigurationError: ConfigError,
    asyncpg.UnsupportedClientFeatureError: None,
    asyncpg.UnsupportedServerFeatureError: None,
    # The server ends a statement with an SQLSTATE for warnings: RAISE with such an ERRCODE. The
    # driver's classes for these are immutable, and context managers fail on them with TypeError.
    asyncpg.PostgresWarning: AgentRowsError,
    # Bugs of this library, of the application's SQL, or of the server.
    asyncpg.SyntaxOrAccessError: None,
    asyncpg.FeatureNotSupportedError: None,
    asyncpg.InternalServerError: None,
    asyncpg.PLPGSQLError: None,
    asyncpg.PostgresError: None,
}

# The driver's message for a connection that the server has ended; nothing was sent.
NOT_STARTED: Final = "cannot switch to state"
# InterfaceError has no subclasses, so its messages, which are always English, determine the class:
# a connection or a pool, authentication, or else an argument.
UNUSABLE: Final = re.compile(
    r"is clos(ed|ing)|released back|another operation is|not initialized|manually started"
)
AUTHENTICATION: Final = re.compile(r"authentication|gssapi|sspi|scram", re.IGNORECASE)
ARGUMENT_PREFIX: Final = "query argument"
# PostgreSQL does not translate its internal messages; for others the C function is compared.
STALE_OBJECT: Final = re.compile(r"cache lookup failed for|could not open relation with OID")
STALE_TYPE: Final = "lookup_type_cache"
STALE_TYPE_TRIES: Final = 5
# The C function that checks rows against policies; the message depends on the server's language.
POLICY_CHECK: Final = "ExecWithCheckOptions"
_MESSAGES: Final[dict[type[AgentRowsError], str]] = {
    Unavailable: "the database is not available: {}",
    OutcomeUnknown: "the reply was lost, the statement may or may not have taken effect: {}",
    Aborted: "the transaction was rolled back, run it again: {}",
    StatementTimeout: "the statement was cancelled: {}",
    AgentRowsError: "the server ended the statement with an SQLSTATE for warnings: {}",
    AlreadyExists: "a row with this key exists: {}",
    SchemaBehind: "{}; the schema is older than this code, run `agentrows migrate up`",
}


def translate(
    error: BaseException, *, lost: type[Unavailable | OutcomeUnknown] = Unavailable
) -> AgentRowsError | None:
    """Return our error for an error of the driver; None if that is to be raised as it is.

    `lost` is the class for a lost connection: Unavailable if the statement had no effect or is
    repeatable, else OutcomeUnknown. The caller raises the result `from error`.
    """
    if isinstance(error, AgentRowsError):
        return None
    if has_stale_types(error):
        return stale_types(_driver_message(error))
    meaning = next((_MEANING[cls] for cls in type(error).__mro__ if cls in _MEANING), None)
    if meaning is None:
        return None
    if meaning is ConfigError and getattr(error, "server_source_function", None) == POLICY_CHECK:
        meaning = OwnedByAnother
    if isinstance(error, asyncpg.InternalClientError) and NOT_STARTED in str(error):
        meaning = Unavailable
    if meaning is InvalidValue and isinstance(error, asyncpg.InterfaceError):
        meaning = _interface_error(error)
    if meaning is _Lost:
        timed_out = isinstance(error, TimeoutError) and lost is not OutcomeUnknown
        meaning = StatementTimeout if timed_out else lost
    return meaning(_MESSAGES.get(meaning, "{}").format(_driver_message(error)))


def leaves_connection_usable(error: BaseException) -> bool:
    """Return whether the connection is still usable after this driver error, without a reset.

    It is after an ERROR of the server, and after a value that was refused before the statement was
    prepared.
    """
    if isinstance(error, asyncpg.PostgresError | asyncpg.PostgresWarning):
        # An argument that the driver cannot encode has no severity. The statement was prepared by
        # then, and a pooler reserves the server process for the session until it gets a reset.
        return error.severity_en == "ERROR"
    return isinstance(error, driver.DataError)


class StaleTypes(Unavailable):
    """The connection caches types that were dropped; a new connection does not."""

    most_tries = STALE_TYPE_TRIES


def stale_types(detail: str) -> StaleTypes:
    """Return the error for a connection that caches types which were dropped and created again."""
    return StaleTypes(f"a type was dropped, and perhaps created again, in the database: {detail}")


def has_stale_types(error: BaseException | None) -> bool:
    """Return whether an error is caused by types that the open connections cache and that changed.

    The statement had no effect: the server refused it, or it was not sent.
    """
    if isinstance(error, asyncpg.InternalServerError):
        return bool(STALE_OBJECT.search(str(error)))
    if isinstance(error, asyncpg.UndefinedObjectError):
        return error.server_source_function == STALE_TYPE
    return isinstance(error, StaleTypes)


def _interface_error(error: asyncpg.InterfaceError) -> type[AgentRowsError]:
    """Return our class for an InterfaceError, which the driver raises before it sends anything."""
    message = str(error)
    if message.startswith(ARGUMENT_PREFIX):
        return InvalidValue
    if UNUSABLE.search(message):
        return Unavailable
    return ConfigError if AUTHENTICATION.search(message) else InvalidValue


def _driver_message(error: BaseException) -> str:
    """Return the message of the driver in one line, without its SQL context."""
    if isinstance(
        error, asyncpg.InvalidSQLStatementNameError | asyncpg.DuplicatePreparedStatementError
    ):
        return f"{error.args[0]}; {SET_POOLER}"
    if isinstance(error, asyncpg.UniqueViolationError) and error.detail:
        return str(error.detail).rstrip(".")
    if isinstance(error, TimeoutError) and not error.args:
        return "no reply in time"
    if isinstance(error, OSError):
        return str(error)
    return str(error.args[0]) if error.args else type(error).__name__
