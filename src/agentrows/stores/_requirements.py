"""Which migration a method needs, said before the statement is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentrows.errors import ConfigError, InvalidValue, SchemaBehind
from agentrows.gen import database

if TYPE_CHECKING:
    from agentrows.db.executor import Executor, Isolation, StatementRunner
    from agentrows.gen.models import Surroundings

SWITCHED_OFF: Final = -1
"""The version of a track that the settings leave out."""
SWITCHES: Final = {
    "vector": "AGENTROWS_VECTOR_ENABLED=false",
    "rls": "set AGENTROWS_ROW_SECURITY=true",
}
"""What the settings say of a track that they leave out."""


def needs(db: Executor, track: str, version: int) -> None:
    """Raise SchemaBehind if the database is known to be behind this version of a track.

    ConfigError if the settings leave the track out.

    Versions are those read when the client was opened. Of a track that was not there to read
    nothing is known, and the statement itself will tell.
    """
    applied = db.versions.get(track, version)
    if applied == SWITCHED_OFF:
        raise ConfigError(f"track {track!r} is switched off: {SWITCHES[track]}")
    if applied < version:
        raise SchemaBehind(
            f"this needs migration {version} of track {track!r}, the database is at {applied}; "
            "run `agentrows migrate up`, and open the client anew"
        )


async def become_user(db: Executor, user_id: str) -> None:
    """Let a transaction see and change the rows of one user alone.

    Raises ConfigError where the policies would not hold.
    """
    became = await database.become_user(db.repeatable, user_id=user_id)
    if became.is_citus:
        raise ConfigError(
            "as_user does not protect rows in a database with the extension citus: its nodes do "
            "not get the id of the user"
        )
    if became.open_tables:
        raise ConfigError(
            f"no policy holds for this role on {became.open_tables}: it is a superuser or has "
            "BYPASSRLS, or the tables lack the track `rls`; use another role, and run "
            "`agentrows migrate up` with AGENTROWS_ROW_SECURITY=true"
        )


async def look_around(
    db: StatementRunner, method: str, *, of_one_user: bool = False
) -> Surroundings:
    """Return where a method runs; raise ConfigError if policies hide every row from it.

    Raises InvalidValue if it sees the rows of one user alone, unless it is `of_one_user`.
    """
    found = await database.look_around(db)
    if found.is_denied:
        raise ConfigError(
            f"{method} would see no row: agentrows.unscoped is 'deny' here; use another role or DSN"
        )
    if found.user_id and not of_one_user:
        raise InvalidValue(
            f"{method} has to see the rows of every user: call it outside of as_user"
        )
    return found


def new_snapshots(db: Executor) -> Isolation | None:
    """Return the isolation level that gives each statement a new snapshot.

    Inside a transaction it is None: the level is set already, check it by `check_read_committed`.
    """
    return None if db.in_transaction else "read_committed"


def check_read_committed(isolation: str, method: str) -> None:
    """Raise InvalidValue if statements of a transaction do not each have a new snapshot.

    Under another isolation level a statement does not see the rows that were committed before a
    lock was granted to an earlier statement of the transaction.
    """
    if isolation not in ("read committed", "read uncommitted"):
        raise InvalidValue(
            f"isolation must be read_committed for {method} in a transaction, got {isolation}"
        )
