"""The session service of ADK: appends to 16 sessions, and the last 20 of 1,000 events."""

from __future__ import annotations

import contextlib
import os
import uuid
from typing import TYPE_CHECKING, Any

from append_event import ADK, NEEDS, event
from clients import CONNECTIONS, agentrows_client, sqlalchemy_url
from harness import OURS, Contender, Subject, Target, is_installed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.adk.sessions import BaseSessionService
    from harness import Operation

APP = "travel"
TASKS = 16
EVENTS = 1000
LAST = 20
GIVEN = "agentrows, text given"
READER: dict[str, Any] = {"user_id": "reader", "app_name": APP}


@contextlib.asynccontextmanager
async def adapter(dsn: str) -> AsyncIterator[BaseSessionService]:
    """Open our service."""
    from agentrows.adk import SessionService

    async with agentrows_client(dsn) as client:
        yield SessionService(client)


@contextlib.asynccontextmanager
async def database(dsn: str) -> AsyncIterator[BaseSessionService]:
    """Open ADK's service."""
    from google.adk.sessions import DatabaseSessionService

    url = sqlalchemy_url(dsn)
    async with DatabaseSessionService(url, pool_size=CONNECTIONS, max_overflow=0) as service:
        await service.prepare_tables()
        yield service


SERVICES = {OURS: adapter, ADK: database}


async def prepare_tables(dsn: str) -> None:
    """Create ADK's tables, if it is installed; each contender creates its sessions."""
    if all(map(is_installed, NEEDS)):
        async with database(dsn):
            pass


async def prepare_events(dsn: str) -> None:
    """Store a session of 1,000 events for each contender."""
    async with agentrows_client(dsn) as client:
        await client.create_app_session("given", **READER, started_at=0.0)
        for number in range(EVENTS):
            await client.append_app_event(
                f"e-{number}",
                session_id="given",
                **READER,
                version=number + 1,
                data="x" * 300,
                occurred_at=0.0,
            )
    if not all(map(is_installed, NEEDS)):
        return
    for open_service in SERVICES.values():
        async with open_service(dsn) as service:
            session = await service.create_session(**READER, session_id="long")
            for _ in range(EVENTS):
                await service.append_event(session, event())


@contextlib.asynccontextmanager
async def append(dsn: str, *, name: str) -> AsyncIterator[Operation]:
    """Call append_event of a service."""
    async with SERVICES[name](dsn) as service:
        sessions = [
            await service.create_session(app_name=APP, user_id=f"u-{os.getpid()}-{task}")
            for task in range(TASKS)
        ]

        async def call(task: int) -> object:
            return await service.append_event(sessions[task], event())

        yield call


@contextlib.asynccontextmanager
async def append_given(dsn: str) -> AsyncIterator[Operation]:
    """Call append_app_event with a text, without ADK."""
    async with agentrows_client(dsn) as client:
        keys = [{"user_id": f"u-{os.getpid()}-{task}", "app_name": APP} for task in range(TASKS)]
        versions = [
            (await client.create_app_session("s-1", **key, started_at=0.0)).version for key in keys
        ]

        async def call(task: int) -> None:
            versions[task] = await client.append_app_event(
                uuid.uuid4().hex,
                session_id="s-1",
                **keys[task],
                version=versions[task],
                data="x" * 300,
                occurred_at=0.0,
            )

        yield call


@contextlib.asynccontextmanager
async def read(dsn: str, *, name: str) -> AsyncIterator[Operation]:
    """Call get_session of a service for the last events."""
    from google.adk.sessions.base_session_service import GetSessionConfig

    config = GetSessionConfig(num_recent_events=LAST)
    async with SERVICES[name](dsn) as service:

        async def call(_: int) -> object:
            return await service.get_session(**READER, session_id="long", config=config)

        yield call


@contextlib.asynccontextmanager
async def read_given(dsn: str) -> AsyncIterator[Operation]:
    """Call find_app_session, without ADK's models."""
    async with agentrows_client(dsn) as client:

        async def call(_: int) -> object:
            return await client.find_app_session("given", **READER, last=LAST)

        yield call


APPEND = Subject(
    name="adk_append",
    title="ADK: append an event, 16 sessions",
    contenders=(
        Contender(OURS, lambda dsn: append(dsn, name=OURS), needs=NEEDS),
        Contender(GIVEN, append_given),
        Contender(ADK, lambda dsn: append(dsn, name=ADK), needs=NEEDS),
    ),
    prepare=prepare_tables,
    tasks=TASKS,
    targets=(Target(ADK, 5),),
)
READ = Subject(
    name="adk_last_events",
    title="ADK: read a session with the last 20 of 1,000 events",
    contenders=(
        Contender(OURS, lambda dsn: read(dsn, name=OURS), needs=NEEDS),
        Contender(GIVEN, read_given),
        Contender(ADK, lambda dsn: read(dsn, name=ADK), needs=NEEDS),
    ),
    prepare=prepare_events,
    targets=(Target(ADK, 5),),
)
