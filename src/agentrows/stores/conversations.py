"""Conversations: sessions of one agent, whose events are appended, popped and replaced at the end.

The id of the agent marks the format of the events. A session of another agent is refused, because
its events would be read as something that they are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from agentrows.errors import AlreadyExists, Conflict, Deleted, InvalidValue
from agentrows.gen import conversations as queries
from agentrows.gen.models import Event, NewEvent
from agentrows.stores._isolation import choose_isolation
from agentrows.stores._pages import NEWEST, Page, PageOrder, Pages
from agentrows.validation import check_batch, check_id, check_ids, check_limit, check_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentrows.db.executor import Executor
    from agentrows.gen.dbtx import DBTX
    from agentrows.gen.models import Conversation

OTHER_EVENT: Final = "ids contains the id of another event of this user"

NEWEST_FIRST: Final = PageOrder(Event, ("created_at", "id"), NEWEST)


@dataclass(frozen=True)
class ConversationStore:
    """Store of sessions that are changed at their end."""

    db: Executor

    async def append_items(
        self,
        session_id: str,
        *,
        user_id: str,
        agent_id: str,
        items: Iterable[str],
        ids: Iterable[str] | None = None,
    ) -> int:
        """Append items, each a text, to a user's session in one statement; return their number.

        Each item becomes the data of an event with the id at its place in `ids`, or with a new one.
        A call with the same ids can be repeated: it stores nothing twice. All items are stored or
        none, next to each other and after every earlier one: batches are ordered by their commits.
        The session is created if it does not exist, and marked as active.

        Raises:
            AlreadyExists: an id is that of another event of the user; nothing is stored.
            Conflict: the session belongs to another agent or to none, or it does not exist and has
                events.
            Deleted: the user has deleted a session with this id; the id cannot be reused.

        """
        _check_ids(session_id, user_id, agent_id)
        batch = _new_events(items, ids, user_id)
        if batch:
            conversation = {"session_id": session_id, "user_id": user_id, "agent_id": agent_id}
            if not await self._append(self.db.repeatable, batch, **conversation):
                exists = await self._refuse(session_id, user_id=user_id, agent_id=agent_id)
                # Another call may have erased the session between the two statements.
                if not await self._append(self.db.repeatable, batch, **conversation):
                    if exists:
                        raise AlreadyExists(OTHER_EVENT)
                    raise Conflict(f"session {session_id!r} is not stored, but has events")
        return len(batch)

    async def list_items(
        self,
        session_id: str,
        *,
        user_id: str,
        agent_id: str,
        limit: int | None = None,
        before: Event | str | None = None,
    ) -> Page[Event]:
        """Return the last events of a user's session with an agent, oldest first.

        At most `limit` rows, or all with None. Pass `next_token`, or the first row, as
        `before` for the earlier page. No rows if the session does not exist.

        Raises:
            Conflict: the session belongs to another agent or to none.
            Deleted: the session is deleted.

        """
        _check_ids(session_id, user_id, agent_id)
        conversation = {"session_id": session_id, "user_id": user_id, "agent_id": agent_id}
        pages = Pages(self.db, "list_items", NEWEST_FIRST, conversation, name="before")
        before_time, before_id = pages.start(before)
        events = await queries.list_items(
            self.db.repeatable,
            **conversation,
            before_time=before_time,
            before_id=before_id,
            limit=check_limit("limit", limit),
        )
        if not events:
            await self._refuse(session_id, user_id=user_id, agent_id=agent_id)
        return pages.page(events, limit, reverse=True)

    async def pop_event(self, session_id: str, *, user_id: str, agent_id: str) -> str | None:
        """Remove the last event of a user's session with an agent, and return its data.

        Of several callers each gets another event. The row is removed; its id can be reused. None
        if the session has no event or does not exist.

        Raises:
            Conflict: the session belongs to another agent or to none.
            Deleted: the session is deleted.

        """
        _check_ids(session_id, user_id, agent_id)
        async with self.db.transaction(isolation=choose_isolation(self.db)) as scope:
            if not await _lock(scope, session_id, user_id=user_id, agent_id=agent_id):
                return None
            return await queries.pop_event(scope, session_id=session_id, user_id=user_id)

    async def purge_events(
        self, session_id: str, *, user_id: str, agent_id: str, ids: Iterable[str] | None = None
    ) -> int:
        """Remove the rows of events of a user's session with an agent, and return their number.

        Those with the given ids, or all with None; deleted events too. Their ids can be reused. The
        session stays, without events.

        Raises:
            Conflict: the session belongs to another agent or to none.
            Deleted: the session is deleted.

        """
        _check_ids(session_id, user_id, agent_id)
        chosen = None if ids is None else check_ids("ids", ids)

        async def purge(scope: Executor) -> int:
            if not await _lock(scope, session_id, user_id=user_id, agent_id=agent_id):
                return 0
            return await queries.purge_events(
                scope, session_id=session_id, user_id=user_id, ids=chosen
            )

        return await self.db.repeat(purge, isolation=choose_isolation(self.db))

    async def replace_items(
        self,
        session_id: str,
        *,
        user_id: str,
        agent_id: str,
        items: Iterable[str],
        ids: Iterable[str] | None = None,
        last_ids: Iterable[str] | None = None,
        expired_ids: Iterable[str] = (),
    ) -> bool:
        """Replace the last events of a user's session with an agent by items, in one transaction.

        `last_ids` are the ids of the events to replace, oldest first, or None for all events.
        Returns False, and changes nothing, if the session does not end with these events now, or
        does not exist. Events with an id of `expired_ids` are removed too. `ids` are those of
        `append_items`: a call with the same ids, at least one, can be repeated.

        Raises:
            AlreadyExists: an id is that of another event of the user; nothing is changed.
            Conflict: the session belongs to another agent or to none.
            Deleted: the session is deleted.

        """
        _check_ids(session_id, user_id, agent_id)
        batch = _new_events(items, ids, user_id)
        replaced = None if last_ids is None else check_ids("last_ids", last_ids)
        expired = check_ids("expired_ids", expired_ids)
        conversation = {"session_id": session_id, "user_id": user_id, "agent_id": agent_id}

        async def replace(scope: Executor) -> bool:
            if not await _lock(scope, **conversation):
                return False
            if batch and await _ends_with(scope, [event.id for event in batch], **conversation):
                return True  # the reply of an earlier attempt was lost
            if replaced is not None and not await _ends_with(scope, replaced, **conversation):
                return False
            gone = None if replaced is None else [*replaced, *expired]
            await queries.purge_events(scope, session_id=session_id, user_id=user_id, ids=gone)
            if batch and not await self._append(scope, batch, **conversation):
                raise AlreadyExists(OTHER_EVENT)  # which rolls the removal back
            return True

        return await self.db.repeat(replace, isolation=choose_isolation(self.db))

    async def _refuse(self, session_id: str, *, user_id: str, agent_id: str) -> bool:
        """Raise the reason for which a session cannot be used; return whether it exists."""
        conversation = await queries.find_conversation(
            self.db.repeatable, session_id=session_id, user_id=user_id
        )
        _check_conversation(conversation, session_id, agent_id)
        return conversation is not None

    async def _append(
        self,
        db: DBTX,
        batch: tuple[NewEvent, ...],
        *,
        session_id: str,
        user_id: str,
        agent_id: str,
    ) -> bool:
        """Append events with new ids; return whether the session could be used."""
        stored = await queries.append_items(
            db,
            id=[event.id for event in batch],
            data=[event.data for event in batch],
            session_id=session_id,
            user_id=user_id,
            agent_id=agent_id,
            notify=self.db.options.notify_events,
        )
        return stored is not None


async def _lock(db: Executor, session_id: str, *, user_id: str, agent_id: str) -> bool:
    """Lock a session, so that the next statement finds every event; return whether it exists."""
    conversation = await queries.lock_conversation(db, session_id=session_id, user_id=user_id)
    _check_conversation(conversation, session_id, agent_id)
    return conversation is not None


async def _ends_with(
    db: DBTX, ids: list[str], *, session_id: str, user_id: str, agent_id: str
) -> bool:
    """Return whether the events with these ids are the last ones of a session."""
    before_time, before_id = NEWEST
    events = await queries.list_items(
        db,
        session_id=session_id,
        user_id=user_id,
        agent_id=agent_id,
        before_time=before_time,
        before_id=before_id,
        limit=len(ids),
    )
    return [event.id for event in reversed(events)] == ids


def _check_conversation(conversation: Conversation | None, session_id: str, agent_id: str) -> None:
    if conversation is None:
        return
    if conversation.agent_id != agent_id:
        raise Conflict(
            f"session {session_id!r} belongs to agent {conversation.agent_id!r}, not {agent_id!r}: "
            "its events may have another format"
        )
    if conversation.is_deleted:
        raise Deleted(f"session {session_id!r} is deleted: its id cannot be reused")


def _check_ids(session_id: str, user_id: str, agent_id: str) -> None:
    check_id("session_id", session_id)
    check_id("user_id", user_id)
    check_id("agent_id", agent_id)


def _new_events(
    items: Iterable[str], ids: Iterable[str] | None, user_id: str
) -> tuple[NewEvent, ...]:
    """Return events for items, with new ids if none are given."""
    texts = check_texts("items", items)
    if ids is None:
        event_ids = [str(uuid4()) for _ in texts]
    else:
        event_ids = check_ids("ids", ids)
        if len(event_ids) != len(texts) or len(set(event_ids)) < len(event_ids):
            raise InvalidValue("ids must have one id for each item, each of them once")
    events = (
        NewEvent(id=event_id, user_id=user_id, session_id=None, data=text)
        for event_id, text in zip(event_ids, texts, strict=True)
    )
    return check_batch("items", events, NewEvent)
