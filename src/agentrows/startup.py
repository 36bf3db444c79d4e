"""Start of a client: wait for the server, migrate, open the pool, build the executor."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from pydantic import ValidationError

from agentrows.config import has_password
from agentrows.db import connect as connections
from agentrows.db.codecs import register_codecs
from agentrows.db.executor import Executor
from agentrows.db.lookup_batches import LookupBatches
from agentrows.db.notifications import NotificationListener
from agentrows.db.pool import ConnectionPool
from agentrows.db.retries import Retries
from agentrows.db.sources import ApplicationPool
from agentrows.db.store_options import StoreOptions
from agentrows.errors import SET_POOLER, ConfigError
from agentrows.gen import database
from agentrows.stores._lookup_batches import LOOKUP_BATCHES
from agentrows.stores._memory_check import check_memories
from agentrows.stores._requirements import SWITCHED_OFF
from agentrows.stores.event_tails import EventTails

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    from agentrows import migrate
    from agentrows.config import MigrationMode, Password, Settings
    from agentrows.db.retries import OnRetry
    from agentrows.db.sources import Connection, Source
    from agentrows.migrate import MigrationRunner

    Connect = Callable[[], Awaitable[Connection]]
    Close = Callable[[], Awaitable[None]]

__all__ = ["init_connection", "open_executor", "use_pool"]

NO_PGVECTOR: Final = (
    "the extension pgvector is not installed in this database; run `agentrows migrate up`, "
    "or switch vectors off with AGENTROWS_VECTOR_ENABLED=false"
)
NO_CODECS: Final = (
    "the pool's connections lack the codecs; create it with init=agentrows.init_connection"
)
NO_LISTEN_ON_POOL: Final = (
    "listen needs a connection of its own, and this client uses a pool of the application: open "
    "another client with PostgresClient.open(dsn)"
)
NO_LISTEN_ON_POOLER: Final = (
    "listen does not work behind a transaction pooler, which runs each transaction in another "
    "server process: open another client with a DSN of PostgreSQL itself"
)
NO_MODEL: Final = (
    "AGENTROWS_MEMORY_TABLE=agentrows needs AGENTROWS_MEMORY_MODEL, the name of the embedding model"
)
NO_VECTORS: Final = (
    "AGENTROWS_MEMORY_TABLE=agentrows does not work with AGENTROWS_VECTOR_ENABLED=false"
)
PROBE_TIMEOUT_S: Final = 5.0
"""Time in which a notification of the client's own has to arrive."""
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
) -> tuple[Executor, NotificationListener, EventTails, Close]:
    """Return an executor on a new pool, a listener, tails, and the function that closes them.

    Raises:
        ConfigError: settings or credentials are wrong, or pgvector is missing.
        Unavailable: the server does not accept connections in time.
        SchemaBehind: the schema is behind, and the mode is `verify`.
        MigrationError: the migration run failed.

    """
    mode = migrations if callable(migrations) else settings.resolve_migrations(migrations)
    options = _store_options(settings)  # an error is raised before the server is used
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
    retries = Retries(settings.retry_timeout_s, on_retry)
    db = _build_executor(pool, status, settings, options, retries)
    await _check_memories(db, settings, pool)
    listener = _build_listener(ready_dsn, settings, password, retries)
    tails = EventTails(db, listener, interval_s=settings.tail_interval_s)

    async def close() -> None:
        await tails.close()
        await listener.close()
        await pool.close(timeout_s=CLOSE_TIMEOUT_S)

    return db, listener, tails, close


