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
     ├─ Unavailable            nothing happened; try again later
     │   └─ PoolTimeout        no connection became free in time
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

`__cause__` keeps the driver's error. No message holds SQL, a DSN, a password, or the content of a
row; the values of a violated key are not repeated either.
"""

from __future__ import annotations

__all__ = [
    "Aborted",
    "AgentRowsError",
    "AlreadyExists",
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
]


class AgentRowsError(Exception):
    """The root of every error that this library raises on purpose."""


class NotFound(AgentRowsError):
    """There is no such row, or it belongs to somebody else."""


class Conflict(AgentRowsError):
    """What is stored stands against what was asked."""


class AlreadyExists(Conflict):
    """An insert met a row that has its key already."""


class OwnedByAnother(Conflict):
    """The id is taken by a row of another user."""


class Deleted(Conflict):
    """The id was used and deleted before; it stays deleted."""


class InvalidValue(AgentRowsError, ValueError):
    """An argument cannot be stored as it is; the message names it."""


class InvalidReference(AgentRowsError):
    """A row that this one points to is not there."""


class Unavailable(AgentRowsError):
    """The database could not be reached or would not serve; nothing happened, try again."""


class PoolTimeout(Unavailable):
    """No connection of the pool became free in time; nothing was sent."""


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
