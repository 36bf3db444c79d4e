"""The conversation store of Pydantic AI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_ai.conversation_store import ConversationConflict
from pydantic_ai.conversation_store import ConversationStore as BaseConversationStore

from agentrows import InvalidValue, UnreadableRow
from agentrows.lazy_client import LazyClient
from agentrows.owned_client import OwnedClient
from agentrows.pydantic_ai.rows import (
    EntryNotFound,
    decode_entries,
    decode_record,
    encode_entries,
    encode_record,
)
from agentrows.validation import check_id, check_int64

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from pydantic_ai.conversation_store import ConversationEntry, ConversationRecord

    from agentrows import Settings, Stores
    from agentrows.owned_client import UserId


class ConversationStore(BaseConversationStore):
    """A user's conversations in PostgreSQL; implements Pydantic AI's `ConversationStore`.

    `client` is a `PostgresClient`, or a `Transaction`, which then includes the store's changes.
    `user_id` is the owner of the conversations, or a function that returns the one of the current
    call. If it returns None or '', the owner is `anonymous_user_id`; without one the call raises
    InvalidValue. Another user with the same conversation id has another conversation. A `scope`
    divides the conversations of one user further.

    `delete` deletes the messages too, except those that another conversation of the user uses, such
    as a fork.

    The methods work in any asyncio event loop while that of the client runs. With `row_security`
    each call runs in `client.as_user(…)`, which takes more round trips.

    Raises:
        InvalidValue: an id is empty, longer than 512 bytes, or contains U+001F or NUL;
            `anonymous_user_id` is passed with a fixed user; or `row_security` is used with a
            transaction.

    """

    def __init__(
        self,
        client: Stores | LazyClient,
        *,
        user_id: UserId,
        anonymous_user_id: str | None = None,
        row_security: bool = False,
    ) -> None:
        self._client = OwnedClient(
            client,
            user_id=user_id,
            anonymous_user_id=anonymous_user_id,
            row_security=row_security,
        )

    @classmethod
    def from_dsn(
        cls,
        dsn: str | None = None,
        *,
        user_id: UserId,
        anonymous_user_id: str | None = None,
        row_security: bool = False,
        settings: Settings | None = None,
    ) -> Self:
        """Return a store with a client of its own, which the first call opens.

        For scripts: `close`, or the end of `async with`, closes the client. A service opens one
        client and passes it to all stores. `dsn` and `settings` are those of `PostgresClient.open`.
        """
        return cls(
            LazyClient(dsn, settings),
            user_id=user_id,
            anonymous_user_id=anonymous_user_id,
            row_security=row_security,
        )

    async def __aenter__(self) -> Self:
        """Return the store."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        await self.close()

    async def close(self) -> None:
        """Close the client that `from_dsn` created; a client of the application stays open."""
        await self._client.close()

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """Return the record of a conversation; None if it is not stored.

        Raises:
            UnreadableRow: another program stored data that is not a record.

        """
        check_id("conversation_id", conversation_id)
        owner = self._client.resolve()

        async def read(stores: Stores) -> ConversationRecord | None:
            row = await stores.find_history(conversation_id, user_id=owner)
            return None if row is None else decode_record(row)

        return await self._client.run(owner, read)

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> list[ConversationRecord]:
        """Return the records, or those with a scope, the last updated one first, at most `limit`.

        Raises:
            InvalidValue: `limit` is negative.
            UnreadableRow: another program stored data that is not a record.

        """
        owner = self._client.resolve()
        if _is_zero(limit):
            return []

        async def read(stores: Stores) -> list[ConversationRecord]:
            rows = await stores.list_histories(user_id=owner, scope=scope, limit=limit)
            return [decode_record(row) for row in rows]

        return await self._client.run(owner, read)

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store a record and its new entries in one statement, all of them or nothing.

        Raises:
            AlreadyExists: an entry with the id of a new one is stored.
            ConversationConflict: the stored record has another revision than `expected_revision`,
                or an entry that the record or a new entry refers to is not stored.
            InvalidValue: the record or an entry cannot be stored.
            OutcomeUnknown: the connection was lost, and the record may have been stored.

        """
        data = encode_record(record)
        rows = encode_entries(new_entries)
        owner = self._client.resolve()

        async def write(stores: Stores) -> bool:
            return await stores.save_history(
                record.conversation_id,
                user_id=owner,
                data=data,
                revision=record.revision,
                updated_at=record.updated_at,
                head_id=record.head_id,
                branches=record.branches,
                scope=record.scope,
                entries=rows,
                expected_revision=expected_revision,
            )

        # A second attempt would find the revision that the first one stored.
        if not await self._client.run(owner, write, is_repeatable=False):
            raise ConversationConflict(record.conversation_id)

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Delete a record, and the entries that no other record of the user uses.

        Raises:
            ConversationConflict: no record with this revision is stored.

        """
        check_id("conversation_id", conversation_id)
        check_id("expected_revision", expected_revision)
        owner = self._client.resolve()

        async def delete(stores: Stores) -> bool:
            return await stores.delete_history(
                conversation_id, user_id=owner, revision=expected_revision
            )

        if not await self._client.run(owner, delete):
            raise ConversationConflict(conversation_id)

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """Return an entry.

        Raises:
            EntryNotFound: it is not stored, or belongs to another user.
            UnreadableRow: another program stored data that is not a message.

        """
        check_id("entry_id", entry_id)
        owner = self._client.resolve()

        async def read(stores: Stores) -> ConversationEntry:
            row = await stores.find_history_entry(entry_id, user_id=owner)
            if row is None:
                raise EntryNotFound(f"entry {entry_id!r} is not stored")
            return decode_entries([row])[0]

        return await self._client.run(owner, read)

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """Return the entries up to `head_id`, oldest first, or the last `limit`, in one statement.

        Raises:
            EntryNotFound: an entry of the history is not stored.
            InvalidValue: `limit` is negative.
            UnreadableRow: another program stored data that is no message, or a circle of entries.

        """
        owner = self._client.resolve()
        if head_id is None or _is_zero(limit):
            return []
        check_id("head_id", head_id)

        async def read(stores: Stores) -> list[ConversationEntry]:
            rows = await stores.list_history_entries(head_id, user_id=owner, limit=limit)
            missing = rows[0].parent_id if rows else head_id
            if missing is not None and len(rows) != limit:
                if any(row.id == missing for row in rows):
                    raise UnreadableRow(f"entry {missing!r} is its own ancestor")
                raise EntryNotFound(f"entry {missing!r} is not stored")
            return decode_entries(rows)

        return await self._client.run(owner, read)


def _is_zero(limit: int | None) -> bool:
    """Return whether no row is wanted, a limit that the stores do not have.

    Raises:
        InvalidValue: the limit is negative, or no integer.

    """
    if limit is not None and check_int64("limit", limit) < 0:
        raise InvalidValue("limit must not be negative")
    return limit == 0
