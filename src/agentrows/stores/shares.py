"""Shares: a token that lets others see a session.

A token is stored as it is, as kagent stores it, or as its SHA-256. No digest is a token: it begins
with a control character, which no HTTP header can carry, and which the look-up here refuses.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agentrows.errors import NotFound
from agentrows.gen import shares as queries
from agentrows.gen.models import SessionShare
from agentrows.stores._requirements import needs
from agentrows.validation import check_after, check_flag, check_id, check_int64, check_limit

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.gen.models import SessionShareAccess

TOKEN_BYTES: Final = 32
HASHED: Final = "\x1fsha256:"
"""What a stored token begins with that is a digest, in hexadecimal digits."""
NO_SHARE: Final = "the token shares no session"


@dataclass(frozen=True)
class ShareStore:
    """The shares of each user's sessions. A token is a secret: no message repeats it.

    With `hash_tokens` new tokens are stored as their SHA-256; tokens of either kind are found.
    """

    db: Executor
    hash_tokens: bool = field(default=False, kw_only=True)

    async def create_session_share(
        self, session_id: str, *, user_id: str, read_only: bool = True
    ) -> SessionShare:
        """Share a session under a new token of 256 random bits, and return the share.

        With `hash_tokens` nobody can read the token again: here it is shown for the only time.
        Raises NotFound if this user has no such session. `created_at` is in UTC, without a zone.
        """
        needs(self.db, "core", 6)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        share = await queries.insert_session_share(
            self.db.once,
            token=_hashed(token) if self.hash_tokens else token,
            session_id=check_id("session_id", session_id),
            user_id=check_id("user_id", user_id),
            read_only=check_flag("read_only", read_only),
        )
        if share is None:
            raise NotFound(f"no session {session_id!r} of this user")
        return share.model_copy(update={"token": token})

    async def get_session_share_by_token(self, token: str) -> SessionShare:
        """Return a share; raise NotFound for an unknown token, or if its session is deleted."""
        needs(self.db, "core", 6)
        hashed = _hashed(check_id("token", token))
        found = await queries.find_session_shares(
            self.db.repeatable, token=token, hashed_token=hashed
        )
        for share in found:
            if _opens(token, hashed, share.token):
                return share.model_copy(update={"token": token})
        raise NotFound(NO_SHARE)

    async def list_session_shares_by_session(
        self,
        session_id: str,
        *,
        user_id: str,
        limit: int | None = None,
        after: SessionShare | None = None,
    ) -> list[SessionShare]:
        """Return the shares of a user's session, oldest first, at most `limit`.

        A page goes on `after` its last row; a deleted session has none. Of a hashed token there is
        only the digest, which opens nothing; `delete_session_share` takes it.
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
        """Take a share of one's own session back; say whether there was one.

        `token` is the token, or what the list of shares has in its place.
        """
        needs(self.db, "core", 6)
        deleted = await queries.delete_session_share(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            token=check_id("token", token),
            hashed_token=_hashed(token),
        )
        return deleted > 0

    async def record_share_access(self, token: str, *, user_id: str) -> SessionShareAccess:
        """Note that a user opened a share now, and return the note; the last time counts.

        Raises NotFound for an unknown token, or if its session is deleted.
        """
        check_id("user_id", user_id)
        share = await self.get_session_share_by_token(token)
        access = await queries.record_share_access(
            self.db.repeatable, user_id=user_id, share_id=share.id
        )
        if access is None:
            raise NotFound(NO_SHARE)
        return access


def _hashed(token: str) -> str:
    """Return what is stored of a token where tokens are hashed."""
    return f"{HASHED}{hashlib.sha256(token.encode()).hexdigest()}"


def _opens(token: str, hashed: str, stored: str) -> bool:
    """Whether a stored token is this one; takes as long for a near guess as for any other."""
    is_plain = hmac.compare_digest(token.encode(), stored.encode())
    is_hashed = hmac.compare_digest(hashed.encode(), stored.encode())
    return is_hashed or (is_plain and not stored.startswith(HASHED))
