"""Shares: tokens that let other users open a session.

A token is stored as plain text, as kagent stores it, or as its SHA-256. A digest cannot be used as
a token: it starts with a control character, which is not valid in HTTP headers, and the look-up
compares only the digest of a token with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import NotFound
from agentrows.gen import shares as queries
from agentrows.gen.models import SessionShare
from agentrows.stores._pages import Page, PageOrder, Pages
from agentrows.stores._requirements import SHARES, require
from agentrows.validation import check_flag, check_id, check_limit

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.gen.models import SessionShareAccess

TOKEN_BYTES: Final = 32
DIGEST_PREFIX: Final = "\x1fsha256:"
"""The start of a stored digest, before its hexadecimal digits."""
NO_SHARE: Final = "no session is shared under this token"

OLDEST_FIRST: Final = PageOrder(SessionShare, ("id",), (0,))


@dataclass(frozen=True)
class ShareStore:
    """Store of the shares of users' sessions.

    A token is a secret, and no error message contains it. With the setting `hash_share_tokens` new
    tokens are stored as their SHA-256; plain and hashed tokens are both found.
    """

    db: Executor

    async def create_session_share(
        self, session_id: str, *, user_id: str, read_only: bool = True
    ) -> SessionShare:
        """Share a user's session under a new token of 256 random bits and return the share.

        With `hash_share_tokens` this is the only time that the token is returned.
        `created_at` is in UTC, without a time zone.

        Raises:
            NotFound: the user has no such session, or it is deleted.

        """
        require(self.db, SHARES)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        share = await queries.insert_session_share(
            self.db.once,
            token=_digest(token) if self.db.options.hash_share_tokens else token,
            session_id=check_id("session_id", session_id),
            user_id=check_id("user_id", user_id),
            read_only=check_flag("read_only", read_only),
        )
        if share is None:
            raise NotFound(f"no session {session_id!r} of this user")
        return share.model_copy(update={"token": token})

    async def get_session_share_by_token(self, token: str) -> SessionShare:
        """Return the share with a token.

        Raises:
            NotFound: no share has this token, or its session is deleted.

        """
        require(self.db, SHARES)
        digest = _digest(check_id("token", token))
        candidates = await queries.find_session_shares(
            self.db.repeatable, token=token, hashed_token=digest
        )
        for share in candidates:
            if _matches(token, digest, share.token):
                return share.model_copy(update={"token": token})
        raise NotFound(NO_SHARE)

    async def list_session_shares_by_session(
        self,
        session_id: str,
        *,
        user_id: str,
        limit: int | None = None,
        after: SessionShare | str | None = None,
    ) -> Page[SessionShare]:
        """Return the shares of a user's session, oldest first; none if the session is deleted.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page. `token` is the digest of a hashed token: it opens no session, and
        `delete_session_share` accepts it.
        """
        require(self.db, SHARES)
        session = {
            "session_id": check_id("session_id", session_id),
            "user_id": check_id("user_id", user_id),
        }
        pages = Pages(self.db, "list_session_shares_by_session", OLDEST_FIRST, session)
        (after_id,) = pages.start(after)
        shares = await queries.list_session_shares(
            self.db.repeatable, **session, after_id=after_id, limit=check_limit("limit", limit)
        )
        return pages.page(shares, limit)

    async def delete_session_share(self, token: str, *, user_id: str) -> bool:
        """Delete a share of a user's session; return whether it existed.

        `token` is the token, or the digest that `list_session_shares_by_session` returns.
        """
        require(self.db, SHARES)
        deleted = await queries.delete_session_share(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            token=check_id("token", token),
            hashed_token=_digest(token),
        )
        return deleted > 0

    async def record_share_access(self, token: str, *, user_id: str) -> SessionShareAccess:
        """Record that a user opened a share now and return the record.

        There is one record for each user and share, with the time of the last access in UTC,
        without a time zone.

        Raises:
            NotFound: no share has this token, or its session is deleted.

        """
        check_id("user_id", user_id)
        share = await self.get_session_share_by_token(token)
        access = await queries.record_share_access(
            self.db.repeatable, user_id=user_id, share_id=share.id
        )
        if access is None:
            raise NotFound(NO_SHARE)
        return access


def _digest(token: str) -> str:
    """Return the digest that is stored in place of a token."""
    return f"{DIGEST_PREFIX}{hashlib.sha256(token.encode()).hexdigest()}"


def _matches(token: str, digest: str, stored: str) -> bool:
    """Return whether a token is the stored one, in a time that does not depend on the guess."""
    is_plain = hmac.compare_digest(token.encode(), stored.encode())
    is_hashed = hmac.compare_digest(digest.encode(), stored.encode())
    # A digest that was read from the table must not be accepted as a plain token.
    return is_hashed or (is_plain and not stored.startswith(DIGEST_PREFIX))
