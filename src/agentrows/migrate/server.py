"""The runner's SQL about sessions, locks and extensions of the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from agentrows.db.connect import check_server_version
from agentrows.errors import ConfigError
from agentrows.migrate.cleanup import await_cleanup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import asyncpg

    from agentrows.db.sources import Connection
    from agentrows.migrate.track import Track

SESSION_COLUMNS: Final = (
    "current_database(), current_schema(), current_setting('search_path'), pg_backend_pid(),"
    " pg_postmaster_start_time()"
)
"""The columns of a `Session`."""
# pg_locks shows a bigint key as its two halves, with objsubid 1.
_LOCK_HOLDERS: Final = """
    SELECT activity.pid, activity.application_name,
        extract(epoch FROM clock_timestamp() - activity.query_start)::float8
    FROM pg_catalog.pg_stat_activity AS activity
    WHERE activity.pid <> pg_backend_pid() AND activity.pid IN (
        SELECT lock.pid FROM pg_catalog.pg_locks AS lock
        WHERE lock.locktype = 'advisory' AND lock.objsubid = 1 AND lock.granted
            AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (lock.classid::bigint << 32) | lock.objid::bigint = ANY ($1::text[]::bigint[])
    )
    ORDER BY activity.pid
"""
_TABLE_USERS: Final = """
    SELECT activity.pid, activity.application_name,
        extract(epoch FROM clock_timestamp() - activity.xact_start)::float8
    FROM pg_catalog.pg_stat_activity AS activity
    WHERE activity.datname = current_database() AND activity.pid <> pg_backend_pid()
        AND EXISTS (
            SELECT FROM pg_catalog.pg_locks AS lock
            JOIN pg_catalog.pg_class AS class ON class.oid = lock.relation
            WHERE lock.pid = activity.pid AND lock.granted
                AND class.relnamespace <> 'pg_catalog'::regnamespace
        )
    ORDER BY activity.xact_start
"""
_BLOCKERS: Final = """
    SELECT pid, activity.application_name,
        extract(epoch FROM clock_timestamp() - activity.xact_start)::float8
    FROM unnest(pg_blocking_pids($1)) AS pid
    LEFT JOIN pg_catalog.pg_stat_activity AS activity USING (pid)
    ORDER BY activity.xact_start
"""
_STATEMENT_STATE: Final = """
    SELECT activity.state = 'active' AND activity.wait_event = 'ClientRead',
        waited.name, waited.mode
    FROM pg_catalog.pg_stat_activity AS activity
    LEFT JOIN LATERAL (
        SELECT format('%I.%I', namespace.nspname, class.relname) AS name, lock.mode
        FROM pg_catalog.pg_locks AS lock
        JOIN pg_catalog.pg_class AS class ON class.oid = lock.relation
        JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
        WHERE lock.pid = activity.pid AND lock.locktype = 'relation' AND NOT lock.granted
            AND class.relkind IN ('r', 'p') AND namespace.nspname <> 'pg_catalog'
    ) AS waited ON true
    WHERE activity.pid = $1
"""
_EXTENSION: Final = """
    SELECT available.default_version, available.installed_version,
        (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) OR (
            version.trusted AND has_database_privilege(current_database(), 'CREATE')
        ) AS may_create,
        (
            SELECT nspname FROM pg_catalog.pg_extension
            JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = extnamespace
            WHERE extname = $1 AND nspname <> ALL (current_schemas(true))
        ) AS hidden_in
    FROM pg_catalog.pg_available_extensions AS available
    JOIN pg_catalog.pg_available_extension_versions AS version
        ON version.name = available.name AND version.version = available.default_version
    WHERE available.name = $1
"""
_LIMIT_LOCK_WAITS: Final = "SELECT set_config('lock_timeout', '2s', true)"


@dataclass(frozen=True, slots=True)
class Session:
    """Properties of a connection before the runner changes its settings."""

    database: str
    schema: str
    search_path: str
    backend_pid: int
    server_started_at: datetime | None = None

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """Build a session from the values of `SESSION_COLUMNS`.

        Raises ConfigError if no schema on the search_path exists.
        """
        session = cls(*row)
        if row[1] is None:
            raise ConfigError(
                f"the search_path {session.search_path!r} names no schema that exists"
            )
        return session


@dataclass(frozen=True, slots=True)
class Backend:
    """Another session, and the age of its statement or transaction if this role may read it."""

    pid: int
    application_name: str
    seconds: float | None

    def __str__(self) -> str:
        """Return the form of log and error messages: pid 41 (psql), running for 3.2 s."""
        name = f" ({self.application_name})" if self.application_name else ""
        age = "" if self.seconds is None else f", running for {self.seconds:.1f} s"
        return f"pid {self.pid}{name}{age}"


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension of the server; `installed` is the version in this database, or None.

    `hidden_in` is its schema if that is not on the search_path.
    """

    default: str
    installed: str | None
    may_create: bool
    hidden_in: str | None = None


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


async def limit_lock_waits(db: Connection) -> None:
    """Let each statement of the transaction wait at most 2 s for a locked table."""
    await db.execute(_LIMIT_LOCK_WAITS)


