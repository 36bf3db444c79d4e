"""Opening connections: one, the first one of a server that may still be starting, and a pool."""

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
from agentrows.db.dsn import asking, parse, why_not
from agentrows.db.embedded import is_embedded, start_embedded
from agentrows.db.pool import ConnectionPool
from agentrows.db.sockets import SERVER_KEEPALIVE, enable_keepalive
from agentrows.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agentrows.config import Password, Settings
    from agentrows.db.sources import Connection

    Connect = Callable[..., Awaitable[asyncpg.Connection]]
    Prepare = Callable[[asyncpg.Connection], Awaitable[None]]

T = TypeVar("T")
CHECK_CLIENT: Final = "1s"
"""How often a session looks, in the middle of a statement, whether its client is still there."""
CHECKS_CLIENT: Final = "client_connection_check_interval"
SESSION: Final = {
    # A statement whose client is gone, or gave up, ends soon, and so do its locks.
    CHECKS_CLIENT: CHECK_CLIENT,
}
OLDEST_SERVER: Final = 15
STATEMENTS: Final = 100
"""How many statements a connection keeps prepared."""
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 5.0
JITTER_S: Final = 1.0


async def connect(  # noqa: PLR0913  one argument per thing to say
    dsn: str,
    *,
    timeout_s: float = 10.0,
    application_name: str = "agentrows",
    session: Mapping[str, str] = MappingProxyType({}),
    statement_cache_size: int = 0,
    password: Password | None = None,
) -> PooledConnection:
    """Connect once, within `timeout_s`; `session` are further parameters of the server.

    Without a cache the driver sends a statement and its arguments in one piece, which is what a
    transaction pooler passes to one server process.

    `password` is asked for each connection, and wins over the DSN's. Of several hosts each has this
    time, in their order: one that is gone without a word would otherwise use it up. Raises
    Unavailable if no server answers, and ConfigError if one answers that the password, the role or
    the database is wrong, if its certificate is, or if the DSN cannot be read.
    """
    address = parse(dsn)
    hosts = list(address.dsns)
    if address.is_shuffled:
        random.shuffle(hosts)
    failure = Unavailable("the DSN names no host")
    for one in hosts:
        connect_to: Connect = partial(
            asyncpg.connect,
            one,
            timeout=address.connect_timeout_s or timeout_s,
            statement_cache_size=statement_cache_size,
            password=asking(password),
            connection_class=PooledConnection,
            ssl=address.tls,
        )
        asked = {"application_name": application_name, **session, **address.settings}
        try:
            connection = await _explained(_with_settings(connect_to, asked))
        except Unavailable as error:
            failure = error
        else:
            enable_keepalive(connection, address.socket)
            connection.target = address.target
            return connection
    raise failure


async def _with_settings(connect_to: Connect, settings: Mapping[str, str]) -> PooledConnection:
    """Connect with settings of the server, without those that an older server does not have.

    Raises ConfigError for a server older than PostgreSQL 15.
    """
    try:
        connection = await connect_to(server_settings=settings)
    except (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError) as error:
        # Before PostgreSQL 14 it is unknown; on some operating systems it must be 0.
        if CHECKS_CLIENT not in str(error) or settings.get(CHECKS_CLIENT) != CHECK_CLIENT:
            raise
        others = {name: value for name, value in settings.items() if name != CHECKS_CLIENT}
        connection = await connect_to(server_settings=others)
    assert isinstance(connection, PooledConnection), "this is the class that was asked for"  # noqa: S101
    try:
        check_server_version(connection)
    except ConfigError:
        connection.terminate()
        raise
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
    """Start an embedded server if the DSN asks for one, wait until it answers; return its DSN.

    A server that is down or starting is tried again, after 0.5 s doubling to 5 s, for
    `ready_timeout_s` in all (then: Unavailable). A wrong password, role or database fails at once.
    """
    if is_embedded(dsn):
        dsn = await start_embedded(dsn)
    limit_s = settings.ready_timeout_s
    timeout_s = min(settings.connect_timeout_s, limit_s)
    log = WaitLog(parse(dsn).hosts, limit_s)
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
            with contextlib.suppress(TimeoutError):  # the server has answered
                await connection.close(timeout=timeout_s)
            break
    return dsn


async def open_pool(
    dsn: str, settings: Settings, *, init: Prepare, password: Password | None = None
) -> ConnectionPool:
    """Open a pool whose connections were prepared by `init`; raise what `connect` and it raise."""
    is_pooled = settings.pooler == "transaction"

    async def prepare(connection: asyncpg.Connection) -> None:
        # Not wait_for, which loses a cancellation that comes with the answer (Python 3.11).
        async with asyncio.timeout(settings.statement_timeout_s):
            await init(connection)

    connect_with = partial(
        connect,
        dsn,
        timeout_s=settings.connect_timeout_s,
        statement_cache_size=0 if is_pooled else STATEMENTS,
        password=password,
    )
    sessions: list[Mapping[str, str]] = [{**SESSION, **SERVER_KEEPALIVE}, SESSION]
    if is_pooled:
        sessions = [{}]

    async def connect_and_prepare() -> asyncpg.Connection:
        connection = await _connect_with_first(sessions, connect_with)
        try:
            await _explained(prepare(connection))
        except BaseException:
            connection.terminate()
            raise
        return connection

    pool = ConnectionPool(
        connect_and_prepare,
        min_size=settings.pool_min_size,
        max_size=settings.pool_max_size,
        max_idle_s=settings.pool_max_idle_s,
        max_lifetime_s=settings.pool_max_lifetime_s,
        acquire_timeout_s=settings.acquire_timeout_s,
        statement_timeout_s=settings.statement_timeout_s,
    )
    await pool.fill()
    return pool


async def _connect_with_first(
    sessions: list[Mapping[str, str]], connect_with: Callable[..., Awaitable[asyncpg.Connection]]
) -> asyncpg.Connection:
    """Connect with the first settings; use the last ones for good if a pooler refuses keepalives.

    pgbouncer in session mode may be told to ignore only the parameters of `SESSION`.
    """
    asked = sessions[0]
    try:
        return await connect_with(session=asked)
    except ConfigError as error:
        if asked is sessions[-1] or not any(name in str(error) for name in SERVER_KEEPALIVE):
            raise
    sessions[:] = sessions[-1:]
    return await connect_with(session=sessions[0])


async def _explained(attempt: Awaitable[T]) -> T:
    """Raise our error for a failed attempt to connect, with the cause that may be kept."""
    try:
        return await attempt
    except Exception as error:
        ours, cause = why_not(error)
    # Outside of the handler, and of any `with`, so that the driver's error is not its context.
    raise ours from cause
