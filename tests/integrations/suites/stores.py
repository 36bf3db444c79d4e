"""Replacements for the tests of langgraph-checkpoint-postgres about its stores."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest
from langchain_core.embeddings import Embeddings

from agentrows.langgraph import AgentRowsStore
from integrations.suites.plugged import client, new_store, new_user
from integrations.suites.server import dsn, query

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
    from datetime import datetime

    from langgraph.store.base import TTLConfig

    from agentrows.langgraph import StoreIndexConfig

TTL_MINUTES = 0.1  # as in the suite


Distance = Literal["cosine", "l2", "inner_product"]


class CharacterEmbeddings(Embeddings):
    """The embeddings of the suite."""

    dims: int


def ttl() -> TTLConfig:
    config: dict[str, Any] = {
        "default_ttl": TTL_MINUTES,
        "refresh_on_read": True,
        "sweep_interval_minutes": TTL_MINUTES / 2,
    }
    return cast("TTLConfig", config)  # the suite too has a fraction of a minute


def index(
    fields: list[str] | None, distance: Distance, embeddings: CharacterEmbeddings
) -> StoreIndexConfig:
    return {
        "dims": embeddings.dims,
        "embed": embeddings,
        "fields": fields,
        "distance_type": distance,
    }


class OwnedStore(AgentRowsStore):
    """Has a user that the tests can read."""

    @property
    def owner(self) -> str:
        return self._users.resolve(())


class SyncStore(OwnedStore):
    """Has the synchronous sweeper of PostgresStore."""

    def start_ttl_sweeper(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        asyncio.run(super().start_ttl_sweeper())

    def stop_ttl_sweeper(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        asyncio.run(super().stop_ttl_sweeper())


@pytest.fixture
def store() -> Iterator[SyncStore]:
    store = SyncStore(client(), user=new_user(), ttl=ttl())
    store.start_ttl_sweeper()
    yield store
    store.stop_ttl_sweeper()


@pytest.fixture
async def async_store() -> AsyncIterator[OwnedStore]:
    async with OwnedStore.open(dsn(), user=new_user(), ttl=ttl()) as store:
        await store.start_ttl_sweeper()
        yield store
        await store.stop_ttl_sweeper()


@contextmanager
def create_vector_store(
    _vector_type: str,
    distance_type: Distance,
    fake_embeddings: CharacterEmbeddings,
    text_fields: list[str] | None = None,
    enable_ttl: bool = True,  # noqa: FBT001, FBT002  the signature of the suite
) -> Generator[AgentRowsStore]:
    ttl: TTLConfig | None = {"default_ttl": 2, "refresh_on_read": True} if enable_ttl else None
    yield new_store(index=index(text_fields, distance_type, fake_embeddings), ttl=ttl)


@asynccontextmanager
async def create_async_vector_store(
    _vector_type: str,
    distance_type: Distance,
    fake_embeddings: CharacterEmbeddings,
    text_fields: list[str] | None = None,
) -> AsyncGenerator[AgentRowsStore]:
    yield new_store(index=index(text_fields, distance_type, fake_embeddings))


async def expire_now(store: OwnedStore, namespace: tuple[str, ...], key: str) -> None:
    """Move the expiry of an item into the past."""
    await _query(store, namespace, key, "UPDATE {} SET expires_at = now() - interval '1 min' {}")


async def row_exists(store: OwnedStore, namespace: tuple[str, ...], key: str) -> bool:
    return bool(await _query(store, namespace, key, "SELECT 1 FROM {} {}"))


async def stored_expires_at(store: OwnedStore, namespace: tuple[str, ...], key: str) -> datetime:
    expires_at: datetime
    ((expires_at,),) = await _query(store, namespace, key, "SELECT expires_at FROM {} {}")
    return expires_at


async def _query(
    store: OwnedStore, namespace: tuple[str, ...], key: str, sql: str
) -> list[tuple[Any, ...]]:
    where = "WHERE user_id = $1 AND namespace = $2 AND key = $3"
    text = sql.format("agentrows_store_item", where)
    return await query(text, store.owner, f".{'.'.join(namespace)}.", key)


def expire_now_in_thread(store: OwnedStore, namespace: tuple[str, ...], key: str) -> None:
    asyncio.run(expire_now(store, namespace, key))


def row_exists_in_thread(store: OwnedStore, namespace: tuple[str, ...], key: str) -> bool:
    return asyncio.run(row_exists(store, namespace, key))


def stored_expires_at_in_thread(
    store: OwnedStore, namespace: tuple[str, ...], key: str
) -> datetime:
    return asyncio.run(stored_expires_at(store, namespace, key))
