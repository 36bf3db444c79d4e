"""`AgentRowsStore`: items, expiry, filters, namespaces and users."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, Final, TypedDict

import asyncpg
import pytest
from langgraph.graph import START, StateGraph  # pyright: ignore[reportMissingTypeStubs]
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)

from agentrows import ConfigError, InvalidValue, PostgresClient, SchemaBehind, Settings, migrate
from agentrows.langgraph import AgentRowsStore, item_store
from agentrows.migrate import Migrator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from langgraph.store.base import Item

EXPIRES_IN: Final = """
    SELECT extract(epoch FROM expires_at - updated_at)::float8 FROM agentrows_store_item
    WHERE key = $1
"""


@pytest.fixture
async def db(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of another program."""
    connection = await asyncpg.connect(migrated)
    yield connection
    await connection.close()


@pytest.fixture
def store(client: PostgresClient) -> AgentRowsStore:
    return AgentRowsStore(client, user="mira")


def keys(items: Sequence[Item]) -> list[str]:
    return [item.key for item in items]


def second_label(namespace: tuple[str, ...]) -> str:
    """The user of a namespace in these tests."""
    return namespace[1]


async def test_results_are_in_the_order_of_the_operations(store: AgentRowsStore) -> None:
    await store.aput(("a",), "old", {"n": 1})

    results = await store.abatch(
        [
            PutOp(("a",), "new", {"n": 2}),
            GetOp(("a",), "new"),
            GetOp(("a",), "old"),
            PutOp(("a",), "old", None),
            SearchOp(("a",)),
            ListNamespacesOp(),
            PutOp(("a",), "new", {"n": 3}),
            GetOp(("a",), "old"),
            SearchOp(("b",), limit=0),
        ]
    )

    put, new, old, deleted, found, namespaces, _, again, nothing = results
    assert put is new is deleted is None
    assert old == again
    assert old is not again  # a caller may change its item
    assert isinstance(found, list)
    assert keys(found) == ["old"]  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert (namespaces, nothing) == ([("a",)], [])
    after = await store.asearch(("a",))
    assert [(item.key, item.value) for item in after] == [("new", {"n": 3})]


async def test_value_keeps_nul_surrogates_and_the_order_of_keys(store: AgentRowsStore) -> None:
    value = {"z": "a\0b", "a": "\ud800 ü 😀", "m": [1.5, None, {"y": 1, "x": 2}], "": "\\u0000"}

    await store.aput(("a",), "k", value)

    item = await store.aget(("a",), "k")
    assert item is not None
    assert json.dumps(item.value) == json.dumps(value)
    (found,) = await store.asearch(
        ("a",), filter={"": "\\u0000", "m": (1.5, None, {"y": 1, "x": 2})}
    )
    assert found.value == value


@pytest.mark.parametrize("value", [math.nan, math.inf, {1}, object()])
async def test_value_that_is_not_json_is_refused_and_nothing_is_stored(
    store: AgentRowsStore, value: object
) -> None:
    with pytest.raises(InvalidValue, match="the value of 'bad' cannot be written as JSON"):
        await store.abatch([PutOp(("a",), "good", {}), PutOp(("a",), "bad", {"n": value})])

    assert await store.asearch(()) == []


