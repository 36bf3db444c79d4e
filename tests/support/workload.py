"""Calls of every store by many tasks: each recorded in a ledger, and timed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agentrows import (
    AgentRowsError,
    NewCheckpointWrite,
    NewEvent,
    NewMemory,
    NewTool,
    OutcomeUnknown,
    Unavailable,
)
from support.ledger import Ledger
from support.stores import towards
from support.watching import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentrows import PostgresClient

    Call = Callable[["Worker", str], Awaitable[object]]

DATA: Final = base64.b64encode(bytes(range(256))).decode()
EMBEDDING: Final = towards(0.25, 0.5, 1.0)


@dataclass(slots=True)
class Worker:
    """A task of an application, with its own user."""

    client: PostgresClient
    ledger: Ledger
    name: str
    seconds: list[float] = field(default_factory=list[float])
    """The duration of each call."""
    failures: list[AgentRowsError] = field(default_factory=list[AgentRowsError])
    """The errors of its reads; the ledger has the errors of the writes."""

    async def work(self, is_over: Callable[[], bool]) -> None:
        """Make one call after the other until the end."""
        first = sum(self.name.encode())
        for turn in itertools.count():
            if is_over():
                return
            call = CALLS[(first + turn) % len(CALLS)]
            started = time.monotonic()
            with contextlib.suppress(AgentRowsError):
                await call(self, f"{self.name}-{turn}")
            self.seconds.append(time.monotonic() - started)

    async def read(self, call: Callable[[], Awaitable[object]]) -> None:
        """Make a call that reads, which may be repeated and so must not fail."""
        try:
            await call()
        except AgentRowsError as error:
            self.failures.append(error)


async def session(worker: Worker, name: str) -> None:
    await worker.ledger.repeatable(
        lambda: worker.client.store_session(name, user_id=worker.name, agent_id="travel"),
        ("session", name),
    )


async def events(worker: Worker, name: str) -> None:
    batch = [
        NewEvent(id=f"{name}-{number}", user_id=worker.name, session_id=name, data=DATA)
        for number in range(3)
    ]
    await worker.ledger.once(
        lambda: worker.client.store_events(batch), *(("event", event.id) for event in batch)
    )


async def feedback(worker: Worker, name: str) -> None:
    await worker.ledger.once(
        lambda: worker.client.store_feedback(
            user_id=worker.name, is_positive=True, feedback_text=name
        ),
        ("feedback", name),
    )


async def repeated_events(worker: Worker, name: str) -> None:
    batch = [
        NewEvent(id=f"{name}-{number}", user_id=worker.name, session_id=name, data=DATA)
        for number in range(3)
    ]
    await worker.ledger.repeatable(
        lambda: worker.client.store_events(batch, on_duplicate="repeat"),
        *(("event", event.id) for event in batch),
    )


async def keyed_feedback(worker: Worker, name: str) -> None:
    await worker.ledger.repeatable(
        lambda: worker.client.store_feedback(
            user_id=worker.name, is_positive=True, feedback_text=name, idempotency_key=name
        ),
        ("feedback", name),
    )


async def new_session(worker: Worker, name: str) -> None:
    await worker.ledger.once(
        lambda: worker.client.create_session(name, user_id=worker.name), ("session", name)
    )


async def conversation(worker: Worker, name: str) -> None:
    async def store() -> None:
        async with worker.client.transaction() as tx:
            await tx.store_session(name, user_id=worker.name)
            await tx.create_session_share(name, user_id=worker.name)
            await tx.store_task(name, user_id=worker.name, session_id=name, data=DATA)
            await tx.store_push_notification(name, task_id=name, user_id=worker.name, data=DATA)
            await tx.store_feedback(user_id=worker.name, is_positive=False, feedback_text=name)

    tables = ("session", "session_share", "task", "push_notification", "feedback")
    await worker.ledger.once(store, *((table, name) for table in tables))


async def agent(worker: Worker, name: str) -> None:
    await worker.ledger.repeatable(
        lambda: worker.client.store_agent(name, type="BYO", config={"name": name}), ("agent", name)
    )


async def task(worker: Worker, name: str) -> None:
    await worker.ledger.repeatable(
        lambda: worker.client.store_task(name, user_id=worker.name, data=DATA), ("task", name)
    )


async def tool(worker: Worker, name: str) -> None:
    await worker.ledger.repeatable(
        lambda: worker.client.store_tool(name, server_name=worker.name, group_kind="MCP"),
        ("tool", name),
    )


async def tools(worker: Worker, name: str) -> None:
    offered = [NewTool(id=f"{name}-{number}") for number in range(3)]
    await worker.ledger.repeatable(
        lambda: worker.client.refresh_tools_for_server(name, group_kind="MCP", tools=offered),
        *(("tool", each.id) for each in offered),
    )


async def tool_server(worker: Worker, name: str) -> None:
    await worker.ledger.repeatable(
        lambda: worker.client.store_tool_server(name, group_kind="MCP"), ("toolserver", name)
    )


async def checkpoint(worker: Worker, name: str) -> None:
    await worker.ledger.repeatable(
        lambda: worker.client.store_checkpoint(
            worker.name,
            user_id=worker.name,
            checkpoint_id=name,
            checkpoint=DATA,
            checkpoint_type="msgpack",
            metadata={"step": name},
        ),
        ("lg_checkpoint", name),
    )


async def checkpoint_writes(worker: Worker, name: str) -> None:
    writes = [
        NewCheckpointWrite(idx=number, channel="answer", value_type="json", value=DATA)
        for number in range(-2, 3)
    ]
    await worker.ledger.repeatable(
        lambda: worker.client.store_checkpoint_writes(
            worker.name, user_id=worker.name, checkpoint_id=name, task_id=name, writes=writes
        ),
        *(("lg_checkpoint_write", f"{name}/{write.idx}") for write in writes),
    )


async def crew(worker: Worker, name: str) -> None:
    await worker.ledger.repeatable(
        lambda: worker.client.store_crewai_memory(
            name, user_id=worker.name, memory_data='{"task_description": "Rome"}'
        ),
        ("crewai_agent_memory", name),
    )


async def flow(worker: Worker, name: str) -> None:
    await worker.ledger.repeatable(
        lambda: worker.client.store_crewai_flow_state(
            name, user_id=worker.name, method_name="begin", state_data=DATA
        ),
        ("crewai_flow_state", name),
    )


async def memory(worker: Worker, name: str) -> None:
    await worker.ledger.repeatable(
        lambda: worker.client.store_agent_memory(
            id=name,
            agent_name="travel",
            user_id=worker.name,
            content="Rome",
            embedding=EMBEDDING,
        ),
        ("memory", name),
    )


async def memories(worker: Worker, name: str) -> None:
    batch = [
        NewMemory(id=f"{name}-{number}", agent_name="travel", user_id=worker.name, content="Rome")
        for number in range(3)
    ]
    await worker.ledger.repeatable(
        lambda: worker.client.store_agent_memories(batch),
        *(("memory", each.id) for each in batch),
    )


async def stream(worker: Worker, _name: str) -> None:
    found = worker.client.stream_events_for_session(worker.name, user_id=worker.name)
    async with contextlib.aclosing(found):
        async for _ in found:
            pass


async def readers(worker: Worker, _name: str) -> None:
    client, user = worker.client, worker.name
    for call in (
        client.ping,
        lambda: client.list_sessions(user_id=user, limit=5),
        lambda: client.list_events_for_session(user, user_id=user, last=5),
        lambda: client.summarize_feedback(user_id=user),
        lambda: client.list_checkpoints(user, user_id=user, limit=2),
        lambda: client.list_tools_for_server(user, group_kind="MCP", limit=5),
        lambda: client.find_crewai_flow_state(user, user_id=user),
        lambda: client.search_crewai_memory_by_task("Rome", user_id=user, limit=2),
        lambda: client.list_agents(limit=2),
    ):
        await worker.read(call)


async def search(worker: Worker, _name: str) -> None:
    await worker.client.search_agent_memory(
        agent_name="travel", user_id=worker.name, embedding=EMBEDDING, limit=3
    )


CALLS: Final[Sequence[Call]] = (
    *(session, events, repeated_events, feedback, keyed_feedback, readers, new_session),
    *(conversation, agent, task, tool, tools, tool_server, checkpoint, checkpoint_writes),
    *(crew, flow, memory, memories, stream, search),
)


async def under_load(
    client: PostgresClient, fault: Callable[[], Awaitable[None]], *, workers: int = 20
) -> Ledger:
    """Inject a fault while workers run; return the results before and after it.

    No worker may hang, and no call that is safe to repeat may fail.
    """
    ledger = Ledger()
    is_over = False
    staff = [Worker(client, ledger, f"w{number}") for number in range(workers)]
    tasks = [asyncio.create_task(worker.work(lambda: is_over)) for worker in staff]
    try:
        await acknowledge_more(ledger)
        await fault()
        await acknowledge_more(ledger)
    finally:
        is_over = True
        _, hanging = await asyncio.wait(tasks, timeout=PATIENCE_S)
    assert not hanging
    for task in tasks:
        task.result()
    check_errors(staff)
    return ledger


async def acknowledge_more(ledger: Ledger, writes: int = 100) -> None:
    """Wait until this number of further writes was acknowledged."""
    goal = ledger.count("acknowledged") + writes

    async def is_there() -> bool:
        return ledger.count("acknowledged") >= goal

    await until(is_there)


def check_errors(staff: Sequence[Worker]) -> None:
    """Check that only calls that cannot be retried failed, with an error that shows the result."""
    writes = staff[0].ledger.writes
    failed = [write.error for write in writes if write.is_repeatable and write.error]
    failed += [error for worker in staff for error in worker.failures]
    assert failed == []
    for write in writes:
        assert write.error is None or type(write.error) in (OutcomeUnknown, Unavailable), write
