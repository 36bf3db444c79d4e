"""Transactions: BEGIN, the block, COMMIT or ROLLBACK, and the release of the connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final, Literal, get_args

import asyncpg

from agentrows.db.deadlines import TimeLimit
from agentrows.db.sources import (
    TransactionScope,
    mark_enclosing,
    release_connection,
    statement_end,
)
from agentrows.db.translation import raise_translated
from agentrows.errors import InvalidValue, OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from asyncpg.transaction import Transaction

    from agentrows.db.retries import Retries
    from agentrows.db.sources import Connection, Source

__all__ = ["Isolation", "Transactions"]

logger = logging.getLogger(__name__)

ROLLBACK_TIMEOUT_S: Final = 2.0
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
        """Run a block in a transaction, or in a savepoint if the source is a transaction.

        A connection lost at COMMIT raises `lost`. With `is_stream` the block is the body of a
        stream. Its reader may stop in the middle, so closing the client ends the transaction.
        """
        _check_isolation(isolation)
        connection, transaction = await self._retries.run(
            lambda: self._begin(isolation, readonly=readonly),
            limit_s=self._timeout_s,
            name="BEGIN",
        )
        scope = TransactionScope(connection, self._source, readonly=readonly)
        if self._source.in_transaction:
            lost = Unavailable  # the outer transaction is rolled back too
        if is_stream:
            self._source.streams.add(scope)
        try:
            try:
                try:
                    with mark_enclosing(self._source):
                        yield scope
                finally:
                    # Before COMMIT, so that no statement of another task can follow it.
                    scope.has_ended = True
                if scope.failure:
                    await self._run_command(lambda: _check_not_failed(connection), lost=Unavailable)
            except BaseException:
                await _roll_back(transaction, connection)
                raise
            await self._run_command(transaction.commit, lost=lost)
        finally:
            self._source.streams.discard(scope)
            await release_connection(self._source, connection, scope.failure)

    async def _begin(
        self, isolation: Isolation | None, *, readonly: bool
    ) -> tuple[Connection, Transaction]:
        deadline = None
        if self._timeout_s is not None:
            deadline = self._source.deadlines.now() + self._timeout_s
        connection = self._source.acquire_nowait() or await self._source.wait_for_connection(
            deadline
        )
        try:
            # The driver raises if the connection was lost after the pool delivered it.
            transaction = connection.transaction(isolation=isolation, readonly=readonly)
            await self._run_command(transaction.start, deadline, lost=Unavailable)
        except BaseException as error:
            if not self._source.in_transaction:
                # The driver would start the next transaction on it as a savepoint.
                _terminate(connection)
            await release_connection(self._source, connection, error)
            raise_translated(error, lost=Unavailable)
            raise
        return connection, transaction

    async def _run_command(
        self,
        command: Callable[[], Awaitable[object]],
        deadline: float | None = None,
        *,
        lost: type[Unavailable | OutcomeUnknown],
    ) -> None:
        """Run a command until `deadline`; the default is the time limit of a statement."""
        if deadline is None and self._timeout_s is not None:
            deadline = self._source.deadlines.now() + self._timeout_s
        try:
            with TimeLimit(self._source.deadlines, statement_end(self._source, deadline)):
                # Called inside `try`: for a closed connection the driver raises at the call.
                await command()
        except Exception as error:
            raise_translated(error, lost=lost)
            raise


def _check_isolation(value: str | None) -> None:
    if value not in (None, *get_args(Isolation)):
        raise InvalidValue(f"isolation must be one of {', '.join(get_args(Isolation))}")


async def _roll_back(transaction: Transaction, connection: Connection) -> None:
    """Roll back; if the server does not reply in time, close the connection instead.

    The time limit is needed because the server ignores a cancel request that arrives before its
    statement, and then completes the statement. The caller raises the error of the block, so a
    failed rollback is only logged.
    """
    try:
        async with asyncio.timeout(ROLLBACK_TIMEOUT_S):
            await transaction.rollback()
    except TimeoutError:
        _terminate(connection)
    except Exception:
        logger.debug(
            "ROLLBACK failed; the server rolls back when the connection ends", exc_info=True
        )


def _terminate(connection: Connection) -> None:
    """Close a connection at once, unless it was returned to an `asyncpg.Pool`."""
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _check_not_failed(connection: Connection) -> None:
    """Raise the server's error for a failed transaction, which COMMIT would silently roll back."""
    savepoint = connection.transaction()
    await savepoint.start()
    await savepoint.rollback()
