"""Opening connections: one, the first one of a server that may still be starting, and a pool."""

from __future__ import annotations

import contextlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import asyncpg
import stamina

from agentrows.db.connections import ConnectionPool
from agentrows.db.embedded import is_embedded, start_embedded
from agentrows.errors import ConfigError, Unavailable, translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping

    from agentrows.config import Settings

    Prepare = Callable[[asyncpg.Connection], Awaitable[None]]

BAD_DSN: Final = "the DSN is not understood; it reads postgresql://user:password@host:port/database"
CHECK_CLIENT: Final = "1s"
"""How often a session looks, in the middle of a statement, whether its client is still there."""
SESSION: Final = {
    # A statement whose client is gone, or gave up, ends soon, and so do its locks.
    "client_connection_check_interval": CHECK_CLIENT,
}
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 5.0


async def connect(
    dsn: str,
    *,
    timeout_s: float = 10.0,
    statement_timeout_s: float | None = None,
    application_name: str = "agentrows",
    session: Mapping[str, str] = MappingProxyType({}),
) -> asyncpg.Connection:
    """Connect once, within `timeout_s`; `session` are further parameters of the server.

    Raises Unavailable if the server does not answer, and ConfigError if it answers that the
    password, the role or the database is wrong, or if the DSN cannot be read.
    """
    with _explained():
        return await asyncpg.connect(
            dsn,
            timeout=timeout_s,
            command_timeout=statement_timeout_s,
            server_settings={"application_name": application_name, **session},
        )


async def wait_until_ready(dsn: str, settings: Settings) -> str:
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
            connection = await connect(dsn, timeout_s=timeout_s)
            await connection.close()
    return dsn


async def open_pool(dsn: str, settings: Settings, *, init: Prepare) -> ConnectionPool:
    """Open a pool whose connections were prepared by `init`; raise what `connect` and it raise."""

    async def connect_and_prepare() -> asyncpg.Connection:
        connection = await connect(
            dsn,
            timeout_s=settings.connect_timeout_s,
            statement_timeout_s=settings.statement_timeout_s,
            session=SESSION,
        )
        try:
            with _explained():
                await init(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    pool = ConnectionPool(
        connect_and_prepare,
        min_size=settings.pool_min_size,
        max_size=settings.pool_max_size,
        max_idle_s=settings.pool_max_idle_s,
        acquire_timeout_s=settings.acquire_timeout_s,
    )
    await pool.fill()
    return pool


@contextlib.contextmanager
def _explained() -> Generator[None]:
    """Raise our error for a failed attempt to connect."""
    try:
        yield
    except Exception as error:
        raise _why_not(error) from _without_secrets(error)


def _why_not(error: Exception) -> Exception:
    """Return our error for a failed attempt to connect, without what the DSN held."""
    if isinstance(error, TimeoutError):
        return Unavailable("the database did not accept a connection in time")
    if _is_dsn_error(error):
        return ConfigError(BAD_DSN)
    if isinstance(error, asyncpg.UndefinedObjectError):
        return ConfigError(
            f"the DSN has a parameter that the server does not know: {error.args[0]}"
        )
    return translate(error, lost=Unavailable) or error


def _without_secrets(error: Exception) -> Exception | None:
    """Return the cause to keep: an error about the DSN's text may repeat the password."""
    return None if _is_dsn_error(error) else error


def _is_dsn_error(error: Exception) -> bool:
    return isinstance(error, ValueError) and not isinstance(error, asyncpg.DataError)
