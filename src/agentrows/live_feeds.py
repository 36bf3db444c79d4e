"""Live feeds of a client: notifications of channels, and the events of sessions as they arrive."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentrows.db.notifications import check_channel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from datetime import datetime

    from agentrows.db.notifications import Notification, NotificationListener
    from agentrows.gen.models import Event
    from agentrows.stores.event_tails import EventTails

__all__ = ["LiveFeeds"]


@dataclass(frozen=True)
class LiveFeeds:
    """The methods of a client that wait for changes; a transaction does not have them."""

    _listener: NotificationListener = field(repr=False)
    _tails: EventTails = field(repr=False)

    @contextlib.asynccontextmanager
    async def listen(self, channel: str) -> AsyncGenerator[AsyncIterator[Notification]]:
        """Listen to a channel during a block, and iterate over its notifications.

        Notifications that are sent after the block was entered arrive, in the order of their
        commits. All listeners of a client share one connection outside of the pool. If it is lost,
        it is replaced; after that, and after more than 10,000 unread notifications, a notification
        with `payload` None marks the gap. `asyncio.timeout` may interrupt the iteration, without a
        loss. The iteration ends when the client is closed.

        A channel has 1 to 63 bytes and is case-sensitive: `pg_notify('Orders', …)` and
        `NOTIFY "Orders"` reach it, `NOTIFY Orders` reaches `orders`.

        ::

            async with client.listen("orders") as notifications:
                await read_orders()
                async for notification in notifications:
                    await read_orders()

        Raises:
            ConfigError: the client is behind a transaction pooler, was created by `from_pool`, or
                requires a standby.
            InvalidValue: `channel` is empty, too long, or has a NUL character.
            Unavailable: the server cannot be reached, or is a standby.

        """
        async with self._listener.listen(check_channel("channel", channel)) as notifications:
            yield notifications

    async def tail_events(
        self, session_id: str, *, user_id: str, after: Event | datetime | str | None = None
    ) -> AsyncGenerator[Event]:
        """Iterate over the events of a user's session, oldest first, and wait for further ones.

        Every stored event after `after` arrives once. `after` is an event, a page token of
        `list_events_for_session` or a datetime (exclusive); with None the first event is next. The
        arguments are checked at the first iteration. New events arrive within about
        `Settings.tail_interval_s`: one statement checks all waiting tails of the client. With
        `Settings.notify_events` those of writers with the same setting arrive at once, and all
        tails of the client share one connection that listens. A tail keeps at most 100 events in
        memory and occupies no connection while it waits. The iteration ends with an error or when
        the caller leaves it; `contextlib.aclosing` closes it early. A session that is deleted later
        has no more events.

        ::

            async for event in client.tail_events("s-41", user_id="mira"):
                await send(event)

        Raises:
            NotFound: the user has no such session, or it is deleted.
            ClientClosed: the client was closed.
            Unavailable: the server could not be reached for `Settings.retry_timeout_s`; continue
                with the last event as `after`.

        """
        events = self._tails.tail(session_id, user_id=user_id, after=after)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event
