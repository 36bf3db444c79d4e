"""Adding an item to a conversation, and reading its last 20.

Compared with openai-agents' SQLAlchemySession; 16 tasks, each with its own conversation.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from clients import agentrows_client, sqlalchemy_engine
from harness import OURS, Contender, Subject, Target, is_installed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from harness import Operation

TASKS = 16
LAST = 20
ITEM: dict[str, Any] = {
    "role": "user",
    "content": "A trip to Rome in May, by train, with two children and a dog. ",
}
ADAPTER = "agentrows PostgresSession"
PEER = "openai-agents SQLAlchemySession"
NEEDS = ("agents.extensions.memory", "sqlalchemy")


async def prepare(dsn: str) -> None:
    """Create the peer's tables, if it is installed; each contender creates its conversations."""
    if not all(map(is_installed, NEEDS)):
        return
    from agents.extensions.memory import SQLAlchemySession

    async with sqlalchemy_engine(dsn) as engine:
        await SQLAlchemySession("first", engine=engine, create_tables=True).get_items()


@contextlib.asynccontextmanager
async def peer(dsn: str, *, reads: bool) -> AsyncIterator[Operation]:
    """Call add_items or get_items."""
    from agents.extensions.memory import SQLAlchemySession

    async with sqlalchemy_engine(dsn) as engine:
        sessions = [
            SQLAlchemySession(f"{os.getpid()}-{task}", engine=engine) for task in range(TASKS)
        ]
        for session in sessions:
            await session.add_items([ITEM] * LAST)  # type: ignore[list-item]

        async def add(task: int) -> None:
            await sessions[task].add_items([ITEM])  # type: ignore[list-item]

        async def read(task: int) -> None:
            check(len(await sessions[task].get_items(LAST)))

        yield read if reads else add


@contextlib.asynccontextmanager
async def ours(dsn: str, *, reads: bool) -> AsyncIterator[Operation]:
    """Call append_items, or list_items."""
    key = {"user_id": f"u-{os.getpid()}", "agent_id": "openai-agents"}
    async with agentrows_client(dsn) as client:
        for task in range(TASKS):
            await client.append_items(f"s-{task}", items=[json.dumps(ITEM)] * LAST, **key)

        async def add(task: int) -> None:
            await client.append_items(f"s-{task}", items=[json.dumps(ITEM)], **key)

        async def read(task: int) -> None:
            events = await client.list_items(f"s-{task}", limit=LAST, **key)
            check(len([json.loads(event.data) for event in events]))

        yield read if reads else add


@contextlib.asynccontextmanager
async def adapter(dsn: str, *, reads: bool) -> AsyncIterator[Operation]:
    """Call add_items or get_items of the adapter."""
    from agentrows.openai_agents import PostgresSession

    async with agentrows_client(dsn) as client:
        sessions = [
            PostgresSession(f"s-{task}", client=client, user_id=f"a-{os.getpid()}")
            for task in range(TASKS)
        ]
        for session in sessions:
            await session.add_items([ITEM] * LAST)  # type: ignore[list-item]

        async def add(task: int) -> None:
            await sessions[task].add_items([ITEM])  # type: ignore[list-item]

        async def read(task: int) -> None:
            check(len(await sessions[task].get_items(LAST)))

        yield read if reads else add


def check(found: int) -> None:
    """Stop a benchmark that does not measure the intended work."""
    if found != LAST:
        raise RuntimeError(f"{found} items were read, not {LAST}")


def subject(name: str, title: str, *, reads: bool, targets: tuple[Target, ...]) -> Subject:
    """Return the subject that reads, or the one that adds."""
    return Subject(
        name=name,
        title=f"{title}, 16 tasks",
        contenders=(
            Contender(OURS, lambda dsn: ours(dsn, reads=reads)),
            Contender(ADAPTER, lambda dsn: adapter(dsn, reads=reads), needs=NEEDS[:1]),
            Contender(PEER, lambda dsn: peer(dsn, reads=reads), needs=NEEDS),
        ),
        prepare=prepare,
        tasks=TASKS,
        targets=targets,
    )


ADD = subject("add_item", "add one item", reads=False, targets=(Target(PEER, 5, ours=ADAPTER),))
READ = subject("get_items", "read the last 20 items", reads=True, targets=())
