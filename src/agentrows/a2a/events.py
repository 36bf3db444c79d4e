"""The event stream of A2A: the events of a task, from all replicas of a server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final, cast

from a2a.server.cluster import TaskEventStream as BaseTaskEventStream
from a2a.server.cluster import TaskVersion, VersionedEvent
from a2a.types.a2a_pb2 import StreamResponse
from google.protobuf.message import DecodeError

from agentrows import ClientClosed, ConfigError, InvalidValue, StatementTimeout, Unavailable
from agentrows.a2a.versions import read_version
from agentrows.validation import check_key_part, check_number

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from a2a.server.events import Event

    from agentrows import Notification, PostgresClient

logger = logging.getLogger(__name__)

CHANNEL: Final = "agentrows_task_event"
EVENTS_AT_ONCE: Final = 100


class TaskEventStream(BaseTaskEventStream):
    """The events of tasks that `VersionedTaskStore` stored, on whichever replica.

    Subscribers wait for notifications on one connection of the client outside of its pool, and
    read the events every `poll_s` seconds as well. Behind a transaction pooler, and on a pool of
    the application, they only poll.

    A subscription has no user: a server subscribes only after its store returned the task to the
    caller, as the request handlers of a2a-sdk do.
    """

    def __init__(self, client: PostgresClient, *, poll_s: float = 1.0) -> None:
        if not 0 < check_number("poll_s", poll_s) <= 3600:  # noqa: PLR2004
            raise InvalidValue("poll_s must be above 0 and at most 3600 seconds")
        self._client = client
        self._poll_s = poll_s

    async def publish(self, task_id: str, event: VersionedEvent) -> None:
        """Do nothing: the store has stored the event with its task."""

    async def subscribe(
        self, task_id: str, *, after: TaskVersion
    ) -> AsyncGenerator[VersionedEvent, None]:
        """Yield the events of a task after a version, each once, in the order of the versions.

        The iteration has no end; the caller closes it. It continues after an outage of the
        database.

        Raises:
            ClientClosed: the client is closed.
            TypeError: `after` is a version of another store.

        """
        seen = read_version("after", after)
        check_key_part("task_id", task_id)
        async with self._listen() as notifications:
            while True:
                rows = []
                try:
                    rows = await self._client.list_task_events_all_users(
                        task_id, after=seen, limit=EVENTS_AT_ONCE
                    )
                except ClientClosed:
                    raise
                except (Unavailable, StatementTimeout) as error:
                    logger.warning("the events of task %r are read again: %s", task_id, error)
                for row in rows:
                    seen = row.version
                    event = _read_event(row.data)
                    if event is None:
                        logger.warning("event %d of task %r cannot be read", seen, task_id)
                    else:
                        yield VersionedEvent(event=event, version=TaskVersion(seen))
                if len(rows) < EVENTS_AT_ONCE:
                    await self._wait(notifications, task_id)

    async def destroy(self, task_id: str) -> None:
        """Do nothing: the events stay until they are pruned, or purged with their task."""

    @contextlib.asynccontextmanager
    async def _listen(self) -> AsyncGenerator[AsyncIterator[Notification] | None]:
        """Listen during a block; yield None where the client cannot listen."""
        async with contextlib.AsyncExitStack() as stack:
            notifications = None
            try:
                notifications = await stack.enter_async_context(self._client.listen(CHANNEL))
            except ClientClosed:
                raise
            except (ConfigError, StatementTimeout, Unavailable) as error:
                logger.info("events of tasks are polled every %g s: %s", self._poll_s, error)
            yield notifications

    async def _wait(self, notifications: AsyncIterator[Notification] | None, task_id: str) -> None:
        """Wait for a notification about a task or for a gap, at most `poll_s` seconds."""
        if notifications is None:
            await asyncio.sleep(self._poll_s)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                async for notification in notifications:
                    if notification.payload in (task_id, None):
                        return
                # The iteration ends when the client is closed; the next read raises ClientClosed.


def _read_event(data: bytes) -> Event | None:
    """Return the event in a serialized StreamResponse; None if there is none."""
    response = StreamResponse()
    try:
        response.ParseFromString(data)
    except DecodeError:
        return None
    payload = response.WhichOneof("payload")
    return None if payload is None else cast("Event", getattr(response, payload))
