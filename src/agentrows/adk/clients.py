"""The client of a service of ADK: that of the application, or one that the service opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from agentrows.bridge import CallRunner, check_row_security
from agentrows.lazy_client import LazyClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from agentrows import Settings, Stores

    T = TypeVar("T")
    Call = Callable[[Stores], Awaitable[T]]


class ClientOwner:
    """A service on a client or a transaction, or on a client that its first use opens."""

    def __init__(self, client: Stores | LazyClient, *, row_security: bool = False) -> None:
        super().__init__()
        check_row_security(client, row_security=row_security)
        self._client = client
        self._row_security = row_security

    @classmethod
    def from_dsn(
        cls,
        dsn: str | None = None,
        *,
        settings: Settings | None = None,
        row_security: bool = False,
    ) -> Self:
        """Return a service that opens a client in the running event loop at its first use.

        DSN and settings are those of `PostgresClient.open`. `close`, or the end of a block
        `async with`, closes the client.
        """
        return cls(LazyClient(dsn, settings), row_security=row_security)

    async def close(self) -> None:
        """Close the client of `from_dsn`; another client stays open."""
        if isinstance(self._client, LazyClient):
            await self._client.close()

    async def __aenter__(self) -> Self:
        """Return the service."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client of `from_dsn`."""
        await self.close()

    async def _stores(self) -> Stores:
        """Return the client, opened if it is not yet."""
        if isinstance(self._client, LazyClient):
            return await self._client.get()
        return self._client

    async def _run(self, user_id: str, call: Call[T], *, is_repeatable: bool = True) -> T:
        """Run a call, with row security in a transaction of the user."""
        runner = CallRunner(await self._stores(), row_security=self._row_security)
        return await runner.run(user_id, call, is_repeatable=is_repeatable)
