"""Opening connections: one, the first one of a server that may still be starting, and a pool."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import asyncpg
import stamina

from agentrows.db.address import asking, check, why_not
from agentrows.db.embedded import is_embedded, start_embedded
from agentrows.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from agentrows.config import Password, Settings

    Prepare = Callable[[asyncpg.Connection], Awaitable[None]]

SESSION: Final = {
    "application_name": "agentrows",
    # A statement whose client is gone, or gave up, ends within a second, and so do its locks.
    "client_connection_check_interval": "1000",
}
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 5.0


async def connect(
    dsn: str,
    *,
    timeout_s: float = 10.0,
    application_name: str = "agentrows",
    password: Password | None = None,
) -> asyncpg.Connection:
    """Connect once, within `timeout_s`; `password` is asked for it, and wins over the DSN's.

    Raises Unavailable if the server does not answer, and ConfigError if it answers that the
    password, the role or the database is wrong, if its certificate is, or if the DSN cannot be
    read.
    """
    check(dsn)
    with _explained():
        return await asyncpg.connect(
            dsn,
            timeout=timeout_s,
            server_settings={"application_name": application_name},
            password=asking(password),
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
            await connection.close()
    return dsn


async def create_pool(
    dsn: str, settings: Settings, *, init: Prepare, password: Password | None = None
) -> asyncpg.Pool:
    """Open a pool whose connections were prepared by `init`; raise what `connect` and it raise.

    asyncpg resets a session at every release, which costs a round trip per call (2 to 3 times the
    latency of a key look-up). This library leaves nothing behind to reset but a transaction that a
    cancellation cut off, and that one asyncpg rolls back before it calls the hook; so the hook has
    nothing to do.
    """

    async def prepare(connection: asyncpg.Connection) -> None:
        await init(connection)

    async def leave_as_it_is(_connection: asyncpg.Connection) -> None:
        pass

    check(dsn)
    with _explained():
        return await asyncpg.create_pool(
            dsn,
            min_size=min(settings.pool_min_size, settings.pool_max_size),
            max_size=settings.pool_max_size,
            timeout=settings.connect_timeout_s,
            command_timeout=settings.statement_timeout_s,
            server_settings=SESSION,
            init=prepare,
            reset=leave_as_it_is,
            password=asking(password),
        )


async def close_pool(pool: asyncpg.Pool, *, timeout_s: float) -> None:
    """Close the pool; calls still running after `timeout_s` are cut off."""
    try:
        async with asyncio.timeout(timeout_s):
            await pool.close()
    except TimeoutError:
        pool.terminate()


@contextlib.contextmanager
def _explained() -> Generator[None]:
    """Raise our error for a failed attempt to connect."""
    ours: Exception
    cause: Exception | None
    try:
        yield
    except Exception as error:
        ours, cause = why_not(error)
    else:
        return
    raise ours from cause  # outside of the handler: nothing else of the driver's error is kept
