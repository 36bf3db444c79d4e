"""Isolation levels of methods that lock rows in one statement and change them in the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentrows.errors import InvalidValue

if TYPE_CHECKING:
    from agentrows.db.executor import Executor, Isolation


def choose_isolation(db: Executor) -> Isolation | None:
    """Return the isolation level in which each statement has a new snapshot.

    Returns None inside a transaction, which has its level already: check it with
    `check_read_committed`.
    """
    return None if db.in_transaction else "read_committed"


def check_read_committed(isolation: str, method: str) -> None:
    """Raise InvalidValue unless each statement of a transaction has a new snapshot."""
    # In other levels a statement does not see the rows that were committed before an earlier
    # statement of the transaction got its lock.
    if isolation not in ("read committed", "read uncommitted"):
        raise InvalidValue(
            f"isolation must be read_committed for {method} in a transaction, got {isolation}"
        )
