"""Opening connections: one, the first one of a server that may still be starting, and a pool."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import stamina

from agentrows.db.address import asking, check, why_not
from agentrows.db.connections import ConnectionPool
from agentrows.db.embedded import is_embedded, start_embedded
from agentrows.db.sockets import SERVER_KEEPALIVE, enable_keepalive
from agentrows.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agentrows.config import Password, Settings

    Prepare = Callable[[asyncpg.Connection], Awaitable[None]]

T = TypeVar("T")
CHECK_CLIENT: Final = "1s"
"""How often a session looks, in the middle of a statement, whether its client is still there."""
SESSION: Final = {
    # A statement whose client is gone, or gave up, ends soon, and so do its locks.
    "client_connection_check_interval": CHECK_CLIENT,
}
STATEMENTS: Final = 100
"""How many statements a connection keeps prepared."""
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 5.0


async def connect(  # noqa: PLR0913  one argument per thing to say
    dsn: str,
    *,
    timeout_s: float = 10.0,
    application_name: str = "agentrows",
    session: Mapping[str, str] = MappingProxyType({}),
    statement_cache_size: int = 0,
    password: Password | None = None,
) -> asyncpg.Connection:
    """Connect once, within `timeout_s`; `session` are further parameters of the server.

    Without a cache the driver sends a statement and its arguments in one piece, which is what a
    transaction pooler passes to one server process.

    `password` is asked for each connection, and wins over the DSN's. Of several hosts each has this
    time, in their order: one that is gone without a word would otherwise use it up. Raises
    Unavailable if no server answers, and ConfigError if one answers that the password, the role or
    the database is wrong, if its certificate is, or if the DSN cannot be read.
    """
    check(dsn)
    connect_to = partial(
        asyncpg.connect,
        timeout=timeout_s,
        server_settings={"application_name": application_name, **session},
        statement_cache_size=statement_cache_size,
        password=asking(password),
    )
    failure = Unavailable("the DSN names no host")
    for one in _each_host(dsn):
        try:
            connection = await _explained(connect_to(one))
        except Unavailable as error:
            failure = error
        else:
            enable_keepalive(connection)
            return connection
    raise failure


async def wait_until_ready(
    dsn: str, settings: Settings, *, password: Password | None = None
) -> str:
    """Start an embedded server if the DSN asks for one, wait until it answers; return its DSN.

    A server that is down or starting is tried again, after 0.5 s doubling to 5 s, for
    `ready_timeout_s` in all (then: Unavailable). A wrong password, role or database fails at once.
    """
    if is_embedded(dsn):
        dsn = await start_embedded(dsn)
    async for attempt in stamina.retry_context(
        on=Unavailable,
        attempts=None,
        timeout=settings.ready_timeout_s,
        wait_initial=FIRST_WAIT_S,
        wait_max=LONGEST_WAIT_S,
    ):
        with attempt:
            timeout_s = min(settings.connect_timeout_s, settings.ready_timeout_s)
            connection = await connect(dsn, timeout_s=timeout_s, password=password)
            with contextlib.suppress(TimeoutError):  # it has answered, which is all that counts
                await connection.close(timeout=timeout_s)
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


def _each_host(dsn: str) -> list[str]:
    """Return a DSN for each host of one that reads `…@one:5432,other:5432/…`.

    The driver knows such a DSN, but has one time limit for all of its hosts together. What chooses
    among several that answer (prefer-standby) is left to it.
    """
    parts = urlsplit(dsn)
    user, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts or "prefer-standby" in parts.query:
        return [dsn]
    return [urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")]


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
