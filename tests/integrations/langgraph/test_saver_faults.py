"""AgentRowsSaver with wrong clocks, lost connections, killed processes, poolers and policies."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import types
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from langgraph.checkpoint.base import id as checkpoint_ids
from langgraph.checkpoint.memory import InMemorySaver

from agentrows import InvalidValue, PostgresClient, Settings, migrate
from agentrows.langgraph import AgentRowsSaver
from agentrows.migrate import Migrator
from integrations.langgraph import graphs
from integrations.langgraph.graphs import key, thread
from support.servers import pgbouncer
from support.watching import Watcher, watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from support.postgres import Server

SKEW_NS: Final = 5_000_000_000
ROLE: Final = f"guarded_saver_{os.getpid()}"
STEPS: Final = 3
BETWEEN: Final = ("list_channel_history", "prune_thread")
"""The calls of `prune` that follow the first one."""

HAS_PATHS_AT_EXIT: Final = tuple(map(int, version("langgraph").split(".")[:3])) > (1, 2, 0)
"""LangGraph 1.2.0 stores the writes of a run with durability `exit` without the paths of tasks."""


def in_order(items: list[str], durability: str) -> list[str]:
    """Return items of a delta channel, sorted if LangGraph does not store their order."""
    if HAS_PATHS_AT_EXIT or durability != "exit":
        return items
    return sorted(items, key=lambda item: [int(number) for number in item.split("-")])


def set_clock(monkeypatch: pytest.MonkeyPatch, offset_ns: int) -> None:
    """Make the ids of checkpoints those of a host whose clock is wrong by this time."""
    clock = types.SimpleNamespace(time_ns=lambda: time.time_ns() + offset_ns, time=time.time)
    monkeypatch.setattr(checkpoint_ids, "time", clock)
    monkeypatch.setattr(checkpoint_ids, "_last_v6_timestamp", None)


async def test_hosts_with_different_clocks_lose_no_turn(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graphs.counting_graph(AgentRowsSaver(client, user="mira"))
    config = thread("t-1")

    ids: list[str] = []
    for turn, offset_ns in enumerate((0, -SKEW_NS, 0, SKEW_NS, -SKEW_NS), start=1):
        set_clock(monkeypatch, offset_ns)
        result = await graph.ainvoke({}, config)
        assert result["count"] == turn
        state = await graph.aget_state(config)
        assert state.values["count"] == turn
        ids.append(state.config["configurable"]["checkpoint_id"])
        if turn == 2:  # the newest checkpoint has not the highest id
            await AgentRowsSaver(client, user="mira").aprune(["t-1"])
    assert ids != sorted(ids)  # the clocks did disagree
    counts = [one.values.get("count") async for one in graph.aget_state_history(config)]
    assert counts == sorted(counts, reverse=True)


async def killing_graph(saver: AgentRowsSaver, watcher: Watcher) -> Any:  # noqa: ANN401
    """Run a graph whose node kills the connections of the saver's client before each turn."""

    async def kill() -> None:
        assert await watcher.terminate_all() > 0

    graph = graphs.hooked_graph(saver, kill)
    for turn in range(1, 4):
        result = await graph.ainvoke({}, thread("t-1"), durability="sync")
        assert result["count"] == turn
    return graph


async def test_killed_connections_between_steps_cost_nothing(
    migrated: str, client: PostgresClient
) -> None:
    async with watch(migrated) as watcher:
        graph = await killing_graph(AgentRowsSaver(client, user="mira"), watcher)

        assert (await graph.aget_state(thread("t-1"))).values["count"] == 3


CHILD: Final = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from agentrows import PostgresClient
from agentrows.langgraph import AgentRowsSaver
from integrations.langgraph.graphs import counting_graph, thread

class Stuck(AgentRowsSaver):
    started = puts = 0

    async def aput(self, config, *rest):
        self.started += 1
        if self.started == 3 * {steps}:  # the graph does not wait for the writes before it
            await asyncio.sleep(60)
        stored = await super().aput(config, *rest)
        print("put", stored["configurable"]["checkpoint_id"], flush=True)
        self.puts += 1
        return stored

    async def aput_writes(self, config, writes, task_id, task_path=""):
        if any(channel == "count" for channel, _ in writes) and self.turns == {steps}:
            while self.puts < 3 * {steps} - 1:  # those before the last one of this turn
                await asyncio.sleep(0.01)
            print("stuck", flush=True)
            await asyncio.sleep(60)
        await super().aput_writes(config, writes, task_id, task_path)

async def main():
    async with PostgresClient.open(sys.argv[1], migrations="off") as client:
        saver = Stuck(client, user="mira")
        for saver.turns in range(1, {steps} + 1):
            await counting_graph(saver).ainvoke({{}}, thread("t-1"), durability="sync")
            print("turn", saver.turns, flush=True)

