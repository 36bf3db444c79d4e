"""A pool that hands out bare asyncpg connections, at the price of a list's `pop`.

asyncpg's own pool resets a session at every release, a round trip per call, and wraps every
check-out in a proxy and tasks; both together cost a look-up by key more than half of its speed
(docs/performance.md). This one does in the caller's path only what correctness needs: a connection
is idle, in use, or closed. After a use that ended cleanly it is idle again as it is; after any
other, a task of the pool resets it first, or closes it. Connections are opened by tasks of the
pool too: a caller that gives up does not end the attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import math
import os
import random
from collections import deque
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.db.deadlines import Deadlines
from agentrows.db.sockets import shut_down
from agentrows.db.waiters import Waiter, WaiterQueue
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
    from collections.abc import Callable, Coroutine

    from agentrows.db.sources import Connection, TransactionScope

__all__ = ["ConnectionPool"]

logger = logging.getLogger(__name__)

RESET_TIMEOUT_S: Final = 2.0
"""How long a connection may take to come back from a use that was cut off."""
CHECK_AFTER_S: Final = 5.0
"""A connection that was idle for longer is checked before a statement runs on it."""
CHECK_S: Final = 2.0
CONNECT_GRACE_S: Final = 1.0
"""How long `close` lets attempts to connect end by themselves before it cancels them."""
SHORTEST_LIFE: Final = 0.9
"""The part of its lifetime that a connection has at least; they must not all end at once."""
UNREAD_S: Final = 1.0
"""A stream of which no row was read for so long does not keep `close` waiting."""
UNREAD: Final = (
    "closing the client ends a stream that was not read for %g s; "
    "end a stream early with contextlib.aclosing"
)
RENEW_AGAIN_S: Final = 1.0
"""How long after the pool renewed its connections such an error on a new one renews that one only.

