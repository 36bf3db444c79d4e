"""Replacements for the tests of langgraph-checkpoint-postgres about its savers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import pytest

from agentrows.langgraph import AgentRowsSaver
from integrations.suites import plugged, server


class SyncSaver(AgentRowsSaver):
    """Has the constructor of PostgresSaver."""

    @classmethod
    @contextmanager
    def from_conn_string(cls, _dsn: str) -> Iterator[SyncSaver]:
        yield cls(plugged.client(), user=plugged.new_user())

    def setup(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Do nothing: the schema is complete."""


class AsyncSaver(AgentRowsSaver):
    """Has the constructor of AsyncPostgresSaver."""

    @classmethod
    @asynccontextmanager
    async def from_conn_string(cls, _dsn: str) -> AsyncIterator[AsyncSaver]:
        yield cls(plugged.client(), user=plugged.new_user())


@contextmanager
def sync_saver(_name: str) -> Iterator[SyncSaver]:
    with SyncSaver.from_conn_string("") as saver:
        yield saver


@asynccontextmanager
async def async_saver(_name: str) -> AsyncIterator[AsyncSaver]:
    async with AsyncSaver.from_conn_string("") as saver:
        yield saver


@pytest.fixture
def conn() -> None:
    """Open no connection."""


@pytest.fixture(autouse=True)
def clear_test_db() -> None:
    """Clear nothing: each test has a user of its own."""


TABLES = {
    "checkpoints": "SELECT checkpoint_ns, checkpoint_id FROM lg_checkpoint "
    "WHERE user_id = $1 AND thread_id = $2 ORDER BY 1, 2",
    "writes": "SELECT checkpoint_ns, checkpoint_id, task_id, write_idx FROM lg_checkpoint_write "
    "WHERE user_id = $1 AND thread_id = $2 ORDER BY 1, 2, 3, 4",
    "blobs": "SELECT checkpoint_ns, channel, version FROM agentrows_checkpoint_blob "
    "WHERE user_id = $1 AND thread_id = $2 ORDER BY 1, 2, 3",
}


async def rows(saver: AgentRowsSaver, thread_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return the keys of the rows of a thread, by table."""
    user = saver._users.resolve({})  # noqa: SLF001
    connection = await asyncpg.connect(server.dsn())
    try:
        return {
            table: [tuple(row) for row in await connection.fetch(sql, user, thread_id)]
            for table, sql in TABLES.items()
        }
    finally:
        await connection.close()
