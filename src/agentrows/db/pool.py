"""A pool of bare asyncpg connections, where acquiring an idle one takes one `deque.pop`.

asyncpg's own pool resets a session at every release, which is a round trip per call, and wraps
every connection in a proxy, which halves the speed of a look-up by key (docs/performance.md). Here
a connection is idle at once after a use without an error; after any other use a task of the pool
resets or closes it. Connections are opened in tasks too, so cancelling a caller does not cancel the
attempt to connect.
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
from agentrows.db.maintenance import EXPIRED, MaintenanceTasks
from agentrows.db.sockets import shut_down
from agentrows.db.streams import UNREAD_S, StreamReads
from agentrows.db.waiters import Waiter, WaiterQueue
from agentrows.errors import (
    ClientClosed,
    ConfigError,
    PoolTimeout,
    StaleTypes,
    Unavailable,
    has_stale_types,
    leaves_connection_usable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agentrows.db.sources import Connection, TransactionScope
    from agentrows.db.waiters import WaitingLookup

__all__ = ["ConnectionPool"]

logger = logging.getLogger(__name__)

CHECK_AFTER_S: Final = 5.0
"""A connection that was idle for longer is checked before a statement runs on it."""
CONNECT_GRACE_S: Final = 1.0
"""Time that `close` gives attempts to connect before it cancels them."""
MIN_LIFETIME_FRACTION: Final = 0.9
"""The shortest lifetime as a fraction of `max_lifetime_s`.

Each lifetime is random, so that connections do not expire together.
"""
MIN_RENEWAL_INTERVAL_S: Final = 1.0
"""Minimal time between two renewals of the whole pool that a server error causes.

