"""Events: what was said and done in a session, in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from agentrows.errors import AlreadyExists, InvalidValue, NotFound
from agentrows.gen import events as queries
from agentrows.gen.models import Event, NewEvent
from agentrows.validation import (
    END_OF_TIME,
    NEWEST,
    OLDEST,
    check_after,
    check_aware,
    check_batch,
    check_choice,
    check_id,
    check_limit,
    check_text,
    page_after,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from agentrows.db.executor import Executor
    from agentrows.validation import Place

    Order = Literal["oldest_first", "newest_first"]
    OnDuplicate = Literal["raise", "skip", "repeat"]

TICK: Final = timedelta(microseconds=1)
"""PostgreSQL's resolution of time."""


@dataclass(frozen=True)
class EventStore:
    """The events of each user's sessions."""

    db: Executor

    async def store_events(
        self, events: Iterable[NewEvent], *, on_duplicate: OnDuplicate = "raise"
    ) -> int:
        """Store any number of events in one statement, in their order, all or none.

        Returns how many were stored, and marks their sessions as active. An (id, user_id) that is
        taken, in the table or within the batch, raises AlreadyExists naming it; with
        `on_duplicate="skip"` the first one stays and the rest are stored. With `"repeat"` the call
        may be made again, after OutcomeUnknown for instance: a batch that is stored already, every
        event with the same session and data, counts as stored by this call, whatever became of it.

        Batches into one stored session are ordered as they commit: a reader that pages with `after`
        misses none.
        """
        check_choice("on_duplicate", on_duplicate, ("raise", "skip", "repeat"))
        events = check_batch("events", events, NewEvent)
        for place, event in enumerate(events):
            check_id(f"events[{place}].id", event.id)
            check_id(f"events[{place}].user_id", event.user_id)
            if event.session_id is not None:
                check_id(f"events[{place}].session_id", event.session_id)
            check_text(f"events[{place}].data", event.data)
        if not events:
            return 0
        if on_duplicate == "repeat":
            return await self._store_or_repeat(events)
        insert = queries.insert_events if on_duplicate == "raise" else queries.insert_new_events
        return await insert(self.db.once, events=events)

    async def _store_or_repeat(self, events: tuple[NewEvent, ...]) -> int:
        """Store events, or find that this very batch is stored."""
        if len({(event.user_id, event.id) for event in events}) < len(events):
            raise InvalidValue("events has the same id of a user more than once")
        try:
            if not self.db.in_transaction:
                return await queries.insert_events(self.db.repeatable, events=events)
            async with self.db.transaction() as scope:  # so that an error costs no more than this
                return await queries.insert_events(scope, events=events)
        except AlreadyExists:
            stored = await queries.count_stored_events(self.db.repeatable, events=events)
            if stored < len(events):
                raise
            return stored

    async def get_event(self, id: str, *, user_id: str) -> Event:
        """Return a user's event; raise NotFound if it is deleted or somebody else's."""
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
        after: Event | datetime | None = None,
        order: Order = "oldest_first",
        last: int | None = None,
    ) -> list[Event]:
        """Return the events of a user's session in the order they happened, at most `limit`.

        A page goes on `after` its last row, or after a moment (exclusive); in `newest_first` order
        that is towards the older ones. `last=n` returns the last n, oldest first, and stands alone.
        """
        check_choice("order", order, ("oldest_first", "newest_first"))
        newest_first = order == "newest_first"
        if last is not None:
            if newest_first or limit is not None or after is not None:
                raise InvalidValue("last stands alone, without limit, after or order")
            newest_first, limit = True, check_limit("last", last)
        after_time, after_id = _place(after, newest_first=newest_first)
        page = (
            queries.list_events_newest_first if newest_first else queries.list_events_oldest_first
        )
        events = await page(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            session_id=check_id("session_id", session_id),
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )
        return events if last is None else events[::-1]

    async def stream_events_for_session(
        self, session_id: str, *, user_id: str, after: Event | datetime | None = None
    ) -> AsyncGenerator[Event]:
        """Stream the events of a user's session in the order they happened.

        For sessions too large for a list: rows come from a server-side cursor, which holds a
        connection until the stream ends or is closed (`contextlib.aclosing` does that early).
        """
        after_time, after_id = _place(after, newest_first=False)
        async for event in queries.iter_list_events_oldest_first(
            self.db,
            user_id=check_id("user_id", user_id),
            session_id=check_id("session_id", session_id),
            after_time=after_time,
            after_id=after_id,
            limit=None,
        ):
            yield event

    async def delete_event(self, id: str, *, user_id: str) -> bool:
        """Mark a user's event as deleted; say whether there was one."""
        deleted = await queries.delete_event(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )
        return deleted > 0


def _place(after: Event | datetime | None, *, newest_first: bool) -> Place:
    """Return where a page begins that goes on after this row or moment."""
    if after is None:
        return NEWEST if newest_first else OLDEST
    if isinstance(after, datetime):
        moment = check_aware("after", after)
        return (moment if newest_first or moment == END_OF_TIME else moment + TICK), ""
    check_after(after, Event, "id")
    return page_after(after.created_at, after.id)
