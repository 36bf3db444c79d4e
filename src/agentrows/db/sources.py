"""Where a statement gets its connection: from a pool, or from the transaction it is part of."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

import asyncpg

from agentrows.db.deadlines import Deadlines, Until
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
    "enclosing",
    "give_back",
    "statement_end",
]

logger = logging.getLogger(__name__)

SHORTEST_S: Final = 0.001


class Source(Protocol):
    """Where a statement gets its connection: a `ConnectionPool`, or one of these."""

    @property
    def in_transaction(self) -> bool:
        """Whether what runs here is undone when the connection is lost."""
        ...

    @property
    def readonly(self) -> bool:
        """Whether the caller asked for a transaction that writes nothing."""
        ...

    @property
    def statement_timeout_s(self) -> float | None:
        """How long a statement may take that says nothing else, in seconds."""
        ...

    @property
    def deadlines(self) -> Deadlines:
        """Holds statements to their time limits."""
        ...

    @property
    def streams(self) -> set[TransactionScope]:
        """Transactions of streams, which their readers may have left open."""
        ...

    def left(self, deadline: float | None) -> float | None:
        """Return what the driver has to be told of a deadline, in seconds from now."""
        ...

    def take(self) -> Connection | None:
        """Return a connection that is ours until `release`, or None if that takes waiting."""
        ...

    async def wait(self, deadline: float | None) -> Connection:
        """Return a connection that is ours until `release`, after `take` had none."""
        ...

    def release(
        self, connection: Connection, error: BaseException | None = None
    ) -> Awaitable[None] | None:
        """Take a connection back, with the error in which its use ended.

        Returns what is to be awaited for that, if anything is.
        """
        ...


class ApplicationPool:
    """A pool of asyncpg's own, which the application made."""

    in_transaction = False
    readonly = False
    statement_timeout_s = None

    def __init__(self, pool: asyncpg.Pool, *, acquire_timeout_s: float) -> None:
        self.deadlines = Deadlines()
        self.streams: set[TransactionScope] = set()
        self._pool = pool
        self._returning: set[asyncio.Future[None]] = set()
        self._acquire_timeout_s = acquire_timeout_s

    def left(self, deadline: float | None) -> float | None:
        """Return the time left, never nothing: else the pool's `command_timeout` would hold."""
        if deadline is None:
            return None
        return max(deadline - self.deadlines.now(), SHORTEST_S)

    def take(self) -> Connection | None:
        """Return None: a pool of the driver's has no way to look."""
        return None

    async def wait(self, deadline: float | None) -> Connection:
        """Wait for a free connection; raise PoolTimeout after `acquire_timeout_s`, or sooner."""
        limit_s = self._acquire_timeout_s
        if deadline is not None:
            limit_s = max(0.0, min(limit_s, deadline - asyncio.get_running_loop().time()))
        try:
            return await self._pool.acquire(timeout=limit_s)
        except TimeoutError as error:
            raise PoolTimeout(
                f"no connection became free in time (the pool has {self._pool.get_max_size()})"
            ) from error
        except Exception as error:
            if self._pool.is_closing():
                raise ClientClosed("the pool is closed") from error
            ours = translate(error, lost=Unavailable)
            if ours is None:
                raise
            raise ours from error

    async def release(self, connection: Connection, error: BaseException | None = None) -> None:
        """Give the connection back; one that cannot be reset is closed by the pool.

        If the caller is cancelled, the pool still takes the connection back. After an error about
        outdated types the pool replaces all of its connections.
        """
        if has_stale_types(error):
            await self._pool.expire_connections()
        with contextlib.suppress(asyncpg.InterfaceError):  # the pool has taken it back already
            if not connection.is_closed() and connection.is_in_transaction():
                connection.terminate()  # the pool would log an error, and roll back
        returning = asyncio.ensure_future(self._pool.release(connection))  # type: ignore[arg-type]
        self._returning.add(returning)
        returning.add_done_callback(self._returned)
        await asyncio.wait([returning])

    def _returned(self, returning: asyncio.Future[None]) -> None:
        self._returning.discard(returning)
        if not returning.cancelled() and (error := returning.exception()):
            logger.debug("the pool closes a connection that it cannot reset", exc_info=error)


class TransactionScope:
    """The one connection of a transaction; statements of several tasks queue up for it."""

    in_transaction = True

    def __init__(self, connection: Connection, around: Source, *, readonly: bool) -> None:
        self.readonly = readonly or around.readonly
        self.deadlines = around.deadlines
        self.statement_timeout_s = around.statement_timeout_s
        self.left = around.left
        self.streams = around.streams
        self.has_ended = False
        self.failure: BaseException | None = None
        self.reads = 0
        self.connection = connection
        self._turn = asyncio.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether a statement is running."""
        return self._turn.locked()

    def take(self) -> Connection | None:
        """Return None: `wait` is for its turn."""
        return None

    async def wait(self, deadline: float | None) -> Connection:
        """Wait for the statement before this one.

        Raises Aborted once the transaction has ended, and at once within a transaction inside of
        this one, which would wait for itself.
        """
        if self in _enclosing.get():
            raise Aborted("a transaction inside of this one is open: use that one's methods")
        try:
            with Until(self.deadlines, math.inf if deadline is None else deadline):
                await self._turn.acquire()
        except TimeoutError as error:
            raise StatementTimeout(
                "the transaction's statements before it took too long"
            ) from error
        if self.has_ended:
            self._turn.release()
            raise Aborted("this transaction has ended: begin a new one")
        return self.connection

    def release(self, connection: Connection, error: BaseException | None = None) -> None:  # noqa: ARG002
        """Let the next statement run."""
        self.failure = self.failure or error
        self._turn.release()


_enclosing: Final[ContextVar[frozenset[Source]]] = ContextVar("enclosing", default=frozenset())


@contextlib.contextmanager
def enclosing(source: Source) -> Generator[None]:
    """Within this block, a statement on `source` would wait for itself."""
    inside = _enclosing.set(_enclosing.get() | {source})
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the block ended in another task's context
            _enclosing.reset(inside)


async def give_back(source: Source, connection: Connection, error: BaseException | None) -> None:
    """Return a connection to its source, with the error that ended its use."""
    if pending := source.release(connection, error):
        await pending


def statement_end(source: Source, deadline: float | None) -> float:
    """Return the time of the event loop at which a statement that begins now must end."""
    if deadline is not None:
        return deadline
    limit_s = source.statement_timeout_s
    return math.inf if limit_s is None else source.deadlines.now() + limit_s
