"""The turn of an agent over a network with a round trip of 1 ms: ten calls, one after another.

LangGraph: the newest checkpoint, an item of the long-term memory, three steps of writes and a
checkpoint, a new item, the checkpoint again. ADK: a new session, eight events, the session again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from typing import TYPE_CHECKING, Any, Final

import adk_sessions
import checkpoints
import memories
from append_event import ADK, event
from append_event import NEEDS as ADK_NEEDS
from checkpoints import LANGGRAPH, METADATA, State, check, steps, writes
from clients import agentrows_client
from harness import OURS, Contender, Subject, Target

from agentrows import NewChannelValue, NewStoreItem, NewThreadWrite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from harness import Open, Operation

TASKS: Final = 8
ROUND_TRIP_MS: Final = 1.0
STEPS: Final = 3
EVENTS: Final = 8
TARGET: Final = 1.67
"""A turn takes at most 0.6 of the time of a turn with the framework's own stores."""
GIVEN: Final = "agentrows, bytes given"
THEIRS: Final = "AsyncPostgresSaver and AsyncPostgresStore"
STATE: Final = State("40 messages", messages=40)
PREFERENCES: Final = "preferences"


def langgraph_turn(open_saver: checkpoints.OpenSaver, open_store: memories.OpenStore) -> Open:
    """Return the operation of a turn with a saver and a store."""

    @contextlib.asynccontextmanager
    async def open_(dsn: str) -> AsyncIterator[Operation]:
        threads = [steps(number) for number in range(TASKS)]
        keys = (f"{os.getpid()}-{n}" for n in itertools.count())
        async with open_saver(dsn) as saver, open_store(dsn) as store:

            async def step(where: dict[str, str], task: int) -> str:
                parent, checkpoint_id = next(threads[task])
                checkpoint: Any = STATE.checkpoint(parent, checkpoint_id)
                parent_config: Any = {"configurable": {**where, "checkpoint_id": parent}}
                await saver.aput_writes(parent_config, writes(), f"task-{checkpoint_id}")
                new = checkpoint["channel_versions"]
                await saver.aput(parent_config, checkpoint, METADATA, new)  # type: ignore[arg-type]
                return checkpoint_id

            async def turn(task: int) -> None:
                where = {"thread_id": f"{os.getpid()}-{task}", "checkpoint_ns": ""}
                newest: Any = {"configurable": where}
                await saver.aget_tuple(newest)
                await store.aget(("memories", f"user-{task}"), PREFERENCES)
                for _ in range(STEPS):
                    checkpoint_id = await step(where, task)
                await store.aput(("memories", f"user-{task}"), next(keys), memories.ITEM)
                found = await saver.aget_tuple(newest)
                check(found is not None and found.checkpoint["id"] == checkpoint_id)

            yield turn

    return open_


@contextlib.asynccontextmanager
async def given_turn(dsn: str) -> AsyncIterator[Operation]:
    """Make the same calls with our stores and serialized bytes, without LangGraph."""
    values = [NewChannelValue(channel="messages", type="msgpack", value=b"x" * 17_000)]
    new = [
        NewThreadWrite(idx=idx, channel="city", type="msgpack", value=b"x" * 10) for idx in range(3)
    ]
    threads = [steps(number) for number in range(TASKS)]
    keys = (f"{os.getpid()}-{n}" for n in itertools.count())
    async with agentrows_client(dsn) as client:

        async def step(thread_id: str, task: int) -> str:
            parent, checkpoint_id = next(threads[task])
            await client.store_thread_writes(
                thread_id,
                user_id="u-1",
                checkpoint_id=parent,
                task_id=f"task-{checkpoint_id}",
                writes=new,
            )
            await client.store_thread_checkpoint(
                thread_id,
                user_id="u-1",
                checkpoint_id=checkpoint_id,
                parent_checkpoint_id=parent,
                checkpoint=b"x" * 200,
                checkpoint_type="msgpack",
                metadata=METADATA,
                values=values,
                versions={"messages": checkpoint_id},
            )
            return checkpoint_id

        async def turn(task: int) -> None:
            thread_id, namespace = f"given-{os.getpid()}-{task}", f"memories.given-{task}"
            await client.find_thread_checkpoint(thread_id, user_id="u-1")
            await client.find_store_item(PREFERENCES, user_id="u-1", namespace=namespace)
            for _ in range(STEPS):
                checkpoint_id = await step(thread_id, task)
            text = json.dumps(memories.ITEM)
            item = NewStoreItem(namespace=namespace, key=next(keys), value=text, ttl_s=None)
            await client.store_items([item], user_id="u-1")
            found = await client.find_thread_checkpoint(thread_id, user_id="u-1")
            check(found is not None and found.checkpoint_id == checkpoint_id)

        yield turn


def adk_turn(name: str) -> Open:
    """Return the operation of a turn with a session service."""

    @contextlib.asynccontextmanager
    async def open_(dsn: str) -> AsyncIterator[Operation]:
        async with adk_sessions.SERVICES[name](dsn) as service:

            async def turn(task: int) -> None:
                key = {"app_name": adk_sessions.APP, "user_id": f"t-{os.getpid()}-{task}"}
                session = await service.create_session(**key)
                for _ in range(EVENTS):
                    await service.append_event(session, event())
                found = await service.get_session(**key, session_id=session.id)
                if found is None or len(found.events) != EVENTS:
                    raise RuntimeError("the session lacks events that were appended")

            yield turn

    return open_


async def prepare(dsn: str) -> None:
    """Create LangGraph's tables, if it is installed."""
    await checkpoints.prepare(dsn)
    await memories.prepare(dsn)


LANGGRAPH_TURN: Final = Subject(
    name="turn_langgraph",
    title=f"LangGraph: a turn of 10 calls, round trip of 1 ms, {TASKS} tasks",
    contenders=(
        Contender(OURS, langgraph_turn(checkpoints.ours, memories.ours), needs=LANGGRAPH),
        Contender(GIVEN, given_turn),
        Contender(THEIRS, langgraph_turn(checkpoints.theirs, memories.theirs), needs=LANGGRAPH),
    ),
    prepare=prepare,
    tasks=TASKS,
    targets=(Target(THEIRS, TARGET),),
    round_trip_ms=ROUND_TRIP_MS,
)
ADK_TURN: Final = Subject(
    name="turn_adk",
    title=f"ADK: a turn of 10 calls, round trip of 1 ms, {TASKS} tasks",
    contenders=(
        Contender(OURS, adk_turn(OURS), needs=ADK_NEEDS),
        Contender(ADK, adk_turn(ADK), needs=ADK_NEEDS),
    ),
    prepare=adk_sessions.prepare_tables,
    tasks=TASKS,
    targets=(Target(ADK, TARGET),),
    round_trip_ms=ROUND_TRIP_MS,
)