async def test_ttl_of_a_fraction_of_a_minute_is_kept_and_refreshed_by_reads(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    store = AgentRowsStore(
        client, user="mira", ttl={"default_ttl": 0.4, "refresh_on_read": True, "omit_expired": True}
    )
    age = "UPDATE agentrows_store_item SET expires_at = expires_at - make_interval(secs => $1)"
    left = "SELECT expires_at > now() + interval '23 s' FROM agentrows_store_item WHERE key = 'k'"
    await store.aput(("a",), "k", {})
    await store.aput(("a",), "ever", {}, ttl=None)
    assert await db.fetchval(EXPIRES_IN, "k") == pytest.approx(24)

    await db.execute(age, 23)
    assert await store.aget(("a",), "k", refresh_ttl=False) is not None
    assert not await db.fetchval(left)
    assert await store.aget(("a",), "k") is not None
    assert await db.fetchval(left)
    await db.execute(age, 23)
    assert sorted(keys(await store.asearch(("a",)))) == ["ever", "k"]
    assert await db.fetchval(left)
    assert await db.fetchval(EXPIRES_IN, "ever") is None

    await db.execute(age, 25)
    assert await store.aget(("a",), "k") is None
    assert keys(await store.asearch(())) == ["ever"]
    await store.aput(("b",), "k", {}, ttl=0)
    assert await store.alist_namespaces() == [("a",)]
    with_expired = AgentRowsStore(client, user="mira")
    assert await with_expired.aget(("a",), "k", refresh_ttl=False) is not None
    assert await store.sweep_ttl() == 2
    assert await with_expired.aget(("a",), "k") is None


async def test_read_of_an_item_without_ttl_writes_nothing(
    store: AgentRowsStore, db: asyncpg.Connection
) -> None:
    await store.aput(("a",), "k", {})
    version = "SELECT ctid::text || xmin::text FROM agentrows_store_item"
    before = await db.fetchval(version)

    await store.aget(("a",), "k")
    await store.asearch(("a",))

    assert await db.fetchval(version) == before


async def test_sweeper_deletes_expired_items_until_it_is_stopped(
    store: AgentRowsStore, db: asyncpg.Connection
) -> None:
    await store.aput(("a",), "k", {}, ttl=0)

    task = await store.start_ttl_sweeper(0.0001)
    assert await store.start_ttl_sweeper() is task
    async with asyncio.timeout(30):
        while await db.fetchval("SELECT count(*) FROM agentrows_store_item"):
            await asyncio.sleep(0.005)
    assert await store.stop_ttl_sweeper()

    assert task.done()
    assert await store.stop_ttl_sweeper()


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({"n": {"$gte": 10}}, {"ten", "hundred"}),
        ({"n": {"$gt": 9, "$lt": 100}}, {"ten"}),
        ({"n": 100.0}, {"hundred"}),
        ({"t": {"$gte": "10"}}, {"nine", "ten", "hundred"}),
        ({"t": {"$lt": "9"}}, {"ten", "hundred"}),
        ({"o": {"a": {"b": {"$ne": 1}}}}, {"ten"}),
        ({"o": {"a": {"b": 1}}}, {"nine"}),
        ({"o": {"a": {}}}, {"nine", "ten"}),
        ({"n": {"$ne": 9}}, {"ten", "hundred", "empty"}),
        ({"n": {"$eq": None}}, {"empty"}),
        ({"o": {"a": {"none": None}}}, {"nine", "ten"}),
        ({}, {"nine", "ten", "hundred", "empty"}),
    ],
)
async def test_filter_compares_numbers_text_and_nested_objects(
    store: AgentRowsStore, filter_: dict[str, Any], expected: set[str]
) -> None:
    await store.aput(("a",), "nine", {"n": 9, "t": "9", "o": {"a": {"b": 1}}})
    await store.aput(("a",), "ten", {"n": 10, "t": "10", "o": {"a": {"b": 2}}})
    await store.aput(("a",), "hundred", {"n": 100, "t": "100", "o": {"a": 1}})
    await store.aput(("a",), "empty", {})

    assert set(keys(await store.asearch(("a",), filter=filter_))) == expected


async def test_wrong_filter_is_refused(store: AgentRowsStore) -> None:
    for filter_, message in (
        ({"n": {"$in": [1]}}, r"Unsupported operator: \$in in the filter on 'n'"),
        ({"o": {"n": {"$gt": 1, "x": 2}}}, "Unsupported operator: x in the filter on 'o.n'"),
        ({"n": {"$gt": None}}, "must be a number or a text"),
        ({"n": "\0"}, "NUL"),
        ({"n": math.nan}, "JSON"),
        ({1: 2}, "filter must be an object"),
    ):
        with pytest.raises(InvalidValue, match=message):
            await store.asearch(("a",), filter=filter_)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_prefix_does_not_match_a_sibling_namespace(store: AgentRowsStore) -> None:
    for namespace in (("a",), ("a", "b"), ("ab",), ("a-b",), ("a b", "c"), ("A",)):
        await store.aput(namespace, "k", {})

    assert {item.namespace for item in await store.asearch(("a",))} == {("a",), ("a", "b")}
    assert await store.alist_namespaces(prefix=("a",)) == [("a",), ("a", "b")]
    assert await store.alist_namespaces(prefix=("*", "*")) == [("a", "b"), ("a b", "c")]
    assert await store.alist_namespaces(suffix=("b",), limit=1) == [("a", "b")]
    assert await store.alist_namespaces(max_depth=1, offset=2) == [("a b",), ("a-b",), ("ab",)]