A damaged catalog causes the same errors and would otherwise renew the pool at every call.
"""
STILL_RUNNING: Final = "closing the client waits up to %g s for running calls (%d)"
CLOSED: Final = "the client is closed"
OTHER_LOOP: Final = "this client was opened in another event loop"


class ConnectionPool:
    """A pool of at most `max_size` connections, which `connect` opens on demand.

    The most recently used connection is acquired first; idle ones are closed after `max_idle_s`,
    down to `min_size`. Waiters are served in order. A release closes those that are too old.
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
        self.gate = asyncio.Semaphore(max_size)
        self._connect = connect
        self._min_size = min(min_size, max_size)
        self._max_size = max_size
        self._max_idle_s = max_idle_s
        self._max_lifetime_s = max_lifetime_s
        self._fresh_s = min(CHECK_AFTER_S, max_idle_s)
        self._acquire_timeout_s = acquire_timeout_s
        self._loop = asyncio.get_running_loop()
        # Connections outlive the call that opens them, and must not reference its context.
        self._context = contextvars.copy_context()
        self._pid = os.getpid()
        # Slots in use: connections that are open, about to be opened, or about to be closed.
        self._size = 0
        # Idle connections with the start of the idle time and the expiry time, both in the time of
        # the event loop; the last one is acquired first.
        self._idle: deque[tuple[Connection, float, float]] = deque()
        # Connections in use with their expiry times.
        self._used: dict[Connection, float] = {}
        self._waiting = WaiterQueue()
        self._connects: set[asyncio.Task[Connection]] = set()
        self._maintenance = MaintenanceTasks(self._end_maintenance)
        self._emptied = asyncio.Event()
        self._renewed_at = -MIN_RENEWAL_INTERVAL_S

    async def acquire(self, deadline: float | None = None) -> Connection:
        """Return a connection that belongs to the caller until `release`.

        Waits for `acquire_timeout_s`, and at most until `deadline`, in the time of the event loop.
        While a connection is being opened for the caller, only `deadline` limits the wait.

        Raises:
            PoolTimeout: no connection became free in time.
            Unavailable: no connection could be opened before `deadline`.
            ClientClosed: the pool is closed.
            ConfigError: the pool belongs to another event loop, or `connect` raised ConfigError.

        """
        return self.acquire_nowait() or await self.wait_for_connection(deadline)

    def driver_timeout(self, deadline: float | None) -> None:
        """Return None: a connection of this pool has no time limit of its own."""

    def acquire_nowait(self) -> Connection | None:
        """Return a connection that is usable at once, or None if `acquire` would wait."""
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigError(f"{OTHER_LOOP}: open one client per event loop")
        while self._idle:
            connection, since, expires_at = self._idle[-1]
            idle_s = self._loop.time() - since
            if connection.is_closed():
                self._idle.pop()
                self._discard(connection)
            elif idle_s <= self._fresh_s:
                self._idle.pop()
                self._used[connection] = expires_at
                return connection
            elif idle_s > self._max_idle_s or self._loop.time() > expires_at:
                self._idle.pop()
                self._retire(connection)
            else:
                # A firewall may have dropped it silently: `wait_for_connection` checks it.
                return None
        return None

    def release(self, connection: Connection, error: BaseException | None = None) -> None:
        """Return a connection to the pool, with the error that ended its use.

        It does not await anything, so that no cancellation can interrupt it.
        """
        expires_at = self._used.pop(connection, None)
        if expires_at is None:
            return  # `close` has ended its use
        if connection.is_closed() or connection.is_in_transaction():
            self._discard(connection)  # the server rolls back an open transaction
        elif self.is_closed or isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            # The server has become a replica: new connections are opened to the new primary.
            self._retire(connection)
        elif has_stale_types(error):
            self._renew(connection, expires_at, is_certain=isinstance(error, StaleTypes))
        elif error is None or leaves_connection_usable(error):
            self._deliver(connection, expires_at)
        else:
            self._maintenance.reset(connection, expires_at)

    async def close(self, *, timeout_s: float) -> None:
        """Close every connection; calls that are running after `timeout_s` are interrupted.

        In a forked child it only marks the pool as closed, because the parent uses the connections.
        In another event loop it ends the sessions if the pool's own loop is closed.

        Raises:
            ConfigError: the pool belongs to another event loop, which is not closed.

        """
        if os.getpid() != self._pid:
            self.is_closed = True
            return
        if asyncio.get_running_loop() is not self._loop:
            if not self._loop.is_closed():
                raise ConfigError(f"{OTHER_LOOP}: close it in that event loop")
            self._shut_down_sessions()
            return
        self.is_closed = True
        while waiter := self._waiting.take_first():
            waiter.fail(ClientClosed(CLOSED))
        while self._idle:
            self._retire(self._idle.pop()[0])
        try:
            if self._connects:  # the driver logs an error for a cancelled attempt
                await asyncio.wait(self._connects, timeout=CONNECT_GRACE_S)
            self._cancel_connects()
            await self._drain(timeout_s)
        finally:  # also if the caller is cancelled
            for connection in (*self._used, *self._maintenance.connections):
                connection.terminate()
            self._cancel_connects()
            self._maintenance.cancel_all()

    def _cancel_connects(self) -> None:
        for attempt in self._connects:
            attempt.cancel()

    async def _drain(self, timeout_s: float) -> None:
        """Wait until no connection is left; end streams that are not read."""
        if not self._size:
            return
        reads = StreamReads(self.streams)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(UNREAD_S):
                        await self._emptied.wait()
                for scope in reads.list_unread() if self._size else ():
                    if self._used.pop(scope.connection, None) is not None:
                        self._discard(scope.connection)
                if self._size:
                    logger.warning(STILL_RUNNING, timeout_s, self._size)
                    await self._emptied.wait()

    def _shut_down_sessions(self) -> None:
        """End the sessions without awaiting anything, because the event loop is closed."""
        self.is_closed = True
        idle = [connection for connection, _, _ in self._idle]
        for connection in (*idle, *self._used, *self._maintenance.connections):
            shut_down(connection)
        self._idle.clear()
        self._used.clear()
        self._maintenance.clear()

    async def wait_for_connection(
        self, deadline: float | None, lookup: WaitingLookup | None = None
    ) -> Connection:
        """Wait for a connection as `acquire` does; called after `acquire_nowait` returned None."""
        if self.is_closed:
            raise ClientClosed(CLOSED)
        waiter = self._add_waiter(math.inf if deadline is None else deadline)
        if lookup is not None:
            lookup.waiter = waiter  # by which another look-up takes it out of the queue
        try:
            connection = await waiter.future
        except BaseException:
            self._withdraw_waiter(waiter)
            raise
        finally:
            self.deadlines.pending.discard(waiter)
            # An error in its future has a traceback that references this frame: break the cycle.
            del waiter
        if connection.is_closed():  # lost after it was delivered
            self.release(connection)
            return await self.acquire(deadline)
        return connection

    def _add_waiter(self, deadline: float) -> Waiter:
        when = min(self._loop.time() + self._acquire_timeout_s, deadline)
        waiter = Waiter(self._loop.create_future(), when, deadline, self._expire_waiter)
        self._waiting.append(waiter)
        self._serve_waiters()
        self.deadlines.add(waiter)
        return waiter

    def _expire_waiter(self, waiter: Waiter) -> None:
        """End a wait, or extend it if a connection is being opened for the waiter."""
        if waiter.future.done():
            return
        if self._waiting.count_before(waiter) >= self._count_expected():
            waiter.fail(
                PoolTimeout(f"no connection became free in time (max_size is {self._max_size})")
            )
        elif waiter.when < waiter.deadline:
            # Every attempt has its own time limit and serves this waiter or an earlier one.
            waiter.when = waiter.deadline
            self.deadlines.add(waiter)
        else:
            waiter.fail(Unavailable("the database did not accept a connection in time"))

    def _withdraw_waiter(self, waiter: Waiter) -> None:
        """Remove a waiter that gave up; release the connection if one was delivered to it."""
        future = waiter.future
        if future.done() and not future.cancelled() and not future.exception():
            self.release(future.result())
        self._waiting.discard(waiter)

    def _count_expected(self) -> int:
        """Return the number of connections that are being opened or checked for waiters."""
        return len(self._connects) + self._maintenance.check_count

    def _serve_waiters(self) -> None:
        """Check idle connections, or open new ones, until each waiter can expect one."""
        if not (self._waiting and (self._idle or self._size < self._max_size)) or self.is_closed:
            return
        for _ in range(self._waiting.count_live() - self._count_expected()):
            if self._idle:
                connection, _since, expires_at = self._idle.pop()
                self._maintenance.check(connection, expires_at, for_waiter=True)
            elif self._size < self._max_size:
                self._start_connect()
            else:
                return

    def _start_connect(self) -> None:
        self._size += 1
        task = self._loop.create_task(self._connect(), context=self._context.copy())
        self._connects.add(task)
        task.add_done_callback(self._end_connect)

    def _end_connect(self, task: asyncio.Task[Connection]) -> None:
        """Deliver a new connection; an error is raised in the first waiter."""
        self._connects.discard(task)
        error = None if task.cancelled() else task.exception()
        if not task.cancelled() and error is None:
            lifetime_s = self._max_lifetime_s * random.uniform(MIN_LIFETIME_FRACTION, 1)  # noqa: S311
            self._deliver(task.result(), self._loop.time() + lifetime_s)
            return
        if error is not None and (waiter := self._waiting.take_first()):
            waiter.fail(error)
        self._release_slot()

    def _deliver(self, connection: Connection, expires_at: float) -> None:
        """Give the connection to the first waiter; without a waiter, make it idle.

        When it becomes idle, one connection that was idle for too long is closed.
        """
        if self.is_closed:
            self._discard(connection)
            return
        now = self._loop.time()
        if now > expires_at:
            self._retire(connection)
            return
        if self._waiting and (waiter := self._waiting.take_first()):
            self._used[connection] = expires_at
            waiter.future.set_result(connection)
            return
        self._idle.append((connection, now, expires_at))
        oldest, since, _ = self._idle[0]
        if now - since > self._max_idle_s and self._size > self._min_size:
            self._idle.popleft()
            self._retire(oldest)

    def _renew(self, connection: Connection, expires_at: float, *, is_certain: bool) -> None:
        """Close a connection with outdated types, and all others that were opened before its error.

        Idle connections are closed now, those in use at their release.
        """
        now = self._loop.time()
        renews_all = is_certain or now - self._renewed_at > MIN_RENEWAL_INTERVAL_S
        if renews_all and expires_at != EXPIRED:
            self._renewed_at = now
            self._used = dict.fromkeys(self._used, EXPIRED)
            self._maintenance.expire_all()
            while self._idle:
                self._retire(self._idle.pop()[0])
        self._retire(connection)

    def _release_slot(self) -> None:
        """Free a slot, and open a connection in it if a waiter needs one."""
        self._size -= 1
        if self.is_closed and not self._size:
            self._emptied.set()
        self._serve_waiters()

    def _discard(self, connection: Connection) -> None:
        """Close a connection without a message to the server."""
        connection.terminate()  # also frees the driver's objects of a lost connection
        self._release_slot()

    def _retire(self, connection: Connection) -> None:
        """Close a connection with a message to the server; its slot is free after that."""
        self._maintenance.close(connection)

    def _end_maintenance(
        self, connection: Connection, expires_at: float, *, is_usable: bool, was_check: bool
    ) -> None:
        """Deliver a connection after its maintenance, or discard it if it is unusable."""
        if is_usable:
            self._deliver(connection, expires_at)
            return
        if was_check:
            self._check_idle()  # before the discard, which may give one of them to a waiter
        self._discard(connection)

    def _check_idle(self) -> None:
        """Check the connections that are no longer fresh, after one of them did not answer."""
        limit = self._loop.time() - self._fresh_s
        while self._idle and self._idle[0][1] < limit:  # the first one has been idle longest
            connection, _since, expires_at = self._idle.popleft()
            self._maintenance.check(connection, expires_at, for_waiter=False)
