"""Tails of sessions: their events as they are stored, read by one statement for all tails."""

from __future__ import annotations

import asyncio
import contextvars
import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import ClientClosed, NotFound
from agentrows.gen import events as queries
from agentrows.gen import sessions as session_queries
from agentrows.stores.events import event_pages, start_of_events
from agentrows.validation import check_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from datetime import datetime

    from agentrows.db.executor import Executor
    from agentrows.gen.models import Event
    from agentrows.stores._pages import PagePosition

__all__ = ["EventTails"]

PAGE: Final = 100
"""Events that a tail reads at once, and so the most that it keeps."""
CLOSED: Final = "the client is closed"


@dataclass(eq=False, slots=True)
class _Tail:
    """The session of a tail, and the position of the last event that it has read."""

    session_id: str
    user_id: str
    position: PagePosition


class EventTails:
    """The tails of a client: each reads pages of its session, and waits for new events.

    Reads happen one after another, so that any number of tails uses one connection of the pool.
    """

    def __init__(self, db: Executor, *, interval_s: float) -> None:
        self._db = db
        self._interval_s = interval_s
        # The task outlives the call that starts it, and must not reference its context.
        self._context = contextvars.copy_context()
        self._reading = asyncio.Lock()
        self._waiting: dict[_Tail, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None
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
        tail = _Tail(session_id, user_id, position)
        async with self._reading:
            stored = await session_queries.get_session(
                self._db.repeatable, id=session_id, user_id=user_id
            )
        if stored is None:
            raise NotFound(f"no session {session_id!r} of this user")
        while True:
            page = await self._read(tail)
            for event in page:
                yield event
            if page:
                tail.position = pages.order.position(page[-1], "after")
            if len(page) < PAGE:
                await self._wait(tail)

    async def _read(self, tail: _Tail) -> list[Event]:
        """Return the next page of a session."""
        after_time, after_id = tail.position
        async with self._reading:
            if self._is_closed:
                raise ClientClosed(CLOSED)
            return await queries.list_events_oldest_first(
                self._db.repeatable,
                user_id=tail.user_id,
                session_id=tail.session_id,
                after_time=after_time,
                after_id=after_id,
                limit=PAGE,
            )

    async def _wait(self, tail: _Tail) -> None:
        """Wait until the session has an event after the position of the tail."""
        if self._is_closed:
            raise ClientClosed(CLOSED)
        loop = asyncio.get_running_loop()
        self._waiting[tail] = waiter = loop.create_future()
        if self._task is None:
            self._task = loop.create_task(self._poll(), context=self._context.copy())
        try:
            await waiter
        finally:
            del self._waiting[tail]

    async def _poll(self) -> None:
        """Wake the tails with new events; end when no tail waits."""
        try:
            while self._waiting:
                await asyncio.sleep(self._interval_s)
                waiting = {
                    tail: waiter for tail, waiter in self._waiting.items() if not waiter.done()
                }
                tails = [*waiting]
                try:
                    async with self._reading:
                        places = await self._find(tails)
                except Exception as error:  # noqa: BLE001  it is raised in the tails
                    _raise_in(waiting.values(), error)
                    continue
                for place in places:
                    _wake(waiting[tails[place - 1]])
        finally:
            self._task = None

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
        if self._task is not None and self._task.get_loop() is asyncio.get_running_loop():
            self._task.cancel()
            await asyncio.wait([self._task])
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
