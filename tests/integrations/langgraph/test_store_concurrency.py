"""Concurrent calls of `AgentRowsStore`: merging, threads, lost connections, poolers, policies."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest
from langgraph.store.base import PutOp

from agentrows import ConfigError, InvalidValue, PostgresClient, Settings, migrate
from agentrows.langgraph import AgentRowsStore
from agentrows.migrate import Migrator
from support.postgres import SERVICE, SUPERUSER, as_role
from support.servers import pgbouncer
from support.watching import watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from langgraph.store.base import TTLConfig

    from agentrows import NewStoreItem
    from support.postgres import Server

ROLE: Final = f"stored_{os.getpid()}"
MANY: Final = 10_000


@pytest.fixture
def store(client: PostgresClient) -> AgentRowsStore:
    return AgentRowsStore(client, user="mira")


class Statements:
    """Counts the calls of the store's statements on a client."""

    def __init__(self, client: PostgresClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: dict[str, int] = {}
        for name in ("store_items", "find_store_item", "list_store_items", "delete_store_items"):
            self._count(type(client), name, monkeypatch)

    def _count(self, owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        original = getattr(owner, name)

        async def counted(*args: object, **kwargs: object) -> object:
            self.counts[name] = self.counts.get(name, 0) + 1
            return await original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)


async def test_concurrent_calls_of_one_turn_are_merged(
    store: AgentRowsStore, client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = Statements(client, monkeypatch)

    await asyncio.gather(*(store.aput(("a",), str(n % 80), {"n": n}) for n in range(100)))
    items = await asyncio.gather(*(store.aget(("a",), str(n)) for n in range(100)))

    assert statements.counts == {"store_items": 1, "list_store_items": 1}
    # The last put of a key counts.
    assert [item and item.value["n"] for item in items] == [
        *range(80, 100),
        *range(20, 80),
        *[None] * 20,
    ]


async def test_gets_of_one_user_need_no_more_statements_than_their_turns(
    store: AgentRowsStore, client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [("a", str(n)) for n in range(32)]
    await asyncio.gather(*(store.aput(("a",), key, {"of": key}) for _, key in keys))
    statements = Statements(client, monkeypatch)

    async def read(key: str) -> None:
        for _ in range(20):
            item = await store.aget(("a",), key)
            assert item is not None
            assert item.value == {"of": key}

    await asyncio.gather(*(read(key) for _, key in keys))

    # 640 gets: each turn of the 32 callers is one statement.
    assert statements.counts == {"list_store_items": 20}


async def test_gets_of_waiting_users_are_one_statement_of_the_client(
    client: PostgresClient, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"user-{n}" for n in range(20)]
    for user in users[1:]:
        await AgentRowsStore(client, user=user).aput(("a",), "k", {"of": user})
    settings = Settings(pool_min_size=1, pool_max_size=1, pooler="transaction")
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as narrow:
        store = AgentRowsStore(narrow, user=lambda namespace: namespace[0])
        stores = [store.for_user(user) for user in users]
        statements = Statements(narrow, monkeypatch)
        names: list[str] = []
        original = asyncpg.Connection.fetch

        async def fetch(self: asyncpg.Connection, query: str, *args: Any, **more: Any) -> Any:  # noqa: ANN401
            names.append(query.split()[2])
            return await original(self, query, *args, **more)

        sleeping = asyncio.ensure_future(narrow.db.fetchval("SELECT pg_sleep(0.3)"))
        await asyncio.sleep(0.05)
        monkeypatch.setattr(asyncpg.Connection, "fetch", fetch)
        items = await asyncio.gather(*(each.aget(("a",), "k") for each in stores))
        await sleeping

    assert [item and item.value["of"] for item in items] == [None, *users[1:]]
    assert (names, statements.counts) == (["FindStoreItemBatch"], {"find_store_item": len(users)})


async def test_puts_of_one_key_keep_their_order(
    store: AgentRowsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, released = asyncio.Event(), asyncio.Event()
    original = PostgresClient.store_items

    async def slow(client: PostgresClient, items: Iterable[NewStoreItem], **more: Any) -> int:  # noqa: ANN401
        rows = list(items)
        if rows[0].value == '{"n": 1}':
            started.set()
            await released.wait()
        return await original(client, rows, **more)

    monkeypatch.setattr(PostgresClient, "store_items", slow)
    calls = [asyncio.ensure_future(store.aput(("a",), "k", {"n": 1}))]
    await started.wait()
    for n in (2, 3):
        calls.append(asyncio.ensure_future(store.aput(("a",), "k", {"n": n})))
        await store.aput(("a",), "another", {"n": -n})  # it does not wait for those
    assert not any(call.done() for call in calls)

    released.set()
    await asyncio.gather(*calls)

    item = await store.aget(("a",), "k")
    assert item is not None
    assert item.value == {"n": 3}


async def test_wrong_call_fails_alone_among_merged_calls(store: AgentRowsStore) -> None:
    results = await asyncio.gather(
        *(store.aput(("a",), "k" * 3000 if n == 7 else str(n), {"n": n}) for n in range(20)),
        store.aput(("a",), "nul\0", {}),
        store.abatch([PutOp(("a",), "not stored", {}), PutOp(("a",), "l" * 3000, {})]),
        return_exceptions=True,
    )

    wrong = [place for place, result in enumerate(results) if isinstance(result, InvalidValue)]
    assert wrong == [7, 20, 21]
    found = await store.asearch(("a",), limit=100)
    assert {item.key for item in found} == {str(n) for n in range(20) if n != 7}


async def test_cancelled_call_is_not_run(store: AgentRowsStore) -> None:
    tasks = [asyncio.ensure_future(store.aput(("a",), str(n), {})) for n in range(10)]
    asyncio.get_running_loop().call_soon(tasks[3].cancel)
    never_started = asyncio.ensure_future(store.aput(("a",), "never", {}))
    never_started.cancel()

    results = await asyncio.gather(*tasks, never_started, return_exceptions=True)

    assert [n for n, each in enumerate(results) if each is not None] == [3, 10]
    found = await store.asearch(("a",), limit=100)
    assert {item.key for item in found} == set("012456789")


async def test_slow_search_does_not_delay_other_calls(client: PostgresClient) -> None:
    released = asyncio.Event()

    async def slow(texts: Sequence[str]) -> list[list[float]]:
        await released.wait()
        return [[1.0] for _ in texts]

    store = AgentRowsStore(client, user="mira", index={"dims": 1, "embed": slow})
    search = asyncio.ensure_future(store.asearch(("a",), query="x"))
    indexed = asyncio.ensure_future(store.aput(("a",), "indexed", {"t": "x"}))
    async with asyncio.timeout(30):
        await store.aput(("a",), "k", {}, index=False)
        item, namespaces = await asyncio.gather(store.aget(("a",), "k"), store.alist_namespaces())
    assert item is not None
    assert namespaces == [("a",)]
    assert not search.done()
    assert not indexed.done()
    released.set()
    await indexed
    assert await search == []


async def test_10000_gathered_puts_and_10000_gets_finish_on_a_small_pool(migrated: str) -> None:
    settings = Settings(pool_max_size=2, acquire_timeout_s=5, migrations="off")
    async with PostgresClient.open(migrated, settings=settings) as client:
        store = AgentRowsStore(client, user=lambda namespace: namespace[0])
        puts = (store.aput((f"u-{n % 3}", "n"), str(n), {"n": n}) for n in range(MANY))
        await asyncio.gather(*puts)
        items = await asyncio.gather(
            *(store.aget((f"u-{n % 3}", "n"), str(n)) for n in range(MANY))
        )
        assert [item and item.value["n"] for item in items] == list(range(MANY))


async def test_store_works_from_threads_and_other_loops(store: AgentRowsStore) -> None:
    with pytest.raises(asyncio.InvalidStateError):
        store.put(("a",), "k", {})

    async def elsewhere(n: int) -> None:
        await asyncio.gather(*(store.aput(("a",), f"{n}-{m}", {}) for m in range(20)))
        assert await store.aget(("a",), f"{n}-19") is not None

    def work(n: int) -> None:
        store.put(("a",), str(n), {"n": n})
        item = store.get(("a",), str(n))
        assert item is not None
        assert item.value == {"n": n}
        asyncio.run(elsewhere(n))

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(threads, work, n) for n in range(16)))
    assert len(await store.asearch(("a",), limit=1000)) == 16 * 21


def test_store_is_opened_for_a_program_without_event_loop(migrated: str) -> None:
    def embed(texts: Sequence[str]) -> list[list[float]]:
        return [[float(len(text))] for text in texts]

    with AgentRowsStore.open(
        migrated,
        user="mira",
        index={"dims": 1, "embed": embed, "fields": ["t"], "distance_type": "l2"},
        ttl={"default_ttl": 0.0, "sweep_interval_minutes": 1},
        settings=Settings(migrations="off"),
    ) as store:
        store.put(("a",), "k", {"t": "xx"}, ttl=None)
        store.put(("a",), "l", {"t": "x"})
        found = store.search(("a",), query="xxx")
        assert [(item.key, item.score) for item in found] == [("k", -1.0), ("l", -2.0)]
        assert store.list_namespaces() == [("a",)]
        store.delete(("a",), "k")
        assert store.get(("a",), "k") is None


async def test_closed_store_leaves_no_task(migrated: str) -> None:
    before = asyncio.all_tasks()
    settings = Settings(migrations="off")
    ttl: TTLConfig = {"sweep_interval_minutes": 1}
    async with AgentRowsStore.open(migrated, user="mira", ttl=ttl, settings=settings) as store:
        sweeper = await store.start_ttl_sweeper()
        assert not sweeper.done()

    assert sweeper.cancelled()
    assert asyncio.all_tasks() == before


async def test_lost_connections_between_and_during_calls_cost_nothing(
    client: PostgresClient, migrated: str
) -> None:
    store = AgentRowsStore(client, user="mira")
    async with watch(as_role(migrated, SUPERUSER)) as watcher:
        for n in range(30):
            await asyncio.gather(
                store.abatch([PutOp(("a",), str(n), {"n": n}), PutOp(("a",), str(n - 1), None)]),
                store.aput(("b",), str(n), {"n": n}),
                store.asearch(("b",)),
                watcher.terminate_all(),
            )
            if n % 3 == 0:
                await watcher.terminate_all()
            item = await store.aget(("b",), str(n))
            assert item is not None
    assert [item.key for item in await store.asearch(("a",), limit=100)] == ["29"]
    assert len(await store.asearch(("b",), limit=100)) == 30


async def test_store_works_behind_pgbouncer(server: Server, migrated: str) -> None:
    name = migrated.partition("?")[0].rpartition("/")[2]
    with pgbouncer(Path(server.postgres.pgdata), 5432, SERVICE, pool_size=3) as port:
        dsn = f"postgresql://{SERVICE}@127.0.0.1:{port}/{name}"
        settings = Settings(pooler="transaction", migrations="off")
        async with PostgresClient.open(dsn, settings=settings) as client:
            store = AgentRowsStore(client, user="mira", index={"dims": 1, "embed": ones})
            for _ in range(3):
                await asyncio.gather(*(store.aput(("a",), str(n), {"t": 1}) for n in range(30)))
                await asyncio.gather(*(store.adelete(("a",), str(n)) for n in range(10)))
                assert len(await store.asearch(("a",), query="x", limit=100)) == 20


async def ones(texts: Sequence[str]) -> list[list[float]]:
    return [[1.0] for _ in texts]


@pytest.fixture
def guarded(server: Server, template: str) -> Iterator[str]:
    """The DSN of a database with the policies, for a role that they apply to."""
    name = server.create_database(template)
    asyncio.run(Migrator(server.dsn(name), migrate.builtin_tracks(row_security=True)).up())
    server.execute(f"CREATE ROLE {ROLE} LOGIN")
    server.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}", database=name)
    yield as_role(server.dsn(name), ROLE)
    server.drop_database(name)
    server.execute(f"DROP ROLE {ROLE}")


async def test_row_security_restricts_every_statement(guarded: str) -> None:
    settings = Settings(row_security=True, migrations="off")
    async with PostgresClient.open(guarded, settings=settings) as client:
        store = AgentRowsStore(
            client,
            user=lambda namespace: namespace[0],
            index={"dims": 1, "embed": ones, "fields": ["t"]},
            row_security=True,
        )
        await store.abatch([PutOp((user,), "k", {"t": "x"}, ttl=1) for user in ("mira", "juno")])
        found = await asyncio.gather(
            *(store.asearch((user,), query="x") for user in ("mira", "juno", "kim"))
        )
        assert [[item.namespace for item in each] for each in found] == [
            [("mira",)],
            [("juno",)],
            [],
        ]
        await store.adelete(("mira",), "k")
        assert await store.aget(("mira",), "k") is None
        assert await store.aget(("juno",), "k") is not None
        await client.db.execute("UPDATE agentrows_store_item SET expires_at = now()")
        assert await store.sweep_ttl() == 1
        # A statement on all rows returns those of the user alone.
        await store.aput(("juno",), "k", {"t": "x"})
        count = "SELECT count(*) FROM agentrows_store_vector"
        assert await client.call_as_user("mira", lambda tx: tx.db.fetchval(count)) == 0
        assert await client.call_as_user("juno", lambda tx: tx.db.fetchval(count)) == 1


async def test_row_security_needs_the_setting_and_a_client(client: PostgresClient) -> None:
    store = AgentRowsStore(client, user="mira", row_security=True)
    with pytest.raises(ConfigError, match="AGENTROWS_ROW_SECURITY"):
        await store.aget(("a",), "k")
    async with client.transaction() as tx:
        with pytest.raises(InvalidValue, match="row_security"):
            AgentRowsStore(tx, user="mira", row_security=True)
