"""Transactions: BEGIN, the block, COMMIT or ROLLBACK, and the return of the connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final, Literal, get_args

import asyncpg

from agentrows.db.deadlines import Until
from agentrows.db.sources import (
    TransactionScope,
    enclosing,
    give_back,
    statement_end,
)
from agentrows.db.translation import raise_ours
from agentrows.errors import InvalidValue, OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from asyncpg.transaction import Transaction

    from agentrows.db.retries import Retries
    from agentrows.db.sources import Connection, Source

__all__ = ["Isolation", "Transactions"]

logger = logging.getLogger(__name__)

UNDO_TIMEOUT_S: Final = 2.0
Isolation = Literal["read_committed", "repeatable_read", "serializable"]


class Transactions:
    """Begins and ends transactions on the connections of a source."""

    def __init__(self, source: Source, *, timeout_s: float | None, retries: Retries) -> None:
        self._source = source
        self._timeout_s = timeout_s
        self._retries = retries

    @contextlib.asynccontextmanager
    async def open(
        self,
        isolation: Isolation | None,
        *,
        readonly: bool,
        lost: type[Unavailable | OutcomeUnknown],
        is_stream: bool = False,
    ) -> AsyncGenerator[TransactionScope]:
        """Run a block in a transaction, or in a savepoint of the one that the source is.

        A connection lost at COMMIT raises `lost`. The block of a stream may be left open for good
        by its reader.
        """
        _check_isolation(isolation)
        connection, transaction = await self._retries.run(
            lambda: self._begin(isolation, readonly=readonly),
            limit_s=self._timeout_s,
            name="BEGIN",
        )
        scope = TransactionScope(connection, self._source, readonly=readonly)
        if self._source.in_transaction:
            lost = Unavailable  # with the transaction around it
        if is_stream:
            self._source.streams.add(scope)
        try:
            try:
                try:
                    with enclosing(self._source):
                        yield scope
                finally:
                    scope.has_ended = True  # first, or another task's statement came after COMMIT
                if scope.failure:
                    await self._run_command(lambda: _probe(connection), lost=Unavailable)
            except BaseException:
                await _undo(transaction, connection)
                raise
            await self._run_command(transaction.commit, lost=lost)
        finally:
            self._source.streams.discard(scope)
            await give_back(self._source, connection, scope.failure)

    async def _begin(
        self, isolation: Isolation | None, *, readonly: bool
    ) -> tuple[Connection, Transaction]:
        deadline = None
        if self._timeout_s is not None:
            deadline = self._source.deadlines.now() + self._timeout_s
        connection = self._source.take() or await self._source.wait(deadline)
        try:
            # The driver refuses a connection that was lost since the pool handed it over.
            transaction = connection.transaction(isolation=isolation, readonly=readonly)
            await self._run_command(transaction.start, deadline, lost=Unavailable)
        except BaseException as error:
            if not self._source.in_transaction:
                _terminate(connection)  # the driver would take the next one for a savepoint
            await give_back(self._source, connection, error)
            raise_ours(error, lost=Unavailable)
            raise
        return connection, transaction

    async def _run_command(
        self,
        command: Callable[[], Awaitable[object]],
        deadline: float | None = None,
        *,
        lost: type[Unavailable | OutcomeUnknown],
    ) -> None:
        """Run a command of a transaction until a deadline, or within the limit of a statement."""
        if deadline is None and self._timeout_s is not None:
            deadline = self._source.deadlines.now() + self._timeout_s
        try:
            with Until(self._source.deadlines, statement_end(self._source, deadline)):
                await command()  # the driver refuses a closed connection without a coroutine
        except Exception as error:
            raise_ours(error, lost=lost)
            raise


def _check_isolation(value: str | None) -> None:
    if value not in (None, *get_args(Isolation)):
        raise InvalidValue(f"isolation must be one of {', '.join(get_args(Isolation))}")


async def _undo(transaction: Transaction, connection: Connection) -> None:
    """Roll back; if the server does not answer in time, close the connection, which undoes it too.

    The server ignores a cancel request that overtakes its statement, and runs the statement to its
    end. The error that ended the block is the one to raise, so a failed rollback is only logged.
    """
    try:
        async with asyncio.timeout(UNDO_TIMEOUT_S):
            await transaction.rollback()
    except TimeoutError:
        _terminate(connection)
    except Exception:
        logger.debug("ROLLBACK failed; the server undoes the transaction itself", exc_info=True)


def _terminate(connection: Connection) -> None:
    """Close a connection at once; a pool of the driver's may have taken it back already."""
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _probe(connection: Connection) -> None:
    """Raise the server's error for a failed transaction; COMMIT would silently roll it back."""
    savepoint = connection.transaction()
    await savepoint.start()
    await savepoint.rollback()
