"""Functions that open one connection, wait for a server, or open a pool."""

from __future__ import annotations

import asyncio
import contextlib
import random
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

import asyncpg

from agentrows.db.backoff import WaitLog, wait_times
from agentrows.db.codecs import PooledConnection
from agentrows.db.dsn import explain_connect_error, parse_dsn, password_callback
from agentrows.db.embedded import is_embedded, start_embedded
from agentrows.db.pool import ConnectionPool
from agentrows.db.sockets import (
    SERVER_KEEPALIVE,
    enable_keepalive,
    end_statement_at_loss,
)
from agentrows.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from agentrows.config import Password, Settings
    from agentrows.db.sources import Connection

    Connect = Callable[..., Awaitable[asyncpg.Connection]]
    Prepare = Callable[[asyncpg.Connection], Awaitable[None]]

T = TypeVar("T")
CHECK_CLIENT: Final = "1s"
"""How often the server checks, during a statement, whether its client is still connected."""
CHECKS_CLIENT: Final = "client_connection_check_interval"
# The statement of a lost client ends soon, and so do its locks.
SESSION: Final = {CHECKS_CLIENT: CHECK_CLIENT}
OLDEST_SERVER: Final = 15
STATEMENT_CACHE_SIZE: Final = 100
"""Prepared statements per connection."""
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 5.0
JITTER_S: Final = 1.0


async def connect(  # noqa: PLR0913  one keyword per option
    dsn: str,
    *,
    timeout_s: float = 10.0,
    application_name: str = "agentrows",
    session: Mapping[str, str] = MappingProxyType({}),
    statement_cache_size: int = 0,
    password: Password | None = None,
) -> PooledConnection:
    """Open one connection to the first host of a DSN that accepts it.

    Each host has its own `timeout_s`, in the order of the DSN. `session` contains more parameters
    of the server. `password` is called for each host and overrides the password of the DSN. A
    transaction pooler requires `statement_cache_size=0`.

    Raises:
        Unavailable: no host accepts a connection in time.
        ConfigError: the password, the role, the database, the certificate or the DSN is wrong.

    """
    parsed = parse_dsn(dsn)
    hosts = list(parsed.dsns)
    if parsed.is_shuffled:
        random.shuffle(hosts)
    failure = Unavailable("the DSN names no host")
    for host in hosts:
        connect_to: Connect = partial(
            asyncpg.connect,
            host,
            timeout=parsed.connect_timeout_s or timeout_s,
            statement_cache_size=statement_cache_size,
            password=password_callback(password),
            connection_class=PooledConnection,
            ssl=parsed.tls,
        )
        settings = {"application_name": application_name, **session, **parsed.settings}
        try:
            connection = await _with_explained_errors(_connect_with_settings(connect_to, settings))
        except Unavailable as error:
            failure = error
        else:
            enable_keepalive(connection, parsed.socket)
            connection.target = parsed.target
            return connection
    raise failure


async def _connect_with_settings(
    connect_to: Connect, settings: Mapping[str, str]
) -> PooledConnection:
    """Connect with settings of the server; omit the check interval if the server refuses it.

    Raises:
        ConfigError: the server is older than PostgreSQL 15.

    """
    try:
        connection = await connect_to(server_settings=settings)
    except (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError) as error:
        # Servers before PostgreSQL 14 lack it; on some operating systems it must be 0.
        if CHECKS_CLIENT not in str(error) or settings.get(CHECKS_CLIENT) != CHECK_CLIENT:
            raise
        others = {name: value for name, value in settings.items() if name != CHECKS_CLIENT}
        connection = await connect_to(server_settings=others)
    assert isinstance(connection, PooledConnection), "connection_class sets the type"  # noqa: S101
    try:
        check_server_version(connection)
    except ConfigError:
        connection.terminate()
        raise
    end_statement_at_loss(connection)
    return connection


def check_server_version(connection: Connection) -> None:
    """Raise ConfigError for a server older than PostgreSQL 15."""
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        raise ConfigError(
            f"PostgreSQL {OLDEST_SERVER} or later is needed, the server has {version.major}: "
            "upgrade it"
        )


