"""Start of a client: wait for the server, migrate, open the pool, build the executor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from agentrows import migrate
from agentrows.config import has_password
from agentrows.db import connect as connections
from agentrows.db.codecs import register_codecs
from agentrows.db.executor import Executor
from agentrows.db.retries import Retries
from agentrows.db.sources import ApplicationPool
from agentrows.errors import ConfigError
from agentrows.gen import database
from agentrows.stores._requirements import SWITCHED_OFF

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    from agentrows.config import MigrationMode, Password, Settings
    from agentrows.db.retries import OnRetry
    from agentrows.db.sources import Source
    from agentrows.migrate import MigrationRunner

    Close = Callable[[], Awaitable[None]]

__all__ = ["init_connection", "open_executor", "use_pool"]

NO_PGVECTOR: Final = (
    "the extension pgvector is not installed in this database; run `agentrows migrate up`, "
    "or switch vectors off with AGENTROWS_VECTOR_ENABLED=false"
)
NO_CODECS: Final = (
    "the pool's connections lack the codecs; create it with init=agentrows.init_connection"
)
CLOSE_TIMEOUT_S: Final = 10.0
"""Time in which running calls may end after `close`."""


async def init_connection(connection: asyncpg.Connection, *, vector: bool = True) -> None:
    """Register the codecs that the stores require on a connection of the application's own pool.

    Raises:
        ConfigError: `vector` is True and pgvector is not installed in the database, or its schema
            is not on the search_path.

    """
    extension = await database.find_vector_schema(connection) if vector else None
    if vector and extension is None:
        raise ConfigError(NO_PGVECTOR)
    if extension and not extension.is_on_search_path:
        raise ConfigError(
            f"pgvector is installed in the schema {extension.schema_name!r}, which is not on the "
            f"search_path: add ?search_path=public,{extension.schema_name} to the DSN, or set it "
            "for the role (ALTER ROLE … SET search_path)"
        )
    vector_schema = extension.schema_name if extension else None
    await register_codecs(connection, vector_schema=vector_schema)


async def open_executor(
    dsn: str | None,
    settings: Settings,
    migrations: MigrationMode | MigrationRunner | None,
    password: Password | None,
    on_retry: OnRetry | None,
) -> tuple[Executor, Close]:
    """Return an executor on a new pool and the function that closes the pool.

    Raises:
        ConfigError: settings or credentials are wrong, or pgvector is missing.
        Unavailable: the server does not accept connections in time.
        SchemaBehind: the schema is behind, and the mode is `verify`.
        MigrationError: the migration run failed.

    """
    mode = migrations if callable(migrations) else settings.resolve_migrations(migrations)
    resolved = settings.resolve_dsn(dsn)
    password = password or settings.resolve_password(resolved)
    ready_dsn = await connections.wait_until_ready(resolved, settings, password=password)
    migration_dsn, migration_password = ready_dsn, password
    if settings.migrations_url is not None:
        resolved = settings.resolve_migrations_dsn()
        migration_password = None if has_password(resolved) else password
        migration_dsn = await connections.wait_until_ready(
            resolved, settings, password=migration_password
        )
    status = await _migrate(migration_dsn, settings, mode, migration_password)
    prepare = partial(init_connection, vector=settings.vector_enabled)
    pool = await connections.open_pool(ready_dsn, settings, prepare=prepare, password=password)
    db = _build_executor(pool, status, settings, on_retry)
    return db, partial(pool.close, timeout_s=CLOSE_TIMEOUT_S)


async def use_pool(
    pool: asyncpg.Pool, settings: Settings, on_retry: OnRetry | None
) -> tuple[Executor, Close]:
    """Return an executor on the application's pool and a function that leaves the pool open.

    Raises:
        ConfigError: the pool's connections lack the codecs.

    """
    source = ApplicationPool(pool, acquire_timeout_s=settings.acquire_timeout_s)
    await _check_codecs(Executor(source), vector=settings.vector_enabled)
    connection = await source.wait_for_connection(None)
    try:
        status = await migrate.status_on(connection, _tracks(settings))
    finally:
        await source.release(connection)
    return _build_executor(source, status, settings, on_retry), _leave_open


async def _leave_open() -> None:
    """Close nothing, because the application closes its pool itself."""


def _build_executor(
    source: Source, status: migrate.Status, settings: Settings, on_retry: OnRetry | None
) -> Executor:
    return Executor(
        source,
        retries=Retries(settings.retry_timeout_s, on_retry),
        versions=_versions(status, settings),
        hash_share_tokens=settings.hash_share_tokens,
    )


def _tracks(settings: Settings) -> tuple[migrate.Track, ...]:
    return migrate.builtin_tracks(
        vector=settings.vector_enabled, row_security=settings.row_security
    )


def _versions(status: migrate.Status, settings: Settings) -> dict[str, int]:
    """Return the applied version of each required track, for the requirements of the stores.

    Optional tracks are omitted: they may be applied while the client is open, so a statement that
    requires one is sent, and the server raises the error.
    """
    optional = {track.name for track in status.tracks if track.required == 0}
    return {
        **{name: version for name, version in status.versions.items() if name not in optional},
        **({} if settings.vector_enabled else {"vector": SWITCHED_OFF}),
        **({} if settings.row_security else {"rls": SWITCHED_OFF}),
    }


async def _migrate(
    dsn: str, settings: Settings, mode: MigrationMode | MigrationRunner, password: Password | None
) -> migrate.Status:
    """Migrate or verify the schema, as the mode requires, and return its status after that."""
    tracks = _tracks(settings)
    migrator = migrate.Migrator(dsn, tracks, password=password)
    if mode == "apply":
        return (await migrator.apply()).status
    if mode == "verify":
        return await migrator.verify()
    if callable(mode):
        await mode(migrate.MigrationContext(dsn, tracks, password))
    return await migrator.status()


async def _check_codecs(db: Executor, *, vector: bool) -> None:
    """Raise ConfigError unless JSON and vectors are received as values."""
    try:
        if await database.probe_json(db.repeatable) != [1]:
            raise ConfigError(NO_CODECS)
        if vector:
            await database.probe_vector(db.repeatable)
    except ValidationError as error:
        raise ConfigError(NO_CODECS) from error