asyncio.run(main())
"""


async def test_process_killed_between_put_and_put_writes_loses_nothing(
    migrated: str, client: PostgresClient
) -> None:
    code = CHILD.format(tests=str(Path(__file__).parents[2]), steps=STEPS)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, migrated, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    stored: list[str] = []
    turns = 0
    async for line in child.stdout:
        kind, _, text = line.decode().strip().partition(" ")
        if kind == "put":
            stored.append(text)
        elif kind == "turn":
            turns = int(text)
        else:
            child.kill()
    await child.wait()
    assert turns == STEPS - 1

    saver = AgentRowsSaver(client, user="mira")
    graph = graphs.counting_graph(saver)
    history = [one async for one in saver.alist(thread("t-1"))]
    ids = [key(one.config)["checkpoint_id"] for one in history]
    assert ids == stored[::-1]
    assert (await graph.aget_state(thread("t-1"))).next == ("add",)
    assert (await graph.ainvoke(None, thread("t-1")))["count"] == STEPS


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_prune_beside_a_running_graph_loses_nothing(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    saver = AgentRowsSaver(client, user="mira")
    graph = graphs.delta_graph(saver)
    config = thread("t-1")
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1
        result = await graph.ainvoke({}, config, durability=durability)
        assert in_order(result["items"], durability) == graphs.expected_items(turns)

    def run_before(method: str, patch: pytest.MonkeyPatch) -> None:
        original: Callable[..., Awaitable[Any]] = getattr(PostgresClient, method)

        async def hooked(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            patch.setattr(PostgresClient, method, original)
            await turn()
            return await original(*arguments, **options)

        patch.setattr(PostgresClient, method, hooked)

    await turn()
    for methods in ((), ("prune_thread",), ("list_channel_history",), BETWEEN) * 4:
        with monkeypatch.context() as patch:
            for method in methods:
                run_before(method, patch)
            await saver.aprune(["t-1"])
        state = await graph.aget_state(config)
        assert in_order(state.values["items"], durability) == graphs.expected_items(turns)
        await turn()
    await saver.aprune(["t-1"])
    kept = [one async for one in saver.alist(config)]
    await turn()
    assert len(kept) < turns
    assert turns > len(BETWEEN) * 4 + 16
    state = await graph.aget_state(config)
    assert in_order(state.values["items"], durability) == graphs.expected_items(turns)


async def test_prune_removes_the_values_that_no_checkpoint_needs(client: PostgresClient) -> None:
    saver = AgentRowsSaver(client, user="mira")
    graph = graphs.approval_graph(saver)
    await graphs.drive(saver)
    before = await graph.aget_state(thread("t-1"))
    (size,) = await client.list_threads(user_id="mira")

    await saver.aprune(["t-1", "t-1", "absent"])

    after = await graph.aget_state(thread("t-1"))
    assert graphs.describe(after) == graphs.describe(before)
    (pruned,) = await client.list_threads(user_id="mira")
    assert pruned.checkpoints == 1
    assert pruned.stored_bytes < size.stored_bytes / 5
    await saver.aprune(["t-1"], strategy="delete")
    assert await client.list_threads(user_id="mira") == []


async def test_graph_has_the_same_results_behind_pgbouncer(server: Server, migrated: str) -> None:
    expected = await graphs.drive(InMemorySaver())
    name = migrated.partition("?")[0].rpartition("/")[2]
    settings = Settings(pooler="transaction", pool_max_size=10)
    with pgbouncer(Path(server.postgres.pgdata), 5432, "postgres", pool_size=3) as port:
        dsn = f"postgresql://postgres@127.0.0.1:{port}/{name}"
        async with PostgresClient.open(dsn, settings=settings, migrations="off") as client:
            saver = AgentRowsSaver(client, user="mira")

            assert await graphs.drive(saver) == expected
            graph = graphs.delta_graph(saver, tasks=200)
            result = await graph.ainvoke({}, thread("t-2"))
            assert len(result["items"]) == 200
            await saver.aprune(["t-1", "t-2"])
            await saver.adelete_thread("t-1")
            assert len(await client.list_threads(user_id="mira")) == 1


@pytest.fixture(scope="module")
def guarded(server: Server, template: str) -> Iterator[str]:
    """The DSN of a database with policies, for a role that they apply to."""
    name = server.create_database(template)
    asyncio.run(Migrator(server.dsn(name), migrate.builtin_tracks(row_security=True)).up())
    server.execute(f"CREATE ROLE {ROLE} LOGIN")
    server.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}", database=name)
    server.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE}", database=name)
    yield server.dsn(name).replace("//postgres:", f"//{ROLE}:")
    server.drop_database(name)
    server.execute(f"DROP ROLE {ROLE}")


@pytest.fixture
async def guarded_client(guarded: str) -> AsyncIterator[PostgresClient]:
    settings = Settings(row_security=True)
    async with PostgresClient.open(guarded, settings=settings, migrations="off") as client:
        yield client


async def test_graph_has_the_same_results_under_row_security(
    guarded: str, guarded_client: PostgresClient
) -> None:
    expected = await graphs.drive(InMemorySaver())
    saver = AgentRowsSaver(guarded_client, user="mira", row_security=True)

    assert await graphs.drive(saver) == expected
    # The statements of the saver would show every row of its user, and the policies none of them.
    async with guarded_client.as_user("juno") as tx:
        assert await tx.list_threads(user_id="mira") == []
        assert [one async for one in AgentRowsSaver(tx, user="mira").alist(None)] == []
    assert [one async for one in saver.for_user("juno").alist(None)] == []
    await saver.acopy_thread("t-1", "t-2")
    await saver.aprune(["t-1"])
    await saver.adelete_for_runs(["absent"])
    await saver.adelete_thread("t-1")
    async with guarded_client.as_user("mira") as tx:
        assert [one.thread_id for one in await tx.list_threads(user_id="mira")] == ["t-2"]
        with pytest.raises(InvalidValue, match="row_security"):
            AgentRowsSaver(tx, user="mira", row_security=True)

    async with watch(guarded) as watcher:
        await killing_graph(saver.for_user("ada"), watcher)
