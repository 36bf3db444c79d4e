"""One step of a LangGraph thread: put a checkpoint, put its writes, get both back.

32 threads at the same time on ten connections, with LangGraph's own serialiser on both sides. Our
tables are those of kagent, which keep a checkpoint whole; LangGraph's keep each channel apart.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
from typing import TYPE_CHECKING, Any

from clients import agentrows_client, psycopg_pool
from harness import OURS, Contender, Subject, Target, is_installed

from agentrows import NewCheckpointWrite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from harness import Open, Operation

TASKS = 32
TEXT = "A trip to Rome in May, by train, with two children and a dog. " * 4
GIVEN = "agentrows, bytes given"
SAVER = "AsyncPostgresSaver"
LANGGRAPH = ("langgraph.checkpoint.postgres", "langchain_core")
METADATA: dict[str, Any] = {"source": "loop", "step": 1, "parents": {}}


async def prepare(dsn: str) -> None:
    """Make LangGraph's tables too, where it is installed."""
    if not all(map(is_installed, LANGGRAPH)):
        return
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    async with AsyncPostgresSaver.from_conn_string(dsn) as checkpointer:
        await checkpointer.setup()


def steps(number: int) -> Iterator[tuple[str, str]]:
    """Return the ids of checkpoints, growing as LangGraph's do, each with the one before."""
    prefix = f"1f0{os.getpid():05x}-{number:04x}"
    names = (f"{prefix}-{step:016x}" for step in itertools.count())
    return itertools.pairwise(names)


def state(messages: int, parent: str, checkpoint_id: str) -> dict[str, Any]:
    """Return a checkpoint of a graph with a list of messages as state, or a few plain values."""
    values: dict[str, Any] = {"city": "Rome", "nights": 4, "confirmed": False}
    if messages:
        from langchain_core.messages import AIMessage, HumanMessage

        kinds = (HumanMessage, AIMessage)
        values["messages"] = [
            kinds[n % 2](content=TEXT, id=f"{parent}-{n}") for n in range(messages)
        ]
    return {
        "v": 4,
        "id": checkpoint_id,
        "ts": "2026-05-01T08:00:00.000000+00:00",
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, checkpoint_id),
        "versions_seen": {"agent": dict.fromkeys(values, parent)},
        "updated_channels": list(values),
    }


def writes() -> list[tuple[str, Any]]:
    """Return the writes of one node of the graph."""
    return [("city", "Florence"), ("nights", 5), ("branch:to:tools", None)]


def saver(messages: int) -> Open:
    """Return how LangGraph's saver does it, on a pool as its documentation has it."""

    @contextlib.asynccontextmanager
    async def open_(dsn: str) -> AsyncIterator[Operation]:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg.rows import dict_row

        threads = [steps(number) for number in range(TASKS)]
        async with psycopg_pool(dsn, prepare_threshold=0, row_factory=dict_row) as pool:
            checkpointer = AsyncPostgresSaver(pool)  # type: ignore[arg-type]

            async def step(task: int) -> None:
                parent, checkpoint_id = next(threads[task])
                checkpoint = state(messages, parent, checkpoint_id)
                where = {"thread_id": f"{os.getpid()}-{task}", "checkpoint_ns": ""}
                config = await checkpointer.aput(
                    {"configurable": {**where, "checkpoint_id": parent}},
                    checkpoint,  # type: ignore[arg-type]
                    METADATA,  # type: ignore[arg-type]
                    checkpoint["channel_versions"],
                )
                await checkpointer.aput_writes(config, writes(), f"task-{checkpoint_id}")
                found = await checkpointer.aget_tuple({"configurable": where})
                check(found is not None and found.checkpoint["id"] == checkpoint_id)

            yield step

    return open_


