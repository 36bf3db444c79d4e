"""Tails of sessions: their events as they are stored.

A notification of a session lets its tails read. One statement in each interval checks all tails,
for writers that do not notify and for times without a connection that listens.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.db.backoff import wait_times
from agentrows.errors import ClientClosed, NotFound
from agentrows.gen import events as queries
from agentrows.stores.events import event_pages, start_of_events
from agentrows.validation import check_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from datetime import datetime

    from agentrows.db.executor import Executor
    from agentrows.db.notifications import NotificationListener
    from agentrows.gen.models import Event
    from agentrows.stores._pages import PagePosition

__all__ = ["EventTails"]

logger = logging.getLogger(__name__)

CHANNEL: Final = "agentrows_event"
"""The channel of stored events; the payload is the digest of their session."""
PAGE: Final = 100
"""Events that a tail reads at once, and so the most that it keeps."""
LISTENING_INTERVALS: Final = 5
"""Intervals between two checks for new events while notifications arrive."""
FIRST_WAIT_S: Final = 5.0
"""Time after which a client that cannot listen tries again, doubling: a standby is promoted."""
LONGEST_WAIT_S: Final = 300.0
JITTER_S: Final = 1.0
CLOSED: Final = "the client is closed"


@dataclass(eq=False, slots=True)
class _Tail:
    """The session of a tail, and the position of the last event that it has read."""

    session_id: str
    user_id: str
    position: PagePosition
    is_announced: bool = False
    """Whether a notification of the session has arrived since the start of the last read."""


class EventTails:
    """The tails of a client: each reads pages of its session, and waits for new events.

    Reads happen one after another, so that any number of tails uses one connection of the pool.
    """

    def __init__(self, db: Executor, listener: NotificationListener, *, interval_s: float) -> None:
        self._db = db
        self._listener = listener
        self._interval_s = interval_s
        # The tasks outlive the call that starts them, and must not reference its context.
        self._context = contextvars.copy_context()
        self._reading = asyncio.Lock()
        self._waiting: dict[_Tail, asyncio.Future[None]] = {}
        self._tails: dict[str, set[_Tail]] = {}  # by the digest of their session
        self._polling: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._is_listening = False
        self._is_closed = False

    async def tail(
        self, session_id: str, *, user_id: str, after: Event | datetime | str | None
    ) -> AsyncGenerator[Event]:
        """Return the events of a user's session after a position, and wait for further ones."""
        session = {
            "user_id": check_id("user_id", user_id),
            "session_id": check_id("session_id", session_id),
        }
        pages = event_pages(self._db, session, newest_first=False)
        position = start_of_events(pages, after, newest_first=False)
        async with self._reading:
            digest = await queries.find_session_digest(
                self._db.repeatable, id=session_id, user_id=user_id
            )
        if digest is None:
            raise NotFound(f"no session {session_id!r} of this user")
        tail = _Tail(session_id, user_id, position)
        self._tails.setdefault(digest, set()).add(tail)
        try:
            while True:
                page = await self._read(tail)
                for event in page:
                    yield event
                if page:
                    tail.position = pages.order.position(page[-1], "after")
                if len(page) < PAGE:
                    await self._wait(tail)
        finally:
            self._tails[digest].discard(tail)
            if not self._tails[digest]:
                del self._tails[digest]

    async def _read(self, tail: _Tail) -> list[Event]:
        """Return the next page of a session."""
        after_time, after_id = tail.position
        async with self._reading:
            if self._is_closed:
                raise ClientClosed(CLOSED)
            tail.is_announced = False  # a later notification may be of an event after the snapshot
            return await queries.list_events_oldest_first(
                self._db.repeatable,
                user_id=tail.user_id,
                session_id=tail.session_id,
                after_time=after_time,
                after_id=after_id,
                limit=PAGE,
            )

    async def _wait(self, tail: _Tail) -> None:
        """Wait until the session may have an event after the position of the tail."""
        if self._is_closed:
            raise ClientClosed(CLOSED)
        if tail.is_announced:
            return
        loop = asyncio.get_running_loop()
        self._waiting[tail] = waiter = loop.create_future()
        if self._polling is None:
            self._polling = loop.create_task(self._poll(), context=self._context.copy())
        if self._listening is None and self._db.options.notify_events:
            self._listening = loop.create_task(self._listen(), context=self._context.copy())
        try:
            await waiter
        finally:
            del self._waiting[tail]

    async def _listen(self) -> None:
        """Let the tails of announced sessions read; after an error, listen again later."""
        for wait_s in wait_times(FIRST_WAIT_S, LONGEST_WAIT_S, jitter_s=JITTER_S):
            try:
                await self._receive()
            except ClientClosed:
                return
            except Exception as error:  # noqa: BLE001  the tails are checked in each interval
                logger.warning(
                    "events are read every %g s, without notifications: %s", self._interval_s, error
                )
            await asyncio.sleep(wait_s)

    async def _receive(self) -> None:
        """Announce sessions to their tails until the client is closed or listening fails."""
        async with self._listener.listen(CHANNEL) as notifications:
            self._is_listening = True
            try:
                self._announce(*self._tails)  # of notifications before LISTEN
                async for notification in notifications:
                    digest = notification.payload
                    self._announce(*(self._tails if digest is None else (digest,)))
            finally:
                self._is_listening = False

    def _announce(self, *digests: str) -> None:
        """Let the tails of sessions read, at once or after their current page."""
        for digest in digests:
            for tail in self._tails.get(digest, ()):
                tail.is_announced = True
                if tail in self._waiting:
                    _wake(self._waiting[tail])

    async def _poll(self) -> None:
        """Wake the tails with new events in each interval; end when no tail waits."""
        skipped = 0
        try:
            while self._waiting:
                await asyncio.sleep(self._interval_s)
                skipped += 1
                has_listener = self._is_listening and self._listener.is_connected
                if not has_listener or skipped >= LISTENING_INTERVALS:
                    skipped = 0
                    await self._check()
        finally:
            self._polling = None

    async def _check(self) -> None:
        """Wake the waiting tails with new events, or raise an error in them."""
        waiting = {tail: waiter for tail, waiter in self._waiting.items() if not waiter.done()}
        tails = [*waiting]
        try:
            async with self._reading:
                places = await self._find(tails)
        except Exception as error:  # noqa: BLE001  it is raised in the tails
            _raise_in(waiting.values(), error)
            return
        for place in places:
            _wake(waiting[tails[place - 1]])

    async def _find(self, tails: list[_Tail]) -> list[int]:
        """Return the places, from 1, of the tails with new events."""
        if not tails:
            return []
        return await queries.find_tails_with_events(
            self._db.repeatable,
            user_id=[tail.user_id for tail in tails],
            session_id=[tail.session_id for tail in tails],
            after_time=[tail.position[0] for tail in tails],
            after_id=[tail.position[1] for tail in tails],
        )

    async def close(self) -> None:
        """End every tail with ClientClosed."""
        self._is_closed = True
        loop = asyncio.get_running_loop()
        tasks = [each for each in (self._polling, self._listening) if each is not None]
        if running := [task for task in tasks if task.get_loop() is loop]:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            _raise_in(self._waiting.values(), ClientClosed(CLOSED))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _raise_in(waiters: Iterable[asyncio.Future[None]], error: Exception) -> None:
    """Raise an error in each waiting tail."""
    # Each gets an object of its own: a shared one would collect the tracebacks of all tasks.
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(copy.copy(error))
