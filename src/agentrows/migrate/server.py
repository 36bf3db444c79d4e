"""The SQL of the runner that asks the server: sessions, advisory locks, extensions, indexes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentrows.errors import ConfigError
from agentrows.migrate.cleanup import within_limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    import asyncpg

    from agentrows.db.sources import Connection
    from agentrows.migrate.index_statements import Index
    from agentrows.migrate.track import Track

OLDEST_SERVER: Final = 15
"""The oldest major version of PostgreSQL that is supported."""

# A bigint key is shown as its two halves, with objsubid 1.
_HOLDERS: Final = """
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
_BUSY: Final = """
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
_STATEMENT: Final = """
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
_INVALID_AMONG: Final = """
    SELECT format('%I.%I', namespace.nspname, class.relname)
    FROM unnest($1::text[], $2::text[]) AS wanted (name, made_on)
    JOIN pg_catalog.pg_class AS class ON class.relname = wanted.name AND class.relkind = 'i'
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    JOIN pg_catalog.pg_index AS made
        ON made.indexrelid = class.oid AND made.indrelid = to_regclass(wanted.made_on)
    WHERE NOT made.indisvalid
"""
_IS_THERE: Final = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_index AS made
        JOIN pg_catalog.pg_class AS class ON class.oid = made.indexrelid
        WHERE class.relname = $1 AND made.indrelid = to_regclass($2)
    )
"""
_TAKEN_AMONG: Final = """
    SELECT class.relname
    FROM unnest($1::text[], $2::text[]) AS wanted (name, made_on)
    JOIN pg_catalog.pg_class AS made_on ON made_on.oid = to_regclass(wanted.made_on)
    JOIN pg_catalog.pg_class AS class
        ON class.relname = wanted.name AND class.relnamespace = made_on.relnamespace
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_index AS made
        WHERE made.indexrelid = class.oid AND made.indrelid = made_on.oid
    )
"""
_INVALID_REBUILDS: Final = """
    SELECT format('%I.%I', namespace.nspname, class.relname)
    FROM pg_catalog.pg_index AS index
    JOIN pg_catalog.pg_class AS class ON class.oid = index.indexrelid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE NOT index.indisvalid AND class.relname ~ '_cc(new|old)[0-9]*$'
        AND class.relkind = 'i' AND namespace.nspname = ANY (current_schemas(false))
"""
_INVALID_IN: Final = """
    SELECT format('%I.%I', namespace.nspname, class.relname), index.indrelid::regclass::text
    FROM pg_catalog.pg_index AS index
    JOIN pg_catalog.pg_class AS class ON class.oid = index.indexrelid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE NOT index.indisvalid AND class.relkind = 'i' AND namespace.nspname = ANY ($1::text[])
    ORDER BY 1
"""
_INDEXES_IN: Final = """
    SELECT class.relname, made_on.relname
    FROM pg_catalog.pg_index AS index
    JOIN pg_catalog.pg_class AS class ON class.oid = index.indexrelid
    JOIN pg_catalog.pg_class AS made_on ON made_on.oid = index.indrelid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE namespace.nspname = ANY ($1::text[])
"""


@dataclass(frozen=True, slots=True)
class Session:
    """What a connection starts with."""

    database: str
    schema: str
    search_path: str
    backend_pid: int
    server_started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    """A session of somebody else, and how long it has been at it, if we may know."""

    pid: int
    application_name: str
    seconds: float | None

    def __str__(self) -> str:
        """Say it for an error message: pid 41 (psql), at it for 3.2 s."""
        name = f" ({self.application_name})" if self.application_name else ""
        since = "" if self.seconds is None else f", at it for {self.seconds:.1f} s"
        return f"pid {self.pid}{name}{since}"


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension on the server; `installed` is None if this database lacks it.

    `hidden_in` is its schema, if the search_path does not contain that.
    """

    default: str
    installed: str | None
    may_create: bool
    hidden_in: str | None = None


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


