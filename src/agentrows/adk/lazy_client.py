"""A client that is opened at its first use, for callers without a running event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentrows import PostgresClient

if TYPE_CHECKING:
    from agentrows import Settings


class LazyClient:
    """Opens a client in the running event loop, once; concurrent callers wait for it."""

    def __init__(self, dsn: str | None, settings: Settings | None) -> None:
        self._dsn = dsn
        self._settings = settings
        self._opening: asyncio.Task[PostgresClient] | None = None

    async def get(self) -> PostgresClient:
        """Return the client; after an error, or in another loop than a closed one, open another."""
        opening = self._opening
        if opening is None or opening.get_loop().is_closed() or _has_failed(opening):
            connect = PostgresClient.connect(self._dsn, settings=self._settings)
            opening = self._opening = asyncio.create_task(connect)
        # Shielded: a caller that is cancelled does not end the opening for the others.
        return await asyncio.shield(opening)

    async def close(self) -> None:
        """Close the client, if one was opened; the next use opens another."""
        opening, self._opening = self._opening, None
        if opening is None or opening.get_loop().is_closed() or _has_failed(opening):
            return
        client = await opening
        await client.close()


def _has_failed(opening: asyncio.Task[PostgresClient]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None)
