"""The SQL of the runner: the tracking and history tables, advisory locks, what the server knows.

A tracking table is golang-migrate's, to the letter: at most one row `(version, dirty)`. It is
rewritten with DELETE and INSERT, because golang-migrate's TRUNCATE waits for every open reader.
What else we want to know later (hashes, times, who) stands in `<table>_history`, which no other
tool touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentrows._version import __version__
from agentrows.errors import ConfigError, MigrationError
from agentrows.migrate.plan import NOTHING, Entry, Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import asyncpg

    from agentrows.db.executor import Connection
    from agentrows.migrate.plan import Step
    from agentrows.migrate.track import Track

TRACKING_SHAPE: Final = {"version": "bigint", "dirty": "boolean"}

_COLUMNS: Final = """
    SELECT attribute.attname, format_type(attribute.atttypid, attribute.atttypmod)
    FROM pg_catalog.pg_attribute AS attribute
    JOIN pg_catalog.pg_class AS class ON class.oid = attribute.attrelid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE namespace.nspname = $1 AND class.relname = $2
        AND attribute.attnum > 0 AND NOT attribute.attisdropped
"""
_CREATE_TRACKING: Final = """
    CREATE TABLE IF NOT EXISTS {tracking} (
        version bigint NOT NULL PRIMARY KEY,
        dirty boolean NOT NULL
    )
"""
_CREATE_HISTORY: Final = """
    CREATE TABLE IF NOT EXISTS {history} (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        version bigint NOT NULL,
        direction text NOT NULL,
        outcome text NOT NULL,
        file text,
        sha256 text,
        started_at timestamptz,
        finished_at timestamptz NOT NULL,
        duration_s double precision,
        applied_by text NOT NULL,
        library_version text NOT NULL
    )
"""
_ENTER: Final = """
    INSERT INTO {history} (
        version, direction, outcome, file, sha256,
        started_at, finished_at, duration_s, applied_by, library_version
    )
    SELECT $1, $2, $3, $4, $5, $6, moment, extract(epoch FROM moment - $6), session_user, $7
    FROM clock_timestamp() AS moment
    RETURNING duration_s
"""
# A bigint key is shown as its two halves, with objsubid 1.
_HOLDERS: Final = """
    SELECT DISTINCT activity.pid, activity.application_name,
        extract(epoch FROM clock_timestamp() - activity.query_start)::float8
    FROM pg_catalog.pg_locks AS lock
    JOIN pg_catalog.pg_stat_activity AS activity USING (pid)
    WHERE lock.locktype = 'advisory' AND lock.objsubid = 1 AND lock.granted
        AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (lock.classid::bigint << 32) | lock.objid::bigint = ANY ($1::bigint[])
        AND activity.pid <> pg_backend_pid()
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
_EXTENSION: Final = """
    SELECT available.default_version, available.installed_version,
        (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) OR (
            version.trusted AND has_database_privilege(current_database(), 'CREATE')
        ) AS may_create
    FROM pg_catalog.pg_available_extensions AS available
    JOIN pg_catalog.pg_available_extension_versions AS version
        ON version.name = available.name AND version.version = available.default_version
    WHERE available.name = $1
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a track's tables are."""

    schema: str
    table: str

    @property
    def tracking(self) -> str:
        """The tracking table, qualified and quoted."""
        return f"{quote(self.schema)}.{quote(self.table)}"

    @property
    def history(self) -> str:
        """The history table, qualified and quoted."""
        return f"{quote(self.schema)}.{quote(self.table + '_history')}"


@dataclass(frozen=True, slots=True)
class Session:
    """What a connection starts with."""

    database: str
    schema: str
    search_path: str
    backend_pid: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Taken before a file runs: the transaction it must leave open, and the time."""

    transaction_id: str
    started_at: datetime


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
    """What the server offers of an extension; `installed` is None if this database lacks it."""

    default: str
    installed: str | None
    may_create: bool


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


async def read_session(db: Connection) -> Session:
    """Read what the connection starts with; raise ConfigError if it has no schema to create in."""
    database, schema, search_path, pid = await _fetch_one(
        db,
        "SELECT current_database(), current_schema(), current_setting('search_path'),"
        " pg_backend_pid()",
    )
    if schema is None:
        raise ConfigError(f"the search_path {search_path!r} names no schema that exists")
    return Session(database=database, schema=schema, search_path=search_path, backend_pid=pid)


async def read_row(db: Connection, place: Place) -> Row | None:
    """Return the tracking row; None if there is no table, or no row.

    Raises MigrationError for another tool's table (dbmate's and Rails' have this name too), and
    for one with several rows.
    """
    columns = await _columns(db, place.schema, place.table)
    if not columns:
        return None
    if not columns.items() >= TRACKING_SHAPE.items():
        shape = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        raise MigrationError(
            f"{place.tracking} is another tool's table ({shape}): golang-migrate's is (version "
            "bigint, dirty boolean), dbmate and Rails use the same name. Use another database or "
            "schema"
        )
    rows = await db.fetch(_on(place, "SELECT version, dirty FROM {tracking} ORDER BY version"))
    if len(rows) > 1:
        versions = ", ".join(str(row["version"]) for row in rows)
        raise MigrationError(
            f"{place.tracking} has {len(rows)} rows (versions {versions}) where one may be: "
            "find out which version the schema has, and delete the others"
        )
    return Row(version=rows[0]["version"], dirty=rows[0]["dirty"]) if rows else None


async def read_history(db: Connection, place: Place) -> tuple[Entry, ...]:
    """Return the history, oldest first; empty if there is no table."""
    if not await _columns(db, place.schema, f"{place.table}_history"):
        return ()
    rows = await db.fetch(_on(place, "SELECT version, sha256 FROM {history} ORDER BY id"))
    return tuple(Entry(version=row["version"], sha256=row["sha256"]) for row in rows)


async def create_tables(db: asyncpg.Connection, place: Place) -> None:
    """Create the schema and the two tables where they are missing.

    What is there is not asked for again: `IF NOT EXISTS` wants the right to create all the same.
    """
    if not await db.fetchval("SELECT to_regnamespace($1) IS NOT NULL", quote(place.schema)):
        await db.execute(f"CREATE SCHEMA {quote(place.schema)}")
    if not await _columns(db, place.schema, place.table):
        await db.execute(_on(place, _CREATE_TRACKING))
    if not await _columns(db, place.schema, f"{place.table}_history"):
        await db.execute(_on(place, _CREATE_HISTORY))


async def write_row(db: asyncpg.Connection, place: Place, row: Row) -> None:
    """Make this the tracking table's only row."""
    await db.execute(_on(place, "DELETE FROM {tracking}"))
    await db.execute(
        _on(place, "INSERT INTO {tracking} (version, dirty) VALUES ($1, $2)"),
        row.version,
        row.dirty,
    )