async def read_session(db: Connection) -> Session:
    """Read what the connection starts with.

    Raises ConfigError for a server that is too old, and if there is no schema to create in.
    """
    version = db.get_server_version()
    if version.major < OLDEST_SERVER:
        raise ConfigError(
            f"PostgreSQL {OLDEST_SERVER} or later is needed, the server is "
            f"{version.major}.{version.minor}: upgrade it"
        )
    database, schema, search_path, pid, started_at = await fetch_one(
        db,
        "SELECT current_database(), current_schema(), current_setting('search_path'),"
        " pg_backend_pid(), pg_postmaster_start_time()",
    )
    if schema is None:
        raise ConfigError(f"the search_path {search_path!r} names no schema that exists")
    return Session(database, schema, search_path, pid, started_at)


async def search_path_for(db: asyncpg.Connection, track: Track, session: Session) -> str:
    """Return the search_path for a track's files: its schema first, if it names one."""
    if track.schema is None:
        return session.search_path
    found = await db.fetch(
        "SELECT DISTINCT nspname FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace"
        " WHERE extname = ANY ($1::text[]) AND nspname <> $2 ORDER BY nspname",
        list(track.extensions),
        track.schema,
    )
    return ", ".join([quote(track.schema), *(quote(row["nspname"]) for row in found)])


async def try_lock(db: asyncpg.Connection, lock_id: int) -> bool:
    """Take a session's advisory lock if it is free."""
    return bool(await db.fetchval("SELECT pg_try_advisory_lock($1::bigint)", lock_id))


async def try_locks(db: asyncpg.Connection, lock_ids: Sequence[int]) -> bool:
    """Take all of these advisory locks, or none."""
    rows = await db.fetch(
        "SELECT id, pg_try_advisory_lock(id)"
        " FROM unnest($1::text[]::bigint[]) AS id",  # the driver would look bigint[] up first
        [str(one) for one in lock_ids],
    )
    taken = [row[0] for row in rows if row[1]]
    if len(taken) == len(lock_ids):
        return True
    if taken:
        await unlock(db, taken)
    return False


async def unlock(db: asyncpg.Connection, lock_ids: Sequence[int]) -> None:
    """Give advisory locks back."""
    await db.execute(
        "SELECT pg_advisory_unlock(id) FROM unnest($1::text[]::bigint[]) AS id",
        [str(one) for one in lock_ids],
    )


async def lock_holders(db: Connection, lock_ids: Sequence[int]) -> list[Backend]:
    """Return who holds any of these advisory locks, and how long its query has run."""
    return [Backend(*row) for row in await db.fetch(_HOLDERS, [str(one) for one in lock_ids])]


async def busy_backends(db: asyncpg.Connection) -> list[Backend]:
    """Return who holds locks on tables of this database, the oldest transaction first."""
    return [Backend(*row) for row in await db.fetch(_BUSY)]


async def statement_state(db: asyncpg.Connection, pid: int) -> tuple[bool, str | None, str | None]:
    """Return whether a session's statement waits for its client; the table and mode it waits for.

    The table is qualified and quoted, the mode as pg_locks names it.
    """
    row = await db.fetchrow(_STATEMENT, pid)
    return (bool(row[0]), row[1], row[2]) if row else (False, None, None)


async def lock_table(db: asyncpg.Connection, qualified: str, mode: str) -> None:
    """Lock a table until the end of the transaction."""
    await db.execute(f"LOCK TABLE {qualified} IN {mode} MODE")


async def limit_lock_wait(db: asyncpg.Connection, seconds: float | None) -> None:
    """Set how long a statement waits for a lock; None is no limit."""
    limit = "0" if seconds is None else milliseconds(seconds)
    await db.execute("SELECT set_config('lock_timeout', $1, false)", limit)


async def blockers_of(db: asyncpg.Connection, pid: int) -> list[Backend]:
    """Return for whom the statement of a session waits; a prepared transaction has the pid 0."""
    return [Backend(*row) for row in await db.fetch(_BLOCKERS, pid)]


