"""Merged writes of parallel tasks: statements and flushes of a step, errors, order, threads."""

from __future__ import annotations

import asyncio
import operator
from typing import TYPE_CHECKING, Annotated, Any, Final, TypedDict

import asyncpg
import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Send

from agentrows import InvalidValue, PostgresClient, Settings
from agentrows.langgraph import AgentRowsSaver
from integrations.langgraph.graphs import key, thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import RunnableConfig

    from agentrows import TaskWrites

PARALLEL: Final = 40
FLUSHES: Final = """
    SELECT sum(fsyncs)::bigint FROM pg_stat_get_backend_io(pg_backend_pid()) WHERE object = 'wal'
"""
COMMITS: Final = """
    SELECT count(DISTINCT xmin) FROM (
        SELECT xmin::text FROM lg_checkpoint UNION ALL SELECT xmin::text FROM lg_checkpoint_write
    ) AS stored
"""


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class Statements:
    """Counts the statements of stores by the name of their query."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: dict[str, int] = {}
        for method in ("execute", "fetch", "fetchrow"):
            self._count(method, monkeypatch)

    def _count(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        original = getattr(asyncpg.Connection, method)

        async def counted(self_: asyncpg.Connection, query: str, *args: Any, **more: Any) -> Any:  # noqa: ANN401
            name = query.split()[2] if query.startswith("-- name: ") else ""
            if name not in {"", "FindVectorSchema"}:  # the latter is that of a new connection
                self.counts[name] = self.counts.get(name, 0) + 1
            return await original(self_, query, *args, **more)

        monkeypatch.setattr(asyncpg.Connection, method, counted)


def fan_out_graph(saver: AgentRowsSaver, tasks: int) -> Any:  # noqa: ANN401
    """Three steps; the second one has parallel tasks."""

    async def one(_state: State) -> State:
        return {"log": ["one"]}

    async def work(task: dict[str, int]) -> State:
        return {"log": [f"work {task['number']}"]}

    def fan_out(_state: State) -> list[Send]:
        return [Send("work", {"number": number}) for number in range(tasks)]

    graph: Any = StateGraph(State)
    for name, node in (("first", one), ("work", work), ("last", one)):
        graph.add_node(name, node)
    graph.add_edge(START, "first")
    graph.add_conditional_edges("first", fan_out, ["work"])
    graph.add_edge("work", "last")
    return graph.compile(checkpointer=saver)


def new_checkpoint(checkpoint_id: str) -> Any:  # noqa: ANN401
    """Return an empty checkpoint."""
    return {
        "v": 4,
        "id": checkpoint_id,
        "ts": "2026-01-01T00:00:00+00:00",
        "channel_values": {},
        "channel_versions": {},
        "versions_seen": {},
    }


async def put_checkpoint(saver: AgentRowsSaver, thread_id: str) -> RunnableConfig:
    """Store an empty checkpoint of a thread, and return its config."""
    config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    return await saver.aput(config, new_checkpoint(f"c-{thread_id}"), {}, {})


async def written(saver: AgentRowsSaver, config: RunnableConfig) -> Sequence[Any]:
    """Return the pending writes of a checkpoint."""
    found = await saver.aget_tuple(config)
    assert found is not None
    return found.pending_writes or []


async def count_flushes(client: PostgresClient) -> int | None:
    """Return the flushes of WAL by the only connection of a client; None before PostgreSQL 18."""
    if await client.db.fetchval("SELECT current_setting('server_version_num')::int < 180000"):
        return None
    await client.db.fetchval("SELECT pg_stat_force_next_flush()")
    flushes = await client.db.fetchval(FLUSHES)
    assert isinstance(flushes, int)
    return flushes


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_parallel_tasks_of_a_step_are_one_statement(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    graph = fan_out_graph(AgentRowsSaver(client, user="mira"), PARALLEL)
    statements = Statements(monkeypatch)

    result = await graph.ainvoke({"log": []}, thread("t-1"), durability=durability)

    assert sorted(result["log"]) == sorted(["one", "one", *(f"work {n}" for n in range(PARALLEL))])
    # Five checkpoints, the writes of the input, of two single tasks and of the parallel ones.
    assert sum(count for name, count in statements.counts.items() if name[:5] == "Store") <= 9
    assert statements.counts["StoreTaskWrites"] >= 1
    assert statements.counts["ListNamespaceCheckpoints"] == 1


def chain_graph(saver: AgentRowsSaver, steps: int) -> Any:  # noqa: ANN401
    """Steps of one task each."""

    async def one(_state: State) -> State:
        return {"log": ["one"]}

    graph: Any = StateGraph(State)
    names = [f"step-{n}" for n in range(steps)]
    for name, before in zip(names, [START, *names], strict=False):
        graph.add_node(name, one)
        graph.add_edge(before, name)
    return graph.compile(checkpointer=saver)


async def test_step_is_one_statement_and_one_commit_with_durability_sync(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = chain_graph(AgentRowsSaver(client, user="mira"), 5)
    statements = Statements(monkeypatch)

    result = await graph.ainvoke({"log": []}, thread("t-1"), durability="sync")

    assert result["log"] == ["one"] * 5
    # The checkpoint of the input and that before the first step; the latter's writes follow it.
    assert statements.counts == {
        "ListNamespaceCheckpoints": 1,
        "StoreThreadCheckpoint": 2,
        "StoreThreadWrites": 1,
        "StoreThreadStep": 5,
    }
    commits = await client.db.fetchval(COMMITS)
    assert commits == 8
    history = [state.values async for state in graph.aget_state_history(thread("t-1"))]
    assert [len(values.get("log", [])) for values in history] == [5, 4, 3, 2, 1, 0, 0]


async def test_wrong_writes_fail_alone_beside_a_checkpoint(client: PostgresClient) -> None:
    saver = AgentRowsSaver(client, user="mira")
    config = await put_checkpoint(saver, "t-1")

    good, wrong, stored = await asyncio.gather(
        saver.aput_writes(config, [("c", "good")], "w-1"),
        saver.aput_writes(config, [("nul\0", "wrong")], "w-2"),
        saver.aput(config, new_checkpoint("c-2"), {}, {}),
        return_exceptions=True,
    )

    assert good is None
    assert isinstance(wrong, InvalidValue)
    assert not isinstance(stored, BaseException)
    assert key(stored)["checkpoint_id"] == "c-2"
    newest = await saver.aget_tuple(thread("t-1"))
    assert newest is not None
    assert newest.checkpoint["id"] == "c-2"
    assert [value for _, _, value in await written(saver, config)] == ["good"]


async def test_wrong_checkpoint_fails_alone_beside_writes(client: PostgresClient) -> None:
    saver = AgentRowsSaver(client, user="mira")
    config = await put_checkpoint(saver, "t-1")

    *writes, put = await asyncio.gather(
        *(saver.aput_writes(config, [("c", n)], f"w-{n}") for n in range(5)),
        saver.aput(config, new_checkpoint("c" * 2700), {}, {}),
        return_exceptions=True,
    )

    assert writes == [None] * 5
    assert isinstance(put, InvalidValue)
    assert {value for _, _, value in await written(saver, config)} == set(range(5))


async def test_cancelled_checkpoint_leaves_the_writes_beside_it(client: PostgresClient) -> None:
    saver = AgentRowsSaver(client, user="mira")
    config = await put_checkpoint(saver, "t-1")
    writes = [
        asyncio.ensure_future(saver.aput_writes(config, [("c", n)], f"w-{n}")) for n in range(5)
    ]
    put = asyncio.ensure_future(saver.aput(config, new_checkpoint("c-2"), {}, {}))
    await asyncio.sleep(0)

    put.cancel()

    assert await asyncio.gather(*writes) == [None] * 5
    assert {value for _, _, value in await written(saver, config)} == set(range(5))


async def test_writes_of_another_thread_are_not_in_the_statement_of_a_checkpoint(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = AgentRowsSaver(client, user="mira")
    config, other = await put_checkpoint(saver, "t-1"), await put_checkpoint(saver, "t-2")
    statements = Statements(monkeypatch)

    await asyncio.gather(
        saver.aput_writes(config, [("c", 1)], "w-1"),
        saver.aput_writes(other, [("c", 2)], "w-1"),
        saver.aput(config, new_checkpoint("c-2"), {}, {}),
    )

    assert statements.counts == {"StoreThreadStep": 1, "StoreThreadWrites": 1}
    assert [value for _, _, value in await written(saver, config)] == [1]
    assert [value for _, _, value in await written(saver, other)] == [2]


async def test_get_is_one_statement(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = AgentRowsSaver(client, user="mira")
    config = await put_checkpoint(saver, "t-1")
    await asyncio.gather(*(saver.aput_writes(config, [("c", n)], f"w-{n}") for n in range(20)))
    statements = Statements(monkeypatch)

    newest = await saver.aget_tuple(thread("t-1"))
    assert newest is not None
    assert statements.counts == {"ListNamespaceCheckpoints": 1}
    assert await saver.aget_tuple(config) == newest
    assert statements.counts == {"ListNamespaceCheckpoints": 1, "FindThreadCheckpoint": 1}
    assert len(newest.pending_writes or []) == 20


async def test_merged_writes_are_one_commit_and_flushed_once(migrated: str) -> None:
    one = Settings(pool_min_size=1, pool_max_size=1, migrations="off")
    async with PostgresClient.open(migrated, settings=one) as client:
        saver = AgentRowsSaver(client, user="mira")
        config = await put_checkpoint(saver, "t-1")
        before = await count_flushes(client)

        await asyncio.gather(
            *(saver.aput_writes(config, [("c", n)], f"w-{n}") for n in range(PARALLEL))
        )

        after = await count_flushes(client)
        transactions = "SELECT count(DISTINCT xmin::text) FROM lg_checkpoint_write"
        assert await client.db.fetchval(transactions) == 1
        assert len(await written(saver, config)) == PARALLEL
    # The WAL writer may have flushed the commit already, and a full buffer is one flush more.
    if before is not None and after is not None:
        assert after - before <= 2


async def test_wrong_task_fails_alone_among_merged_tasks(client: PostgresClient) -> None:
    saver = AgentRowsSaver(client, user="mira")
    config = await put_checkpoint(saver, "t-1")
    too_long: Any = {"configurable": {**key(config), "checkpoint_id": "c" * 2700}}
    unhashable: Any = ["w"]

    results = await asyncio.gather(
        *(
            saver.aput_writes(too_long if n == 7 else config, [("c", n)], f"w-{n}")
            for n in range(20)
        ),
        saver.aput_writes(config, [("nul\0", 1)], "w-20"),
        saver.aput_writes(config, [("c", 1)], unhashable),
        return_exceptions=True,
    )

    wrong = [place for place, result in enumerate(results) if isinstance(result, InvalidValue)]
    assert wrong == [7, 20, 21]
    assert {value for _, _, value in await written(saver, config)} == set(range(20)) - {7}


async def test_writes_of_one_task_keep_their_order(client: PostgresClient) -> None:
    saver = AgentRowsSaver(client, user="mira")
    config = await put_checkpoint(saver, "t-1")

    await asyncio.gather(
        *(saver.aput_writes(config, [("__error__", n)], "w-1") for n in range(20)),
        *(saver.aput_writes(config, [("c", n)], "w-2") for n in range(20)),
    )

    values = {(task, channel): value for task, channel, value in await written(saver, config)}
    assert values == {("w-1", "__error__"): 19, ("w-2", "c"): 0}


async def test_users_never_share_a_statement(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = AgentRowsSaver(client, user=lambda config: key(config)["owner"])
    stored: list[tuple[str, int]] = []
    original = PostgresClient.store_task_writes

    async def store(self: PostgresClient, tasks: list[TaskWrites], *, user_id: str) -> None:
        stored.append((user_id, len(tasks)))
        await original(self, tasks, user_id=user_id)

    monkeypatch.setattr(PostgresClient, "store_task_writes", store)
    configs: dict[str, Any] = {}
    for user in ("mira", "juno"):
        own = await put_checkpoint(saver.for_user(user), "t-1")
        configs[user] = {"configurable": {**key(own), "owner": user}}

    await asyncio.gather(
        *(
            saver.aput_writes(configs[user], [("c", f"{user} {n}")], f"w-{n}")
            for n in range(10)
            for user in configs
        )
    )

    assert sorted(stored) == [("juno", 10), ("mira", 10)]
    for user, config in configs.items():
        values = {value for _, _, value in await written(saver, config)}
        assert values == {f"{user} {n}" for n in range(10)}


async def test_cancelled_task_is_not_stored_and_the_others_are(client: PostgresClient) -> None:
    saver = AgentRowsSaver(client, user="mira")
    config = await put_checkpoint(saver, "t-1")
    calls = [
        asyncio.ensure_future(saver.aput_writes(config, [("c", n)], f"w-{n}")) for n in range(10)
    ]
    asyncio.get_running_loop().call_soon(calls[3].cancel)

    results = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(results[3], asyncio.CancelledError)
    assert {value for _, _, value in await written(saver, config)} == set(range(10)) - {3}
