"""Reads and writes of a store: concurrent ones are merged, each on the rows of one user."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from agentrows.langgraph.coalesce import CallMerger
from agentrows.langgraph.filters import conditions_of
from agentrows.langgraph.items import Write, decode_hit, decode_item, labels_of, path_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from langgraph.store.base import GetOp, Item, ListNamespacesOp, Result, SearchOp, TTLConfig

    from agentrows import StoreHit, StoreItem, Stores
    from agentrows.bridge import CallRunner
    from agentrows.langgraph.embeddings import TextIndex
    from agentrows.langgraph.operations import NewPut, OperationPlan

__all__ = ["StoreCalls"]

MOST_RUNS: Final = 4
"""Statements of a kind for one user at a time; more calls are merged, as the next one."""


class StoreCalls:
    """Executes the operations of batches.

    Gets and writes of concurrent batches are merged by their user. A get that is alone in its run
    is a look-up, which the client merges with those of other users while they wait for a
    connection. A search is a call of its own, so no other call waits for it.
    """

    def __init__(self, calls: CallRunner, index: TextIndex | None, ttl: TTLConfig | None) -> None:
        self._calls = calls
        self._index = index
        self._ttl = ttl
        self._gets: CallMerger[str, GetOp, Item | None] = CallMerger(self._get, most_runs=MOST_RUNS)
        self._writes: CallMerger[str, Write, None] = CallMerger(
            self._write,
            most_runs=MOST_RUNS,
            size_of=lambda write: write.size,
            name_of=lambda write: write.key,
        )

    @property
    def _with_expired(self) -> bool:
        # Read for each call, because LangGraph's configuration can be changed.
        return not (self._ttl or {}).get("omit_expired", False)

    async def execute(self, plan: OperationPlan, count: int) -> list[Result]:
        """Return the results of a batch of `count` operations; its reads come before its writes."""
        results: list[Result] = [None] * count
        if plan.gets or plan.searches or plan.listings:
            await _run_all(
                [
                    *(self._fill_gets(user, gets, results) for user, gets in plan.gets.items()),
                    *(self._fill_search(*search, results) for search in plan.searches),
                    *(self._fill_namespaces(*listing, results) for listing in plan.listings),
                ]
            )
        if plan.puts:
            await self._store(plan.puts)
        return results

    async def _fill_gets(
        self, user: str, gets: Sequence[tuple[int, GetOp]], results: list[Result]
    ) -> None:
        items = await self._gets.submit(user, [op for _, op in gets])
        for (place, _), item in zip(gets, items, strict=True):
            results[place] = item

    async def _get(self, user: str, ops: list[GetOp]) -> list[Item | None]:
        """Return the items of gets of one user."""
        if len(ops) == 1 and self._calls.merges_lookups:
            return [await self._find(user, ops[0])]
        keys = [(path_of(op.namespace), op.key) for op in ops]
        refreshed = {key for key, op in zip(keys, ops, strict=True) if op.refresh_ttl}

        async def get(stores: Stores) -> list[StoreItem]:
            rows = await stores.list_store_items(
                keys, user_id=user, with_expired=self._with_expired
            )
            await _refresh(stores, user, [r for r in rows if (r.namespace, r.key) in refreshed])
            return rows

        rows = {(row.namespace, row.key): row for row in await self._calls.run(user, get)}
        return [decode_item(rows[key]) if key in rows else None for key in keys]

    async def _find(self, user: str, op: GetOp) -> Item | None:
        """Return the item of a get by a look-up, which may run with those of other users."""
        row = await self._calls.look_up(
            lambda stores: stores.find_store_item(
                op.key,
                user_id=user,
                namespace=path_of(op.namespace),
                with_expired=self._with_expired,
            )
        )
        if row is None:
            return None
        if op.refresh_ttl and row.ttl_s is not None:
            await self._calls.run(user, lambda stores: _refresh(stores, user, [row]))
        return decode_item(row)

    async def _fill_search(
        self, place: int, user: str, op: SearchOp, results: list[Result]
    ) -> None:
        conditions = conditions_of(op.filter)
        path = path_of(op.namespace_prefix)
        embedding = None
        if op.limit <= 0:
            results[place] = []
            return
        if self._index is not None and op.query:
            embedding = await self._index.embed_query(op.query)

        async def search(stores: Stores) -> Sequence[StoreItem | StoreHit]:
            rows: Sequence[StoreItem | StoreHit]
            if embedding is None or self._index is None:
                rows = await stores.search_store_items(
                    user_id=user,
                    namespace=path,
                    conditions=conditions,
                    limit=op.limit,
                    offset=op.offset,
                    with_expired=self._with_expired,
                )
            else:
                rows = await stores.search_store_vectors(
                    embedding,
                    user_id=user,
                    space=self._index.space,
                    namespace=path,
                    metric=self._index.metric,
                    conditions=conditions,
                    limit=op.limit,
                    offset=op.offset,
                    with_expired=self._with_expired,
                )
            await _refresh(stores, user, rows if op.refresh_ttl else ())
            return rows

        results[place] = [decode_hit(row) for row in await self._calls.run(user, search)]

    async def _fill_namespaces(
        self, place: int, user: str, op: ListNamespacesOp, results: list[Result]
    ) -> None:
        if op.limit <= 0:
            results[place] = []
            return
        paths = [(each.match_type, path_of(each.path)) for each in op.match_conditions or ()]
        found = await self._calls.run(
            user,
            lambda stores: stores.list_store_namespaces(
                user_id=user,
                prefixes=[path for kind, path in paths if kind == "prefix"],
                suffixes=[path for kind, path in paths if kind == "suffix"],
                max_depth=op.max_depth,
                limit=op.limit,
                offset=op.offset,
                with_expired=self._with_expired,
            ),
        )
        results[place] = [labels_of(path) for path in found]

    async def _store(self, puts: Sequence[NewPut]) -> None:
        """Embed the texts of puts, and store the puts of each user."""
        vectors: Sequence[Sequence[Sequence[float]]] = [()] * len(puts)
        if self._index is not None:
            vectors = await self._index.embed_items(
                [(put.op.value or {}, False if put.item is None else put.op.index) for put in puts]
            )
        writes: dict[str, list[Write]] = {}
        for put, each in zip(puts, vectors, strict=True):
            writes.setdefault(put.user, []).append(Write(put.key, put.item, each))
        await _run_all([self._writes.submit(user, each) for user, each in writes.items()])

    async def _write(self, user: str, writes: list[Write]) -> list[None]:
        """Store and delete items of one user in one transaction; the last of each key counts."""
        last = {write.key: write for write in writes}.values()
        items = {write.key: write.item for write in last if write.item is not None}
        deleted = [write.key for write in last if write.item is None]
        embeddings = (
            None if self._index is None else [w.vectors for w in last if w.item is not None]
        )
        space = None if self._index is None else self._index.space

        async def write(stores: Stores) -> int:
            if not items:
                return await stores.delete_store_items(deleted, user_id=user)
            return await stores.store_items(
                items.values(), user_id=user, embeddings=embeddings, space=space, delete=deleted
            )

        await self._calls.run(user, write)
        return [None] * len(writes)


async def _run_all(calls: Sequence[Awaitable[object]]) -> None:
    """Await calls at the same time, and a single one without the cost of a task."""
    if len(calls) == 1:
        await calls[0]
    elif calls:
        await asyncio.gather(*calls)


async def _refresh(stores: Stores, user: str, rows: Iterable[StoreItem | StoreHit]) -> None:
    """Start the time to live of items again, if they have one."""
    keys = [(row.namespace, row.key) for row in rows if row.ttl_s is not None]
    if keys:
        await stores.refresh_store_items(keys, user_id=user)