async def enter_step(db: asyncpg.Connection, place: Place, step: Step, mark: Mark) -> float:
    """Enter a file that ran into the history; return how many seconds it took."""
    up = step.migration.up
    outcome = "healed" if step.heals else "applied"
    return float(
        await db.fetchval(
            _on(place, _ENTER),
            *(step.migration.version, "up", outcome, up.label, up.sha256),
            *(mark.started_at, __version__),
        )
    )


async def enter_external(
    db: asyncpg.Connection, place: Place, version: int, *, came_from: int | None
) -> None:
    """Enter into the history that another tool moved the track to this version."""
    direction = "up" if version > (NOTHING if came_from is None else came_from) else "down"
    await db.execute(
        _on(place, _ENTER), version, direction, "external", None, None, None, __version__
    )


async def limit_lock_waits(db: asyncpg.Connection, seconds: float) -> None:
    """Let each statement of this transaction wait so long for a table in use."""
    await db.execute("SELECT set_config('lock_timeout', $1, true)", _milliseconds(seconds))


async def begin_file(
    db: asyncpg.Connection, place: Place, version: int, *, search_path: str, lock_timeout_s: float
) -> Mark:
    """Prepare the transaction for a file, and mark its version dirty.

    The settings are made anew for every file, because the one before may have changed them. The
    dirty mark commits only if the file ends our transaction, and then it tells the truth.
    """
    _, _, transaction_id, started_at = await _fetch_one(
        db,
        "SELECT set_config('search_path', $1, true), set_config('lock_timeout', $2, true),"
        " pg_current_xact_id()::text, clock_timestamp()",
        search_path,
        _milliseconds(lock_timeout_s),
    )
    await write_row(db, place, Row(version, dirty=True))
    return Mark(transaction_id=transaction_id, started_at=started_at)


async def is_still_in(db: asyncpg.Connection, mark: Mark) -> bool:
    """Tell whether the transaction of the mark is the one that is open."""
    now = await db.fetchval("SELECT pg_current_xact_id_if_assigned()::text")
    return bool(now == mark.transaction_id)


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


async def unlock(db: asyncpg.Connection, lock_ids: Sequence[int]) -> None:
    """Give advisory locks back."""
    await db.execute("SELECT pg_advisory_unlock(id) FROM unnest($1::bigint[]) AS id", lock_ids)


async def lock_holders(db: asyncpg.Connection, lock_ids: Sequence[int]) -> list[Backend]:
    """Return who holds any of these advisory locks, and how long its query has run."""
    return [Backend(*row) for row in await db.fetch(_HOLDERS, lock_ids)]


async def busy_backends(db: asyncpg.Connection) -> list[Backend]:
    """Return who holds locks on tables of this database, the oldest transaction first."""
    return [Backend(*row) for row in await db.fetch(_BUSY)]


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
        await savepoint.rollback()


async def _columns(db: Connection, schema: str, table: str) -> dict[str, str]:
    """Return a table's columns and their types; empty if there is no such table."""
    return {str(row[0]): str(row[1]) for row in await db.fetch(_COLUMNS, schema, table)}


async def _fetch_one(db: Connection, query: str, *arguments: object) -> tuple[Any, ...]:
    """Return the row of a SELECT that always has one."""
    row = await db.fetchrow(query, *arguments)
    if row is None:  # pragma: no cover  the queries have no FROM
        raise AssertionError(query)
    return tuple(row)


def _milliseconds(seconds: float) -> str:
    """Write a duration as a setting; at least 1 ms, because 0 would mean no limit."""
    return f"{max(1, round(seconds * 1000))}ms"


def _on(place: Place, statement: str) -> str:
    return statement.replace("{tracking}", place.tracking).replace("{history}", place.history)
