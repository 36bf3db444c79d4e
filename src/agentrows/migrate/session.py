"""A runner's own connection: how it ends, and what its driver's errors become."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.errors import translate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

CLOSE_TIMEOUT_S: Final = 5.0


@contextlib.asynccontextmanager
async def closing(db: asyncpg.Connection) -> AsyncGenerator[asyncpg.Connection]:
    """Close the connection at the end, by force if the server does not answer."""
    try:
        yield db
    finally:
        try:
            await db.close(timeout=CLOSE_TIMEOUT_S)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            db.terminate()


@contextlib.contextmanager
def driver_errors() -> Generator[None]:
    """Turn the driver's errors into ours; those that can only be a bug stay as they are."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error
