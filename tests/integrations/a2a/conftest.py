"""Stores of A2A: those of agentrows, and those of a2a-sdk as a check of the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import pytest
from a2a.server.cluster import DatabaseTaskEventStream, VersionedDatabaseTaskStore
from a2a.server.tasks import (
    DatabasePushNotificationConfigStore,
    DatabaseTaskStore,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
)
from sqlalchemy.ext.asyncio import create_async_engine

from agentrows import PostgresClient, init_connection
from agentrows.a2a import (
    PushNotificationConfigStore,
    TaskEventStream,
    TaskStore,
    VersionedTaskStore,
)
from support.postgres import as_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from a2a.server.cluster import TaskEventStream as BaseStream
    from a2a.server.cluster import VersionedTaskStore as BaseVersionedStore
    from a2a.server.tasks import PushNotificationConfigStore as BasePushStore
    from a2a.server.tasks import TaskStore as BaseTaskStore

OURS = "agentrows"


@dataclass(frozen=True)
class Kit:
    """The stores of one implementation, on the same data."""

    name: str
    tasks: BaseTaskStore
    push: BasePushStore


@dataclass(frozen=True)
class VersionedKit(Kit):
    """Stores of an implementation that has versions and events."""

    versioned: BaseVersionedStore
    stream: BaseStream


@pytest.fixture
def ours(client: PostgresClient) -> VersionedKit:
    """The stores of agentrows."""
    return VersionedKit(
        OURS,
        TaskStore(client),
        PushNotificationConfigStore(client),
        VersionedTaskStore(client),
        TaskEventStream(client),
    )


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[VersionedKit]:
    """The stores of a2a-sdk on SQLite."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/a2a.db")
    versioned = VersionedDatabaseTaskStore(engine)
    stream = DatabaseTaskEventStream(engine, poll_interval_s=0.05)
    await versioned.initialize()
    await stream.initialize()
    tasks, push = DatabaseTaskStore(engine), DatabasePushNotificationConfigStore(engine)
    yield VersionedKit("sqlite", tasks, push, versioned, stream)
    await engine.dispose()


@pytest.fixture(params=[OURS, "memory", "sqlite"])
def kit(request: pytest.FixtureRequest, ours: VersionedKit, sqlite: VersionedKit) -> Kit:
    """The stores of each implementation."""
    memory = Kit("memory", InMemoryTaskStore(), InMemoryPushNotificationConfigStore())
    return {OURS: ours, "sqlite": sqlite}.get(request.param, memory)


@pytest.fixture(params=[OURS, "sqlite"])
def versioned(
    request: pytest.FixtureRequest, ours: VersionedKit, sqlite: VersionedKit
) -> VersionedKit:
    """The stores of each implementation that has versions."""
    return {OURS: ours, "sqlite": sqlite}[request.param]


@pytest.fixture
async def db(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of a superuser to the migrated database, for the SQL of a test."""
    connection = await asyncpg.connect(as_role(migrated, "postgres"))
    await init_connection(connection)
    yield connection
    await connection.close()
