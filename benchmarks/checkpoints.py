"""One step of a LangGraph thread with a saver: put a checkpoint, put its writes, get both back.

1 or 32 threads at the same time on ten connections, with LangGraph's own serializer on both sides.
A step of a graph with 1,500 parallel tasks puts the writes of each task, then gets the checkpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clients import agentrows_client, psycopg_pool
from harness import Contender, Subject, Target, is_installed

from agentrows import NewChannelValue, NewThreadWrite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from harness import Open, Operation
    from langgraph.checkpoint.base import BaseCheckpointSaver

    OpenSaver = Callable[[str], AbstractAsyncContextManager[BaseCheckpointSaver[Any]]]

TASKS: Final = 32
PARALLEL: Final = 1500
TEXT: Final = "A trip to Rome in May, by train, with two children and a dog. " * 4
DOCUMENT: Final = "The timetable of all trains from Munich to Rome. " * 2048
OURS: Final = "AgentRowsSaver"
GIVEN: Final = "agentrows, bytes given"
THEIRS: Final = "AsyncPostgresSaver"
LANGGRAPH: Final = ("langgraph.checkpoint.postgres", "langchain_core")
METADATA: Final[dict[str, Any]] = {"source": "loop", "step": 1, "parents": {}}


@dataclass(frozen=True, slots=True)
class State:
    """The state of a thread: some messages, and perhaps a document that never changes."""

    title: str = "small state"
    messages: int = 0
    document: bool = False

    def values(self, parent: str) -> dict[str, Any]:
        """Return the values of the channels after another step."""
        values: dict[str, Any] = {"city": "Rome", "nights": 4, "confirmed": False}
        if self.messages:
            from langchain_core.messages import AIMessage, HumanMessage

            kinds = (HumanMessage, AIMessage)
            values["messages"] = [
                kinds[n % 2](content=TEXT, id=f"{parent}-{n}") for n in range(self.messages)
            ]
        # In a list, because AsyncPostgresSaver stores a plain text again in each checkpoint.
        return values | ({"document": [DOCUMENT]} if self.document else {})

    def checkpoint(self, parent: str, checkpoint_id: str) -> dict[str, Any]:
        """Return a checkpoint; every channel but the document has a new version."""
        values = self.values(parent)
        versions = {name: "1" if name == "document" else checkpoint_id for name in values}
        return {
            "v": 4,
            "id": checkpoint_id,
            "ts": "2026-05-01T08:00:00.000000+00:00",
            "channel_values": values,
            "channel_versions": versions,
            "versions_seen": {"agent": dict.fromkeys(values, parent)},
            "updated_channels": list(values),
        }


async def prepare(dsn: str) -> None:
    """Create LangGraph's tables too, if it is installed."""
    if not all(map(is_installed, LANGGRAPH)):
        return
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    async with AsyncPostgresSaver.from_conn_string(dsn) as checkpointer:
        await checkpointer.setup()


def steps(number: int) -> Iterator[tuple[str, str]]:
    """Return the ids of checkpoints, increasing as LangGraph's, each with its predecessor."""
    prefix = f"1f0{os.getpid():05x}-{number:04x}"
    names = (f"{prefix}-{step:016x}" for step in itertools.count())
    return itertools.pairwise(names)


def writes() -> list[tuple[str, Any]]:
    """Return the writes of one node of the graph."""
    return [("city", "Florence"), ("nights", 5), ("branch:to:tools", None)]


