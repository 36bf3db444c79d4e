"""Look-ups that wait for a connection of the pool, run together as one statement over arrays.

A look-up is a repeatable statement that returns at most one row. Each waits in the pool's queue as
any call does. The first one to get a connection takes the waiting look-ups of its kind out of the
queue and runs the batch statement for all of them; each caller then gets its own row. With a free
connection no look-up waits, so nothing is merged.

The batch statement has an array in place of each argument. Its rows are those of the look-up with
one more column at the end: the number of the look-up in the arrays, from 1.

A lost connection raises Unavailable in each caller, as it does without a batch. After any other
error of a batch each look-up runs alone, so the error of one never reaches another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agentrows.db.deadlines import TimeLimit
from agentrows.db.sources import statement_end
from agentrows.db.translation import raise_translated
from agentrows.errors import Unavailable, translate

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

    from agentrows.db.pool import ConnectionPool
    from agentrows.db.sources import Connection
    from agentrows.db.waiters import Waiter

__all__ = ["LookupBatches", "Reply"]

MOST_LOOKUPS: Final = 250
"""The largest number of look-ups in a batch; all of their rows are in memory at the same time."""
MOST_BYTES: Final = 65_536
"""The largest size of a batch's arguments, texts counted in characters."""


class TakenIntoBatch(Exception):
    """The look-up leaves the queue, because another one runs it in its batch."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The row of one look-up, None without one; or the error of its batch."""

    row: asyncpg.Record | None = None
    error: BaseException | None = None


@dataclass(eq=False, slots=True)
class Lookup:
    """A waiting look-up: its entry in the pool's queue, and the batch that runs it."""

    args: tuple[object, ...]
    deadline: float | None
    reply: asyncio.Future[Reply]
    waiter: Waiter | None = None
    batch: Batch | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the look-up still waits for a connection."""
        return self.waiter is not None and not self.waiter.future.done()

    @property
    def size(self) -> int:
        """The size of the arguments: characters of texts, 8 for each other value."""
        return sum(len(arg) if isinstance(arg, (str, bytes)) else 8 for arg in self.args)


@dataclass(eq=False, slots=True)
class Batch:
    """The look-ups of one statement, and the number of callers that still wait for it."""

    query: str
    lookups: list[Lookup]
    callers: int
    task: asyncio.Task[None] | None = None
    has_started: bool = False

    def leave(self) -> None:
        """Count one caller less; without callers the statement is cancelled."""
        self.callers -= 1
        # A task that is cancelled before its start would never release the connection.
        if not self.callers and self.has_started and self.task is not None:
            self.task.cancel()

    def reply(self, replies: list[Reply]) -> None:
        """Give each caller its reply."""
        for lookup, reply in zip(self.lookups, replies, strict=True):
            if not lookup.reply.done():
                lookup.reply.set_result(reply)


@dataclass(eq=False)
class LookupBatches:
    """Batches of the look-ups of a pool.

    `statements` contains the batch statement of each look-up that may run in one.
    """

    pool: ConnectionPool
    statements: Mapping[str, str]
    _waiting: dict[str, deque[Lookup]] = field(default_factory=dict[str, deque[Lookup]])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])

    async def wait(
        self, query: str, args: tuple[object, ...], deadline: float | None
    ) -> Connection | Reply:
        """Wait for a connection, and return it or the reply of a batch with this look-up.

        Called after `acquire_nowait` of the pool returned None. The errors are those of the pool's
        `wait_for_connection`, and those of a statement that loses its connection or reaches its
        time limit.
        """
        lookup = Lookup(args, deadline, self.pool.deadlines.loop.create_future())
        waiting = self._waiting.setdefault(query, deque())
        waiting.append(lookup)
        try:
            connection = await self.pool.wait_for_connection(deadline, lookup)
        except TakenIntoBatch:
            pass
        except BaseException:
            if lookup.batch is not None:  # taken and cancelled at the same time
                lookup.batch.leave()
            _drop_ended(waiting)
            raise
        else:
            lookups = [lookup, *_take(waiting, lookup.size)]
            if len(lookups) == 1:
                return connection
            self._start(Batch(query, lookups, callers=len(lookups)), connection)
        return await self._receive(lookup, query)

    def _start(self, batch: Batch, connection: Connection) -> None:
        for lookup in batch.lookups:
            lookup.batch = batch
        batch.task = task = self.pool.deadlines.loop.create_task(self._run(batch, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _receive(self, lookup: Lookup, query: str) -> Connection | Reply:
        """Return the reply to a look-up, or a connection to run it alone after an error."""
        try:
            with TimeLimit(self.pool.deadlines, statement_end(self.pool, lookup.deadline)):
                reply = await lookup.reply
        except BaseException as error:
            if lookup.batch is not None:
                lookup.batch.leave()
            raise_translated(error, query, lost=Unavailable)
            raise
        if reply.error is None:
            return reply
        if isinstance(translate(reply.error), Unavailable):
            raise_translated(reply.error, query, lost=Unavailable)
        return await self.pool.acquire(lookup.deadline)

    async def _run(self, batch: Batch, connection: Connection) -> None:
        """Run the statement of a batch, and release its connection."""
        batch.has_started = True
        if not batch.callers:
            self.pool.release(connection)
            return
        arrays = [
            list(values) for values in zip(*(lookup.args for lookup in batch.lookups), strict=True)
        ]
        end = max(statement_end(self.pool, lookup.deadline) for lookup in batch.lookups)
        try:
            with TimeLimit(self.pool.deadlines, end):
                rows = await connection.fetch(self.statements[batch.query], *arrays)
        except BaseException as error:
            self.pool.release(connection, error)
            batch.reply([Reply(error=error)] * len(batch.lookups))
            if not isinstance(error, (Exception, asyncio.CancelledError)):
                raise
        else:
            self.pool.release(connection)
            batch.reply(_replies(rows, len(batch.lookups)))


def _replies(rows: list[asyncpg.Record], count: int) -> list[Reply]:
    """Return the first row of each look-up; the last column is its number."""
    found: list[asyncpg.Record | None] = [None] * count
    for row in reversed(rows):
        found[row[-1] - 1] = row
    return [Reply(row) for row in found]


def _take(waiting: deque[Lookup], size: int) -> list[Lookup]:
    """Take the look-ups that fit into a batch, beside one of this size, out of the pool's queue."""
    taken: list[Lookup] = []
    while waiting and len(taken) < MOST_LOOKUPS - 1:
        lookup = waiting[0]
        if lookup.waiter is not None and lookup.is_waiting:
            size += lookup.size
            if size > MOST_BYTES:
                break
            lookup.waiter.fail(TakenIntoBatch())
            taken.append(lookup)
        waiting.popleft()
    return taken


def _drop_ended(waiting: deque[Lookup]) -> None:
    while waiting and not waiting[0].is_waiting:
        waiting.popleft()
