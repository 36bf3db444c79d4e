"""The executor, which runs every statement on a pool or on the connection of a transaction.

It is the only place that translates the driver's errors. A statement is declared *repeatable*
(running it twice has the same effect) or *once*, and this leads to a retry in two steps:
`db.repeatable` turns a lost connection into Unavailable, and Unavailable is retried; `db.once`
turns it into OutcomeUnknown, which is not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

from agentrows.db.batches import send_rows
from agentrows.db.deadlines import TimeLimit
from agentrows.db.lookup_batches import Reply
from agentrows.db.retries import NO_RETRIES
from agentrows.db.sources import TransactionScope, release_connection, statement_end
from agentrows.db.store_options import NO_OPTIONS, StoreOptions
from agentrows.db.transactions import Isolation, Transactions
from agentrows.db.translation import call_name, raise_translated
from agentrows.db.unreadable import is_unreadable, raise_unreadable
from agentrows.errors import AgentRowsError, OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager

    import asyncpg
    from asyncpg.cursor import Cursor

    from agentrows.db.lookup_batches import LookupBatches
    from agentrows.db.retries import Retries
    from agentrows.db.sources import Connection, Source

__all__ = ["Executor", "Isolation", "StatementRunner"]

T = TypeVar("T")
NO_STATEMENTS: Final[Mapping[str, str]] = MappingProxyType({})
Call: TypeAlias = "Callable[[Connection, float | None], Awaitable[T]]"
Block: TypeAlias = "Callable[[Executor], Awaitable[T]]"


class StatementRunner:
    """Runs statements that are all repeatable, or all once; a `DBTX` for generated functions."""

    def __init__(
        self,
        source: Source,
        *,
        repeatable: bool,
        timeout_s: float | None = None,
        retries: Retries = NO_RETRIES,
        lookups: LookupBatches | None = None,
    ) -> None:
        self._source = source
        self._lookups = lookups
        self._batch_statements = lookups.statements if lookups is not None else NO_STATEMENTS
        self._now = source.deadlines.now
        self._timeout_s = timeout_s
        self._retries = retries
        # A lost connection rolls its transaction back, so inside one nothing has happened.
        is_outcome_known = repeatable or source.in_transaction
        self._lost = Unavailable if is_outcome_known else OutcomeUnknown

    async def execute(self, query: str, /, *args: object, timeout: float | None = None) -> str:
        """Run a statement and return the server's command tag."""
        return await self._run(lambda c, t: c.execute(query, *args, timeout=t), timeout, query)

    async def executemany(
        self, command: str, args: Iterable[Sequence[object]], /, *, timeout: float | None = None
    ) -> None:
        """Run a statement once per sequence of arguments, all or none of them."""
        await self._run_with(
            args, lambda c, t: send_rows(c.executemany(command, args, timeout=t)), timeout, command
        )

    async def fetch(
        self, query: str, /, *args: object, timeout: float | None = None
    ) -> list[asyncpg.Record]:
        """Run a statement and return its rows."""
        return await self._run(lambda c, t: c.fetch(query, *args, timeout=t), timeout, query)

    async def fetchrow(
        self, query: str, /, *args: object, timeout: float | None = None
    ) -> asyncpg.Record | None:
        """Run a statement and return its first row, or None."""
        return await self._run(
            lambda c, t: c.fetchrow(query, *args, timeout=t),
            timeout,
            query,
            args if query in self._batch_statements else None,
        )

    async def fetchval(self, query: str, /, *args: object, timeout: float | None = None) -> object:
        """Run a statement and return the first column of its first row, or None."""
        return await self._run(lambda c, t: c.fetchval(query, *args, timeout=t), timeout, query)

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
        """Load records into a table by COPY, all or none of them."""
        return await self._run_with(
            records,
            lambda c, t: c.copy_records_to_table(
                table_name, records=records, columns=columns, schema_name=schema_name, timeout=t
            ),
            timeout,
            f"COPY {table_name}",
        )

    async def _run(
        self,
        call: Call[T],
        timeout_s: float | None,
        query: str,
        lookup: tuple[object, ...] | None = None,
    ) -> T:
        """Run a statement, and retry it until `Retries` gives up.

        `lookup` are the arguments of a statement that may run in a batch.

        `Retries.run` does the same for a call without a deadline of its own; here its first attempt
        is inlined, because this is the path of every statement.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        started = self._now()
        deadline = None if limit_s is None else started + limit_s
        try:
            return await self._attempt(call, deadline, query, lookup)
        except AgentRowsError as error:
            if self._retries.gives_up(error, limit_s):
                raise
            first_error = error
        # Outside of the handler: its error's traceback references the arguments of this call.
        return await self._retries.retry(
            partial(self._attempt, call, deadline, query, lookup),
            first_error,
            started=started,
            limit_s=limit_s,
            name=call_name(query),
        )

    async def _run_with(
        self, rows: object, call: Call[T], timeout_s: float | None, query: str
    ) -> T:
        """Run a statement on rows; those of a generator can be read only once: no retries."""
        if isinstance(rows, Collection):
            return await self._run(call, timeout_s, query)
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        return await self._attempt(call, None if limit_s is None else self._now() + limit_s, query)

    async def _attempt(
        self,
        call: Call[T],
        deadline: float | None,
        query: str,
        lookup: tuple[object, ...] | None = None,
    ) -> T:
        """Run a statement once, and return its connection to the source."""
        source = self._source
        connection = source.acquire_nowait()
        if connection is None and lookup is not None and self._lookups is not None:
            waited = await self._lookups.wait(query, lookup, deadline)
            if isinstance(waited, Reply):
                return cast("T", waited.row)
            connection = waited
        elif connection is None:
            connection = await source.wait_for_connection(deadline)
        try:
            with TimeLimit(source.deadlines, statement_end(source, deadline)):
                result = await call(connection, source.driver_timeout(deadline))
        except BaseException as error:
            if is_unreadable(error, query):
                may_repeat = self._lost is Unavailable and not source.in_transaction
                left_s = statement_end(source, deadline) - self._now()
                try:
                    await raise_unreadable(
                        error, query, connection, call, limit_s=left_s if may_repeat else 0
                    )
                finally:
                    await release_connection(source, connection, None)
            await release_connection(source, connection, error)
            raise_translated(error, query, connection, lost=self._lost, readonly=source.readonly)
            raise
        if pending := source.release(connection):
            await pending
        return result


class Executor(StatementRunner):
    """Runs the statements, transactions and cursors of the stores.

    The executor itself runs statements as *once*; `repeatable` runs statements that may run twice.
    `versions` contains the applied version of each track when the client was opened. `isolation` is
    the level of the transaction, None for the server's default. `options` are the settings that the
    stores use. `readable_tables` are the optional tables that a store has found in the database;
    all executors of a client share the set.
    """

    def __init__(  # noqa: PLR0913  all by keyword
        self,
        source: Source,
        *,
        timeout_s: float | None = None,
        retries: Retries = NO_RETRIES,
        versions: Mapping[str, int] = MappingProxyType({}),
        isolation: Isolation | None = None,
        options: StoreOptions = NO_OPTIONS,
        readable_tables: set[str] | None = None,
        lookups: LookupBatches | None = None,
    ) -> None:
        super().__init__(source, repeatable=False, timeout_s=timeout_s, retries=retries)
        self.repeatable = StatementRunner(
            source, repeatable=True, timeout_s=timeout_s, retries=retries, lookups=lookups
        )
        self._lookups_of_pool = lookups
        self.versions = versions
        self.isolation: Isolation | None = isolation
        self.options = options
        self.readable_tables: set[str] = set() if readable_tables is None else readable_tables

    @property
    def merges_lookups(self) -> bool:
        """Whether look-ups that wait for a connection run together."""
        return self._lookups_of_pool is not None

    @property
    def once(self) -> StatementRunner:
        """The runner of statements that must not run twice: the executor itself."""
        return self

    @property
    def in_transaction(self) -> bool:
        """Whether statements run in a transaction, which an error of a statement ends."""
        return self._source.in_transaction

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the connections; statements run only in it."""
        return self._source.deadlines.loop

    @property
    def gate(self) -> asyncio.Semaphore:
        """A gate as wide as the pool, or one call wide in a transaction.

        A caller that enters it before a statement waits there without a time limit, and so never
        gets PoolTimeout because of other callers behind the same gate.
        """
        return self._source.gate

    def with_timeout(self, timeout_s: float) -> Executor:
        """Return the same executor with another time limit per call, which includes retries."""
        return self._copy(self._source, timeout_s=timeout_s, retries=self._retries)

    def _copy(
        self,
        source: Source,
        *,
        timeout_s: float | None,
        retries: Retries = NO_RETRIES,
        isolation: Isolation | None = None,
    ) -> Executor:
        """Return an executor on another source, with the same versions and settings."""
        return Executor(
            source,
            timeout_s=timeout_s,
            retries=retries,
            versions=self.versions,
            isolation=isolation or self.isolation,
            options=self.options,
            readable_tables=self.readable_tables,
            lookups=self._lookups_of_pool if source is self._source else None,
        )

    def transaction(
        self, *, isolation: Isolation | None = None, readonly: bool = False
    ) -> AbstractAsyncContextManager[Executor]:
        """Run a block in a transaction: committed at its end, rolled back by any exception.

        Raises:
            OutcomeUnknown: the connection was lost at COMMIT.
            Aborted: the server rolled back, or the block suppressed the error of a statement;
                nothing was stored.

        """
        return self._transaction(isolation, readonly=readonly, lost=OutcomeUnknown)

    async def repeat(self, block: Block[T], *, isolation: Isolation | None = None) -> T:
        """Run a block in a transaction, and retry the whole after a lost connection or a rollback.

        A connection lost at COMMIT is retried too, so the block must be repeatable. Inside a
        transaction nothing is retried, and `isolation` must be None or that of the transaction.
        """
        without_retries: Executor = self._copy(self._source, timeout_s=self._timeout_s)

        async def run() -> T:
            async with without_retries._transaction(
                isolation, readonly=False, lost=Unavailable
            ) as scope:
                return await block(scope)

        return await self._retries.run(run, limit_s=self._timeout_s, name="a transaction")

    @contextlib.asynccontextmanager
    async def _transaction(
        self,
        isolation: Isolation | None,
        *,
        readonly: bool,
        lost: type[Unavailable | OutcomeUnknown],
        is_stream: bool = False,
    ) -> AsyncGenerator[Executor]:
        """Run a block in a transaction; a connection lost at COMMIT raises `lost`."""
        transactions = Transactions(self._source, timeout_s=self._timeout_s, retries=self._retries)
        async with transactions.open(
            isolation, readonly=readonly, lost=lost, is_stream=is_stream
        ) as scope:
            yield self._copy(scope, timeout_s=self._timeout_s, isolation=isolation)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Executor]:
        """Run a block of reads on one snapshot of the database.

        Inside a transaction it is that transaction, with its isolation level.
        """
        if self._source.in_transaction:
            yield self
            return
        async with self._transaction(
            "repeatable_read", readonly=True, lost=OutcomeUnknown, is_stream=True
        ) as scope:
            yield scope

    async def cursor(
        self, query: str, /, *args: object, prefetch: int = 500, timeout: float | None = None
    ) -> AsyncIterator[asyncpg.Record]:
        """Stream rows from a server-side cursor, `prefetch` at a time.

        Outside a transaction the stream opens one, and uses its connection until the stream ends or
        is closed. `timeout` is the limit of each batch, in seconds.
        """
        source = self._source
        if not isinstance(source, TransactionScope):
            async with self._transaction(
                None, readonly=True, lost=OutcomeUnknown, is_stream=True
            ) as scope:
                async for row in scope.cursor(query, *args, prefetch=prefetch, timeout=timeout):
                    yield row
            return
        cursor = await self._run(lambda c, t: _open_cursor(c, query, args, t), timeout, query)
        while rows := await self._run(
            lambda _, t: cursor.fetch(prefetch, timeout=t), timeout, query
        ):
            for row in rows:
                source.reads += 1
                yield row


async def _open_cursor(
    connection: Connection, query: str, args: Sequence[object], timeout_s: float | None
) -> Cursor:
    """Open a cursor on an unnamed statement, which leaves no prepared statement in the session."""
    statement = await connection.prepare(query, name="", timeout=timeout_s)
    return await statement.cursor(*args, timeout=timeout_s)
