"""Translation of the driver's errors that depends on the statement and its connection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.db.codecs import PooledConnection
from agentrows.errors import (
    AgentRowsError,
    AlreadyExists,
    ConfigError,
    InvalidValue,
    OutcomeUnknown,
    Unavailable,
    translate,
)

if TYPE_CHECKING:
    from agentrows.db.sources import Connection

__all__ = ["call_name", "raise_translated"]

NAME: Final = re.compile(r"-- name: (\w+)")
WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
UPSERT: Final = re.compile(r"\bON\s+CONFLICT\b|\bMERGE\s+INTO\b", re.IGNORECASE)
UPSERT_TRIES: Final = 4
"""Attempts of an upsert that violates a unique key, which is a race inside the server."""
STANDBY_TRIES: Final = 2
"""Attempts of a write on a read-only server; the second one has a new connection."""


def call_name(query: str) -> str:
    """Return the name of a statement for the log: the name of its function, or `a statement`."""
    named = NAME.match(query)
    return WORD_START.sub("_", named[1]).lower() if named else "a statement"


def raise_translated(
    error: BaseException,
    query: str = "",
    connection: Connection | None = None,
    *,
    lost: type[Unavailable | OutcomeUnknown],
    readonly: bool = False,
) -> None:
    """Raise the AgentRowsError for an error of the driver; return if it has no translation."""
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        if readonly:
            raise InvalidValue("this transaction is read-only") from error
        translated = _read_only_error(error, connection)
    else:
        translated = translate(error, lost=lost)
    if translated is None:
        return
    if isinstance(translated, AlreadyExists) and UPSERT.search(query):
        # ON CONFLICT checks the unique indexes that existed when the statement was planned.
        # REINDEX CONCURRENTLY or CREATE UNIQUE INDEX can change them before the insert.
        translated.most_tries = UPSERT_TRIES
    raise translated from error


def _read_only_error(error: Exception, connection: Connection | None) -> AgentRowsError | None:
    """Return the error for a write on a read-only server."""
    if not isinstance(connection, PooledConnection) or connection.target == "writer":
        return translate(error)  # a retry connects to the new primary
    if connection.target == "reader":
        return ConfigError(
            "this client is connected to a standby, as target_session_attrs in its DSN requires; "
            "use another client for writes"
        )
    is_standby = getattr(connection.get_settings(), "in_hot_standby", "off") == "on"
    server = "the server is a standby" if is_standby else "the server is read-only"
    unavailable = Unavailable(
        f"{server} and does not accept writes; for a server with standbys, list all hosts in the "
        "DSN with target_session_attrs=read-write"
    )
    unavailable.most_tries = STANDBY_TRIES
    return unavailable
