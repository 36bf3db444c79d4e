"""Fixtures for langgraph's own tests. Their stored output has the parameter `memory` in its name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from agentrows.langgraph import AgentRowsSaver, AgentRowsStore
from integrations.suites.plugged import new_saver, new_store

__all__ = ["async_checkpointer", "async_store", "sync_checkpointer", "sync_store"]


@pytest.fixture(params=["memory"])
def sync_checkpointer() -> AgentRowsSaver:
    return new_saver()


@pytest.fixture(params=["memory"])
async def async_checkpointer() -> AgentRowsSaver:
    return new_saver()


@pytest.fixture(params=["in_memory"])
def sync_store() -> AgentRowsStore:
    return new_store()


@pytest.fixture(params=["in_memory"])
async def async_store() -> AgentRowsStore:
    return new_store()


@contextmanager
def opened_saver() -> Iterator[AgentRowsSaver]:
    yield new_saver()


@asynccontextmanager
async def opened_async_saver() -> AsyncIterator[AgentRowsSaver]:
    yield new_saver()
