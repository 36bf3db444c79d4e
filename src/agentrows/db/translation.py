"""Our errors for errors of the driver, where the statement and its connection matter."""

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

__all__ = ["call_name", "raise_ours"]

NAME: Final = re.compile(r"-- name: (\w+)")
WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
UPSERT: Final = re.compile(r"\bON\s+CONFLICT\b|\bMERGE\s+INTO\b", re.IGNORECASE)
UPSERT_TRIES: Final = 4
"""Tries of an upsert that meets an existing key, which is a race inside the server."""
STANDBY_TRIES: Final = 2
"""Tries of a write on a server that refuses writes: the second has a new connection."""


def call_name(query: str) -> str:
    """Return the name of a statement for a log: that of its function, or `a statement`."""
    named = NAME.match(query)
    return WORD.sub("_", named[1]).lower() if named else "a statement"


def raise_ours(
    error: BaseException,
    query: str = "",
    connection: Connection | None = None,
    *,
    lost: type[Unavailable | OutcomeUnknown],
    readonly: bool = False,
) -> None:
    """Raise our error for one of the driver's; return if it should be raised as it is."""
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        if readonly:
            raise InvalidValue("readonly: a transaction begun so cannot write") from error
        ours = _no_writes(error, connection)
    else:
        ours = translate(error, lost=lost)
    if ours is None:
        return
    if isinstance(ours, AlreadyExists) and UPSERT.search(query):
        # PostgreSQL checks ON CONFLICT against the indexes that it knew when it planned: a
        # REINDEX CONCURRENTLY, or a second unique index, can come in between.
        ours.most_tries = UPSERT_TRIES
    raise ours from error


def _no_writes(error: Exception, connection: Connection | None) -> AgentRowsError | None:
    """Return the error for a write on a server that refuses writes."""
    if not isinstance(connection, PooledConnection) or connection.target == "writer":
        return translate(error)  # the retries look for the new primary
    if connection.target == "reader":
        return ConfigError(
            "this client reads from a standby, as target_session_attrs in its DSN asks; it does "
            "not accept writes: use another client for them"
        )
    is_standby = getattr(connection.get_settings(), "in_hot_standby", "off") == "on"
    server = "the server is a standby" if is_standby else "the server is read-only"
    refused = Unavailable(
        f"{server} and does not accept writes; for a server with standbys, name all hosts in the "
        "DSN with target_session_attrs=read-write"
    )
    refused.most_tries = STANDBY_TRIES
    return refused
