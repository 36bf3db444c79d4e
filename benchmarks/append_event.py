"""Appending an event to a session: 16 tasks with a session each, compared with ADK."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import TYPE_CHECKING

from clients import CONNECTIONS, agentrows_client, sqlalchemy_url
from harness import OURS, Contender, Subject, Target, is_installed

from agentrows import NewEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.adk.events import Event
    from harness import Operation

TASKS = 16
TEXT = "A trip to Rome in May, by train, with two children and a dog. "
GIVEN = "agentrows, text given"
ADK = "ADK DatabaseSessionService"
NEEDS = ("google.adk", "sqlalchemy")


async def prepare(dsn: str) -> None:
    """Create ADK's tables, if it is installed; each contender creates its sessions."""
    if not all(map(is_installed, NEEDS)):
        return
    from google.adk.sessions import DatabaseSessionService

    async with DatabaseSessionService(sqlalchemy_url(dsn)) as service:
        await service.prepare_tables()


def event() -> Event:
    """Return an event as an agent's run creates it."""
    from google.adk.events import Event
    from google.genai.types import Content, Part

    return Event(
        author="user",
        invocation_id="invocation-1",
        content=Content(role="user", parts=[Part(text=TEXT)]),
    )


@contextlib.asynccontextmanager
async def adk(dsn: str) -> AsyncIterator[Operation]:
    """Call append_event of ADK's service."""
    from google.adk.sessions import DatabaseSessionService

    service = DatabaseSessionService(sqlalchemy_url(dsn), pool_size=CONNECTIONS, max_overflow=0)
    sessions = [
        await service.create_session(app_name="travel", user_id=f"u-{os.getpid()}-{task}")
        for task in range(TASKS)
    ]

    async def append(task: int) -> object:
        return await service.append_event(sessions[task], event())

    yield append
    await service.close()


@contextlib.asynccontextmanager
async def ours(dsn: str, *, given: bool) -> AsyncIterator[Operation]:
    """Call store_events with one event: ADK's as JSON, or a text of that length."""
    numbers = itertools.count(os.getpid() << 20)
    async with agentrows_client(dsn) as client:
        for task in range(TASKS):
            await client.store_session(f"s-{task}", user_id=f"u-{os.getpid()}-{task}")

        async def append(task: int) -> object:
            data = "x" * 300 if given else event().model_dump_json(exclude_none=True)
            new = NewEvent(
                id=f"e-{next(numbers)}",
                user_id=f"u-{os.getpid()}-{task}",
                session_id=f"s-{task}",
                data=data,
            )
            return await client.store_events([new])

        yield append


SUBJECT = Subject(
    name="append_event",
    title="append an event to a session, 16 tasks",
    contenders=(
        Contender(OURS, lambda dsn: ours(dsn, given=False), needs=NEEDS),
        Contender(GIVEN, lambda dsn: ours(dsn, given=True)),
        Contender(ADK, adk, needs=NEEDS),
    ),
    prepare=prepare,
    tasks=TASKS,
    targets=(Target(ADK, 8),),
)
