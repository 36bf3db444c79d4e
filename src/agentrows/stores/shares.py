"""Shares: a token that lets others see a session."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import NotFound
from agentrows.gen import shares as queries
from agentrows.gen.models import SessionShare
from agentrows.stores._arguments import check_after, check_flag, check_id, check_int64, check_limit
from agentrows.stores._schema import needs

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.gen.models import SessionShareAccess

TOKEN_BYTES: Final = 32
NO_SHARE: Final = "the token shares no session"


@dataclass(frozen=True)
class ShareStore:
    """The shares of each user's sessions. A token is a secret: no message repeats it."""

    db: Executor

    async def create_session_share(
        self, session_id: str, *, user_id: str, read_only: bool = True
    ) -> SessionShare:
        """Share a session under a new token of 256 random bits, and return the share.

        Raises NotFound if this user has no such session. `created_at` is in UTC, without a zone.
        """
        needs(self.db, "core", 6)
        share = await queries.insert_session_share(
            self.db.once,
            token=secrets.token_urlsafe(TOKEN_BYTES),
            session_id=check_id("session_id", session_id),
            user_id=check_id("user_id", user_id),
            read_only=check_flag("read_only", read_only),
        )
        if share is None:
            raise NotFound(f"no session {session_id!r} of this user")
        return share

    async def get_session_share_by_token(self, token: str) -> SessionShare:
        """Return a share; raise NotFound for an unknown token, or if its session is deleted."""
        needs(self.db, "core", 6)
        share = await queries.get_session_share(self.db.repeatable, token=check_id("token", token))
        if share is None:
            raise NotFound(NO_SHARE)
        return share

    async def list_session_shares_by_session(
        self,
        session_id: str,
        *,
        user_id: str,
        limit: int | None = None,
        after: SessionShare | None = None,
    ) -> list[SessionShare]:
        """Return the shares of a user's session, oldest first, at most `limit`.

        A page goes on `after` its last row; a deleted session has none.
        """
        needs(self.db, "core", 6)
        check_after(after, SessionShare)
        return await queries.list_session_shares(
            self.db.repeatable,
            session_id=check_id("session_id", session_id),
            user_id=check_id("user_id", user_id),
            after_id=check_int64("after.id", after.id) if after else 0,
            limit=check_limit("limit", limit),
        )

    async def delete_session_share(self, token: str, *, user_id: str) -> bool:
        """Take a share of one's own session back; say whether there was one."""
        needs(self.db, "core", 6)
        deleted = await queries.delete_session_share(
            self.db.repeatable, token=check_id("token", token), user_id=check_id("user_id", user_id)
        )
        return deleted > 0

    async def record_share_access(self, token: str, *, user_id: str) -> SessionShareAccess:
        """Note that a user opened a share now, and return the note; the last time counts.

        Raises NotFound for an unknown token, or if its session is deleted.
        """
        needs(self.db, "core", 6)
        access = await queries.record_share_access(
            self.db.repeatable, token=check_id("token", token), user_id=check_id("user_id", user_id)
        )
        if access is None:
            raise NotFound(NO_SHARE)
        return access
