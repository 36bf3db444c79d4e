"""Where statements run: on a pool, or on the one connection of a transaction.

This is the only border at which the driver's errors become ours. A statement is declared
*repeatable* (running it twice does no harm) or *once*, which decides what a lost connection
means: `db.repeatable.fetch(…)` raises Unavailable, `db.once.fetch(…)` raises OutcomeUnknown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from agentrows.db.batches import send_rows
from agentrows.db.deadlines import Until
from agentrows.db.retries import NO_RETRIES
from agentrows.db.sources import TransactionScope, give_back, statement_end
from agentrows.db.transactions import Isolation, Transactions
from agentrows.db.translation import call_name, raise_ours
from agentrows.db.unreadable import is_unreadable, raise_unreadable
from agentrows.errors import AgentRowsError, OutcomeUnknown, Unavailable

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

    import asyncpg
    from asyncpg.cursor import Cursor

    from agentrows.db.retries import Retries
    from agentrows.db.sources import Connection, Source

__all__ = ["Executor", "Isolation", "Statements"]

T = TypeVar("T")
Call: TypeAlias = "Callable[[Connection, float | None], Awaitable[T]]"
Block: TypeAlias = "Callable[[Executor], Awaitable[T]]"


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
        self._now = source.deadlines.now
        self._timeout_s = timeout_s
        self._retries = retries
        may_have_happened = not (repeatable or source.in_transaction)
        self._lost = OutcomeUnknown if may_have_happened else Unavailable

    async def execute(self, query: str, /, *args: object, timeout: float | None = None) -> str:
        """Run a statement and return the server's command tag."""
        return await self._run(lambda c, t: c.execute(query, *args, timeout=t), timeout, query)

    async def executemany(
        self, command: str, args: Iterable[Sequence[object]], /, *, timeout: float | None = None
    ) -> None:
        """Run a statement for each sequence of arguments, all or nothing."""
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
        return await self._run(lambda c, t: c.fetchrow(query, *args, timeout=t), timeout, query)

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
        """Load records into a table by COPY, all or nothing."""
        return await self._run_with(
            records,
            lambda c, t: c.copy_records_to_table(
                table_name, records=records, columns=columns, schema_name=schema_name, timeout=t
            ),
            timeout,
            f"COPY {table_name}",
        )

    async def _run(self, call: Call[T], timeout_s: float | None, query: str) -> T:
        """Run a statement, and again where that is allowed; the cost of a call is here."""
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        started = self._now()
        deadline = None if limit_s is None else started + limit_s
        try:
            return await self._attempt(call, deadline, query)
        except AgentRowsError as error:
            if self._retries.gives_up(error, limit_s):
                raise
            first = error
        return await self._retries.again(
            partial(self._attempt, call, deadline, query),
            first,
            started=started,
            limit_s=limit_s,
            name=call_name(query),
        )

    async def _run_with(
        self, rows: object, call: Call[T], timeout_s: float | None, query: str
    ) -> T:
        """Run a statement on rows; again only where they are all there a second time."""
        if isinstance(rows, Collection):
            return await self._run(call, timeout_s, query)
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        return await self._attempt(call, None if limit_s is None else self._now() + limit_s, query)

    async def _attempt(self, call: Call[T], deadline: float | None, query: str) -> T:
        source = self._source
        connection = source.take() or await source.wait(deadline)
        try:
            with Until(source.deadlines, statement_end(source, deadline)):
                result = await call(connection, source.left(deadline))
        except BaseException as error:
            if is_unreadable(error, query):
                may_repeat = self._lost is Unavailable and not source.in_transaction
                left_s = statement_end(source, deadline) - self._now()
                try:
                    await raise_unreadable(
                        error, query, connection, call, limit_s=left_s if may_repeat else 0
                    )
                finally:
                    await give_back(source, connection, None)
            await give_back(source, connection, error)
            raise_ours(error, query, connection, lost=self._lost, readonly=source.readonly)
            raise
        if chore := source.release(connection):
            await chore
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

    async def repeat(self, block: Block[T], *, isolation: Isolation | None = None) -> T:
        """Run a block in a transaction, and again when it was lost (at COMMIT too) or undone.

        Inside a transaction nothing is tried again, and `isolation` must be None or its own.
        """
        one_try = Executor(
            self._source,
            timeout_s=self._timeout_s,
            versions=self.versions,
            isolation=self.isolation,
        )

        async def run() -> T:
            async with one_try._transaction(isolation, readonly=False, lost=Unavailable) as scope:
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
        """Run a block in a transaction; `lost` is what it means that COMMIT was."""
        transactions = Transactions(self._source, timeout_s=self._timeout_s, retries=self._retries)
        async with transactions.open(
            isolation, readonly=readonly, lost=lost, is_stream=is_stream
        ) as scope:
            yield Executor(
                scope,
                timeout_s=self._timeout_s,
                versions=self.versions,
                isolation=isolation or self.isolation,
            )

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Executor]:
        """Run a block whose statements all see one moment; they only read.

        Inside of a transaction it is that one, which sees what its isolation lets it see.
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

        Outside a transaction the stream holds a connection, and a transaction of its own, until
        it ends or is closed. `timeout` bounds each batch, in seconds.
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
    """Open a cursor on a statement without a name, which leaves nothing behind in its session."""
    statement = await connection.prepare(query, name="", timeout=timeout_s)
    return await statement.cursor(*args, timeout=timeout_s)
