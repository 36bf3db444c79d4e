"""Events: the messages and steps of a session, in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from agentrows.errors import AlreadyExists, InvalidValue, NotFound
from agentrows.gen import events as queries
from agentrows.gen.models import Event, NewEvent
from agentrows.stores._pages import NEWEST, OLDEST, Page, PageOrder, Pages
from agentrows.validation import (
    END_OF_TIME,
    check_aware,
    check_batch,
    check_choice,
    check_id,
    check_limit,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from agentrows.db.executor import Executor
    from agentrows.stores._pages import PagePosition

    Order = Literal["oldest_first", "newest_first"]
    OnDuplicate = Literal["raise", "skip", "repeat"]

TICK: Final = timedelta(microseconds=1)
"""The resolution of time in PostgreSQL."""
OLDEST_FIRST: Final = PageOrder(Event, ("created_at", "id"), OLDEST)
NEWEST_FIRST: Final = PageOrder(Event, ("created_at", "id"), NEWEST)


@dataclass(frozen=True)
class EventStore:
    """Store of the events of users' sessions."""

    db: Executor

    async def store_events(
        self, events: Iterable[NewEvent], *, on_duplicate: OnDuplicate = "raise"
    ) -> int:
        """Store events in one statement, all of them or none, and return their number.

        The events have the order of the batch, and their sessions are marked as active. Batches
        for one stored session are ordered by their commits, so a reader of pages misses no event.

        `on_duplicate` is the reaction to an (id, user_id) that exists, in the table or twice in
        the batch: `"raise"` stores nothing, `"skip"` stores the other events. With `"repeat"` the
        call can be repeated, for example after OutcomeUnknown: if every event of the batch is
        stored with the same session and data, it returns their number, even if events were
        deleted later.

        Raises:
            AlreadyExists: an id exists; the message names it.
            InvalidValue: an id is twice in the batch, under `"repeat"`.

        """
        check_choice("on_duplicate", on_duplicate, ("raise", "skip", "repeat"))
        events = check_batch("events", events, NewEvent)
        for index, event in enumerate(events):
            check_id(f"events[{index}].id", event.id)
            check_id(f"events[{index}].user_id", event.user_id)
            if event.session_id is not None:
                check_id(f"events[{index}].session_id", event.session_id)
            check_text(f"events[{index}].data", event.data)
        if not events:
            return 0
        if on_duplicate == "repeat":
            return await self._store_or_repeat(events)
        insert = queries.insert_events if on_duplicate == "raise" else queries.insert_new_events
        return await insert(self.db.once, events=events, notify=self.db.options.notify_events)

    async def _store_or_repeat(self, events: tuple[NewEvent, ...]) -> int:
        """Store events, or return the size of the batch if it is stored already."""
        if len({(event.user_id, event.id) for event in events}) < len(events):
            raise InvalidValue("events contains the same id of a user more than once")
        notify = self.db.options.notify_events
        try:
            if not self.db.in_transaction:
                return await queries.insert_events(self.db.repeatable, events=events, notify=notify)
            # In a savepoint, so that AlreadyExists does not abort the caller's transaction.
            async with self.db.transaction() as scope:
                return await queries.insert_events(scope, events=events, notify=notify)
        except AlreadyExists:
            stored = await queries.count_stored_events(self.db.repeatable, events=events)
            if stored < len(events):
                raise
            return stored

    async def count_events(self, *, user_id: str, session_id: str | None = None) -> int:
        """Count a user's events, or those of one session; 0 for an unknown user or session.

        Events whose session was deleted count, as `list_events_for_session` returns them.
        """
        return await queries.count_events(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            session_id=None if session_id is None else check_id("session_id", session_id),
        )

    async def get_event(self, id: str, *, user_id: str) -> Event:
        """Return a user's event.

        Raises:
            NotFound: the user has no such event, or it is deleted.

        """
        event = await queries.get_event(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )
        if event is None:
            raise NotFound(f"no event {id!r} of this user")
        return event

    async def list_events_for_session(
        self,
        session_id: str,
        *,
        user_id: str,
        limit: int | None = None,
        after: Event | datetime | str | None = None,
        order: Order = "oldest_first",
        last: int | None = None,
    ) -> Page[Event]:
        """Return the events of a user's session, oldest first unless `order` is `newest_first`.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page. A datetime as `after` starts the page after this time (exclusive), or before
        it in `newest_first` order. `last=n` returns the last n events, oldest first.

        Raises:
            InvalidValue: `last` is combined with `limit`, `after` or `order`.

        """
        check_choice("order", order, ("oldest_first", "newest_first"))
        newest_first = order == "newest_first"
        if last is not None:
            if newest_first or limit is not None or after is not None:
                raise InvalidValue("last cannot be combined with limit, after or order")
            newest_first, limit = True, check_limit("last", last)
        limit = check_limit("limit", limit)
        session = {
            "user_id": check_id("user_id", user_id),
            "session_id": check_id("session_id", session_id),
        }
        pages = event_pages(self.db, session, newest_first=newest_first)
        after_time, after_id = start_of_events(pages, after, newest_first=newest_first)
        list_page = (
            queries.list_events_newest_first if newest_first else queries.list_events_oldest_first
        )
        events = await list_page(
            self.db.repeatable,
            **session,
            after_time=after_time,
            after_id=after_id,
            limit=limit,
        )
        return pages.page(events, limit) if last is None else Page(events[::-1])

    async def stream_events_for_session(
        self, session_id: str, *, user_id: str, after: Event | datetime | str | None = None
    ) -> AsyncGenerator[Event]:
        """Stream the events of a user's session, oldest first.

        For sessions too large for a list. `after` is an event or a datetime (exclusive). The rows
        come from a server-side cursor, which occupies a connection until the stream ends or is
        closed; `contextlib.aclosing` closes it early.
        """
        session = {
            "user_id": check_id("user_id", user_id),
            "session_id": check_id("session_id", session_id),
        }
        # The token of a page that is read with `list_events_for_session` is valid here too.
        pages = event_pages(self.db, session, newest_first=False)
        after_time, after_id = start_of_events(pages, after, newest_first=False)
        async for event in queries.iter_list_events_oldest_first(
            self.db,
            **session,
            after_time=after_time,
            after_id=after_id,
            limit=None,
        ):
            yield event

    async def delete_event(self, id: str, *, user_id: str) -> bool:
        """Mark a user's event as deleted; return whether it existed. Its id cannot be reused."""
        deleted = await queries.delete_event(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )
        return deleted > 0


def event_pages(
    db: Executor, session: dict[str, str], *, newest_first: bool
) -> Pages[Event, PagePosition]:
    """Return the list of a session's events, in one of the two orders."""
    order = NEWEST_FIRST if newest_first else OLDEST_FIRST
    filters = {**session, "newest_first": newest_first}
    return Pages(db, "list_events_for_session", order, filters)


def start_of_events(
    pages: Pages[Event, PagePosition], after: Event | datetime | str | None, *, newest_first: bool
) -> PagePosition:
    """Return the position after which a page starts."""
    if isinstance(after, datetime):
        moment = check_aware("after", after)
        return (moment if newest_first or moment == END_OF_TIME else moment + TICK), ""
    return pages.start(after)
