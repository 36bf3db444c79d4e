"""Fixtures for langgraph's own tests. Names of its snapshots contain the parameter `memory`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integrations.suites.plugged import new_saver, new_store

if TYPE_CHECKING:
    from agentrows.langgraph import AgentRowsSaver, AgentRowsStore

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
