"""Threads of AsyncPostgresSaver, imported and read with AgentRowsSaver: the same state."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.types import TASKS
from langgraph.types import Send

from agentrows import PostgresClient, Settings
from agentrows.imports.langgraph import ImportReport, LangGraphImport, LangGraphSource
from agentrows.imports.owners import OneOwner
from agentrows.langgraph import AgentRowsSaver
from integrations.langgraph import graphs
from integrations.langgraph.graphs import key, thread
from support.langgraph import SETUP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple

    from support.postgres import Server

T = TypeVar("T")
SORTS_BY_TASK: Final = tuple(map(int, version("langgraph-checkpoint-postgres").split(".")[:2])) < (
    3,
    2,
)
"""AsyncPostgresSaver 3.1 returns writes in the order of the ids of tasks, not of their paths."""
V1 = "00000000000000000000000000000001.1"


@pytest.fixture
async def theirs(database: str) -> AsyncIterator[AsyncPostgresSaver]:
    """The saver of langgraph-checkpoint-postgres on a database of its own."""
    async with AsyncPostgresSaver.from_conn_string(database) as saver:
        await saver.setup()
        yield saver


@pytest.fixture
def empty(server: Server) -> Iterator[str]:
    """A second database without tables."""
    name = server.create_database()
    yield server.dsn(name)
    server.drop_database(name)


async def collect(saver: BaseCheckpointSaver[Any], config: Any = None) -> list[CheckpointTuple]:  # noqa: ANN401
    return [comparable(one) async for one in saver.alist(config)]


async def find_newest(saver: BaseCheckpointSaver[Any], config: Any) -> CheckpointTuple | None:  # noqa: ANN401
    found = await saver.aget_tuple(config)
    return None if found is None else comparable(found)


def comparable(found: CheckpointTuple) -> CheckpointTuple:
    """Return a checkpoint with its writes in an order that both savers have."""
    return found._replace(pending_writes=by_task(found.pending_writes or []))


def by_task(writes: list[tuple[str, T, Any]]) -> list[tuple[str, T, Any]]:
    """Return the writes of a checkpoint, sorted by task if the library returns them so."""
    return sorted(writes, key=lambda write: write[0]) if SORTS_BY_TASK else writes


async def copy(client: PostgresClient, dsn: str) -> ImportReport:
    """Import every thread for mira."""
    async with LangGraphSource.open(dsn, settings=Settings()) as source:
        return await LangGraphImport(client, source, OneOwner("mira")).run()


async def put_old(saver: AsyncPostgresSaver) -> None:
    """Store two checkpoints of LangGraph's third format, with sends in the writes of the first."""
    first: Checkpoint = {
        **empty_checkpoint(),
        "v": 3,
        "channel_values": {"count": 7, "name": "Mira\u2028", "nothing": None, "items": [1, 2]},
        "channel_versions": dict.fromkeys(("count", "name", "nothing", "items"), V1),
        "versions_seen": {"node": {"count": V1}},
    }
    config = await saver.aput(
        {"configurable": {"thread_id": "old", "checkpoint_ns": ""}},
        first,
        {"source": "loop", "step": 1, "parents": {}},
        first["channel_versions"],
    )
    for task, path in (("b", "~x, 1"), ("a", "~x, 2")):
        await saver.aput_writes(config, [(TASKS, Send("node", task)), ("count", 8)], task, path)
    second: Checkpoint = {**first, "id": empty_checkpoint()["id"]}
    await saver.aput(config, second, {"source": "loop", "step": 2, "parents": {}}, {})


