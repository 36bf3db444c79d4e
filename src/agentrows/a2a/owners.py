"""Owners of tasks and configs: the user of a call, and the stores restricted to this user."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from agentrows import InvalidValue, TransactionalStores
from agentrows.bridge import check_row_security
from agentrows.validation import check_key_part

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from a2a.server.context import ServerCallContext
    from a2a.server.owner_resolver import OwnerResolver

    from agentrows import Stores

ANONYMOUS_USER: Final = "a2a:anonymous"
"""The owner of the tasks of all callers that are not authenticated."""


@dataclass(frozen=True, slots=True)
class Owners:
    """Resolves the owner of a call, and runs the call's statements for this owner."""

    client: Stores
    owner_resolver: OwnerResolver
    anonymous_user_id: str | None
    row_security: bool

    def __post_init__(self) -> None:
        """Raise InvalidValue for arguments that do not fit together."""
        if self.anonymous_user_id is not None:
            check_key_part("anonymous_user_id", self.anonymous_user_id)
        check_row_security(self.client, row_security=self.row_security)

    def resolve(self, context: ServerCallContext) -> str:
        """Return the id of the user that owns the rows of a call.

        Raises:
            InvalidValue: the resolver returned no id, or an authenticated user has the name of the
                anonymous owner.

        """
        # The annotation is not enforced: an application's resolver may return anything.
        owner = cast("object", self.owner_resolver(context))
        if owner is None or owner == "":
            if self.anonymous_user_id is None or context.user.is_authenticated:
                raise InvalidValue("owner_resolver must return the id of a user, got an empty one")
            return self.anonymous_user_id
        if not isinstance(owner, str):
            raise InvalidValue(f"owner_resolver must return text, not {type(owner).__name__}")
        if owner == self.anonymous_user_id:
            raise InvalidValue(f"{owner!r} is the owner of anonymous tasks and cannot be a user")
        return check_key_part("the owner", owner)

    @contextlib.asynccontextmanager
    async def stores(self, user_id: str) -> AsyncGenerator[Stores]:
        """Yield the stores for the statements of one call."""
        if self.row_security and isinstance(self.client, TransactionalStores):
            async with self.client.as_user(user_id) as restricted:
                yield restricted
        else:
            yield self.client
