"""A client that is opened by its first use, for adapters that are made without an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from agentrows.bridge import run_in_loop
from agentrows.client import PostgresClient
from agentrows.errors import ClientClosed, ConfigError

if TYPE_CHECKING:
    from agentrows.config import Settings

__all__ = ["LazyClient"]

CLOSED: Final = "the client of `from_dsn` is closed"


class LazyClient:
    """A client that is opened by its first use, in the event loop of that use.

    After that event loop was closed, the next use opens another client.
    """

    def __init__(self, dsn: str | None, settings: Settings | None) -> None:
        self._dsn = dsn
        self._settings = settings
        self._is_closed = False
        self._opening: asyncio.Task[PostgresClient] | None = None

    async def get(self) -> PostgresClient:
        """Return the client; several first uses open one, and a use after an error tries again.

        Raises:
            ClientClosed: `close` was called.
            ConfigError: the client is open in another event loop, which still exists.

        """
        if self._is_closed:
            raise ClientClosed(CLOSED)
        loop = asyncio.get_running_loop()
        opening = self._opening
        if opening is not None and opening.get_loop() is not loop:
            if not opening.get_loop().is_closed():
                raise ConfigError(
                    "the client of `from_dsn` was opened in another event loop: "
                    "create one adapter per event loop"
                )
            # The garbage collector closes the sockets of a closed event loop.
            opening = None
        if opening is None or _has_failed(opening):
            connect = PostgresClient.connect(self._dsn, settings=self._settings)
            opening = self._opening = loop.create_task(connect)
        try:
            # Shielded: a caller that is cancelled does not end the opening for the others.
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if opening.cancelled() and not (caller and caller.cancelling()):
                raise ClientClosed(CLOSED) from None
            raise

    async def close(self) -> None:
        """Close the client, or stop opening it; it cannot be used again."""
        self._is_closed = True
        opening, self._opening = self._opening, None
        if opening is None:
            return
        loop = opening.get_loop()
        if loop is asyncio.get_running_loop():
            await _close(opening)
        elif loop.is_running():
            await run_in_loop(loop, lambda: _close(opening))


async def _close(opening: asyncio.Task[PostgresClient]) -> None:
    opening.cancel()  # without effect on an open client; the server may be down
    await asyncio.wait((opening,))
    if not _has_failed(opening):
        await opening.result().close()


def _has_failed(opening: asyncio.Task[PostgresClient]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None)
