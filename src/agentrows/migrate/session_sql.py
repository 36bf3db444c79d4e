"""The runner's SQL about its own session: settings, advisory locks, leftovers of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.db.connect import CHECK_CLIENT
from agentrows.migrate.server import SESSION_COLUMNS, Session, fetch_one

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CHECK_SETTING: Final = "client_connection_check_interval"
# Time limits of the role or the database are meant for the queries of a service: a longer build of
# an index would be cancelled in every run. The TCP settings end the session, and release its locks,
# about 30 s after the client's machine is gone; on a Unix socket they have no effect.
_SETTINGS: Final = {
    "statement_timeout": "0",
    "transaction_timeout": "0",  # PostgreSQL 17 and later
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "tcp_user_timeout": "30s",
    "client_min_messages": "notice",  # also names the relations that a file skips
    "standard_conforming_strings": "on",
}
# A setting in the DSN has the source 'client' and is not changed. Options of the run override it,
# and the server has to parse strings as `sql_text` does.
_CONFIGURE: Final = """
    SELECT count(set_config(wanted.name, wanted.value, false))
    FROM (VALUES {values}) AS wanted (name, value)
    JOIN pg_catalog.pg_settings AS setting ON setting.name = wanted.name
    WHERE {condition} (setting.source <> 'client' OR wanted.name IN ({overriding}))
"""
# DISCARD ALL cannot run in a transaction, and would release the locks of the run.
_CLEAN: Final = (
    "RESET ALL; RESET SESSION AUTHORIZATION; RESET ROLE; CLOSE ALL; DEALLOCATE ALL; UNLISTEN *;"
    " DISCARD SEQUENCES; DISCARD TEMP; "
)
_KEY: Final = "(lock.classid::bigint << 32) | lock.objid::bigint"
_OWN_LOCKS: Final = f"""
    FROM pg_catalog.pg_locks AS lock
    WHERE lock.locktype = 'advisory' AND lock.pid = pg_backend_pid() AND lock.granted
        AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (lock.objsubid = 1 AND lock.mode = 'ExclusiveLock'
            AND {_KEY} = ANY ($1::text[]::bigint[]))
"""  # noqa: S608  constants
_HELD: Final = f"SELECT {_KEY} {_OWN_LOCKS}"
_OTHERS: Final = _OWN_LOCKS.replace("AND (lock.objsubid", "AND NOT (lock.objsubid")
_HAS_OTHERS: Final = f"SELECT EXISTS (SELECT {_OTHERS})"
_UNLOCK_OTHERS: Final = f"""
    SELECT CASE
        WHEN lock.objsubid = 1 AND lock.mode = 'ExclusiveLock' THEN pg_advisory_unlock({_KEY})
        WHEN lock.objsubid = 1 THEN pg_advisory_unlock_shared({_KEY})
        WHEN lock.mode = 'ExclusiveLock'
            THEN pg_advisory_unlock(lock.classid::int, lock.objid::int)
        ELSE pg_advisory_unlock_shared(lock.classid::int, lock.objid::int)
    END
    {_OTHERS}
"""


async def start_session(
    db: asyncpg.Connection, *, limits: Mapping[str, str]
) -> tuple[Session, bool]:
    """Read the session and set the settings of a run, except those in the DSN.

    Also returns whether the server can end a statement after its client is gone. It cannot if its
    operating system does not report closed connections. Raises ConfigError if no schema on the
    search_path exists.
    """
    try:
        return await _read_and_configure(db, limits, checks_client=True), True
    except asyncpg.InvalidParameterValueError:
        return await _read_and_configure(db, limits, checks_client=False), False


async def _read_and_configure(
    db: asyncpg.Connection, limits: Mapping[str, str], *, checks_client: bool
) -> Session:
    # Settings of a pooler's server process would also apply to its next client.
    is_own_process = "pg_backend_pid() = $1 AND"
    configure = _configure(limits, checks_client=checks_client, condition=is_own_process)
    *values, _ = await fetch_one(
        db, f"SELECT {SESSION_COLUMNS}, ({configure})", db.get_server_pid()
    )
    return Session.from_row(values)


async def clean(
    db: asyncpg.Connection, *, search_path: str, limits: Mapping[str, str], checks_client: bool
) -> None:
    """Reset the settings, the role and the temporary objects of a file; set those of the run.

    Possible in a transaction and outside of one.
    """
    await db.execute(f"{_CLEAN} {_configure(limits, checks_client=checks_client)}")
    await db.fetchval("SELECT set_config('search_path', $1, false)", search_path)


async def search_path(db: asyncpg.Connection) -> str:
    """Return the session's search_path."""
    return str(await db.fetchval("SELECT current_setting('search_path')"))


async def held_locks(db: asyncpg.Connection, lock_ids: Collection[int]) -> set[int]:
    """Return those of these advisory locks that the current server process has."""
    return {int(row[0]) for row in await db.fetch(_HELD, [str(one) for one in lock_ids])}


async def unlock_others(db: asyncpg.Connection, lock_ids: Collection[int]) -> None:
    """Release the session's advisory locks other than these, also if taken several times.

    Locks of the open transaction remain: the server releases them at its end.
    """
    ids = [str(one) for one in lock_ids]
    if await db.fetchval(_HAS_OTHERS, ids):
        while any(row[0] for row in await db.fetch(_UNLOCK_OTHERS, ids)):
            pass


def _configure(limits: Mapping[str, str], *, checks_client: bool, condition: str = "") -> str:
    """Return the statement for all settings that this version of the server has.

    `limits` are the settings that are options of the run.
    """
    settings = {**_SETTINGS, **limits}
    settings |= {CHECK_SETTING: CHECK_CLIENT} if checks_client else {}
    values = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
    overriding = ", ".join(f"'{name}'" for name in ("standard_conforming_strings", *limits))
    return _CONFIGURE.format(values=values, condition=condition, overriding=overriding)
