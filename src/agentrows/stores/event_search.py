"""Search of events by words, within a session or a time range."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidValue
from agentrows.gen import event_search as queries
from agentrows.gen.models import Event, LastOfBatch
from agentrows.stores._memory_tables import LONGEST_TEXT
from agentrows.stores._pages import NEWEST, OLDEST, Page, PageOrder, Pages
from agentrows.validation import check_aware, check_id, check_limit, check_text

if TYPE_CHECKING:
    from datetime import datetime

    from agentrows.db.executor import Executor
    from agentrows.stores._pages import PagePosition

EVENTS_AT_ONCE: Final = 1000
"""Events that one statement reads, so that no statement takes long."""
NEWEST_FIRST: Final = PageOrder(Event, ("created_at", "id"), NEWEST)
LAST_OF_BATCH: Final = PageOrder(LastOfBatch, ("created_at", "id"), NEWEST)


@dataclass(frozen=True)
class EventSearchStore:
    """Search of users' events by words."""

    db: Executor

    async def search_events(
        self,
        text: str,
        *,
        user_id: str,
        session_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        text_config: str = "simple",
        limit: int | None = 20,
        after: Event | str | None = None,
    ) -> Page[Event]:
        """Return the events of a user that contain words, newest first.

        The events are those of a session, or those from `since` on (inclusive) until `until`
        (exclusive), or both. `text`, of at most 10,000 characters, has the syntax of web searches:
        every word has to occur, `or` allows either, `-word` excludes one, quotes require a phrase.
        `text_config` is a text search configuration of PostgreSQL, such as english.

        The words are those of all strings and numbers in the event's JSON, without the keys; of the
        whole `data` if it is not JSON. No index is used: every event of the range is read, 1,000 in
        one statement, until `limit` are found. Needs PostgreSQL 16 or later.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page.

        Raises:
            InvalidValue: neither `session_id` nor `since` is given, or `text_config` is unknown.

        """
        search = _Search(
            db=self.db,
            config=check_text("text_config", text_config),
            text=_check_words(text),
            user_id=check_id("user_id", user_id),
            session_id=None if session_id is None else check_id("session_id", session_id),
            since=None if since is None else check_aware("since", since),
            until=None if until is None else check_aware("until", until),
        )
        pages = Pages(self.db, "search_events", NEWEST_FIRST, search.filters())
        found = await search.find(pages.start(after), check_limit("limit", limit))
        return pages.page(found, limit)


@dataclass(frozen=True, slots=True)
class _Search:
    """A search, which reads its range in batches, the newest events first."""

    db: Executor
    config: str
    text: str
    user_id: str
    session_id: str | None
    since: datetime | None
    until: datetime | None

    def __post_init__(self) -> None:
        if self.session_id is None and self.since is None:
            raise InvalidValue(
                "session_id or since must be given: the search reads every event of a session, or "
                "of a time range"
            )

    def filters(self) -> dict[str, str | None]:
        """Return all values that determine the rows."""
        return {
            "text": self.text,
            "text_config": self.config,
            "user_id": self.user_id,
            "session_id": self.session_id,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
        }

    async def find(self, position: PagePosition, limit: int | None) -> list[Event]:
        """Return at most `limit` events after a position."""
        events: list[Event] = []
        while limit is None or len(events) < limit:
            last = await self._find_last(position)
            end = OLDEST if last.id is None else LAST_OF_BATCH.position(last, "after")
            rest = None if limit is None else limit - len(events)
            events += await self._search(position, end, rest)
            if last.id is None:
                break
            position = end
        return events

    async def _find_last(self, position: PagePosition) -> LastOfBatch:
        """Return the last event of the batch after a position.

        Raises:
            InvalidValue: the text search configuration does not exist.

        """
        after_time, after_id = position
        find = (
            queries.find_last_of_user_batch
            if self.session_id is None
            else partial(queries.find_last_of_session_batch, session_id=self.session_id)
        )
        last = await find(
            self.db.repeatable,
            config=self.config,
            user_id=self.user_id,
            since=self.since,
            until=self.until,
            after_time=after_time,
            after_id=after_id,
            batch_size=EVENTS_AT_ONCE,
        )
        if not last.has_config:
            raise InvalidValue(
                f"text_config is {self.config!r}, which is no text search configuration of this "
                "database: use simple, or one that \\dF of psql lists"
            )
        return last

    async def _search(
        self, position: PagePosition, end: PagePosition, limit: int | None
    ) -> list[Event]:
        """Return the events with the words after a position, up to another one."""
        after_time, after_id = position
        last_time, last_id = end
        search = (
            queries.search_user_events
            if self.session_id is None
            else partial(queries.search_session_events, session_id=self.session_id)
        )
        return await search(
            self.db.repeatable,
            config=self.config,
            text=self.text,
            user_id=self.user_id,
            since=self.since,
            until=self.until,
            after_time=after_time,
            after_id=after_id,
            last_time=last_time,
            last_id=last_id,
            limit=limit,
        )


def _check_words(text: str) -> str:
    if len(check_text("text", text)) > LONGEST_TEXT:
        raise InvalidValue(f"text must have at most {LONGEST_TEXT:,} characters, got {len(text):,}")
    return text