def ours(messages: int) -> Open:
    """Return how our store does it, with LangGraph's serialiser."""

    @contextlib.asynccontextmanager
    async def open_(dsn: str) -> AsyncIterator[Operation]:
        from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

        serde = JsonPlusSerializer()
        threads = [steps(number) for number in range(TASKS)]
        async with agentrows_client(dsn) as client:

            async def step(task: int) -> None:
                parent, checkpoint_id = next(threads[task])
                kind, blob = serde.dumps_typed(state(messages, parent, checkpoint_id))
                where = {"user_id": "u-1", "checkpoint_id": checkpoint_id}
                thread = f"{os.getpid()}-{task}"
                await client.store_checkpoint(
                    thread,
                    **where,
                    parent_checkpoint_id=parent,
                    checkpoint=base64.b64encode(blob).decode(),
                    checkpoint_type=kind,
                    metadata=METADATA,
                )
                dumped = [(channel, *serde.dumps_typed(value)) for channel, value in writes()]
                await client.store_checkpoint_writes(
                    thread,
                    **where,
                    task_id=f"task-{checkpoint_id}",
                    writes=[
                        NewCheckpointWrite(
                            idx=place,
                            channel=channel,
                            value_type=kind,
                            value=base64.b64encode(value).decode(),
                        )
                        for place, (channel, kind, value) in enumerate(dumped)
                    ],
                )
                found = await client.get_checkpoint(thread, user_id="u-1")
                kept = serde.loads_typed(
                    (
                        found.checkpoint.checkpoint_type,
                        base64.b64decode(found.checkpoint.checkpoint),
                    )
                )
                for write in found.writes:
                    serde.loads_typed((write.value_type, base64.b64decode(write.value)))
                check(kept["id"] == checkpoint_id)

            yield step

    return open_


def given(size: int) -> Open:
    """Return how our store does it with bytes that are serialised already: the store alone."""

    @contextlib.asynccontextmanager
    async def open_(dsn: str) -> AsyncIterator[Operation]:
        blob = base64.b64encode(b"x" * size).decode()
        value = base64.b64encode(b"x" * 10).decode()
        new = [
            NewCheckpointWrite(idx=place, channel="city", value_type="msgpack", value=value)
            for place in range(3)
        ]
        threads = [steps(number) for number in range(TASKS)]
        async with agentrows_client(dsn) as client:

            async def step(task: int) -> None:
                parent, checkpoint_id = next(threads[task])
                where = {"user_id": "u-1", "checkpoint_id": checkpoint_id}
                thread = f"{os.getpid()}-{task}"
                await client.store_checkpoint(
                    thread,
                    **where,
                    parent_checkpoint_id=parent,
                    checkpoint=blob,
                    checkpoint_type="msgpack",
                    metadata=METADATA,
                )
                await client.store_checkpoint_writes(
                    thread, **where, task_id=f"task-{checkpoint_id}", writes=new
                )
                found = await client.get_checkpoint(thread, user_id="u-1")
                check(found.checkpoint.checkpoint_id == checkpoint_id)

            yield step

    return open_


def check(found: bool) -> None:  # noqa: FBT001  the value that is checked
    """Stop a benchmark that measures something else than it should."""
    if not found:
        raise RuntimeError("the newest checkpoint is not the one that was put last")


def subject(name: str, title: str, *, messages: int, size: int, ratio: float) -> Subject:
    """Return the subject for a state of this many messages."""
    return Subject(
        name=name,
        title=f"checkpoint put + writes + get, 32 threads, {title}",
        contenders=(
            Contender(OURS, ours(messages), needs=LANGGRAPH),
            Contender(GIVEN, given(size)),
            Contender(SAVER, saver(messages), needs=LANGGRAPH),
        ),
        prepare=prepare,
        tasks=TASKS,
        targets=(Target(SAVER, ratio),),
    )


SMALL = subject("checkpoint_small", "small state", messages=0, size=400, ratio=3.5)
LARGE = subject("checkpoint_messages", "40 messages", messages=40, size=17_000, ratio=2)
