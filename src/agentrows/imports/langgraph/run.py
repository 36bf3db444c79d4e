"""A run, which compares both databases, stores what is missing, and verifies the result.

A batch is one transaction: checkpoints with their values and writes, the oldest first. The next run
continues one that was interrupted, even by `kill -9`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from agentrows.errors import InvalidValue, UnreadableRow
from agentrows.imports.langgraph.batches import read_batches
from agentrows.imports.langgraph.comparison import Group, compare
from agentrows.imports.langgraph.report import ImportProgress, ImportReport, Refused, Skipped
from agentrows.imports.langgraph.rows import import_blob
from agentrows.imports.langgraph.source import ValueKey
from agentrows.imports.langgraph.verification import Sample, find_different
from agentrows.imports.owners import MetadataOwner, NoOwner, find_owner

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator

    from agentrows.client import PostgresClient, Stores
    from agentrows.gen.models import (
        ImportedCheckpoint,
        ImportedValue,
        ImportedWrite,
        SourceThread,
    )
    from agentrows.imports.langgraph.batches import Batch
    from agentrows.imports.langgraph.comparison import Comparison
    from agentrows.imports.langgraph.source import LangGraphSource
    from agentrows.imports.owners import Owner
    from agentrows.stores.thread_imports import ImportedRows

__all__ = ["LangGraphImport"]

T = TypeVar("T")
THREADS_PER_PAGE: Final = 500
CHECKPOINTS_PER_GROUP: Final = 1000
"""Threads of one owner form a group until it has this number of checkpoints."""


@dataclass(frozen=True)
class LangGraphImport:
    """One run: `report = await LangGraphImport(client, source, owner=OneOwner("mira")).run()`."""

    client: PostgresClient
    source: LangGraphSource
    owner: Owner
    row_security: bool = False
    """Whether the statements on the target run in `client.call_as_user`."""
    on_progress: Callable[[ImportProgress], None] | None = None

    async def run(self, *, dry_run: bool = False) -> ImportReport:
        """Copy the threads and verify the copy; with `dry_run`, only count the differences.

        Raises:
            ConfigError: the source has no tables of langgraph-checkpoint-postgres.
            SchemaBehind: a migration is missing, here or in the source.
            Unavailable: a database cannot be reached.

        """
        report = ImportReport(await self.source.count_rows(), dry_run)
        async for group in self._groups(report, "compared" if dry_run else "copied"):
            comparison = await self._compare(group)
            report.threads += len(group.thread_ids)
            report.checkpoints += len(comparison.times)
            report.writes += comparison.writes
            report.kept |= comparison.kept
            report.incomplete += len(comparison.unequal | comparison.replaced_writes)
            if not dry_run:
                await self._store(group, comparison, report)
        if not dry_run:
            await self._verify(report)
        return report

    async def _compare(self, group: Group) -> Comparison:
        return await self._call_target(
            group.user_id, lambda target: compare(self.source, target, group)
        )

    async def _call_target(
        self, user_id: str, function: Callable[[Stores], Coroutine[Any, Any, T]]
    ) -> T:
        """Call a function with the stores of the target, restricted under row-level security.

        After a rollback by the server it is called again there, as the stores do it otherwise.
        """
        if self.row_security:
            return await self.client.call_as_user(user_id, function)
        return await function(self.client)

    async def _groups(self, report: ImportReport, phase: str) -> AsyncGenerator[Group]:
        """Yield the threads of the source by owner, and report each thread without one."""
        done, after, total = 0, None, report.source.checkpoints
        key = self.owner.key if isinstance(self.owner, MetadataOwner) else None
        report.skipped.clear()
        self._tell(phase, 0, total)
        while page := await self.source.list_threads(
            after=after, limit=THREADS_PER_PAGE, owner_key=key
        ):
            threads: dict[str, list[SourceThread]] = defaultdict(list)
            for thread in page:
                try:
                    user_id = await find_owner(self.owner, thread)
                    threads[user_id].append(thread)
                except NoOwner as error:
                    skipped = Skipped(thread.thread_id, thread.checkpoints, str(error))
                    report.skipped.append(skipped)
                    done += thread.checkpoints
            for group in _group_threads(threads):
                yield group
                done += group.checkpoints
                self._tell(phase, done, total)
            after = page[-1].thread_id
        self._tell(phase, total, total)

    def _tell(self, phase: str, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(ImportProgress(phase, min(done, total), total))

    async def _store(self, group: Group, comparison: Comparison, report: ImportReport) -> None:
        """Store the checkpoints and writes that are missing or different."""
        stored: set[ValueKey] = set()
        keys = sorted(comparison.unequal | comparison.replaced_writes, key=comparison.position)
        async for batch in read_batches(self.source, keys, comparison.sizes, stored):
            try:
                await self._store_batch(group, comparison, report, batch)
            except InvalidValue:
                for single in batch.split():
                    try:
                        await self._store_batch(group, comparison, report, single)
                    except InvalidValue as error:
                        report.refused.append(Refused(single.keys[0], str(error)))
            else:
                stored |= batch.blobs | batch.inline.keys()

    async def _store_batch(
        self, group: Group, comparison: Comparison, report: ImportReport, batch: Batch
    ) -> None:
        """Store a batch in one transaction, again with the values that were missing for it."""
        checkpoints, writes = batch.rows(comparison)
        inline, blobs = batch.inline, batch.blobs
        while True:
            values = [
                *inline.values(),
                *(import_blob(row) for row in await self.source.read_values(blobs)),
            ]
            store = partial(_import_rows, group.user_id, checkpoints, values, writes)
            result = await self._call_target(group.user_id, store)
            if not result.missing:
                report.stored_checkpoints += result.checkpoints
                report.stored_values += result.values
                report.stored_writes += result.writes
                return
            # Swept here since an earlier batch stored them, or removed from the source meanwhile.
            missing = {
                ValueKey(key.thread_id, key.checkpoint_ns, key.channel, key.version)
                for key in result.missing
            }
            if missing <= blobs | inline.keys():
                raise UnreadableRow(
                    f"the source database: {len(missing)} values of thread "
                    f"{result.missing[0].thread_id!r} disappeared; stop its applications, then "
                    "run the command again"
                )
            inline = {**inline, **batch.all_inline(missing)}
            blobs = blobs | missing - inline.keys()

    async def _verify(self, report: ImportReport) -> None:
        """Compare the keys of both databases again, and the bytes of a sample."""
        sample = Sample()
        refused = {key for key, _ in report.refused}
        async for group in self._groups(report, "verified"):
            comparison = await self._compare(group)
            report.missing += sorted(comparison.unequal - refused)
            report.kept |= comparison.kept | comparison.replaced_writes
            for key in sorted(comparison.equal):
                sample.offer(group.user_id, key)
        report.compared = len(sample)
        for user_id, keys in sample.by_user().items():
            find = partial(find_different, self.source, user_id=user_id, keys=keys)
            report.different += await self._call_target(user_id, find)


async def _import_rows(
    user_id: str,
    checkpoints: list[ImportedCheckpoint],
    values: list[ImportedValue],
    writes: list[ImportedWrite],
    target: Stores,
) -> ImportedRows:
    return await target.import_threads(checkpoints, user_id=user_id, values=values, writes=writes)


def _group_threads(threads: dict[str, list[SourceThread]]) -> Iterator[Group]:
    """Yield groups of threads of one owner."""
    for user_id, owned in threads.items():
        ids: list[str] = []
        checkpoints = 0
        for thread in owned:
            if ids and checkpoints + thread.checkpoints > CHECKPOINTS_PER_GROUP:
                yield Group(user_id, ids, checkpoints)
                ids, checkpoints = [], 0
            ids.append(thread.thread_id)
            checkpoints += thread.checkpoints
        yield Group(user_id, ids, checkpoints)
