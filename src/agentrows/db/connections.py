"""A pool that hands out bare asyncpg connections, at the price of a list's `pop`.

asyncpg's own pool resets a session at every release, a round trip per call, and wraps every
check-out in a proxy and tasks; both together cost a look-up by key more than half of its speed
(docs/performance.md). This one does in the caller's path only what correctness needs: a connection
is free, or it is somebody's, or it is closed. After a use that ended in a clean way it is free
again as it is; after any other, a chore of the pool resets it first, or closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.db.deadlines import Alarm, Deadlines
from agentrows.errors import (
    ClientClosed,
    ConfigError,
    PoolTimeout,
    StaleTypes,
    Unavailable,
    has_stale_types,
    is_answer,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from agentrows.db.sources import Connection

__all__ = ["ConnectionPool"]

logger = logging.getLogger(__name__)

RESET_TIMEOUT_S: Final = 2.0
"""How long a connection may take to come back from a use that was cut off."""
RENEW_AGAIN_S: Final = 1.0
"""How long after the pool renewed its connections such an error on a new one renews that one only.

The error may also come from a damaged catalog, and would then renew the whole pool at every call.
"""
CLOSED: Final = "the client is closed"


class ConnectionPool:
    """At most `max_size` connections, made by `connect` when they are needed.

    The one used last goes first, so that those which a smaller load does not need fall idle;
    after `max_idle_s` they are closed, down to `min_size`. Whoever waits is served in order.
    """

    in_transaction = False
    readonly = False

    def __init__(  # noqa: PLR0913  one argument per thing to say
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        min_size: int,
        max_size: int,
        max_idle_s: float,
        acquire_timeout_s: float,
        statement_timeout_s: float | None = None,
    ) -> None:
        self.is_closed = False
        self.deadlines = Deadlines()
        self.statement_timeout_s = statement_timeout_s
        self._connect = connect
        self._min_size = min(min_size, max_size)
        self._max_size = max_size
        self._max_idle_s = max_idle_s
        self._acquire_timeout_s = acquire_timeout_s
        self._loop = asyncio.get_running_loop()
        # Places taken: connections that are open, about to be, or about to be closed.
        self._size = 0
        # Free connections and since when they are; the last one is the next to go.
        self._idle: deque[tuple[Connection, float]] = deque()
        self._used: set[Connection] = set()
        # Each is handed a connection, or None: a place, to open one.
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        # Connections that are being reset or closed.
        self._chores: dict[asyncio.Task[None], Connection] = {}
        self._emptied = asyncio.Event()
        # Connections with outdated types, which are closed when their use ends.
        self._stale: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._renewed_at = -RENEW_AGAIN_S

    async def fill(self) -> None:
        """Open `min_size` connections; raise what `connect` raises, with the pool closed."""
        opened: list[Connection] = []
        try:
            for _ in range(self._min_size):
                opened.append(await self.acquire())  # noqa: PERF401  an error would lose the others
        except BaseException:
            await self.close(timeout_s=0)
            raise
        for connection in opened:
            self.release(connection)

    async def acquire(self, deadline: float | None = None) -> Connection:
        """Return a connection that is the caller's until `release`.

        Waits for a free one for `acquire_timeout_s`, but no longer than until `deadline` (in the
        time of the event loop): PoolTimeout. Raises what `connect` raises, and ClientClosed once
        the pool is closed.
        """
        return self.take() or await self.wait(deadline)

    def left(self, deadline: float | None) -> None:
        """Return None: connections of this pool have no time limit of their own."""

    def take(self) -> Connection | None:
        """Do what `acquire` does if a connection is free; return None if not."""
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigError("this client was opened in another event loop: open one in each")
        while self._idle:
            connection, since = self._idle.pop()
            if connection.is_closed():
                self._drop(connection)
            elif self._loop.time() - since > self._max_idle_s:
                # A firewall may have forgotten it, and then an answer would never come.
                self._part_with(connection)
            else:
                self._used.add(connection)
                return connection
        return None

    def release(self, connection: Connection, error: BaseException | None = None) -> None:
        """Take a connection back, with the error in which its use ended.

        Waits for nothing, so that no cancellation can come between.
        """
        self._used.discard(connection)
        if connection.is_closed() or connection.is_in_transaction():
            self._drop(connection)  # which undoes what a transaction left
        elif self.is_closed or isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            # A server that writes no more has become a replica: look for the new primary.
            self._part_with(connection)
        elif has_stale_types(error):
            self._renew(connection, is_certain=isinstance(error, StaleTypes))
        elif error is None or is_answer(error):
            self._free(connection)
        else:
            # Until the server has given up a statement that was cut off.
            self._do(connection, connection.reset(timeout=RESET_TIMEOUT_S))

    async def close(self, *, timeout_s: float) -> None:
        """Close every connection; calls that still run after `timeout_s` are cut off."""
        self.is_closed = True
        while self._waiting:
            _hand(self._waiting.popleft(), ClientClosed(CLOSED))
        while self._idle:
            self._part_with(self._idle.pop()[0])
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    if self._size:
                        await self._emptied.wait()
        finally:  # also when nobody waits any more
            for connection in (*self._used, *self._chores.values()):
                connection.terminate()
            for chore in self._chores:
                chore.cancel()

    async def wait(self, deadline: float | None) -> Connection:
        """Do what `acquire` does where no connection is free."""
        if self.is_closed:
            raise ClientClosed(CLOSED)
        if self._size < self._max_size:
            self._size += 1
            return await self._open(deadline)
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        limit = self._loop.time() + self._acquire_timeout_s
        alarm = Alarm(waiter, limit if deadline is None else min(limit, deadline))
        self.deadlines.add(alarm)
        try:
            connection = await waiter
        except BaseException as error:
            self._return(waiter)
            if isinstance(error, TimeoutError):
                raise PoolTimeout(
                    f"no connection became free in time (the pool has {self._max_size})"
                ) from error
            raise
        finally:
            self.deadlines.open.discard(alarm)
        if connection is None:
            return await self._open(deadline)
        self._used.add(connection)
        return connection

    def _return(self, waiter: asyncio.Future[Connection | None]) -> None:
        """Pass on what a waiter was handed in the moment in which it gave up."""
        if not waiter.done() or waiter.cancelled() or waiter.exception():
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)
        elif connection := waiter.result():
            self._free(connection)
        else:
            self._vacate()

    async def _open(self, deadline: float | None) -> Connection:
        """Open a connection on the place that the caller has; without success, vacate it."""
        try:
            async with asyncio.timeout_at(deadline):
                connection = await self._connect()
        except BaseException as error:
            self._vacate()
            if isinstance(error, TimeoutError):
                raise Unavailable("the database did not accept a connection in time") from error
            raise
        if self.is_closed:
            self._drop(connection)
            raise ClientClosed(CLOSED)
        self._used.add(connection)
        return connection

    def _free(self, connection: Connection) -> None:
        """Hand a connection to who waits the longest; else keep it, and part with one too many."""
        if self.is_closed:
            self._drop(connection)
            return
        if connection in self._stale:
            self._part_with(connection)
            return
        while self._waiting:
            if _hand(self._waiting.popleft(), connection):
                return
        now = self._loop.time()
        self._idle.append((connection, now))
        oldest, since = self._idle[0]
        if now - since > self._max_idle_s and self._size > self._min_size:
            self._idle.popleft()
            self._part_with(oldest)

    def _renew(self, connection: Connection, *, is_certain: bool) -> None:
        """Close a connection with outdated types, and with it all that are as old.

        Idle ones are closed now, those in use when they are released.
        """
        now = self._loop.time()
        is_new = is_certain or now - self._renewed_at > RENEW_AGAIN_S
        if is_new and connection not in self._stale:
            self._renewed_at = now
            self._stale.update((*self._used, *self._chores.values()))
            while self._idle:
                self._part_with(self._idle.pop()[0])
        self._part_with(connection)

    def _vacate(self) -> None:
        """Hand a place to who waits the longest; else there is one connection less."""
        while self._waiting:
            if _hand(self._waiting.popleft(), None):
                return
        self._size -= 1
        if self.is_closed and not self._size:
            self._emptied.set()

    def _drop(self, connection: Connection) -> None:
        connection.terminate()  # of a lost one, the driver's own traces
        self._vacate()

    def _part_with(self, connection: Connection) -> None:
        """Close a connection the polite way, if the server takes part."""
        self._do(connection, connection.close(timeout=RESET_TIMEOUT_S))

    def _do(self, connection: Connection, chore: Coroutine[object, object, None]) -> None:
        """Run a chore with a connection beside the caller."""
        task = self._loop.create_task(chore)
        self._chores[task] = connection
        task.add_done_callback(self._done)

    def _done(self, chore: asyncio.Task[None]) -> None:
        """Keep a connection that is well after its chore, which may never have begun."""
        connection = self._chores.pop(chore)
        failure = None if chore.cancelled() else chore.exception()
        if failure:
            logger.debug("closing a connection whose server did not answer", exc_info=failure)
        if chore.cancelled() or failure or connection.is_closed():
            self._drop(connection)
        else:
            self._free(connection)


def _hand(
    waiter: asyncio.Future[Connection | None],
    what: Connection | ClientClosed | None,
) -> bool:
    """Give a waiter what it waits for; say whether it still did."""
    if waiter.done():
        return False
    if isinstance(what, ClientClosed):
        waiter.set_exception(what)
    else:
        waiter.set_result(what)
    return True
