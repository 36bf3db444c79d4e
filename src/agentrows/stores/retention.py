"""Retention: one method that removes the rows that are old, expired or marked as deleted."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from agentrows.errors import InvalidValue
from agentrows.stores._isolation import check_read_committed
from agentrows.stores._retention import BATCH_SIZE, Batch, run_batches
from agentrows.stores._retention_rules import PRUNE_TABLES, RULES, PruneTable, find_obstacle
from agentrows.stores._row_security import read_access_scope
from agentrows.stores._session_retention import THREADS
from agentrows.validation import (
    check_batch_size,
    check_choice,
    check_flag,
    check_limit,
    check_progress,
    check_retention,
    check_texts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agentrows.db.executor import Executor
    from agentrows.stores._retention import Removed, Step
    from agentrows.stores._retention_rules import Rule

__all__ = ["PruneProgress", "PruneReport", "PruneTable", "RetentionStore"]

LARGEST_BATCH: Final = 100_000


class PruneProgress(NamedTuple):
    """The progress of a prune, after each batch."""

    table: PruneTable
    """The table whose rules are being applied."""
    rows: int
    """The number of rows that the run has removed so far, in all tables."""


@dataclass(frozen=True, slots=True)
class PruneReport:
    """The result of a prune."""

    rows: Mapping[str, int]
    """The number of removed rows of each table; other tables than those asked for have rows of
    removed parents."""
    skipped: Mapping[PruneTable, str]
    """The tables with a rule that this database does not allow, each with the reason."""
    extended_memories: int
    """Expired memories that were read at least 10 times, and now expire 15 days later."""
    is_complete: bool
    """Whether the run reached its end, and not `max_rows` or `time_limit`."""
    is_dry_run: bool
    """Whether the rows were counted and not removed."""

    @property
    def total(self) -> int:
        """The number of removed rows in all tables."""
        return sum(self.rows.values())


@dataclass(frozen=True)
class RetentionStore:
    """Removes the rows of all users that are old, expired or marked as deleted."""

    db: Executor

    async def prune(
        self,
        older_than: timedelta,
        *,
        tables: Iterable[PruneTable] | None = None,
        dry_run: bool = False,
        batch_size: int = BATCH_SIZE,
        max_rows: int | None = None,
        time_limit: timedelta | None = None,
        on_progress: Callable[[PruneProgress], None] | None = None,
    ) -> PruneReport:
        """Remove the rows of all users that are old, expired or marked as deleted.

        `tables` are the tables to prune, or all with None; docs/operations.md has their rules. No
        rule removes a live event of a stored session without the session. Rows that belong to a
        removed row go with it. An `older_than` of zero or less removes nothing.

        Rows are removed in batches of about `batch_size` (1 to 100,000), each in a short
        transaction; rows in use by another transaction are skipped. Between two batches no
        connection is in use. The run ends after the batch that reaches `max_rows` or `time_limit`.
        The batches before an error or a cancellation are committed; the next run continues.
        `on_progress` is called after each batch.

        Returns the number of removed rows by table. `dry_run` counts them and removes none; a row
        to which two rules apply is counted twice. Inside a transaction all batches are part of it.

        Raises:
            ConfigError: policies hide every row (agentrows.unscoped).
            InvalidValue: called inside `as_user`, or in a transaction that is not read committed.

        """
        check_retention("older_than", older_than)
        check_flag("dry_run", dry_run)
        check_batch_size("batch_size", batch_size, LARGEST_BATCH)
        check_progress("on_progress", on_progress)
        limits = _Limits.check(max_rows, time_limit)
        names = _check_tables("tables", tables)
        run = _Run(self.db, Batch(older_than, batch_size, dry_run=dry_run), limits, on_progress)
        if older_than > timedelta(0):
            await run.apply_rules(names)
        return run.report()


@dataclass(frozen=True, slots=True)
class _Limits:
    """The limits of a run: a number of rows, and a point in time."""

    max_rows: int | None
    end: float | None

    @classmethod
    def check(cls, max_rows: int | None, time_limit: timedelta | None) -> _Limits:
        """Return the checked limits; the time starts now."""
        check_limit("max_rows", max_rows)
        if time_limit is None:
            return cls(max_rows, None)
        if check_retention("time_limit", time_limit) <= timedelta(0):
            raise InvalidValue("time_limit must be positive")
        return cls(max_rows, time.monotonic() + time_limit.total_seconds())

    def are_reached(self, rows: int) -> bool:
        """Whether a run that has removed so many rows must end."""
        return (self.max_rows is not None and rows >= self.max_rows) or (
            self.end is not None and time.monotonic() >= self.end
        )


@dataclass(slots=True)
class _Run:
    """A run of a prune, and its counts so far. `batch` has the largest size of a batch."""

    db: Executor
    batch: Batch
    limits: _Limits
    on_progress: Callable[[PruneProgress], None] | None
    rows: Counter[str] = field(default_factory=Counter[str])
    skipped: dict[PruneTable, str] = field(default_factory=dict["PruneTable", str])
    extended: int = 0
    is_complete: bool = True

    async def apply_rules(self, tables: Sequence[PruneTable]) -> None:
        """Apply the rules of these tables, until the end or a limit."""
        access = await read_access_scope(self.db.repeatable, "prune")
        if self.db.in_transaction and not self.batch.dry_run:
            check_read_committed(access.isolation, "prune")
        for rule in RULES:
            if rule.table not in tables:
                continue
            if obstacle := find_obstacle(self.db, rule, access):
                self.skipped[rule.table] = obstacle
                continue
            if not await self._apply(rule, rule.build(access)):
                self.is_complete = False
                return

    async def _apply(self, rule: Rule, step: Step) -> bool:
        """Run the batches of a rule; return whether no limit was reached."""
        self.rows[rule.table] += 0
        goal = self.batch.size
        batches = run_batches(
            self.db, step, replace(self.batch, size=min(rule.first_size, goal)), goal=goal
        )
        async with contextlib.aclosing(batches):
            async for removed in batches:
                self._add(removed)
                if self.on_progress:
                    self.on_progress(PruneProgress(rule.table, self.rows.total()))
                if self.limits.are_reached(self.rows.total()):
                    return False
        return True

    def _add(self, removed: Removed) -> None:
        removed.rows.pop(THREADS, None)
        self.rows.update(removed.rows)
        self.extended += removed.extended

    def report(self) -> PruneReport:
        """Return the result so far; tables with rows alone, and those that were asked for."""
        return PruneReport(
            rows=dict(self.rows),
            skipped=self.skipped,
            extended_memories=self.extended,
            is_complete=self.is_complete,
            is_dry_run=self.batch.dry_run,
        )


def _check_tables(name: str, tables: Iterable[PruneTable] | None) -> Sequence[PruneTable]:
    if tables is None:
        return PRUNE_TABLES
    names = check_texts(name, tables)
    for index, table in enumerate(names):
        check_choice(f"{name}[{index}]", table, PRUNE_TABLES)
    return cast("list[PruneTable]", names)
