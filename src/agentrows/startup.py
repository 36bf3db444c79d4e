"""How a client comes to its executor: on a DSN, or on a pool that the application owns."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Final, get_args

import asyncpg
from pydantic import ValidationError

from agentrows import migrate
from agentrows.config import MigrationMode, Settings, has_password
from agentrows.db import connect as pools
from agentrows.db.codecs import register_codecs
from agentrows.db.executor import Executor
from agentrows.db.retries import Retries
from agentrows.db.sources import ApplicationPool
from agentrows.errors import ConfigError, InvalidValue
from agentrows.gen import database
from agentrows.stores._requirements import SWITCHED_OFF
from agentrows.validation import check_choice

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentrows.config import Password
    from agentrows.db.retries import OnRetry
    from agentrows.db.sources import Source
    from agentrows.migrate import MigrationRunner

    Close = Callable[[], Awaitable[None]]

__all__ = ["check_settings", "init_connection", "open_pool", "use_pool"]

NO_PGVECTOR: Final = (
    "the extension pgvector is not installed in this database; run `agentrows migrate up`, "
    "or switch vectors off with AGENTROWS_VECTOR_ENABLED=false"
)
NO_CODECS: Final = (
    "the pool's connections lack the codecs; create it with init=agentrows.init_connection"
)
CLOSE_TIMEOUT_S: Final = 10.0
"""How long `close` waits for calls that still run."""


async def init_connection(connection: asyncpg.Connection, *, vector: bool = True) -> None:
    """Give a connection of the application's own pool what the stores need: the codecs.

    Raises ConfigError if vectors are wanted and pgvector is not installed in the database, or in a
    schema that is not on the search_path.
    """
    found = await database.find_vector_schema(connection) if vector else None
    if vector and found is None:
        raise ConfigError(NO_PGVECTOR)
    if found and not found.is_on_search_path:
        raise ConfigError(
            f"pgvector is installed in the schema {found.schema_name!r}, which is not on the "
            f"search_path: add ?search_path=public,{found.schema_name} to the DSN, or set it for "
            "the role (ALTER ROLE … SET search_path)"
        )
    await register_codecs(connection, vector_schema=found.schema_name if found else None)


async def open_pool(
    dsn: str | None,
    settings: Settings,
    migrations: MigrationMode | MigrationRunner | None,
    password: Password | None,
    on_retry: OnRetry | None,
) -> tuple[Executor, Close]:
    """Wait for the server, bring the schema up, open a pool; return its executor and its end."""
    _check(dsn, migrations, password, on_retry)
    mode = migrations if callable(migrations) else settings.resolve_migrations(migrations)
    found = settings.resolve_dsn(dsn)
    password = password or settings.resolve_password(found)
    ready = await pools.wait_until_ready(found, settings, password=password)
    direct, asked = ready, password
    if settings.migrations_url is not None:
        found = settings.resolve_migrations_dsn()
        asked = None if has_password(found) else password
        direct = await pools.wait_until_ready(found, settings, password=asked)
    status = await _migrate(direct, settings, mode, asked)
    init = partial(init_connection, vector=settings.vector_enabled)
    pool = await pools.open_pool(ready, settings, init=init, password=password)
    db = _executor(pool, status, settings, on_retry)
    return db, partial(pool.close, timeout_s=CLOSE_TIMEOUT_S)


async def use_pool(
    pool: asyncpg.Pool, settings: Settings, on_retry: OnRetry | None
) -> tuple[Executor, Close]:
    """Check the codecs of the application's pool; return its executor and an end that does nothing.

    Raises ConfigError if the connections lack the codecs.
    """
    _check(None, None, None, on_retry)
    if not isinstance(pool, asyncpg.Pool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"pool must be an asyncpg.Pool, not {type(pool).__name__}")
    source = ApplicationPool(pool, acquire_timeout_s=settings.acquire_timeout_s)
    await _check_codecs(Executor(source), vector=settings.vector_enabled)
    connection = await source.wait(None)
    try:
        status = await migrate.status_on(connection, _tracks(settings))
    finally:
        await source.release(connection)
    return _executor(source, status, settings, on_retry), _nothing


async def _nothing() -> None:
    """Close nothing: the pool is the application's."""


def check_settings(settings: Settings | None) -> Settings:
    """Return the settings, the environment's unless there are others."""
    if settings is None:
        return Settings.load()
    if not isinstance(settings, Settings):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"settings must be Settings, not {type(settings).__name__}")
    return settings


def _check(
    dsn: str | None,
    migrations: MigrationMode | MigrationRunner | None,
    password: Password | None,
    on_retry: OnRetry | None,
) -> None:
    """Raise InvalidValue for an argument of another type than it has to be."""
    if not (dsn is None or isinstance(dsn, str)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"dsn must be text, not {type(dsn).__name__}")
    if not (migrations is None or callable(migrations)):
        check_choice("migrations", migrations, get_args(MigrationMode))
    for name, function in (("password", password), ("on_retry", on_retry)):
        if not (function is None or callable(function)):
            raise InvalidValue(f"{name} must be a function")
    if inspect.iscoroutinefunction(on_retry):
        raise InvalidValue("on_retry must be a plain function: nobody would await it")


def _executor(
    source: Source, status: migrate.Status, settings: Settings, on_retry: OnRetry | None
) -> Executor:
    return Executor(
        source,
        retries=Retries(settings.retry_timeout_s, on_retry),
        versions=_versions(status, settings),
    )


def _tracks(settings: Settings) -> tuple[migrate.Track, ...]:
    return migrate.builtin_tracks(
        vector=settings.vector_enabled, row_security=settings.row_security
    )


def _versions(status: migrate.Status, settings: Settings) -> dict[str, int]:
    """Return how far each track is, for `needs`.

    Optional tracks are left out: they may be applied while the client is open, so a statement that
    needs one is sent, and the server decides.
    """
    optional = {track.name for track in status.tracks if track.required == 0}
    return {
        **{name: at for name, at in status.versions.items() if name not in optional},
        **({} if settings.vector_enabled else {"vector": SWITCHED_OFF}),
        **({} if settings.row_security else {"rls": SWITCHED_OFF}),
    }


async def _migrate(
    dsn: str, settings: Settings, mode: MigrationMode | MigrationRunner, password: Password | None
) -> migrate.Status:
    """Do what the mode says, and return how far the schema is then."""
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
    """Raise ConfigError unless JSON and vectors arrive as values."""
    try:
        if await database.probe_json(db.repeatable) != [1]:
            raise ConfigError(NO_CODECS)
        if vector:
            await database.probe_vector(db.repeatable)
    except ValidationError as error:
        raise ConfigError(NO_CODECS) from error
