"""Where statements run: on a pool, or on the one connection of a transaction.

This is the only border at which the driver's errors become ours. A statement is declared
*repeatable* (running it twice does no harm) or *once*, which decides what a lost connection
means: `db.repeatable.fetch(…)` raises Unavailable, `db.once.fetch(…)` raises OutcomeUnknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar, get_args

from agentrows.errors import (
    Aborted,
    InvalidValue,
    OutcomeUnknown,
    PoolTimeout,
    Unavailable,
    translate,
)

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Mapping,
        Sequence,
    )

    import asyncpg
    from asyncpg.pool import PoolConnectionProxy
    from asyncpg.transaction import Transaction

    Connection = asyncpg.Connection | PoolConnectionProxy

__all__ = ["Executor", "PoolSource", "Statements"]

logger = logging.getLogger(__name__)

UNDO_TIMEOUT_S: Final = 2.0
T = TypeVar("T")
Isolation = Literal["read_committed", "repeatable_read", "serializable"]


class Source(Protocol):
    """Where a statement gets its connection."""

    @property
    def in_transaction(self) -> bool:
        """Whether what runs here is undone when the connection is lost."""
        ...

    async def acquire(self) -> Connection:
        """Return a connection that is ours until `release`."""
        ...

    async def release(self, connection: Connection, *, succeeded: bool) -> None:
        """Give the connection back, and say whether what ran on it did so to its end."""
        ...


class PoolSource:
    """A connection of the pool for each statement."""

    in_transaction = False

    def __init__(self, pool: asyncpg.Pool, *, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s

    async def acquire(self) -> Connection:
        """Wait for a free connection; raise PoolTimeout after `acquire_timeout_s`."""
        try:
            return await self._pool.acquire(timeout=self._acquire_timeout_s)
        except TimeoutError as error:
            raise PoolTimeout(
                f"no connection became free in {self._acquire_timeout_s:g} s "
                f"(the pool has {self._pool.get_max_size()})"
            ) from error
        except Exception as error:
            raise translate(error, lost=Unavailable) or error from error

    async def release(self, connection: Connection, *, succeeded: bool = True) -> None:  # noqa: ARG002
        """Give the connection back; one that cannot be cleaned is closed by the pool."""
        with contextlib.suppress(Exception):
            await self._pool.release(connection)  # type: ignore[arg-type]


class TransactionSource:
    """The one connection of a transaction; statements of several tasks queue up for it."""

    in_transaction = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self.has_ended = False
        self.has_failed = False

    async def acquire(self) -> Connection:
        """Wait for the statement before this one.

        Raises Aborted once the transaction has ended, and at once within a transaction inside of
        this one, which would wait for itself.
        """
        if self in _enclosing.get():
            raise Aborted("a transaction inside of this one is open: use that one's methods")
        await self._turn.acquire()
        if self.has_ended:
            self._turn.release()
            raise Aborted("this transaction has ended: begin a new one")
        return self._connection

    async def release(self, connection: Connection, *, succeeded: bool) -> None:  # noqa: ARG002
        """Let the next statement run."""
        self.has_failed |= not succeeded
        self._turn.release()


_enclosing: ContextVar[frozenset[Source]] = ContextVar("enclosing", default=frozenset())


class Statements:
    """Runs generated query functions (a `DBTX`), all declared the same: repeatable or once."""

    def __init__(self, source: Source, *, repeatable: bool, timeout_s: float | None) -> None:
        self._source = source
        self._timeout_s = timeout_s
        may_have_happened = not (repeatable or source.in_transaction)
        self._lost = OutcomeUnknown if may_have_happened else Unavailable

    async def execute(self, query: str, /, *args: object, timeout: float | None = None) -> str:
        """Run a statement and return the server's command tag."""
        return await self._run(lambda c, t: c.execute(query, *args, timeout=t), timeout)

    async def executemany(
        self, command: str, args: Iterable[Sequence[object]], /, *, timeout: float | None = None
    ) -> None:
        """Run a statement for each sequence of arguments, all or nothing."""
        await self._run(lambda c, t: c.executemany(command, args, timeout=t), timeout)

    async def fetch(
        self, query: str, /, *args: object, timeout: float | None = None
    ) -> list[asyncpg.Record]:
        """Run a statement and return its rows."""
        return await self._run(lambda c, t: c.fetch(query, *args, timeout=t), timeout)

    async def fetchrow(
        self, query: str, /, *args: object, timeout: float | None = None
    ) -> asyncpg.Record | None:
        """Run a statement and return its first row, or None."""
        return await self._run(lambda c, t: c.fetchrow(query, *args, timeout=t), timeout)

    async def fetchval(self, query: str, /, *args: object, timeout: float | None = None) -> object:
        """Run a statement and return the first column of its first row, or None."""
        return await self._run(lambda c, t: c.fetchval(query, *args, timeout=t), timeout)

    async def copy_records_to_table(
        self,
        table_name: str,
        /,
        *,
        records: Iterable[Sequence[object]] | AsyncIterable[Sequence[object]],
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        timeout: float | None = None,
    ) -> str:
        """Load records into a table by COPY, all or nothing."""
        return await self._run(
            lambda c, t: c.copy_records_to_table(
                table_name, records=records, columns=columns, schema_name=schema_name, timeout=t
            ),
            timeout,
        )

    async def _run(
        self, call: Callable[[Connection, float | None], Awaitable[T]], timeout_s: float | None
    ) -> T:
        connection = await self._source.acquire()
        succeeded = False
        try:
            limit_s = self._timeout_s if timeout_s is None else timeout_s
            result = await _translated(lambda: call(connection, limit_s), lost=self._lost)
            succeeded = True
        finally:
            await self._source.release(connection, succeeded=succeeded)
        return result


