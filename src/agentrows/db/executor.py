"""Where statements run: on a pool, or on the one connection of a transaction.

This is the only border at which the driver's errors become ours. A statement is declared
*repeatable* (running it twice does no harm) or *once*, which decides what a lost connection
means: `db.repeatable.fetch(…)` raises Unavailable, `db.once.fetch(…)` raises OutcomeUnknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeVar, get_args

import asyncpg

from agentrows.db.retries import NO_RETRIES
from agentrows.db.sources import TransactionScope, enclosing
from agentrows.errors import InvalidValue, OutcomeUnknown, Unavailable, translate

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
    from contextlib import AbstractAsyncContextManager

    from asyncpg.cursor import Cursor
    from asyncpg.transaction import Transaction

    from agentrows.db.retries import Retries
    from agentrows.db.sources import Connection, Source

__all__ = ["Executor", "Isolation", "Statements"]

logger = logging.getLogger(__name__)

UNDO_TIMEOUT_S: Final = 2.0
SHORTEST_S: Final = 0.001
T = TypeVar("T")
Isolation = Literal["read_committed", "repeatable_read", "serializable"]


class Statements:
    """Runs generated query functions (a `DBTX`), all declared the same: repeatable or once."""

    def __init__(
        self,
        source: Source,
        *,
        repeatable: bool,
        timeout_s: float | None = None,
        retries: Retries = NO_RETRIES,
    ) -> None:
        self._source = source
        self._timeout_s = timeout_s
        self._retries = retries
        may_have_happened = not (repeatable or source.in_transaction)
        self._lost = OutcomeUnknown if may_have_happened else Unavailable

    async def execute(self, query: str, /, *args: object, timeout: float | None = None) -> str:
        """Run a statement and return the server's command tag."""
        return await self._run(lambda c, t: c.execute(query, *args, timeout=t), timeout)

    async def executemany(
        self, command: str, args: Iterable[Sequence[object]], /, *, timeout: float | None = None
    ) -> None:
        """Run a statement for each sequence of arguments, all or nothing."""
        await self._run(lambda c, t: c.executemany(command, args, timeout=t), timeout, rows=args)

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
            rows=records,
        )

    async def _run(
        self,
        call: Callable[[Connection, float | None], Awaitable[T]],
        timeout_s: float | None,
        *,
        rows: object = (),
    ) -> T:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        deadline = _deadline(limit_s)
        # What a generator gave to the first try, a second one would leave out.
        retries = self._retries if isinstance(rows, Collection) else NO_RETRIES
        return await retries.run(lambda: self._attempt(call, deadline), limit_s=limit_s)

    async def _attempt(
        self, call: Callable[[Connection, float | None], Awaitable[T]], deadline: float | None
    ) -> T:
        connection = await self._source.acquire(deadline)
        try:
            result = await call(connection, _left(deadline))
        except BaseException as error:
            await self._source.release(connection, error)
            if self._source.readonly and isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                raise InvalidValue("readonly: a transaction begun so cannot write") from error
            _raise_ours(error, lost=self._lost)
            raise
        await self._source.release(connection)
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
        retries: Retries = NO_RETRIES,
        versions: Mapping[str, int] = MappingProxyType({}),
        isolation: Isolation | None = None,
    ) -> None:
        super().__init__(source, repeatable=False, timeout_s=timeout_s, retries=retries)
        self.repeatable = Statements(source, repeatable=True, timeout_s=timeout_s, retries=retries)
        self.versions = versions
        self.isolation: Isolation | None = isolation

    @property
    def once(self) -> Statements:
        """The statements that must not run twice."""
        return self

    @property
    def in_transaction(self) -> bool:
        """Whether statements here are part of a transaction, which an error would end."""
        return self._source.in_transaction

    def with_timeout(self, timeout_s: float) -> Executor:
        """Return this executor with another time limit for each call, its retries included."""
        return Executor(
            self._source,
            timeout_s=timeout_s,
            retries=self._retries,
            versions=self.versions,
            isolation=self.isolation,
        )

    def transaction(
        self, *, isolation: Isolation | None = None, readonly: bool = False
    ) -> AbstractAsyncContextManager[Executor]:
        """Run a block on one connection: committed at its end, undone by any exception.

        An answer lost at COMMIT raises OutcomeUnknown; a serialization failure, or a statement that
        failed and whose error the block kept to itself, Aborted: then nothing was stored.
        """
        return self._transaction(isolation, readonly=readonly, lost=OutcomeUnknown)

    async def repeat(self, block: Callable[[Executor], Awaitable[T]]) -> T:
        """Return what a block returns that runs in a transaction, and may run twice.

        It runs anew when it was lost, at COMMIT too, or undone by the server. Inside of a
        transaction nothing is tried again.
        """
        one_try = Executor(
            self._source,
            timeout_s=self._timeout_s,
            versions=self.versions,
            isolation=self.isolation,
        )

        async def run() -> T:
            async with one_try._transaction(None, readonly=False, lost=Unavailable) as scope:
                return await block(scope)

        return await self._retries.run(run, limit_s=self._timeout_s)

    @contextlib.asynccontextmanager
    async def _transaction(
        self,
        isolation: Isolation | None,
        *,
        readonly: bool,
        lost: type[Unavailable | OutcomeUnknown],
    ) -> AsyncGenerator[Executor]:
        """Run a block in a transaction; `lost` is what it means that COMMIT was."""
        _check_isolation(isolation)
        connection, transaction = await self._retries.run(
            lambda: self._begin(isolation, readonly=readonly), limit_s=self._timeout_s
        )
        scope = TransactionScope(connection, readonly=readonly or self._source.readonly)
        if self._source.in_transaction:
            lost = Unavailable  # with the transaction around it
        try:
            try:
                try:
                    with enclosing(self._source):
                        yield Executor(
                            scope,
                            timeout_s=self._timeout_s,
                            versions=self.versions,
                            isolation=isolation or self.isolation,
                        )
                finally:
                    scope.has_ended = True  # first, or another task's statement came after COMMIT
                deadline = _deadline(self._timeout_s)
                if scope.failure:
                    await _translated(lambda: _probe(connection), deadline, lost=Unavailable)
            except BaseException:
                await _undo(transaction, connection)
                raise
            await _translated(transaction.commit, deadline, lost=lost)
        finally:
            await self._source.release(connection, scope.failure)

    async def _begin(
        self, isolation: Isolation | None, *, readonly: bool
    ) -> tuple[Connection, Transaction]:
        deadline = _deadline(self._timeout_s)
        connection = await self._source.acquire(deadline)
        transaction = connection.transaction(isolation=isolation, readonly=readonly)
        try:
            await _translated(transaction.start, deadline, lost=Unavailable)
        except BaseException as error:
            if not self._source.in_transaction:
                connection.terminate()  # the driver would take the next one for a savepoint
            await self._source.release(connection, error)
            raise
        return connection, transaction

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
        cursor = await self._run(lambda c, t: _open_cursor(c, query, args, t), timeout)
        while rows := await self._run(lambda _, t: cursor.fetch(prefetch, timeout=t), timeout):
            for row in rows:
                yield row


