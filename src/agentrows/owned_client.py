"""The client of an adapter, and the owner of its rows, for frameworks whose calls name no user."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from agentrows.bridge import CallRunner, check_row_security
from agentrows.client import Stores
from agentrows.errors import InvalidValue
from agentrows.lazy_client import LazyClient
from agentrows.validation import check_key_part

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

UserId: TypeAlias = "str | Callable[[], str | None]"
"""The id of a user, or a function that returns the one of the current call."""


class OwnedClient:
    """A client or a transaction, or a client that its first use opens, and the owner of the rows.

    `user_id` is the id of the owner, or a function that returns it, which each call runs. If it
    returns None or '', the caller has no user: the owner is then `anonymous_user_id`.

    Raises:
        InvalidValue: an id cannot be stored, `client` is no client, `user_id` is an asynchronous
            function, `anonymous_user_id` is passed with a fixed user, or `row_security` is used
            with a transaction.

    """

    def __init__(
        self,
        client: Stores | LazyClient,
        *,
        user_id: UserId,
        anonymous_user_id: str | None = None,
        row_security: bool = False,
    ) -> None:
        if not isinstance(client, Stores | LazyClient):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(
                f"client must be a PostgresClient or a Transaction, not {type(client).__name__}"
            )
        check_row_security(client, row_security=row_security)
        if inspect.iscoroutinefunction(user_id):
            raise InvalidValue("user_id must be a plain function: its result is not awaited")
        if not callable(user_id):
            check_key_part("user_id", user_id)
            if anonymous_user_id is not None:
                raise InvalidValue("anonymous_user_id needs a function as user_id")
        elif anonymous_user_id is not None:
            check_key_part("anonymous_user_id", anonymous_user_id)
        self._client = client
        self._user_id = user_id
        self._anonymous_user_id = anonymous_user_id
        self._row_security = row_security

    def resolve(self) -> str:
        """Return the owner of the rows of a call.

        Raises:
            InvalidValue: the function `user_id` returned no id, or that of the anonymous owner.

        """
        if not callable(self._user_id):
            return self._user_id
        # The annotation is not enforced: an application's function may return anything.
        owner = cast("object", self._user_id())
        if owner is None or owner == "":
            if self._anonymous_user_id is None:
                raise InvalidValue("the function user_id must return the id of a user, got no id")
            return self._anonymous_user_id
        if not isinstance(owner, str):
            raise InvalidValue(f"the function user_id must return text, not {type(owner).__name__}")
        if owner == self._anonymous_user_id:
            raise InvalidValue(f"{owner!r} is the owner of anonymous rows and cannot be a user")
        return check_key_part("the result of the function user_id", owner)

    async def run(
        self,
        user_id: str,
        call: Callable[[Stores], Awaitable[T]],
        *,
        is_repeatable: bool = True,
    ) -> T:
        """Return the result of a call, which runs in the event loop of the client."""
        client = self._client
        if isinstance(client, LazyClient):
            client = await client.get()
        runner = CallRunner(client, row_security=self._row_security)
        return await runner.run(user_id, call, is_repeatable=is_repeatable)

    async def close(self) -> None:
        """Close a client that the first use opened; one of the application stays open."""
        if isinstance(self._client, LazyClient):
            await self._client.close()
