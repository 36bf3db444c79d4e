"""Clean-up of a transaction or a connection if the server may not answer any more."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from agentrows.migrate.messages import DRIVER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    import asyncpg

ANSWER_TIMEOUT_S: Final = 3.0
"""How long a clean-up waits for the server's answer before it closes the connection."""


async def await_cleanup(db: asyncpg.Connection, step: Callable[[], Awaitable[object]]) -> None:
    """Await a clean-up step; close the connection if the server does not answer in time."""
    # The server has to answer a cancelled statement before it receives the next one. A stopped
    # server process, or one behind a broken network, does not answer.
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await step()
    except TimeoutError:
        db.terminate()
    except DRIVER:
        pass  # the connection is lost, and the server has rolled back already
    except BaseException:
        db.terminate()
        raise


@contextlib.asynccontextmanager
async def transaction_block(db: asyncpg.Connection) -> AsyncGenerator[None]:
    """Run a block in a transaction, or in a savepoint of the open one."""
    # The driver's own context manager waits for the rollback without limit.
    transaction = db.transaction()
    await transaction.start()
    try:
        yield
    except BaseException:
        await await_cleanup(db, transaction.rollback)
        raise
    await transaction.commit()
