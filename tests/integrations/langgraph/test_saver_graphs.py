"""Graphs with AgentRowsSaver: the same results as with the saver in memory, for each user alone."""

from __future__ import annotations

import asyncio
import base64
import threading
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from agentrows import PostgresClient, Settings
from agentrows.langgraph import AgentRowsSaver
from integrations.langgraph import graphs
from integrations.langgraph.graphs import key, thread

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


def owner(config: RunnableConfig) -> str:
    """Return the user that the application put into a config."""
    return str(key(config)["owner"])


async def test_graph_has_the_results_of_the_saver_in_memory(client: PostgresClient) -> None:
    expected = await graphs.drive(InMemorySaver())

    assert await graphs.drive(AgentRowsSaver(client, user="mira")) == expected
    assert len(str(expected)) > 1000


def test_graph_has_the_same_results_with_synchronous_methods(migrated: str) -> None:
    expected = graphs.drive_sync(InMemorySaver())

    with AgentRowsSaver.open(migrated, user="mira", settings=Settings(migrations="off")) as saver:
        assert graphs.drive_sync(saver) == expected


async def test_graph_has_the_same_results_in_a_transaction(client: PostgresClient) -> None:
    expected = await graphs.drive(InMemorySaver())

    async with client.transaction() as tx:
        assert await graphs.drive(AgentRowsSaver(tx, user="mira")) == expected
        assert await client.list_threads(user_id="mira") == []
    assert [one.thread_id for one in await client.list_threads(user_id="mira")] == ["t-1"]


async def test_one_compiled_graph_serves_two_users_with_the_same_thread_id(
    client: PostgresClient,
) -> None:
    graph = graphs.counting_graph(AgentRowsSaver(client, user=owner))

    for user, turns in (("mira", 3), ("juno", 1)):
        results = [await graph.ainvoke({}, thread("t-1", owner=user)) for _ in range(turns)]
        assert results[-1]["count"] == turns
    for user, turns in (("mira", 3), ("juno", 1)):
        state = await graph.aget_state(thread("t-1", owner=user))
        assert state.values["count"] == turns
    with pytest.raises(KeyError):
        await graph.ainvoke({}, thread("t-1"))


async def test_parallel_writes_to_a_delta_channel_replay_in_the_order_of_the_run(
    client: PostgresClient,
) -> None:
    graph = graphs.delta_graph(AgentRowsSaver(client, user="mira"), tasks=12)

    for turn in range(1, 4):
        result = await graph.ainvoke({}, thread("t-1"))
        state = await graph.aget_state(thread("t-1"))
        assert result["items"] == state.values["items"] == graphs.expected_items(turn, 12)


async def kagent_put(client: PostgresClient, user: str, saver: InMemorySaver) -> None:
    """Store the checkpoints of a saver in memory in the layout of other writers."""
    serde = JsonPlusSerializer()
    for found in reversed(list(saver.list(None))):
        own = key(found.config)
        kind, data = serde.dumps_typed(found.checkpoint)
        parent = key(found.parent_config)["checkpoint_id"] if found.parent_config else None
        await client.store_checkpoint(
            own["thread_id"],
            user_id=user,
            checkpoint_ns=own["checkpoint_ns"],
            checkpoint_id=own["checkpoint_id"],
            parent_checkpoint_id=parent,
            checkpoint=base64.b64encode(data).decode(),
            checkpoint_type=kind,
            metadata=dict(found.metadata),  # pyright: ignore[reportArgumentType]
            version=found.checkpoint["v"],
        )


async def test_thread_of_another_writer_continues_with_values_stored_once(
    client: PostgresClient,
) -> None:
    memory = InMemorySaver()
    graph = graphs.counting_graph(memory)
    config = thread("t-1")
    for _ in range(2):
        await graph.ainvoke({"log": ["x" * 1000]}, config)
    await kagent_put(client, "mira", memory)

    graph = graphs.counting_graph(AgentRowsSaver(client, user="mira"))
    result = await graph.ainvoke({"log": []}, config)

    assert result == {"count": 3, "log": ["x" * 1000] * 2}
    history = [one.values async for one in graph.aget_state_history(config)]
    older = [one.values async for one in graphs.counting_graph(memory).aget_state_history(config)]
    assert history[-len(older) :] == older
    assert len(history) == len(older) + 3


async def test_encrypted_values_are_unreadable_in_the_tables(client: PostgresClient) -> None:
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"0123456789abcdef")
    graph = graphs.counting_graph(AgentRowsSaver(client, user="mira", serde=serde))

    result = await graph.ainvoke({"log": ["a secret"]}, thread("t-1"))

    assert result["log"] == ["a secret"]
    state = await graph.aget_state(thread("t-1"))
    assert state.values["log"] == ["a secret"]
    async for line in client.export_user("mira"):
        assert "secret" not in str(line)
    plain = graphs.counting_graph(AgentRowsSaver(client, user="mira"))
    with pytest.raises(NotImplementedError):
        await plain.aget_state(thread("t-1"))


async def test_graph_runs_in_another_event_loop_than_its_client(client: PostgresClient) -> None:
    graph = graphs.counting_graph(AgentRowsSaver(client, user="mira"))

    def run(number: int) -> Any:  # noqa: ANN401
        return asyncio.run(graph.ainvoke({}, thread(f"t-{number}")))

    results = await asyncio.gather(*(asyncio.to_thread(run, number) for number in range(4)))

    assert [one["count"] for one in results] == [1] * 4
    assert (await graph.aget_state(thread("t-3"))).values == {"count": 1, "log": []}


async def test_synchronous_graphs_run_in_threads_beside_the_event_loop(
    client: PostgresClient,
) -> None:
    graph = graphs.counting_graph(AgentRowsSaver(client, user="mira"))
    results: list[int] = []

    def run(number: int) -> None:
        results.extend(graph.invoke({}, thread(f"t-{number}"))["count"] for _ in range(3))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    while any(one.is_alive() for one in threads):
        await asyncio.sleep(0.01)

    assert sorted(results) == [1] * 4 + [2] * 4 + [3] * 4


async def test_two_thousand_parallel_tasks_finish_on_a_pool_of_two(migrated: str) -> None:
    settings = Settings(migrations="off", pool_max_size=2, acquire_timeout_s=0.1)
    async with AgentRowsSaver.open(migrated, user="mira", settings=settings) as saver:
        graph = graphs.delta_graph(saver, tasks=2000)

        result = await graph.ainvoke({}, thread("t-1"))

        assert len(result["items"]) == 2000
        state = await graph.aget_state(thread("t-1"))
        assert state.values["items"] == result["items"]
