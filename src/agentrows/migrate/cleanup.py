"""The end of a run whose server may not answer any more."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from agentrows.migrate.messages import DRIVER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    import asyncpg

ANSWER_TIMEOUT_S: Final = 3.0
"""How long the end of a run waits for the server's answer before it closes the connection."""


async def within_limit(db: asyncpg.Connection, step: Callable[[], Awaitable[object]]) -> None:
    """Await a step of a run's end; close the connection if the server does not answer.

    A cancelled statement has to be answered before the next one is sent, and a server process that
    is stopped, or behind a network that is gone, does not answer.
    """
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await step()
    except TimeoutError:
        db.terminate()
    except DRIVER:
        pass  # the connection is gone, and the server has rolled back already
    except BaseException:
        db.terminate()
        raise


@contextlib.asynccontextmanager
async def transaction_block(db: asyncpg.Connection) -> AsyncGenerator[None]:
    """Run a block in a transaction, or in a savepoint of the open one.

    The driver's own context manager waits for the rollback without limit.
    """
    transaction = db.transaction()
    await transaction.start()
    try:
        yield
    except BaseException:
        await within_limit(db, transaction.rollback)
        raise
    await transaction.commit()