async def wait_until_ready(
    dsn: str, settings: Settings, *, password: Password | None = None
) -> str:
    """Wait until the server accepts a connection, and return its DSN.

    `embedded:` starts the embedded server first. Attempts are repeated after 0.5 s doubling to 5 s,
    for at most `ready_timeout_s`.

    Raises:
        Unavailable: the server did not accept a connection in time.
        ConfigError: the password, the role or the database is wrong; raised at once.

    """
    if is_embedded(dsn):
        dsn = await start_embedded(dsn)
    limit_s = settings.ready_timeout_s
    timeout_s = min(settings.connect_timeout_s, limit_s)
    log = WaitLog(parse_dsn(dsn).hosts, limit_s)
    now = asyncio.get_running_loop().time
    started = now()
    for wait_s in wait_times(FIRST_WAIT_S, LONGEST_WAIT_S, jitter_s=JITTER_S):
        try:
            connection = await connect(dsn, timeout_s=timeout_s, password=password)
        except Unavailable as error:
            elapsed_s = now() - started
            if elapsed_s + wait_s > limit_s:
                raise
            log.log(str(error), elapsed_s=elapsed_s)
            await asyncio.sleep(wait_s)
        else:
            with contextlib.suppress(TimeoutError):  # the server has accepted the connection
                await connection.close(timeout=timeout_s)
            break
    return dsn


async def open_pool(
    dsn: str, settings: Settings, *, prepare: Prepare, password: Password | None = None
) -> ConnectionPool:
    """Return a pool with `pool_min_size` connections; `prepare` runs on each new connection.

    Raises:
        Unavailable: no host accepts a connection in time.
        ConfigError: an operator has to correct the settings, or `prepare` raised it.

    """
    pool = ConnectionPool(
        connector(dsn, settings, prepare=prepare, password=password),
        min_size=settings.pool_min_size,
        max_size=settings.pool_max_size,
        max_idle_s=settings.pool_max_idle_s,
        max_lifetime_s=settings.pool_max_lifetime_s,
        acquire_timeout_s=settings.acquire_timeout_s,
        statement_timeout_s=settings.statement_timeout_s,
    )
    await _fill(pool, min(settings.pool_min_size, settings.pool_max_size))
    return pool


def connector(
    dsn: str, settings: Settings, *, prepare: Prepare, password: Password | None
) -> Callable[[], Coroutine[object, object, asyncpg.Connection]]:
    """Return a function that opens a connection and runs `prepare` on it."""
    is_pooled = settings.pooler == "transaction"

    async def prepare_in_time(connection: asyncpg.Connection) -> None:
        # wait_for of Python 3.11 loses a cancellation that arrives together with the result.
        async with asyncio.timeout(settings.statement_timeout_s):
            await prepare(connection)

    connect_with = partial(
        connect,
        dsn,
        timeout_s=settings.connect_timeout_s,
        statement_cache_size=0 if is_pooled else STATEMENT_CACHE_SIZE,
        password=password,
    )
    # Parameters to try in this order. A transaction pooler refuses all of them.
    sessions: list[Mapping[str, str]] = [{**SESSION, **SERVER_KEEPALIVE}, SESSION]
    if is_pooled:
        sessions = [{}]

    async def connect_and_prepare() -> asyncpg.Connection:
        connection = await _connect_with_first(sessions, connect_with)
        try:
            await _with_explained_errors(prepare_in_time(connection))
        except BaseException:
            connection.terminate()
            raise
        return connection

    return connect_and_prepare


async def _fill(pool: ConnectionPool, size: int) -> None:
    """Open the first connections of a pool; if one fails, close the pool and raise its error."""
    opened: list[Connection] = []
    try:
        for _ in range(size):
            opened.append(await pool.acquire())  # noqa: PERF401  an error would lose the others
    except BaseException:
        await pool.close(timeout_s=0)
        raise
    for connection in opened:
        pool.release(connection)


async def _connect_with_first(
    sessions: list[Mapping[str, str]], connect_with: Callable[..., Awaitable[asyncpg.Connection]]
) -> asyncpg.Connection:
    """Connect with the first parameters; from a refusal of keepalives on, with the last ones.

    pgbouncer in session mode may be configured to ignore only the parameters of `SESSION`.
    """
    session = sessions[0]
    try:
        return await connect_with(session=session)
    except ConfigError as error:
        if session is sessions[-1] or not any(name in str(error) for name in SERVER_KEEPALIVE):
            raise
    sessions[:] = sessions[-1:]  # for later connections too
    return await connect_with(session=sessions[0])


async def _with_explained_errors(attempt: Awaitable[T]) -> T:
    """Await an attempt to connect; raise its error as an AgentRowsError."""
    try:
        return await attempt
    except Exception as error:
        translated, cause = explain_connect_error(error)
    # Outside of the handler, so that the driver's error, which may contain the DSN, is not its
    # context.
    raise translated from cause