async def use_pool(
    pool: asyncpg.Pool, settings: Settings, on_retry: OnRetry | None
) -> tuple[Executor, NotificationListener, EventTails, Close]:
    """Return an executor on the application's pool, and a function that leaves the pool open.

    The listener refuses to listen.

    Raises:
        ConfigError: the pool's connections lack the codecs.

    """
    from agentrows import migrate  # noqa: PLC0415  slow to import

    options = _store_options(settings)
    source = ApplicationPool(pool, acquire_timeout_s=settings.acquire_timeout_s)
    await _check_codecs(Executor(source), vector=settings.vector_enabled)
    connection = await source.wait_for_connection(None)
    try:
        status = await migrate.status_on(connection, _tracks(settings))
    finally:
        await source.release(connection)
    retries = Retries(settings.retry_timeout_s, on_retry)
    db = _build_executor(source, status, settings, options, retries)
    if settings.memory_check:
        await check_memories(db)
    listener = NotificationListener(partial(_refuse_to_listen, NO_LISTEN_ON_POOL), retries=retries)
    tails = EventTails(db, listener, interval_s=settings.tail_interval_s)

    async def close() -> None:
        await tails.close()
        await listener.close()  # the application closes its pool itself

    return db, listener, tails, close


async def _check_memories(db: Executor, settings: Settings, pool: ConnectionPool) -> None:
    """Check the settings of the memory store; close the pool on an error."""
    if not settings.memory_check:
        return
    try:
        await check_memories(db)
    except BaseException:
        await pool.close(timeout_s=CLOSE_TIMEOUT_S)
        raise


def _build_listener(
    dsn: str, settings: Settings, password: Password | None, retries: Retries
) -> NotificationListener:
    """Return a listener that opens connections to the DSN."""
    if settings.pooler == "transaction":
        refuse = partial(_refuse_to_listen, NO_LISTEN_ON_POOLER)
        return NotificationListener(refuse, retries=retries)

    async def accept(_connection: Connection) -> None:
        """Prepare nothing."""

    connect_other = connections.connector(dsn, settings, prepare=accept, password=password)
    prepare = partial(_check_session, connect_other=connect_other)
    connect = connections.connector(dsn, settings, prepare=prepare, password=password)
    return NotificationListener(connect, retries=retries)


async def _refuse_to_listen(reason: str) -> Connection:
    raise ConfigError(reason)


async def _check_session(connection: Connection, *, connect_other: Connect) -> None:
    """Raise ConfigError if notifications do not reach a connection, as behind a transaction pooler.

    A pooler gives its clients process ids of its own. Behind one, a notification is sent from
    another connection: the server process of an idle client of a transaction pooler cannot pass it
    on.
    """
    if await database.get_server_process(connection) == connection.get_server_pid():
        return
    channel = f"agentrows_{uuid4().hex}"
    has_arrived = asyncio.Event()

    def report(*_: object) -> None:
        has_arrived.set()

    await connection.add_listener(channel, report)
    other = await connect_other()
    try:
        await database.send_notification(other, channel=channel, payload="")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await has_arrived.wait()
    finally:
        other.terminate()
    if not has_arrived.is_set():
        raise ConfigError(f"{NO_LISTEN_ON_POOLER}, and {SET_POOLER}")
    await connection.remove_listener(channel, report)


def _build_executor(
    source: Source,
    status: migrate.Status,
    settings: Settings,
    options: StoreOptions,
    retries: Retries,
) -> Executor:
    lookups = None
    if settings.merge_lookups and isinstance(source, ConnectionPool):
        lookups = LookupBatches(source, LOOKUP_BATCHES)
    return Executor(
        source,
        retries=retries,
        versions=_versions(status, settings),
        options=options,
        lookups=lookups,
    )


def _store_options(settings: Settings) -> StoreOptions:
    """Return the settings that the stores use.

    Raises:
        ConfigError: the settings of the memory store contradict each other.

    """
    if settings.memory_table == "agentrows":
        if settings.memory_model is None:
            raise ConfigError(NO_MODEL)
        if not settings.vector_enabled:
            raise ConfigError(NO_VECTORS)
    return StoreOptions(
        hash_share_tokens=settings.hash_share_tokens,
        page_token_keys=settings.resolve_page_token_keys(),
        memory_table=settings.memory_table,
        memory_model=settings.memory_model,
        memory_text_config=settings.memory_text_config,
        notify_events=settings.notify_events,
    )


def _tracks(settings: Settings) -> tuple[migrate.Track, ...]:
    from agentrows import migrate  # noqa: PLC0415  slow to import

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
    from agentrows import migrate  # noqa: PLC0415  slow to import

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
