"""A client that is opened by its first use."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from agentrows import ClientClosed, ConfigError, PostgresClient

if TYPE_CHECKING:
    from agentrows import Settings


class LazyClient:
    """A client that is opened by its first use, in the event loop of that use."""

    def __init__(self, dsn: str | None, settings: Settings | None) -> None:
        self._dsn = dsn
        self._settings = settings
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Task[PostgresClient] | None = None

    async def get(self) -> PostgresClient:
        """Return the client; several first uses open one."""
        if self._is_closed:
            raise ClientClosed("the session is closed")
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            if not self._loop.is_closed():
                raise ConfigError(
                    "this session was used in another event loop: create one per event loop"
                )
            await self._close_client()
        if self._opening is None:
            self._loop = loop
            self._opening = loop.create_task(
                PostgresClient.connect(self._dsn, settings=self._settings)
            )
        opening = self._opening
        try:
            return await asyncio.shield(opening)  # the other callers wait for it too
        except BaseException:
            if opening.done() and self._opening is opening:
                self._opening = None  # the next call tries again
            raise

    async def close(self) -> None:
        """Close the client."""
        self._is_closed = True
        await self._close_client()

    async def _close_client(self) -> None:
        opening, self._opening = self._opening, None
        if opening is None or (self._loop is not asyncio.get_running_loop() and not opening.done()):
            return  # it was not opened before its event loop was closed
        with contextlib.suppress(Exception):  # the caller of `get` got the error
            client = await opening
            await client.close()