@pytest.mark.parametrize("label", ["a.b", "", "a\0", 7])
async def test_wrong_label_fails_alone_and_in_every_operation(
    store: AgentRowsStore,
    label: Any,  # noqa: ANN401  also a wrong label
) -> None:
    for op in (
        GetOp((label,), "k"),
        PutOp((label,), "k", {}),
        PutOp((label,), "k", None),
        SearchOp((label,)),
        ListNamespacesOp((MatchCondition("suffix", (label,)),)),
    ):
        wrong, right = await asyncio.gather(
            store.abatch([PutOp(("a",), "not stored", {}), op]),
            store.abatch([PutOp(("a",), "k", {})]),
            return_exceptions=True,
        )
        assert isinstance(wrong, InvalidNamespaceError)
        assert right == [None]
    assert keys(await store.asearch(())) == ["k"]


async def test_items_of_another_user_are_invisible_in_every_operation(
    client: PostgresClient,
) -> None:
    mine = AgentRowsStore(client, user="mira")
    other = mine.for_user("juno")
    await mine.aput(("a",), "k", {"of": "mira"})

    assert await other.aget(("a",), "k") is None
    assert await other.asearch(()) == []
    assert await other.alist_namespaces() == []
    await other.adelete(("a",), "k")
    await other.aput(("a",), "k", {"of": "juno"})
    await other.adelete(("a",), "k")
    item = await mine.aget(("a",), "k")
    assert item is not None
    assert item.value == {"of": "mira"}


