"""The runner's SQL about the two tables of each track: tracking and history.

The tracking table is exactly golang-migrate's: at most one row `(version, dirty)`. The history,
`<table>_history`, has hashes, times and roles. No other tool uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from agentrows._version import __version__
from agentrows.errors import MigrationError
from agentrows.migrate.plan import NOTHING, Entry, Row
from agentrows.migrate.server import fetch_one, milliseconds, quote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    import asyncpg

    from agentrows.db.sources import Connection
    from agentrows.migrate.plan import Direction, Step

TRACKING_SHAPE: Final = {"version": "bigint", "dirty": "boolean"}

_COLUMNS: Final = """
    SELECT namespace.nspname, class.relname, attribute.attname,
        format_type(attribute.atttypid, attribute.atttypmod),
        has_table_privilege(class.oid, 'SELECT')
    FROM unnest($1::text[], $2::text[]) AS wanted (schema, name)
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.nspname = wanted.schema
    JOIN pg_catalog.pg_class AS class
        ON class.relnamespace = namespace.oid AND class.relname = wanted.name
    JOIN pg_catalog.pg_attribute AS attribute
        ON attribute.attrelid = class.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
    ORDER BY class.oid, attribute.attnum
"""
# In the union of both, `dirty` is NULL exactly for the entries of the history.
_ROWS: Final = """
    SELECT {number} AS track, version AS position, version, dirty, NULL AS sha256,
        false AS is_start, NULL AS file, '' AS library
    FROM {tracking}
"""
_ENTRIES: Final = """
    SELECT {number}, id, version, NULL, CASE direction WHEN 'up' THEN sha256 END,
        outcome = 'started', file, library_version
    FROM {history}
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
_HISTORY: Final = """
    SELECT {number} AS track, id AS position, version, direction, outcome, file, started_at,
        finished_at, duration_s, applied_by, library_version
    FROM {history}
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


@dataclass(frozen=True, slots=True)
class TableNames:
    """The schema and the names of a track's tables."""

    schema: str
    table: str

    @property
    def tracking(self) -> str:
        """The tracking table, qualified and quoted."""
        return f"{quote(self.schema)}.{quote(self.table)}"

    @property
    def history(self) -> str:
        """The history table, qualified and quoted."""
        return f"{quote(self.schema)}.{quote(self.history_table)}"

    @property
    def history_table(self) -> str:
        """The history table's bare name."""
        return f"{self.table}_history"


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A row of a history table."""

    version: int
    direction: Direction
    outcome: str
    file: str | None
    started_at: datetime | None
    finished_at: datetime
    duration_s: float | None
    applied_by: str
    library_version: str


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """The transaction in which a file runs and which it must leave open, and its start."""

    transaction_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class TrackTables:
    """The content of a track's two tables; `columns` is empty if there is no tracking table.

    `is_readable` is False for the tracking table of an optional track that this role cannot read.
    """

    names: TableNames
    columns: Mapping[str, str]
    rows: tuple[Row, ...]
    history: tuple[Entry, ...]
    is_readable: bool = True

    def tracking_row(self) -> Row | None:
        """Return the tracking row; None if there is no table, or no row.

        Raises MigrationError if the table is another tool's, or has several rows.
        """
        self.check_shape()
        if len(self.rows) > 1:
            versions = ", ".join(str(row.version) for row in self.rows)
            raise MigrationError(
                f"{self.names.tracking} has {len(self.rows)} rows (versions {versions}), at most "
                "one is allowed: find out which version the schema has, and record it with "
                "`agentrows migrate force`"
            )
        return self.rows[0] if self.rows else None

    def check_shape(self) -> None:
        """Raise MigrationError for another tool's table; dbmate and Rails use the same name."""
        if self.columns and not has_shape(self.columns):
            shape = ", ".join(f"{name} {kind}" for name, kind in self.columns.items())
            raise MigrationError(
                f"{self.names.tracking} is another tool's table ({shape}): golang-migrate's is "
                "(version bigint, dirty boolean), dbmate and Rails use the same name. Use another "
                "database or schema"
            )


def has_shape(columns: Mapping[str, str]) -> bool:
    """Return whether a table with these columns can be golang-migrate's."""
    return columns.items() >= TRACKING_SHAPE.items()


async def read_all(
    db: Connection, names_per_track: Sequence[TableNames], *, optional: Collection[TableNames] = ()
) -> tuple[TrackTables, ...]:
    """Read the tables of every track, in two statements.

    A history that this role cannot read is skipped, and so is the tracking table of an `optional`
    track: a service that only reads rows needs neither.
    """
    skipped = [names.history_table for names in names_per_track] + [
        names.table for names in optional
    ]
    columns = await _columns(db, names_per_track, skip_unreadable=skipped)
    parts: list[str] = []
    for number, names in enumerate(names_per_track):
        tracking = columns.get((names.schema, names.table), {})
        if has_shape(tracking):
            parts.append(_with_names(names, _ROWS).replace("{number}", str(number)))
        if columns.get((names.schema, names.history_table)):
            parts.append(_with_names(names, _ENTRIES).replace("{number}", str(number)))
    lines = await db.fetch(" UNION ALL ".join(parts) + " ORDER BY 1, 2") if parts else []
    return tuple(
        TrackTables(
            names=names,
            columns=columns.get((names.schema, names.table), {}),
            rows=tuple(
                Row(version=version, dirty=dirty)
                for track, _, version, dirty, *_ in lines
                if track == number and dirty is not None
            ),
            history=tuple(
                Entry(version, *rest)
                for track, _, version, dirty, *rest in lines
                if track == number and dirty is None
            ),
            is_readable=columns.get((names.schema, names.table)) != {},
        )
        for number, names in enumerate(names_per_track)
    )


