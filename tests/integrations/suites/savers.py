"""Replacements for the tests of langgraph-checkpoint-postgres about its savers."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from agentrows.langgraph import AgentRowsSaver
from integrations.suites import plugged, server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


class OwnedSaver(AgentRowsSaver):
    """Has a user that the tests can read."""

    @property
    def owner(self) -> str:
        return self._users.resolve({})


class SyncSaver(OwnedSaver):
    """Has the constructor of PostgresSaver."""

    @classmethod
    @contextmanager
    def from_conn_string(cls, _dsn: str) -> Generator[SyncSaver]:
        yield cls(plugged.client(), user=plugged.new_user())

    def setup(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Do nothing: the schema is complete."""


class AsyncSaver(OwnedSaver):
    """Has the constructor of AsyncPostgresSaver, and a client in the event loop of the test."""

    @classmethod
    @asynccontextmanager
    async def from_conn_string(cls, _dsn: str) -> AsyncGenerator[AsyncSaver]:
        async with cls.open(server.dsn(), user=plugged.new_user()) as saver:
            yield saver


@contextmanager
def sync_saver(_name: str) -> Generator[SyncSaver]:
    with SyncSaver.from_conn_string("") as saver:
        yield saver


@asynccontextmanager
async def async_saver(_name: str) -> AsyncGenerator[AsyncSaver]:
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


async def rows(saver: OwnedSaver, thread_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return the keys of the rows of a thread, by table."""
    return {table: await server.query(sql, saver.owner, thread_id) for table, sql in TABLES.items()}