async def prepare_session(
    db: asyncpg.Connection, *, search_path: str, lock_timeout_s: float
) -> datetime:
    """Set what a file that runs outside of a transaction needs; return the server's time."""
    _, _, now = await fetch_one(
        db,
        "SELECT set_config('search_path', $1, false), set_config('lock_timeout', $2, false),"
        " clock_timestamp()",
        search_path,
        milliseconds(lock_timeout_s),
    )
    return now  # type: ignore[no-any-return]


async def invalid_among(db: Connection, indexes: Iterable[Index]) -> list[str]:
    """Return which of these indexes are there and INVALID, qualified and quoted."""
    wanted = [(index.name, index.made_on) for index in indexes]
    if not wanted:
        return []
    rows = await db.fetch(_INVALID_AMONG, *map(list, zip(*wanted, strict=True)))
    return [str(row[0]) for row in rows]


async def absent_among(db: Connection, indexes: Iterable[Index]) -> list[str]:
    """Return the names of those indexes that their table has not."""
    return [
        index.name
        for index in indexes
        if not await db.fetchval(_IS_THERE, index.name, index.made_on)
    ]


async def taken_among(db: Connection, indexes: Iterable[Index]) -> list[str]:
    """Return the names of those indexes that stand for something else beside their table."""
    wanted = [(index.name, index.made_on) for index in indexes]
    if not wanted:
        return []
    rows = await db.fetch(_TAKEN_AMONG, *map(list, zip(*wanted, strict=True)))
    return [str(row[0]) for row in rows]


async def invalid_rebuilds(db: Connection) -> list[str]:
    """Return what REINDEX CONCURRENTLY left when it failed, where the search_path leads."""
    return [str(row[0]) for row in await db.fetch(_INVALID_REBUILDS)]


async def invalid_in(db: Connection, schemas: Sequence[str]) -> list[tuple[str, str]]:
    """Return every INVALID index of these schemas, and its table."""
    return [(row[0], row[1]) for row in await db.fetch(_INVALID_IN, schemas)]


async def invalid_on_path(db: asyncpg.Connection) -> list[str]:
    """Return every INVALID index of the schemas on the search_path, qualified and quoted."""
    schemas = await db.fetchval("SELECT current_schemas(false)::text[]")
    return [name for name, _ in await invalid_in(db, schemas)]


async def indexes_in(db: Connection, schemas: Sequence[str]) -> set[tuple[str, str]]:
    """Return the names of the indexes in these schemas, each with its table's."""
    return {(row[0], row[1]) for row in await db.fetch(_INDEXES_IN, schemas)}


async def drop_index(db: asyncpg.Connection, qualified: str, *, concurrently: bool) -> None:
    """Drop an index; concurrently only outside of a transaction."""
    await db.execute(f"DROP INDEX {'CONCURRENTLY ' * concurrently}IF EXISTS {qualified}")


async def find_extension(db: asyncpg.Connection, name: str) -> Extension | None:
    """Return what the server offers of an extension; None if it is not on the server."""
    row = await db.fetchrow(_EXTENSION, name)
    return Extension(*row) if row else None


async def create_and_forget(db: asyncpg.Connection, extension: str) -> None:
    """Create an extension and undo that, to see whether this role may."""
    savepoint = db.transaction()
    await savepoint.start()
    try:
        await db.execute(f"CREATE EXTENSION {quote(extension)}")
    finally:
        await within_limit(db, savepoint.rollback)


async def fetch_one(db: Connection, query: str, *arguments: object) -> tuple[Any, ...]:
    """Return the row of a SELECT that always has one."""
    row = await db.fetchrow(query, *arguments)
    if row is None:  # pragma: no cover  the queries have no FROM
        raise AssertionError(query)
    return tuple(row)


def milliseconds(seconds: float) -> str:
    """Write a duration as a setting; at least 1 ms, because 0 would mean no limit."""
    return f"{max(1, round(seconds * 1000))}ms"
