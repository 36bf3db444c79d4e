"""Sources of connections for statements: a pool, or the transaction that they are part of."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

import asyncpg

from agentrows.db.deadlines import Deadlines, TimeLimit
from agentrows.errors import (
    Aborted,
    ClientClosed,
    PoolTimeout,
    StatementTimeout,
    Unavailable,
    has_stale_types,
    translate,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection | PoolConnectionProxy

__all__ = [
    "ApplicationPool",
    "Source",
    "TransactionScope",
    "mark_enclosing",
    "release_connection",
    "statement_end",
]

logger = logging.getLogger(__name__)

MIN_TIMEOUT_S: Final = 0.001


class Source(Protocol):
    """A source of connections: a `ConnectionPool`, an `ApplicationPool` or a `TransactionScope`."""

    @property
    def in_transaction(self) -> bool:
        """Whether a lost connection rolls back the statements that ran on it."""
        ...

    @property
    def readonly(self) -> bool:
        """Whether the transaction was opened as read-only."""
        ...

    @property
    def statement_timeout_s(self) -> float | None:
        """The time limit of a statement without a limit of its own, in seconds."""
        ...

    @property
    def deadlines(self) -> Deadlines:
        """The time limits of the statements."""
        ...

    @property
    def streams(self) -> set[TransactionScope]:
        """Transactions of streams, which their readers may have left open."""
        ...

    @property
    def gate(self) -> asyncio.Semaphore:
        """A gate as wide as the source, for callers that wait in front of it without a limit."""
        ...

    def driver_timeout(self, deadline: float | None) -> float | None:
        """Return the timeout to pass to the driver, in seconds; None for no timeout."""
        ...

    def acquire_nowait(self) -> Connection | None:
        """Return a connection until `release`, or None if that requires waiting."""
        ...

    async def wait_for_connection(self, deadline: float | None) -> Connection:
        """Wait for a connection, after `acquire_nowait` returned None."""
        ...

    def release(
        self, connection: Connection, error: BaseException | None = None
    ) -> Awaitable[None] | None:
        """Return a connection, with the error that ended its use.

        The caller awaits the result, if there is one.
        """
        ...


class ApplicationPool:
    """An `asyncpg.Pool` that the application created."""

    in_transaction = False
    readonly = False
    statement_timeout_s = None

    def __init__(self, pool: asyncpg.Pool, *, acquire_timeout_s: float) -> None:
        self.deadlines = Deadlines()
        self.streams: set[TransactionScope] = set()
        self.gate = asyncio.Semaphore(pool.get_max_size())
        self._pool = pool
        self._returning: set[asyncio.Future[None]] = set()
        self._acquire_timeout_s = acquire_timeout_s

    def driver_timeout(self, deadline: float | None) -> float | None:
        """Return the time until a deadline, in seconds.

        It is always positive, because without a timeout the pool's `command_timeout` would apply.
        """
        if deadline is None:
            return None
        return max(deadline - self.deadlines.now(), MIN_TIMEOUT_S)

    def acquire_nowait(self) -> Connection | None:
        """Return None: an `asyncpg.Pool` cannot return a connection without waiting."""
        return None

    async def wait_for_connection(self, deadline: float | None) -> Connection:
        """Wait for a free connection, at most `acquire_timeout_s`, else raise PoolTimeout."""
        limit_s = self._acquire_timeout_s
        if deadline is not None:
            limit_s = max(0.0, min(limit_s, deadline - asyncio.get_running_loop().time()))
        try:
            return await self._pool.acquire(timeout=limit_s)
        except TimeoutError as error:
            raise PoolTimeout(
                f"no connection became free in time (max_size is {self._pool.get_max_size()})"
            ) from error
        except Exception as error:
            if self._pool.is_closing():
                raise ClientClosed("the pool is closed") from error
            translated = translate(error, lost=Unavailable)
            if translated is None:
                raise
            raise translated from error

    async def release(self, connection: Connection, error: BaseException | None = None) -> None:
        """Return a connection to the pool, also if the caller is cancelled.

        The pool closes a connection that it cannot reset, and replaces all of its connections after
        an error about outdated types.
        """
        if has_stale_types(error):
            await self._pool.expire_connections()
        with contextlib.suppress(asyncpg.InterfaceError):  # already returned to the pool
            if not connection.is_closed() and connection.is_in_transaction():
                connection.terminate()  # the pool would roll back, and log an error
        returning = asyncio.ensure_future(self._pool.release(connection))  # type: ignore[arg-type]
        self._returning.add(returning)
        returning.add_done_callback(self._end_return)
        await asyncio.wait([returning])

    def _end_return(self, returning: asyncio.Future[None]) -> None:
        self._returning.discard(returning)
        if not returning.cancelled() and (error := returning.exception()):
            logger.debug("the pool closes a connection that it cannot reset", exc_info=error)


class TransactionScope:
    """The connection of a transaction; statements of several tasks wait for their turn on it."""

    in_transaction = True

    def __init__(self, connection: Connection, outer: Source, *, readonly: bool) -> None:
        self.readonly = readonly or outer.readonly
        self.deadlines = outer.deadlines
        self.statement_timeout_s = outer.statement_timeout_s
        self.driver_timeout = outer.driver_timeout
        self.streams = outer.streams
        self.gate = asyncio.Semaphore(1)
        self.has_ended = False
        self.failure: BaseException | None = None
        self.reads = 0
        self.connection = connection
        self._turn = asyncio.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether a statement is running."""
        return self._turn.locked()

    def acquire_nowait(self) -> Connection | None:
        """Return None: each statement waits for its turn."""
        return None

    async def wait_for_connection(self, deadline: float | None) -> Connection:
        """Wait until the earlier statements have ended.

        Raises:
            Aborted: the transaction has ended, or a transaction inside it is open, which would wait
                for itself.
            StatementTimeout: the earlier statements took too long.

        """
        if self in _enclosing.get():
            raise Aborted("a transaction inside this one is open: use the methods of the inner one")
        try:
            with TimeLimit(self.deadlines, math.inf if deadline is None else deadline):
                await self._turn.acquire()
        except TimeoutError as error:
            raise StatementTimeout(
                "the earlier statements of the transaction took too long"
            ) from error
        if self.has_ended:
            self._turn.release()
            raise Aborted("this transaction has ended: begin another one")
        return self.connection

    def release(self, connection: Connection, error: BaseException | None = None) -> None:  # noqa: ARG002
        """Start the next statement."""
        self.failure = self.failure or error
        self._turn.release()


_enclosing: Final[ContextVar[frozenset[Source]]] = ContextVar("enclosing", default=frozenset())


@contextlib.contextmanager
def mark_enclosing(source: Source) -> Generator[None]:
    """Make statements on `source` inside this block an error, because they would never start."""
    token = _enclosing.set(_enclosing.get() | {source})
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the block ended in another task's context
            _enclosing.reset(token)


async def release_connection(
    source: Source, connection: Connection, error: BaseException | None
) -> None:
    """Return a connection to its source, with the error that ended its use."""
    if pending := source.release(connection, error):
        await pending


def statement_end(source: Source, deadline: float | None) -> float:
    """Return the end of the time limit of a statement that starts now, in the loop's time."""
    if deadline is not None:
        return deadline
    limit_s = source.statement_timeout_s
    return math.inf if limit_s is None else source.deadlines.now() + limit_s