async def read_history(
    db: Connection, names_per_track: Sequence[TableNames]
) -> list[tuple[int, HistoryRow]]:
    """Return the rows of these histories, in order, each with the number of its track."""
    columns = await _columns(db, names_per_track)
    parts = [
        _with_names(names, _HISTORY).replace("{number}", str(number))
        for number, names in enumerate(names_per_track)
        if (names.schema, names.history_table) in columns
    ]
    lines = await db.fetch(" UNION ALL ".join(parts) + " ORDER BY 1, 2") if parts else []
    return [(number, HistoryRow(*row)) for number, _, *row in lines]


async def create_tables(db: asyncpg.Connection, names: TableNames) -> None:
    """Create the schema and the two tables, unless they exist."""
    # `IF NOT EXISTS` needs the right to create also if nothing is created.
    if not await db.fetchval("SELECT to_regnamespace($1) IS NOT NULL", quote(names.schema)):
        await db.execute(f"CREATE SCHEMA {quote(names.schema)}")
    columns = await _columns(db, [names])
    if (names.schema, names.table) not in columns:
        await db.execute(_with_names(names, _CREATE_TRACKING))
    if (names.schema, names.history_table) not in columns:
        await db.execute(_with_names(names, _CREATE_HISTORY))


async def write_row(db: asyncpg.Connection, names: TableNames, row: Row) -> None:
    """Replace the rows of the tracking table; as in golang-migrate, none for a clean NOTHING."""
    # TRUNCATE, which golang-migrate uses, would wait for every open reader.
    await db.execute(_with_names(names, "DELETE FROM {tracking}"))
    if row == Row(NOTHING, dirty=False):
        return
    await db.execute(
        _with_names(names, "INSERT INTO {tracking} (version, dirty) VALUES ($1, $2)"),
        row.version,
        row.dirty,
    )


async def record_step(
    db: asyncpg.Connection, names: TableNames, step: Step, started_at: datetime
) -> float:
    """Record a file that ran in the history; return its duration in seconds."""
    outcome = "healed" if step.heals else "applied"
    return float(
        await db.fetchval(
            _with_names(names, _ENTER),
            *(step.reaches, step.direction, outcome, step.file.label, step.file.sha256),
            *(started_at, __version__),
        )
    )


async def record_rebuild(
    db: asyncpg.Connection, names: TableNames, version: int, step: Step, started_at: datetime
) -> float:
    """Record that an applied file ran again in a track at `version`; return its seconds.

    The entry has no hash, because its file is not the one of that version.
    """
    return float(
        await db.fetchval(
            _with_names(names, _ENTER),
            *(version, "up", "rebuilt", step.file.label, None, started_at, __version__),
        )
    )


async def record_start(db: asyncpg.Connection, names: TableNames, step: Step) -> None:
    """Record the start of a file without a transaction: a dirty row then comes from agentrows."""
    await db.execute(
        _with_names(names, _ENTER),
        *(step.reaches, step.direction, "started", step.file.label, None, None, __version__),
    )


async def record_external_move(
    db: asyncpg.Connection,
    names: TableNames,
    version: int,
    *,
    came_from: int | None,
    outcome: Literal["external", "forced"] = "external",
) -> None:
    """Record a move that no file of this run made: another tool's, or one of `force`."""
    direction = "up" if version > (NOTHING if came_from is None else came_from) else "down"
    await db.execute(
        _with_names(names, _ENTER), version, direction, outcome, None, None, None, __version__
    )


async def begin_file(
    db: asyncpg.Connection,
    names: TableNames,
    version: int,
    *,
    search_path: str,
    lock_timeout_s: float,
) -> OpenTransaction:
    """Set the transaction's settings for a file, and mark its version dirty.

    The dirty row is committed only if the file ends the transaction; then it is right.
    """
    _, _, transaction_id, started_at = await fetch_one(
        db,
        "SELECT set_config('search_path', $1, true), set_config('lock_timeout', $2, true),"
        " pg_current_xact_id()::text, clock_timestamp()",
        search_path,
        milliseconds(lock_timeout_s),
    )
    await write_row(db, names, Row(version, dirty=True))
    return OpenTransaction(transaction_id=transaction_id, started_at=started_at)


async def is_open(db: asyncpg.Connection, transaction: OpenTransaction) -> bool:
    """Return whether this transaction is still open."""
    now = await db.fetchval("SELECT pg_current_xact_id_if_assigned()::text")
    return bool(now == transaction.transaction_id)


async def _columns(
    db: Connection, names_per_track: Sequence[TableNames], *, skip_unreadable: Sequence[str] = ()
) -> dict[tuple[str, str], dict[str, str]]:
    """Return the columns and types of the tables that exist, by schema and name.

    A table in `skip_unreadable` has no columns here if this role cannot read it.
    """
    wanted = [
        (names.schema, name)
        for names in names_per_track
        for name in (names.table, names.history_table)
    ]
    tables: dict[tuple[str, str], dict[str, str]] = {}
    if not wanted:
        return tables
    for schema, table, column, kind, is_readable in await db.fetch(
        _COLUMNS, *map(list, zip(*wanted, strict=True))
    ):
        columns = tables.setdefault((schema, table), {})
        if is_readable or table not in skip_unreadable:
            columns[column] = kind
    return tables


def _with_names(names: TableNames, statement: str) -> str:
    return statement.replace("{tracking}", names.tracking).replace("{history}", names.history)