@contextlib.asynccontextmanager
async def ours(dsn: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Open the saver of this project."""
    from agentrows.langgraph import AgentRowsSaver

    async with agentrows_client(dsn) as client:
        yield AgentRowsSaver(client, user="u-1")


@contextlib.asynccontextmanager
async def theirs(dsn: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Open LangGraph's saver, on a pool as in its documentation."""
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row

    async with psycopg_pool(dsn, prepare_threshold=0, row_factory=dict_row) as pool:
        yield AsyncPostgresSaver(pool)  # type: ignore[arg-type]


def one_step(open_saver: OpenSaver, state: State) -> Open:
    """Return the operation of a step: put, put the writes, get."""

    @contextlib.asynccontextmanager
    async def open_(dsn: str) -> AsyncIterator[Operation]:
        threads = [steps(number) for number in range(TASKS)]
        begun: set[int] = set()
        async with open_saver(dsn) as saver:

            async def step(task: int) -> None:
                parent, checkpoint_id = next(threads[task])
                checkpoint: Any = state.checkpoint(parent, checkpoint_id)
                new = dict(checkpoint["channel_versions"])
                if task in begun:
                    new.pop("document", None)
                begun.add(task)
                where = {"thread_id": f"{os.getpid()}-{task}", "checkpoint_ns": ""}
                config = await saver.aput(
                    {"configurable": {**where, "checkpoint_id": parent}},
                    checkpoint,
                    METADATA,  # type: ignore[arg-type]
                    new,
                )
                await saver.aput_writes(config, writes(), f"task-{checkpoint_id}")
                found = await saver.aget_tuple({"configurable": where})
                check(found is not None and found.checkpoint["id"] == checkpoint_id)

            yield step

    return open_


def parallel_step(open_saver: OpenSaver) -> Open:
    """Return the operation of a step with many parallel tasks."""

    @contextlib.asynccontextmanager
    async def open_(dsn: str) -> AsyncIterator[Operation]:
        thread = steps(0)
        async with open_saver(dsn) as saver:

            async def step(_task: int) -> None:
                parent, checkpoint_id = next(thread)
                checkpoint: Any = State().checkpoint(parent, checkpoint_id)
                where = {"thread_id": f"{os.getpid()}", "checkpoint_ns": ""}
                config = await saver.aput(
                    {"configurable": {**where, "checkpoint_id": parent}},
                    checkpoint,
                    METADATA,  # type: ignore[arg-type]
                    checkpoint["channel_versions"],
                )
                async with asyncio.TaskGroup() as group:
                    for number in range(PARALLEL):
                        task = f"task-{number}-{checkpoint_id}"
                        group.create_task(saver.aput_writes(config, writes(), task))
                found = await saver.aget_tuple({"configurable": where})
                check(found is not None and len(found.pending_writes or ()) == 3 * PARALLEL)

            yield step

    return open_


def given(size: int) -> Open:
    """Return the operation with our store and serialized bytes: the store alone."""

    @contextlib.asynccontextmanager
    async def open_(dsn: str) -> AsyncIterator[Operation]:
        blob = b"x" * size
        new = [
            NewThreadWrite(idx=place, channel="city", type="msgpack", value=b"x" * 10)
            for place in range(3)
        ]
        threads = [steps(number) for number in range(TASKS)]
        async with agentrows_client(dsn) as client:

            async def step(task: int) -> None:
                parent, checkpoint_id = next(threads[task])
                where = {"user_id": "u-1", "checkpoint_id": checkpoint_id}
                thread = f"{os.getpid()}-{task}"
                await client.store_thread_checkpoint(
                    thread,
                    **where,
                    parent_checkpoint_id=parent,
                    checkpoint=b"x" * 200,
                    checkpoint_type="msgpack",
                    metadata=METADATA,
                    values=[NewChannelValue(channel="messages", type="msgpack", value=blob)],
                    versions={"messages": checkpoint_id},
                )
                await client.store_thread_writes(
                    thread, **where, task_id=f"task-{checkpoint_id}", writes=new
                )
                found = await client.find_thread_checkpoint(thread, user_id="u-1")
                check(found is not None and found.checkpoint_id == checkpoint_id)

            yield step

    return open_


def check(found: bool) -> None:  # noqa: FBT001  says what was found
    """Stop a benchmark that does not measure the intended work."""
    if not found:
        raise RuntimeError("the newest checkpoint is not the one that was put last")


def subject(name: str, state: State, *, tasks: int, ratio: float, size: int = 0) -> Subject:
    """Return the subject of a step with this state, with the store alone if a size is given."""
    threads = "1 thread" if tasks == 1 else f"{tasks} threads"
    return Subject(
        name=name,
        title=f"checkpoint put + writes + get, {state.title}, {threads}",
        contenders=(
            Contender(OURS, one_step(ours, state), needs=LANGGRAPH),
            *([Contender(GIVEN, given(size))] if size else []),
            Contender(THEIRS, one_step(theirs, state), needs=LANGGRAPH),
        ),
        prepare=prepare,
        tasks=tasks,
        targets=(Target(THEIRS, ratio, OURS),),
    )


SMALL: Final = State()
MESSAGES: Final = State("40 messages", messages=40)
DOCUMENTS: Final = State("40 messages and 100 kB that stay", messages=40, document=True)
SUBJECTS: Final = (
    subject("checkpoint_small_1", SMALL, tasks=1, ratio=1.5),
    subject("checkpoint_small", SMALL, tasks=TASKS, ratio=3.5, size=400),
    subject("checkpoint_messages_1", MESSAGES, tasks=1, ratio=1.5),
    subject("checkpoint_messages", MESSAGES, tasks=TASKS, ratio=4, size=17_000),
    subject("checkpoint_document_1", DOCUMENTS, tasks=1, ratio=1.5),
    subject("checkpoint_document", DOCUMENTS, tasks=TASKS, ratio=2),
    Subject(
        name="checkpoint_parallel",
        title=f"{PARALLEL:,} parallel tasks in one step, 1 thread",
        contenders=(
            Contender(OURS, parallel_step(ours), needs=LANGGRAPH),
            Contender(THEIRS, parallel_step(theirs), needs=LANGGRAPH),
        ),
        prepare=prepare,
        targets=(Target(THEIRS, 4, OURS),),
    ),
)
