"""Memories: lists, pages and deletion."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentrows import InvalidValue, Memory, NotFound, Vector
from support.memories import (
    AHEAD,
    HERS,
    LATER,
    MINE,
    Owner,
    add_expired,
    list_ids,
    new_memory,
    search_ahead,
)
from support.stores import BEFORE_ALL, EARLY, TIMES, spread, visit

if TYPE_CHECKING:
    import asyncpg

    from agentrows import PostgresClient


async def test_a_stored_memory_is_returned_as_it_is_listed(client: PostgresClient) -> None:
    stored = await client.store_agent_memory(
        **MINE,
        content="Likes trains.",
        embedding=[0.5] * 768,
        metadata={"city": "Lisbon", "n": [1, None]},
        expires_at=LATER,
    )
    assert (stored.agent_name, stored.user_id, stored.content) == (
        "travel",
        "mira",
        "Likes trains.",
    )
    assert stored.embedding == Vector([0.5] * 768)
    assert json.loads(stored.metadata or "") == {"city": "Lisbon", "n": [1, None]}
    assert (stored.expires_at, stored.access_count) == (LATER, 0)
    assert stored.created_at is not None
    assert await client.list_agent_memories(**MINE, with_embeddings=True) == [stored]


async def test_agent_name_with_hyphens_matches_rows_with_underscores(
    client: PostgresClient,
) -> None:
    underscored: Owner = {"agent_name": "my_travel_agent", "user_id": "mira"}
    hyphenated: Owner = {"agent_name": "my-travel-agent", "user_id": "mira"}
    await client.store_agent_memory(**underscored, id="m-1", content="a", embedding=AHEAD)
    await client.store_agent_memory(**hyphenated, id="m-2", content="a", embedding=AHEAD)
    assert await list_ids(client, hyphenated) == ["m-1", "m-2"]
    assert await list_ids(client, underscored) == ["m-1"]
    found = await client.search_agent_memory(**hyphenated, embedding=AHEAD)
    assert {hit.id for hit in found} == {"m-1", "m-2"}
    updated = await client.store_agent_memory(**hyphenated, id="m-1", content="b")
    assert (updated.content, updated.agent_name) == ("b", "my_travel_agent")
    assert await client.store_agent_memories([new_memory("m-1", agent_name="my-travel-agent")]) == 1
    assert await client.delete_agent_memory(**hyphenated, id="m-1") is True
    assert await list_ids(client, hyphenated) == ["m-2"]


async def test_an_unknown_owner_has_no_memories(client: PostgresClient) -> None:
    assert await client.list_agent_memories(**MINE) == []
    assert await client.search_agent_memory(**MINE, embedding=AHEAD) == []
    assert await client.search_agent_memory(**MINE, embedding=AHEAD, touch=False) == []
    assert await client.count_agent_memories(**MINE) == 0
    assert await client.delete_all_agent_memories(**MINE) == 0
    with pytest.raises(NotFound, match="m-1"):
        await client.get_agent_memory("m-1", **MINE)


async def test_deleting_removes_one_memory_or_all_of_an_owner(client: PostgresClient) -> None:
    await client.store_agent_memories([new_memory(f"m-{n}") for n in range(3)])
    await client.store_agent_memories(
        [new_memory("m-hers", user_id="noor"), new_memory("m-x", agent_name="x")]
    )
    assert await client.delete_agent_memory(**MINE, id="m-1") is True
    assert await client.delete_agent_memory(**MINE, id="m-1") is False
    assert await list_ids(client) == ["m-0", "m-2"]
    assert await client.delete_all_agent_memories(**MINE) == 2
    assert await client.delete_all_agent_memories(**MINE) == 0
    assert await list_ids(client, HERS) == ["m-hers"]


@pytest.mark.parametrize("limit", [1, 2, 4, 100])
async def test_pages_of_memories_visit_each_row_once_over_ties_in_time(
    client: PostgresClient, db: asyncpg.Connection, limit: int
) -> None:
    await client.store_agent_memories([new_memory(f"m-{number}") for number in range(len(TIMES))])
    await spread(db, "memory", "created_at")
    found = await visit(
        Memory, lambda after: client.list_agent_memories(**MINE, limit=limit, after=after)
    )
    order = sorted(range(len(TIMES)), key=lambda n: (TIMES[n] or BEFORE_ALL, n), reverse=True)
    assert [memory.id for memory in found] == [f"m-{number}" for number in order]


async def test_an_expired_memory_is_neither_found_nor_listed(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_expired(db, ("m-old", 0))
    await client.store_agent_memory(**MINE, id="m-new", content="a", expires_at=LATER)
    past = datetime.now(UTC) - timedelta(seconds=5)
    await client.store_agent_memory(**MINE, id="m-past", content="a", expires_at=past)
    await db.execute("UPDATE memory SET embedding = $1", Vector(AHEAD))
    assert await list_ids(client) == ["m-new"]
    assert [hit.id for hit in await search_ahead(client)] == ["m-new"]
    touched = await client.search_agent_memory(**MINE, embedding=AHEAD)
    assert [hit.id for hit in touched] == ["m-new"]


async def test_embeddings_are_returned_only_on_request(client: PostgresClient) -> None:
    await client.store_agent_memory(**MINE, content="a", embedding=AHEAD)
    for touch in (True, False):
        without = await client.search_agent_memory(**MINE, embedding=AHEAD, touch=touch)
        having = await client.search_agent_memory(
            **MINE, embedding=AHEAD, touch=touch, with_embeddings=True
        )
        assert [hit.embedding for hit in without] == [None]
        assert [hit.embedding for hit in having] == [Vector(AHEAD)]
    assert (await client.list_agent_memories(**MINE))[0].embedding is None


async def test_one_memory_is_returned_with_its_embedding_and_not_touched(
    client: PostgresClient,
) -> None:
    stored = await client.store_agent_memory(**MINE, id="m-1", content="a", embedding=AHEAD)

    assert await client.get_agent_memory("m-1", **MINE) == stored
    assert (await client.get_agent_memory("m-1", **MINE)).access_count == 0
    with pytest.raises(NotFound, match="m-1"):
        await client.get_agent_memory("m-1", **HERS)


async def test_expired_memories_are_neither_counted_nor_returned(client: PostgresClient) -> None:
    await client.store_agent_memory(**MINE, id="m-1", content="a")
    await client.store_agent_memory(**MINE, id="m-2", content="b", expires_at=EARLY)

    assert await client.count_agent_memories(**MINE) == 1
    assert await client.count_agent_memories(**HERS) == 0
    with pytest.raises(NotFound, match="m-2"):
        await client.get_agent_memory("m-2", **MINE)
    assert await client.delete_all_agent_memories(**MINE) == 2


async def test_delete_agent_memory_without_an_id_is_refused(client: PostgresClient) -> None:
    await client.store_agent_memory(**MINE, id="m-1", content="a")
    call: Any = client.delete_agent_memory

    with pytest.raises(TypeError, match="id"):
        await call(**MINE)
    with pytest.raises(InvalidValue, match=r"^id "):
        await call(None, **MINE)
    assert await client.count_agent_memories(**MINE) == 1
