"""Notifications of LISTEN, on one connection for all listeners of a client."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.db.backoff import RetryLog, wait_times
from agentrows.db.codecs import PooledConnection
from agentrows.db.sockets import shut_down
from agentrows.db.translation import STANDBY_TRIES, raise_translated
from agentrows.errors import (
    Aborted,
    ClientClosed,
    ConfigError,
    InvalidValue,
    OutcomeUnknown,
    StatementTimeout,
    Unavailable,
)
from agentrows.validation import check_text, encoded_length

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
    from typing import Self

    from agentrows.db.retries import Retries
    from agentrows.db.sources import Connection

__all__ = ["Notification", "NotificationListener", "check_channel"]

logger = logging.getLogger(__name__)

CHECK_INTERVAL_S: Final = 30.0
"""Time between two checks of the connection, which otherwise only receives."""
COMMAND_TIMEOUT_S: Final = 10.0
"""Time limit of LISTEN, of UNLISTEN and of a check."""
CLOSE_TIMEOUT_S: Final = 2.0
LONGEST_CHANNEL: Final = 63
"""In bytes; the server would cut a longer name off."""
MOST_UNREAD: Final = 10_000
"""Notifications that wait for a reader; one more replaces all of them by a gap."""
FIRST_WAIT_S: Final = 0.05
LONGEST_WAIT_S: Final = 5.0
JITTER_S: Final = 0.2
TEMPORARY: Final = (Unavailable, StatementTimeout, OutcomeUnknown, Aborted)
CLOSED: Final = "the client is closed"
OTHER_LOOP: Final = "this client was opened in another event loop: open one client per event loop"
USE_PRIMARY: Final = "list all hosts in the DSN with target_session_attrs=read-write"


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification of a channel, or a gap between notifications."""

    channel: str
    """The channel, as it was passed to `listen`."""
    payload: str | None
    """The text that NOTIFY sent, which may be empty; None for a gap.

    Notifications may be missing at a gap, because the connection was lost and replaced, or because
    more than 10,000 notifications were unread. Read the state from the tables again.
    """


class Notifications:
    """The notifications of one listener, in the order in which the server sent them."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self._unread: deque[Notification] = deque()
        self._changed = asyncio.Event()
        self._is_over = False
        self._error: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification:
        """Return the next notification; a cancellation loses none."""
        while not self._unread:
            if self._error is not None:
                raise self._error
            if self._is_over:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._unread.popleft()

    def receive(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """Add a notification; the parameters are those of the driver's callback."""
        if self._is_over:
            return
        if len(self._unread) >= MOST_UNREAD:
            self._unread.clear()
            self.add_gap()
        self._unread.append(Notification(self.channel, str(payload)))
        self._changed.set()

    def add_gap(self) -> None:
        """Add a gap, unless the last entry is one."""
        if self._is_over:
            return
        if not self._unread or self._unread[-1].payload is not None:
            self._unread.append(Notification(self.channel, None))
        self._changed.set()

    def end(self, error: Exception | None = None) -> None:
        """End the iteration after the unread notifications, or raise an error there."""
        self._is_over = True
        self._error = self._error or error
        self._changed.set()