The error may also come from a damaged catalog, and would then renew the whole pool at every call.
"""
EXPIRED: Final = -math.inf
CLOSED: Final = "the client is closed"
OTHER_LOOP: Final = "this client was opened in another event loop"


class ConnectionPool:
    """At most `max_size` connections, opened by `connect` when they are needed.

    The one used last goes first, so that those which a smaller load does not need fall idle;
    after `max_idle_s` they are closed, down to `min_size`. Waiters are served in order. A
    connection that was open for `max_lifetime_s` is closed at its next return.
    """

    in_transaction = False
    readonly = False

    def __init__(  # noqa: PLR0913  one argument per setting
        self,
        connect: Callable[[], Coroutine[object, object, Connection]],
        *,
        min_size: int,
        max_size: int,
        max_idle_s: float,
        acquire_timeout_s: float,
        max_lifetime_s: float = math.inf,
        statement_timeout_s: float | None = None,
    ) -> None:
        self.is_closed = False
        self.deadlines = Deadlines()
        self.statement_timeout_s = statement_timeout_s
        self.streams: set[TransactionScope] = set()
        self._connect = connect
        self._min_size = min(min_size, max_size)
        self._max_size = max_size
        self._max_idle_s = max_idle_s
        self._max_lifetime_s = max_lifetime_s
        self._fresh_s = min(CHECK_AFTER_S, max_idle_s)
        self._acquire_timeout_s = acquire_timeout_s
        self._loop = asyncio.get_running_loop()
        # Connections outlive the call that they are opened for, and so must not keep its context.
        self._context = contextvars.copy_context()
        self._pid = os.getpid()
        # Slots taken: connections that are open, about to be, or about to be closed.
        self._size = 0
        # Idle connections, since when, and when they are to be closed; the last one is
        # the next to go. Times are those of the event loop.
        self._idle: deque[tuple[Connection, float, float]] = deque()
        # Connections in use, and when they are to be closed.
        self._used: dict[Connection, float] = {}
        self._waiting = WaiterQueue()
        self._opening: set[asyncio.Task[Connection]] = set()
        # Tasks that reset, check or close a connection, with when it is to be closed.
        self._maintenance: dict[asyncio.Task[object], tuple[Connection, float]] = {}
        # Those of them that check a connection for a waiter.
        self._checking: set[asyncio.Task[object]] = set()
        self._emptied = asyncio.Event()
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

        Waits for `acquire_timeout_s`, but no longer than until `deadline` (in the time of the event
        loop): PoolTimeout. While a connection is being opened for the caller only `deadline`
        counts: Unavailable. Raises what `connect` raises, and ClientClosed once the pool is closed.
        """
        return self.take() or await self.wait(deadline)

    def left(self, deadline: float | None) -> None:
        """Return None: connections of this pool have no time limit of their own."""

    def take(self) -> Connection | None:
        """Return a connection that can be used at once, or None if `acquire` would wait."""
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigError(f"{OTHER_LOOP}: open one in each")
        while self._idle:
            connection, since, expires = self._idle[-1]
            idle_s = self._loop.time() - since
            if connection.is_closed():
                self._idle.pop()
                self._drop(connection)
            elif idle_s <= self._fresh_s:
                self._idle.pop()
                self._used[connection] = expires
                return connection
            elif idle_s > self._max_idle_s or self._loop.time() > expires:
                self._idle.pop()
                self._part_with(connection)
            else:  # a firewall may have dropped it silently: `wait` checks it
                return None
        return None

    def release(self, connection: Connection, error: BaseException | None = None) -> None:
        """Take a connection back, with the error in which its use ended.

        Waits for nothing, so that no cancellation can come between.
        """
        expires = self._used.pop(connection, None)
        if expires is None:  # `close` has ended its use
            return
        if connection.is_closed() or connection.is_in_transaction():
            self._drop(connection)  # which undoes what a transaction left
        elif self.is_closed or isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            # A server that writes no more has become a replica: look for the new primary.
            self._part_with(connection)
        elif has_stale_types(error):
            self._renew(connection, expires, is_certain=isinstance(error, StaleTypes))
        elif error is None or is_answer(error):
            self._free(connection, expires)
        else:
            # Until the server has given up a statement that was cut off.
            self._maintain(connection, expires, connection.reset(timeout=RESET_TIMEOUT_S))

    async def close(self, *, timeout_s: float) -> None:
        """Close every connection; calls that still run after `timeout_s` are cut off.

        In a forked child it leaves the parent's connections alone. In another event loop it raises
        ConfigError while the pool's own exists, and ends the sessions if that is closed.
        """
        if os.getpid() != self._pid:
            self.is_closed = True
            return
        if asyncio.get_running_loop() is not self._loop:
            if not self._loop.is_closed():
                raise ConfigError(f"{OTHER_LOOP}: close it there")
            self._abandon()
            return
        self.is_closed = True
        while waiter := self._waiting.take_first():
            waiter.fail(ClientClosed(CLOSED))
        while self._idle:
            self._part_with(self._idle.pop()[0])
        try:
            if self._opening:  # the driver logs errors for a cancelled one
                await asyncio.wait(self._opening, timeout=CONNECT_GRACE_S)
            for attempt in self._opening:
                attempt.cancel()
            await self._until_empty(timeout_s)
        finally:  # also if the caller is cancelled
            for connection in (*self._used, *(each for each, _ in self._maintenance.values())):
                connection.terminate()
            for task in (*self._opening, *self._maintenance):
                task.cancel()

    async def _until_empty(self, timeout_s: float) -> None:
        """Wait until no connection is left; end streams that are not read."""
        reads = {scope: scope.reads for scope in self.streams}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                if await self._is_empty_within(UNREAD_S):
                    return
                self._end_streams(reads)
                if self._size:
                    waiting = "closing the client waits up to %g s for %d calls that still run"
                    logger.warning(waiting, timeout_s, self._size)
                    await self._emptied.wait()

    async def _is_empty_within(self, limit_s: float) -> bool:
        if self._size:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await self._emptied.wait()
        return not self._size

    def _end_streams(self, reads: dict[TransactionScope, int]) -> None:
        """Cut off each stream that has not read a row since; its reader gets Unavailable."""
        for scope, count in reads.items():
            is_read = scope.reads != count or scope.is_busy or scope.has_ended
            if scope in self.streams and not is_read:
                logger.warning(UNREAD, UNREAD_S)
                if self._used.pop(scope.connection, None) is not None:
                    self._drop(scope.connection)

    def _abandon(self) -> None:
        """End the sessions of a pool whose event loop is closed: nothing can be awaited."""
        self.is_closed = True
        maintained = [connection for connection, _ in self._maintenance.values()]
        for connection in (*(each[0] for each in self._idle), *self._used, *maintained):
            shut_down(connection)
        self._idle.clear()
        self._used.clear()
        self._maintenance.clear()

    async def wait(self, deadline: float | None) -> Connection:
        """Do what `acquire` does where no connection can be used at once."""
        if self.is_closed:
            raise ClientClosed(CLOSED)
        waiter = self._add_waiter(math.inf if deadline is None else deadline)
        try:
            connection = await waiter.future
        except BaseException:
            self._withdraw(waiter)
            raise
        finally:
            self.deadlines.open.discard(waiter)
            del waiter  # its future has the error, and the traceback of that this frame
        if connection.is_closed():  # lost since it was handed over
            self.release(connection)
            return await self.acquire(deadline)
        return connection

    def _add_waiter(self, deadline: float) -> Waiter:
        when = min(self._loop.time() + self._acquire_timeout_s, deadline)
        waiter = Waiter(self._loop.create_future(), when, deadline, self._expire)
        self._waiting.append(waiter)
        self._serve_waiters()
        self.deadlines.add(waiter)
        return waiter

    def _expire(self, waiter: Waiter) -> None:
        """End a wait, or wait on for a connection that is being opened for it."""
        if waiter.future.done():
            return
        on_their_way = len(self._opening) + len(self._checking)
        if self._waiting.count_before(waiter) >= on_their_way:
            waiter.fail(
                PoolTimeout(f"no connection became free in time (the pool has {self._max_size})")
            )
        elif waiter.when < waiter.deadline:
            # Every attempt has a time limit of its own, and serves the waiter or one before it.
            waiter.when = waiter.deadline
            self.deadlines.add(waiter)
        else:
            waiter.fail(Unavailable("the database did not accept a connection in time"))

    def _withdraw(self, waiter: Waiter) -> None:
        """Pass on the connection that a waiter was handed as it gave up."""
        future = waiter.future
        if future.done() and not future.cancelled() and not future.exception():
            self.release(future.result())
        self._waiting.discard(waiter)

    def _serve_waiters(self) -> None:
        """Check idle connections, or open new ones, until each waiter has one on its way."""
        if not (self._waiting and (self._idle or self._size < self._max_size)) or self.is_closed:
            return
        for _ in range(self._waiting.count_live() - len(self._opening) - len(self._checking)):
            if self._idle:
                connection, _since, expires = self._idle.pop()
                self._checking.add(self._check(connection, expires))
            elif self._size < self._max_size:
                self._open()
            else:
                return

    def _open(self) -> None:
        """Open a connection in a task of the pool."""
        self._size += 1
        task = self._loop.create_task(self._connect(), context=self._context.copy())
        self._opening.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[Connection]) -> None:
        """Hand on a new connection; an error goes to the waiter that waits the longest."""
        self._opening.discard(task)
        error = None if task.cancelled() else task.exception()
        if not task.cancelled() and error is None:
            lifetime_s = self._max_lifetime_s * random.uniform(SHORTEST_LIFE, 1)  # noqa: S311
            self._free(task.result(), self._loop.time() + lifetime_s)
            return
        if error is not None and (waiter := self._waiting.take_first()):
            waiter.fail(error)
        self._vacate()

    def _free(self, connection: Connection, expires: float) -> None:
        """Hand a connection to the waiter that waits the longest; else keep it as idle."""
        if self.is_closed:
            self._drop(connection)
            return
        now = self._loop.time()
        if now > expires:
            self._part_with(connection)
            return
        if self._waiting and (waiter := self._waiting.take_first()):
            self._used[connection] = expires
            waiter.future.set_result(connection)
            return
        self._idle.append((connection, now, expires))
        oldest, since, _expires = self._idle[0]
        if now - since > self._max_idle_s and self._size > self._min_size:
            self._idle.popleft()
            self._part_with(oldest)

    def _renew(self, connection: Connection, expires: float, *, is_certain: bool) -> None:
        """Close a connection with outdated types, and with it all that are as old.

        Idle ones are closed now, those in use when they are released.
        """
        now = self._loop.time()
        is_new = is_certain or now - self._renewed_at > RENEW_AGAIN_S
        if is_new and expires != EXPIRED:
            self._renewed_at = now
            self._used = dict.fromkeys(self._used, EXPIRED)
            self._maintenance = {
                task: (maintained, EXPIRED) for task, (maintained, _) in self._maintenance.items()
            }
            while self._idle:
                self._part_with(self._idle.pop()[0])
        self._part_with(connection)

    def _vacate(self) -> None:
        """Give back the slot of a connection."""
        self._size -= 1
        if self.is_closed and not self._size:
            self._emptied.set()
        self._serve_waiters()

    def _drop(self, connection: Connection) -> None:
        connection.terminate()  # of a lost one, the driver's own traces
        self._vacate()

    def _part_with(self, connection: Connection) -> None:
        """Close a connection with a message to the server."""
        self._maintain(connection, 0, connection.close(timeout=RESET_TIMEOUT_S))

    def _check(self, connection: Connection, expires: float) -> asyncio.Task[object]:
        """Ask the server for an answer; a row without columns is the shortest one."""
        return self._maintain(connection, expires, connection.execute("SELECT", timeout=CHECK_S))

    def _maintain(
        self, connection: Connection, expires: float, work: Coroutine[object, object, object]
    ) -> asyncio.Task[object]:
        """Run work on a connection in a task of the pool."""
        task = self._loop.create_task(work, context=self._context.copy())
        self._maintenance[task] = connection, expires
        task.add_done_callback(self._maintained)
        return task

    def _maintained(self, task: asyncio.Task[object]) -> None:
        """Keep a connection whose maintenance ended well; the task may never have begun."""
        connection, expires = self._maintenance.pop(task)
        was_check = task in self._checking
        self._checking.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure:
            logger.debug("closing a connection whose server did not answer", exc_info=failure)
        if not (task.cancelled() or failure or connection.is_closed()):
            self._free(connection, expires)
            return
        if was_check:
            self._check_idle()  # before a waiter is given one of them
        self._drop(connection)

    def _check_idle(self) -> None:
        """Check all connections that were idle as long as one that was found dead."""
        limit = self._loop.time() - self._fresh_s
        while self._idle and self._idle[0][1] < limit:  # the first ones are idle the longest
            connection, _since, expires = self._idle.popleft()
            self._check(connection, expires)
