"""Replacements for the tests of langgraph-checkpoint-postgres about its stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from agentrows.langgraph import AgentRowsStore
from integrations.suites.plugged import new_store

TTL_MINUTES = 0.1  # as in the suite


def ttl() -> dict[str, Any]:
    return {
        "default_ttl": TTL_MINUTES,
        "refresh_on_read": True,
        "sweep_interval_minutes": TTL_MINUTES / 2,
    }


def index(fields: list[str] | None, distance: str, embeddings: Any) -> dict[str, Any]:
    return {
        "dims": embeddings.dims,
        "embed": embeddings,
        "fields": fields,
        "distance_type": distance,
    }


@pytest.fixture
def store() -> Iterator[AgentRowsStore]:
    store = new_store(ttl=ttl())
    store.start_ttl_sweeper()
    yield store
    store.stop_ttl_sweeper()


@pytest.fixture
async def async_store() -> AsyncIterator[AgentRowsStore]:
    store = new_store(ttl=ttl())
    await store.start_ttl_sweeper()
    yield store
    await store.stop_ttl_sweeper()


@contextmanager
def create_vector_store(
    _vector_type: str,
    distance_type: str,
    fake_embeddings: Any,
    text_fields: list[str] | None = None,
    enable_ttl: bool = True,  # noqa: FBT001, FBT002  the signature of the suite
) -> Iterator[AgentRowsStore]:
    ttl = {"default_ttl": 2, "refresh_on_read": True} if enable_ttl else None
    yield new_store(index=index(text_fields, distance_type, fake_embeddings), ttl=ttl)


@asynccontextmanager
async def create_async_vector_store(
    _vector_type: str,
    distance_type: str,
    fake_embeddings: Any,
    text_fields: list[str] | None = None,
) -> AsyncIterator[AgentRowsStore]:
    yield new_store(index=index(text_fields, distance_type, fake_embeddings))