async def _open_cursor(
    connection: Connection, query: str, args: Sequence[object], timeout_s: float | None
) -> Cursor:
    """Open a cursor on a statement without a name, which leaves nothing behind in its session."""
    statement = await connection.prepare(query, name="", timeout=timeout_s)
    return await statement.cursor(*args, timeout=timeout_s)


def _check_isolation(value: str | None) -> None:
    if value not in (None, *get_args(Isolation)):
        raise InvalidValue(f"isolation must be one of {', '.join(get_args(Isolation))}")


def _deadline(limit_s: float | None) -> float | None:
    """Return when a time limit that begins now ends, in the time of the event loop."""
    return None if limit_s is None else asyncio.get_running_loop().time() + limit_s


def _left(deadline: float | None) -> float | None:
    """Return how much of a time limit is left, in seconds; never nothing, which means at once."""
    if deadline is None:
        return None
    return max(deadline - asyncio.get_running_loop().time(), SHORTEST_S)


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
    call: Callable[[], Awaitable[T]],
    deadline: float | None,
    *,
    lost: type[Unavailable | OutcomeUnknown],
) -> T:
    try:
        async with asyncio.timeout_at(deadline):
            return await call()  # the driver refuses a closed connection without a coroutine
    except Exception as error:
        _raise_ours(error, lost=lost)
        raise


def _raise_ours(error: BaseException, *, lost: type[Unavailable | OutcomeUnknown]) -> None:
    """Raise our error for one of the driver's; do nothing if it should be seen as it is."""
    ours = translate(error, lost=lost)
    if ours is not None:
        raise ours from error