class Executor(Statements):
    """What stores run on: statements, transactions and cursors.

    It is a `DBTX` for statements that must not run twice (`once` names that default);
    `repeatable` is one for those that may. `versions` says how far the schema of the database was
    when it was opened, by track, for those who need to know; `isolation` is that of the
    transaction, None for the server's default.
    """

    def __init__(
        self,
        source: Source,
        *,
        timeout_s: float | None = None,
        versions: Mapping[str, int] = MappingProxyType({}),
        isolation: Isolation | None = None,
    ) -> None:
        super().__init__(source, repeatable=False, timeout_s=timeout_s)
        self.repeatable = Statements(source, repeatable=True, timeout_s=timeout_s)
        self.versions = versions
        self.isolation: Isolation | None = isolation

    @property
    def once(self) -> Statements:
        """The statements that must not run twice."""
        return self

    def with_timeout(self, timeout_s: float) -> Executor:
        """Return this executor with another time limit for each statement."""
        return Executor(
            self._source, timeout_s=timeout_s, versions=self.versions, isolation=self.isolation
        )

    @contextlib.asynccontextmanager
    async def transaction(
        self, *, isolation: Isolation | None = None, readonly: bool = False
    ) -> AsyncGenerator[Executor]:
        """Run a block on one connection: committed at its end, undone by any exception.

        An answer lost at COMMIT raises OutcomeUnknown; a serialization failure, or a statement that
        failed and whose error the block kept to itself, Aborted: then nothing was stored.
        """
        _check_isolation(isolation)
        connection = await self._source.acquire()
        inside = _enclosing.set(_enclosing.get() | {self._source})
        scope = TransactionSource(connection)
        succeeded = False
        try:
            transaction = connection.transaction(isolation=isolation, readonly=readonly)
            await _translated(transaction.start, lost=Unavailable)
            try:
                yield Executor(
                    scope,
                    timeout_s=self._timeout_s,
                    versions=self.versions,
                    isolation=isolation or self.isolation,
                )
                if scope.has_failed:
                    await _translated(lambda: _probe(connection), lost=Unavailable)
            except BaseException:
                await _undo(transaction, connection)
                raise
            await _translated(transaction.commit, lost=OutcomeUnknown)
            succeeded = True
        finally:
            scope.has_ended = True
            with contextlib.suppress(ValueError):  # the block ended in another task's context
                _enclosing.reset(inside)
            await self._source.release(connection, succeeded=succeeded)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Executor]:
        """Run a block whose statements all see one moment; they only read.

        Inside of a transaction it is that one, which sees what its isolation lets it see.
        """
        if self._source.in_transaction:
            yield self
            return
        async with self.transaction(isolation="repeatable_read", readonly=True) as scope:
            yield scope

    async def cursor(
        self, query: str, /, *args: object, prefetch: int = 500, timeout: float | None = None
    ) -> AsyncIterator[asyncpg.Record]:
        """Stream rows from a server-side cursor, `prefetch` at a time.

        Outside a transaction the stream holds a connection, and a transaction of its own, until
        it ends or is closed. `timeout` bounds each batch, in seconds.
        """
        if not self._source.in_transaction:
            async with self.transaction(readonly=True) as scope:
                async for row in scope.cursor(query, *args, prefetch=prefetch, timeout=timeout):
                    yield row
            return
        cursor = await self._run(lambda c, t: c.cursor(query, *args, timeout=t), timeout)
        while rows := await self._run(lambda _, t: cursor.fetch(prefetch, timeout=t), timeout):
            for row in rows:
                yield row


def _check_isolation(value: str | None) -> None:
    if value not in (None, *get_args(Isolation)):
        raise InvalidValue(f"isolation must be one of {', '.join(get_args(Isolation))}")


async def _undo(transaction: Transaction, connection: Connection) -> None:
    """Roll back; where the server does not answer in time, closing the connection does it.

    A cancel request that overtakes its statement is ignored by the server, which then runs the
    statement to its end. What went wrong before matters, not that a lost connection cannot undo it.
    """
    try:
        async with asyncio.timeout(UNDO_TIMEOUT_S):
            await transaction.rollback()
    except TimeoutError:
        connection.terminate()
    except Exception:  # whatever the driver says of a connection that is gone
        logger.debug("the server undoes a transaction by itself", exc_info=True)


async def _probe(connection: Connection) -> None:
    """Raise what the server says of a failed transaction; COMMIT would silently roll it back."""
    savepoint = connection.transaction()
    await savepoint.start()
    await savepoint.rollback()


async def _translated(
    call: Callable[[], Awaitable[T]], *, lost: type[Unavailable | OutcomeUnknown]
) -> T:
    try:
        return await call()
    except Exception as error:
        ours = translate(error, lost=lost)
        if ours is None:
            raise
        raise ours from error