class NotificationListener:
    """Listens to channels on one connection, which is opened for the first of them.

    A task checks the connection, replaces it after a loss, and reports the gap to each listener.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, retries: Retries) -> None:
        self.is_closed = False
        self._connect = connect
        self._retries = retries
        self._loop = asyncio.get_running_loop()
        # The connection outlives the call that opens it, and must not reference its context.
        self._context = contextvars.copy_context()
        self._pid = os.getpid()
        self._lock = asyncio.Lock()  # one command at a time on the connection
        self._connection: Connection | None = None
        self._listeners: dict[str, set[Notifications]] = {}
        # The callback of each channel that the connection listens to.
        self._callbacks: dict[str, Callable[..., None]] = {}
        self._needs_work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._log = RetryLog()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection that listens, and no loss of it was noticed."""
        return self._connection is not None and not self._connection.is_closed()

    @contextlib.asynccontextmanager
    async def listen(self, channel: str) -> AsyncGenerator[AsyncIterator[Notification]]:
        """Listen to a channel during a block; the iteration ends when the client is closed."""
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigError(OTHER_LOOP)
        notifications = Notifications(channel)
        await self._retries.run(lambda: self._add(notifications), limit_s=None, name="LISTEN")
        try:
            yield notifications
        finally:
            self._remove(notifications)

    async def _add(self, notifications: Notifications) -> None:
        async with self._lock:
            if self.is_closed:
                raise ClientClosed(CLOSED)
            connection = await self._open()
            try:
                await self._start_listening(connection, notifications.channel)
            except BaseException:
                self._needs_work.set()  # the connection may be unusable
                raise
            if self.is_closed:
                raise ClientClosed(CLOSED)
            self._listeners.setdefault(notifications.channel, set()).add(notifications)
        if self._task is None:
            self._task = self._loop.create_task(self._maintain(), context=self._context.copy())

    def _remove(self, notifications: Notifications) -> None:
        """Remove a listener; the task ends to listen to a channel without listeners.

        It does not await anything, so that no cancellation can interrupt it.
        """
        notifications.end()
        listeners = self._listeners[notifications.channel]
        listeners.discard(notifications)
        if not listeners:
            del self._listeners[notifications.channel]
            self._needs_work.set()

    async def _open(self) -> Connection:
        """Return the connection; open it if there is none, and report the gap to each listener."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self._connection = None
        self._callbacks.clear()
        opening = self._loop.create_task(_awaited(self._connect), context=self._context.copy())
        try:
            connection = await opening
        except asyncio.CancelledError:
            # The cancellation may arrive after the connection is open, and before it is returned.
            opening.add_done_callback(_terminate_opened)
            raise
        try:
            await self._start_listening_again(connection)
        except BaseException:
            self._callbacks.clear()
            connection.terminate()
            raise
        self._connection = connection
        for notifications in self._all_listeners():
            notifications.add_gap()
        return connection

    async def _start_listening_again(self, connection: Connection) -> None:
        if self.is_closed:
            raise ClientClosed(CLOSED)
        with _translated_errors(connection):
            connection.add_termination_listener(self._report_loss)
        for channel in [*self._listeners]:
            await self._start_listening(connection, channel)

    async def _start_listening(self, connection: Connection, channel: str) -> None:
        if channel in self._callbacks:
            return

        def pass_on(driver: object, pid: int, name: str, payload: object) -> None:
            for notifications in self._listeners.get(channel, ()):
                notifications.receive(driver, pid, name, payload)

        with _translated_errors(connection):
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await connection.add_listener(channel, pass_on)
        self._callbacks[channel] = pass_on

    def _report_loss(self, _connection: object) -> None:
        self._needs_work.set()

    def _all_listeners(self) -> list[Notifications]:
        return [each for listeners in self._listeners.values() for each in listeners]

    async def _maintain(self) -> None:
        """Check the connection from time to time, and replace it after a loss."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL_S):
                    await self._needs_work.wait()
            self._needs_work.clear()
            started = self._loop.time()
            for wait_s in wait_times(FIRST_WAIT_S, LONGEST_WAIT_S, jitter_s=JITTER_S):
                try:
                    await self._restore()
                    break
                except TEMPORARY as error:
                    now = self._loop.time()
                    self._log.log("LISTEN", now=now, elapsed_s=now - started, error=error)
                except Exception as error:  # noqa: BLE001  it is raised in the listeners
                    for notifications in self._all_listeners():
                        notifications.end(error)
                    break
                await asyncio.sleep(wait_s)

    async def _restore(self) -> None:
        """Replace a connection that does not answer, and unlisten to channels without listeners."""
        async with self._lock:
            connection = self._connection
            if connection is None or connection.is_closed():
                if self._listeners:
                    await self._open()
                return
            try:
                with _translated_errors(connection):
                    await connection.execute("SELECT", timeout=COMMAND_TIMEOUT_S)
                    for channel in self._callbacks.keys() - self._listeners.keys():
                        async with asyncio.timeout(COMMAND_TIMEOUT_S):
                            await connection.remove_listener(channel, self._callbacks[channel])
                        del self._callbacks[channel]
            except BaseException:
                connection.terminate()  # the next attempt opens another one
                raise

    async def close(self) -> None:
        """End every iteration and close the connection.

        In a forked child it only marks the listener as closed, because the parent uses the
        connection.
        """
        if os.getpid() != self._pid:
            self.is_closed = True
            return
        if asyncio.get_running_loop() is not self._loop:
            if self._loop.is_closed():
                self.is_closed = True
                if self._connection is not None:
                    shut_down(self._connection)
            return  # the pool raises the error for an event loop that is open
        self.is_closed = True
        for notifications in self._all_listeners():
            notifications.end()
        connection, self._connection = self._connection, None
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
            if connection is not None:
                with contextlib.suppress(Exception):  # it is terminated in any case
                    await connection.close(timeout=CLOSE_TIMEOUT_S)
        finally:
            if connection is not None:
                connection.terminate()


async def _awaited(connect: Callable[[], Awaitable[Connection]]) -> Connection:
    return await connect()


@contextlib.contextmanager
def _translated_errors(connection: Connection) -> Generator[None]:
    """Raise the driver's errors as ours; a standby does not accept LISTEN."""
    try:
        yield
    except asyncpg.ReadOnlySQLTransactionError as error:
        raise _standby_error(connection) from error
    except Exception as error:
        raise_translated(error, connection=connection, lost=Unavailable)
        raise


def _standby_error(connection: Connection) -> ConfigError | Unavailable:
    if isinstance(connection, PooledConnection) and connection.target == "reader":
        return ConfigError(
            "this client is connected to a standby, as target_session_attrs in its DSN requires, "
            "and a standby does not accept LISTEN; use another client to listen"
        )
    unavailable = Unavailable(f"the server is a standby and does not accept LISTEN; {USE_PRIMARY}")
    unavailable.most_tries = STANDBY_TRIES
    return unavailable


def _terminate_opened(opening: asyncio.Task[Connection]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()


def check_channel(name: str, value: str) -> str:
    """Return a channel of 1 to 63 bytes; raise InvalidValue for any other value."""
    size = encoded_length(name, check_text(name, value))
    if not 1 <= size <= LONGEST_CHANNEL:
        raise InvalidValue(f"{name} must have 1 to {LONGEST_CHANNEL} bytes, got {size}")
    return value