async def test_operations_of_one_batch_belong_to_the_users_of_their_namespaces(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    store = AgentRowsStore(client, user=second_label)

    await store.abatch([PutOp(("u", user), "k", {"of": user}) for user in ("mira", "juno", "kim")])
    *items, found, namespaces = await store.abatch(
        [
            *(GetOp(("u", user), "k") for user in ("kim", "mira", "none", "juno")),
            SearchOp(("u", "mira")),
            ListNamespacesOp((MatchCondition("prefix", ("u", "juno")),)),
        ]
    )

    values = [getattr(item, "value", None) for item in items]
    assert values == [{"of": "kim"}, {"of": "mira"}, None, {"of": "juno"}]
    assert len(found) == 1  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert namespaces == [("u", "juno")]
    rows = await db.fetch("SELECT user_id FROM agentrows_store_item ORDER BY user_id")
    assert [row[0] for row in rows] == ["juno", "kim", "mira"]


@pytest.mark.parametrize("user", [None, "", 7, "a function of the second label"])
async def test_namespace_without_user_is_refused(
    client: PostgresClient,
    user: Any,  # noqa: ANN401  also a wrong user
) -> None:
    named = isinstance(user, str) and user
    store = AgentRowsStore(client, user=second_label if named else lambda _: user)
    for op in (
        PutOp(("a",), "k", {}),
        GetOp(("a",), "k"),
        SearchOp(()),
        ListNamespacesOp(),
        ListNamespacesOp((MatchCondition("suffix", ("u", "mira")),)),
    ):
        with pytest.raises(InvalidValue, match="user"):
            await store.abatch([op])


@pytest.mark.parametrize("ttl", [-1, math.nan, math.inf, "1", True])
async def test_wrong_ttl_is_refused(
    store: AgentRowsStore,
    ttl: Any,  # noqa: ANN401  also a wrong ttl
) -> None:
    with pytest.raises(InvalidValue, match="ttl must be"):
        await store.aput(("a",), "k", {}, ttl=ttl)


async def test_wrong_arguments_of_the_store_are_refused(client: PostgresClient) -> None:
    for user in ("", None, 7):
        with pytest.raises(InvalidValue, match="user"):
            AgentRowsStore(client, user=user)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidValue, match="user"):
            AgentRowsStore.open(user=user)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="client"):
        AgentRowsStore("postgresql://", user="mira")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    store = AgentRowsStore(client, user="mira")
    with pytest.raises(InvalidValue, match="at most 2,400 bytes"):
        await store.aput(("a",), "k" * 2500, {})
    with pytest.raises(InvalidValue, match="offset"):
        await store.asearch((), offset=-1)
    with pytest.raises(InvalidValue, match="operations"):
        await store.abatch(["get"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def test_transaction_stores_items_when_it_commits(client: PostgresClient) -> None:
    async with client.transaction() as tx:
        inside = AgentRowsStore(tx, user="mira")
        await asyncio.gather(*(inside.aput(("a",), str(n), {}) for n in range(20)))
        assert len(await inside.asearch((), limit=100)) == 20
        outside = AgentRowsStore(client, user="mira")
        assert await outside.asearch(()) == []
    assert len(await outside.asearch((), limit=100)) == 20


async def test_database_without_the_tables_raises_schema_behind(database: str) -> None:
    await Migrator(database, migrate.builtin_tracks()[:2]).up()
    async with PostgresClient.open(database, migrations="off") as client:
        store = AgentRowsStore(client, user="mira", index={"dims": 1, "embed": lengths})
        for call in (
            store.setup(),
            store.aget(("a",), "k"),
            store.aput(("a",), "k", {"t": "x"}),
            store.adelete(("a",), "k"),
            store.asearch(("a",)),
            store.asearch(("a",), query="x"),
            store.alist_namespaces(),
            store.sweep_ttl(),
        ):
            with pytest.raises(SchemaBehind, match="agentrows migrate up"):
                await call
        await client.store_session("s-1", user_id="mira")


def lengths(texts: Sequence[str]) -> list[list[float]]:
    return [[len(text)] for text in texts]


async def test_index_needs_vectors(migrated: str) -> None:
    settings = Settings(vector_enabled=False, migrations="off")
    async with PostgresClient.open(migrated, settings=settings) as client:
        plain = AgentRowsStore(client, user="mira")
        await plain.setup()
        await plain.aput(("a",), "k", {"t": "x"})
        indexed = AgentRowsStore(client, user="mira", index={"dims": 1, "embed": lengths})
        for call in (indexed.setup(), indexed.aput(("a",), "k", {"t": "x"})):
            with pytest.raises(ConfigError, match="AGENTROWS_VECTOR_ENABLED"):
                await call
        assert await plain.aget(("a",), "k") is not None


class State(TypedDict):
    n: int


async def remember(state: State, *, store: BaseStore) -> State:
    seen = await store.aget(("seen", "mira"), "n")
    numbers = [*seen.value["numbers"], state["n"]] if seen else [state["n"]]
    await store.aput(("seen", "mira"), "n", {"numbers": numbers})
    return {"n": state["n"] + 1}


async def test_graph_remembers_over_its_runs(store: AgentRowsStore) -> None:
    builder = StateGraph(State)
    builder.add_node("remember", remember)  # pyright: ignore[reportUnknownMemberType]
    builder.add_edge(START, "remember")
    graph = builder.compile(store=store)  # pyright: ignore[reportUnknownMemberType]

    for n in (1, 2, 3):
        assert await graph.ainvoke({"n": n}) == {"n": n + 1}  # pyright: ignore[reportUnknownMemberType]

    item = await store.aget(("seen", "mira"), "n")
    assert item is not None
    assert item.value == {"numbers": [1, 2, 3]}


async def test_server_opens_a_store_for_a_named_user_function(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", migrated)
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "off")
    with pytest.raises(ConfigError, match="AGENTROWS_LANGGRAPH_STORE_USER"):
        async with item_store():
            pytest.fail("there is no default user")
    for spec in ("posixpath", "posixpath:absent", "posixpath:sep"):
        with pytest.raises(ConfigError, match=f"^the argument user: '{spec}' "):
            async with item_store(spec):
                pytest.fail("this names no function")
    monkeypatch.setattr("posixpath.second_label", second_label, raising=False)
    monkeypatch.setenv("AGENTROWS_LANGGRAPH_STORE_USER", "posixpath:second_label")
    async with item_store(ttl={"sweep_interval_minutes": 1}) as store:
        await store.aput(("u", "mira"), "k", {})
        assert store.ttl_config == {"sweep_interval_minutes": 1}
        assert await store.aget(("u", "mira"), "k") is not None
