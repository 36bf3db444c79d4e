"""Removal of rows in batches: the loop that all prunes share.

A step removes one batch in one short transaction and returns the position of the next batch. A step
that depends on several tables lists candidates, locks them and deletes those that still qualify, in
three statements with a new snapshot each, so that activity before the locks keeps a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from agentrows.stores._isolation import choose_isolation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import timedelta

    from agentrows.db.executor import Executor

BATCH_SIZE: Final = 1000
"""Rows that one transaction of a prune removes, about."""
FIRST_PARENTS: Final = 10
"""Sessions or threads in the first batch of a step: each has an unknown number of rows."""
Position: TypeAlias = tuple[str, ...]
"""The key after which a batch starts; empty for the first one."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The bounds of one batch: `size` is the number of parents, or of rows without any."""

    retention: timedelta
    size: int = BATCH_SIZE
    after: Position = ()
    dry_run: bool = False

    def next_id(self, number: int = 1) -> tuple[str, ...]:
        """Return the key after which the batch starts, as `number` texts."""
        return self.after or ("",) * number


@dataclass(frozen=True, slots=True)
class Removed:
    """The rows that a batch removed, by table; `after` is None if no batch follows."""

    rows: Counter[str] = field(default_factory=Counter[str])
    after: Position | None = None
    extended: int = 0


Step: TypeAlias = Callable[["Executor", Batch], Awaitable[Removed]]


async def run_batches(
    db: Executor, step: Step, batch: Batch, *, goal: int
) -> AsyncGenerator[Removed]:
    """Run the batches of a step one after another; yield the result of each.

    The size of a batch changes so that it removes about `goal` rows: a parent has any number of
    them, and the locks of a batch end with its transaction.
    """

    async def run(scope: Executor) -> Removed:
        return await step(scope, batch)

    while True:
        # Between batches no connection is in use.
        removed = await db.repeat(run, isolation=choose_isolation(db))
        yield removed
        if removed.after is None:
            return
        size = _next_size(batch.size, removed.rows.total(), goal)
        batch = replace(batch, after=removed.after, size=size)


async def run_all_batches(db: Executor, step: Step, batch: Batch, *, goal: int) -> Removed:
    """Run the batches of a step; return the sum of their results."""
    rows: Counter[str] = Counter()
    extended = 0
    async for removed in run_batches(db, step, batch, goal=goal):
        rows.update(removed.rows)
        extended += removed.extended
    return Removed(rows, None, extended)


def _next_size(size: int, rows: int, goal: int) -> int:
    """Return the size of the next batch, after one of `size` removed so many rows."""
    if rows > goal:
        return max(1, size * goal // rows)
    return min(goal, size * 2) if rows < goal // 2 else size