async def columns(dsn: str, setup: str = "SELECT 1") -> list[tuple[object, ...]]:
    """Return the definition of each column and key of a database, after a script."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(setup)
        rows = await connection.fetch(
            "SELECT table_name, column_name, data_type, is_nullable, column_default, "
            "(SELECT string_agg(pg_get_constraintdef(oid), '') FROM pg_constraint AS k "
            "WHERE conrelid = table_name::regclass AND contype = 'p') "
            "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
        )
        return [tuple(row) for row in rows]
    finally:
        await connection.close()


async def test_declared_tables_are_those_of_the_library(
    theirs: AsyncPostgresSaver, database: str, empty: str
) -> None:
    assert theirs.MIGRATIONS[len(theirs.MIGRATIONS) - 1].count("task_path") == 1

    assert await columns(empty, setup=SETUP) == await columns(database)


async def test_imported_threads_are_equal_for_the_reader_and_run_on(
    theirs: AsyncPostgresSaver, database: str, client: PostgresClient
) -> None:
    await graphs.drive(theirs)
    delta = graphs.delta_graph(theirs, tasks=5)
    for _ in range(3):
        await delta.ainvoke({}, thread("delta"))
    await put_old(theirs)
    ours = AgentRowsSaver(client, user="mira")

    report = await copy(client, database)

    assert report.is_complete
    assert report.compared == min(100, report.checkpoints) > 20
    expected = await collect(theirs)
    assert len(expected) == report.checkpoints == report.stored_checkpoints
    threads = {key(one.config)["thread_id"] for one in expected}
    assert len(threads) == report.threads >= 3
    for name in threads:
        # The order of namespaces among each other differs; LangGraph reads one at a time.
        for namespace in {key(one.config)["checkpoint_ns"] for one in expected}:
            config: Any = {"configurable": {"thread_id": name, "checkpoint_ns": namespace}}
            assert await collect(ours, config) == await collect(theirs, config)
            assert await find_newest(ours, config) == await find_newest(theirs, config)
    assert TASKS in (await collect(ours, thread("old")))[0].checkpoint["channel_values"]
    history = (await ours.aget_delta_channel_history(config=thread("delta"), channels=["items"]))[
        "items"
    ]
    original = (
        await theirs.aget_delta_channel_history(
            config={"configurable": {"thread_id": "delta", "checkpoint_ns": ""}}, channels=["items"]
        )
    )["items"]
    assert history.keys() == original.keys()
    assert history.get("seed") == original.get("seed")
    if SORTS_BY_TASK:
        assert sorted(map(repr, history["writes"])) == sorted(map(repr, original["writes"]))
    else:
        assert history == original
    continued = await graphs.delta_graph(ours, tasks=5).ainvoke({}, thread("delta"))
    assert continued["items"] == graphs.expected_items(4)
    if not SORTS_BY_TASK:
        assert continued["items"] == (await delta.ainvoke({}, thread("delta")))["items"]
    await ours.aprune(["delta", "old"])
    pruned = await graphs.delta_graph(ours, tasks=5).aget_state(thread("delta"))
    assert pruned.values["items"] == continued["items"]
    sends = await theirs.aget_tuple({"configurable": {"thread_id": "old", "checkpoint_ns": ""}})
    left = await ours.aget_tuple(thread("old"))
    assert left is not None
    assert sends is not None
    assert left.checkpoint == sends.checkpoint
    # A run after a prune restores the ancestors, and the link to them.
    assert (await copy(client, database)).is_complete
    assert await collect(ours, thread("old")) == await collect(
        theirs, {"configurable": {"thread_id": "old", "checkpoint_ns": ""}}
    )


async def test_encrypted_values_stay_encrypted_and_are_read_with_the_key(
    database: str, client: PostgresClient
) -> None:
    serde = EncryptedSerializer(Cipher())
    async with AsyncPostgresSaver.from_conn_string(database, serde=serde) as theirs:
        await theirs.setup()
        await graphs.drive(theirs)
        assert (await copy(client, database)).is_complete
        expected = await collect(theirs, thread("t-1", checkpoint_ns=""))

    ours = AgentRowsSaver(client, user="mira", serde=serde)

    assert await collect(ours, thread("t-1", checkpoint_ns="")) == expected
    row = await client.find_thread_checkpoint("t-1", user_id="mira")
    assert row is not None
    assert "msgpack+reversed" in row.value_types


class Cipher:
    """Reverses the bytes."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "reversed", plaintext[::-1]

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "reversed"
        return ciphertext[::-1]