async def read_session(db: Connection) -> Session:
    """Read the database, the search_path and the server process of a connection.

    Raises ConfigError if the server is too old, or if no schema on the search_path exists.
    """
    check_server_version(db)  # the connection may come from an application's own pool
    return Session.from_row(await fetch_one(db, f"SELECT {SESSION_COLUMNS}"))


async def search_path_for(db: asyncpg.Connection, track: Track, session: Session) -> str:
    """Return the search_path for a track's files: the track's schema first, if it has one."""
    if track.schema is None:
        return session.search_path
    schemas = await db.fetch(
        "SELECT DISTINCT nspname FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace"
        " WHERE extname = ANY ($1::text[]) AND nspname <> $2 ORDER BY nspname",
        list(track.extensions),
        track.schema,
    )
    return ", ".join([quote(track.schema), *(quote(row["nspname"]) for row in schemas)])


async def try_locks(db: asyncpg.Connection, lock_ids: Sequence[int]) -> bool:
    """Take all of these advisory locks, or none."""
    rows = await db.fetch(
        "SELECT id, pg_try_advisory_lock(id)"
        " FROM unnest($1::text[]::bigint[]) AS id",  # bigint[] would cost a look-up of the type
        [str(one) for one in lock_ids],
    )
    taken = [row[0] for row in rows if row[1]]
    if len(taken) == len(lock_ids):
        return True
    if taken:
        await unlock(db, taken)
    return False


async def unlock(db: asyncpg.Connection, lock_ids: Sequence[int]) -> None:
    """Release advisory locks."""
    await db.execute(
        "SELECT pg_advisory_unlock(id) FROM unnest($1::text[]::bigint[]) AS id",
        [str(one) for one in lock_ids],
    )


async def lock_holders(db: Connection, lock_ids: Sequence[int]) -> list[Backend]:
    """Return the other sessions with any of these advisory locks, with the query's age."""
    return [Backend(*row) for row in await db.fetch(_LOCK_HOLDERS, [str(one) for one in lock_ids])]


async def find_table_users(db: asyncpg.Connection) -> list[Backend]:
    """Return the other sessions that lock tables of this database, oldest transaction first."""
    return [Backend(*row) for row in await db.fetch(_TABLE_USERS)]


async def statement_state(db: asyncpg.Connection, pid: int) -> tuple[bool, str | None, str | None]:
    """Return whether a session's statement waits for its client, and its blocked table lock.

    The lock is a table, qualified and quoted, and a mode as pg_locks names it; None, None if the
    statement waits for no table.
    """
    row = await db.fetchrow(_STATEMENT_STATE, pid)
    return (bool(row[0]), row[1], row[2]) if row else (False, None, None)


async def lock_table(db: asyncpg.Connection, qualified: str, mode: str) -> None:
    """Lock a table until the end of the transaction."""
    await db.execute(f"LOCK TABLE {qualified} IN {mode} MODE")


async def limit_lock_wait(db: asyncpg.Connection, seconds: float | None) -> None:
    """Set how long a statement waits for a lock; None removes the limit."""
    limit = "0" if seconds is None else milliseconds(seconds)
    await db.execute("SELECT set_config('lock_timeout', $1, false)", limit)


async def find_blockers(db: asyncpg.Connection, pid: int) -> list[Backend]:
    """Return the sessions that block a session; a prepared transaction has the pid 0."""
    return [Backend(*row) for row in await db.fetch(_BLOCKERS, pid)]


async def configure_session(
    db: asyncpg.Connection, *, search_path: str, lock_timeout_s: float
) -> datetime:
    """Set the search_path and lock_timeout for a file without a transaction; return the time."""
    _, _, now = await fetch_one(
        db,
        "SELECT set_config('search_path', $1, false), set_config('lock_timeout', $2, false),"
        " clock_timestamp()",
        search_path,
        milliseconds(lock_timeout_s),
    )
    return now  # type: ignore[no-any-return]


async def find_extension(db: asyncpg.Connection, name: str) -> Extension | None:
    """Return an extension's versions; None if the server does not have its files."""
    row = await db.fetchrow(_EXTENSION, name)
    return Extension(*row) if row else None


async def try_create_extension(db: asyncpg.Connection, extension: str) -> None:
    """Create an extension and roll that back, to find out whether this role may create it."""
    savepoint = db.transaction()
    await savepoint.start()
    try:
        await db.execute(f"CREATE EXTENSION {quote(extension)}")
    finally:
        await await_cleanup(db, savepoint.rollback)


async def fetch_one(db: Connection, query: str, *arguments: object) -> tuple[Any, ...]:
    """Return the row of a SELECT that always has one."""
    row = await db.fetchrow(query, *arguments)
    if row is None:  # pragma: no cover  the queries have no FROM
        raise AssertionError(query)
    return tuple(row)


def milliseconds(seconds: float) -> str:
    """Format a duration as a setting; at least 1 ms, because 0 would mean no limit."""
    return f"{max(1, round(seconds * 1000))}ms"
