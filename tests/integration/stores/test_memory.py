"""Memories: upsert, owners and batches."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agentrows import InvalidValue, OwnedByAnother
from support.memories import AHEAD, HERS, LATER, MINE, OTHERS, Owner, list_ids, new_memory
from support.stores import count, towards, versions

if TYPE_CHECKING:
    import asyncpg

    from agentrows import PostgresClient


async def test_memories_without_an_id_get_ids_of_their_own(client: PostgresClient) -> None:
    stored = [await client.store_agent_memory(**MINE, content="same") for _ in range(3)]
    assert len({memory.id for memory in stored}) == 3
    assert await list_ids(client) == sorted(memory.id for memory in stored)


async def test_id_of_the_caller_is_stored(client: PostgresClient) -> None:
    assert (
        await client.store_agent_memory(**MINE, content="a", id="not a uuid")
    ).id == "not a uuid"
    assert await list_ids(client) == ["not a uuid"]


async def test_storing_a_memory_again_keeps_omitted_fields_and_access_count(
    client: PostgresClient,
) -> None:
    first = await client.store_agent_memory(
        **MINE, id="m-1", content="old", embedding=AHEAD, metadata={"a": 1}, expires_at=LATER
    )
    await client.search_agent_memory(**MINE, embedding=AHEAD)
    second = await client.store_agent_memory(**MINE, id="m-1", content="new")
    assert second == first.model_copy(update={"content": "new", "access_count": 1})


async def test_none_clears_each_optional_field_of_a_memory(client: PostgresClient) -> None:
    first = await client.store_agent_memory(
        **MINE, id="m-1", content="a", embedding=AHEAD, metadata={"a": 1}, expires_at=LATER
    )
    second = await client.store_agent_memory(**MINE, id="m-1", content="a", embedding=None)
    assert second == first.model_copy(update={"embedding": None})
    third = await client.store_agent_memory(**MINE, id="m-1", content="a", metadata=None)
    assert third == second.model_copy(update={"metadata": None})
    fourth = await client.store_agent_memory(**MINE, id="m-1", content="a", expires_at=None)
    assert fourth == third.model_copy(update={"expires_at": None})


@pytest.mark.parametrize("owner", [HERS, OTHERS])
async def test_memory_of_another_owner_is_not_replaced_found_or_deleted(
    client: PostgresClient, db: asyncpg.Connection, owner: Owner
) -> None:
    await client.store_agent_memory(**owner, id="m-1", content="secret", embedding=AHEAD)
    written = await versions(db, "memory")
    with pytest.raises(OwnedByAnother, match="m-1") as refused:
        await client.store_agent_memory(**MINE, id="m-1", content="mine")
    assert not {"secret", "noor", "other's"} & set(str(refused.value).split())
    assert await client.search_agent_memory(**MINE, embedding=AHEAD) == []
    assert await client.list_agent_memories(**MINE) == []
    assert await client.delete_agent_memory(**MINE, id="m-1") is False
    assert await client.delete_all_agent_memories(**MINE) == 0
    assert await versions(db, "memory") == written


async def test_a_batch_is_stored_in_its_order_and_counted(client: PostgresClient) -> None:
    batch = [new_memory(f"m-{number * 7 % 50:02}", embedding=AHEAD) for number in range(50)]
    assert await client.store_agent_memories(batch) == 50
    found = await client.list_agent_memories(**MINE)
    assert [memory.id for memory in found] == [memory.id for memory in batch[::-1]]
    assert await client.store_agent_memories([]) == 0


async def test_batch_replaces_memories_but_keeps_creation_and_access_count(
    client: PostgresClient,
) -> None:
    first = await client.store_agent_memory(
        **MINE, id="m-1", content="old", embedding=AHEAD, metadata={"a": 1}, expires_at=LATER
    )
    await client.search_agent_memory(**MINE, embedding=AHEAD)
    assert (
        await client.store_agent_memories(
            [new_memory("m-1", metadata='{"b": 2}'), new_memory("m-2")]
        )
        == 2
    )
    _, second = await client.list_agent_memories(**MINE, with_embeddings=True)
    replaced = {
        "content": "new",
        "embedding": None,
        "metadata": '{"b": 2}',
        "expires_at": None,
        "access_count": 1,
    }
    assert second == first.model_copy(update=replaced)


@pytest.mark.parametrize("owner", [HERS, OTHERS])
async def test_a_batch_with_an_id_of_another_owner_stores_nothing(
    client: PostgresClient, db: asyncpg.Connection, owner: Owner
) -> None:
    await client.store_agent_memory(**owner, id="m-2", content="secret")
    await client.store_agent_memory(**MINE, id="m-1", content="old")
    written = await versions(db, "memory")
    with pytest.raises(OwnedByAnother):
        await client.store_agent_memories([new_memory("m-1"), new_memory("m-2"), new_memory("m-3")])
    assert await versions(db, "memory") == written


async def test_a_refused_batch_inside_a_transaction_leaves_no_trace_of_itself(
    client: PostgresClient,
) -> None:
    await client.store_agent_memory(**HERS, id="m-2", content="secret")
    async with client.transaction() as tx:
        with pytest.raises(OwnedByAnother):
            await tx.store_agent_memories([new_memory("m-1"), new_memory("m-2")])
        await tx.store_agent_memories([new_memory("m-3")])
    assert await list_ids(client) == ["m-3"]


async def test_a_batch_that_has_an_id_twice_is_refused(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    with pytest.raises(InvalidValue, match="memories"):
        await client.store_agent_memories([new_memory("m-1"), new_memory("m-2"), new_memory("m-1")])
    assert await count(db, "memory") == 0


async def test_batches_over_the_same_ids_in_opposite_order_do_not_deadlock(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    batch = [new_memory(f"m-{number:02}") for number in range(40)]
    for _ in range(15):
        stored = await asyncio.gather(
            client.store_agent_memories(batch), client.store_agent_memories(batch[::-1])
        )
        assert list(stored) == [40, 40]
    assert await count(db, "memory") == 40


async def test_counting_a_memory_as_read_touches_no_index(client: PostgresClient) -> None:
    """A page has room for new versions of its rows, so that the HNSW index gets no new entry."""
    memories = [
        new_memory(f"m-{n}", embedding=AHEAD if n < 3 else towards(-0.5)) for n in range(100)
    ]
    await client.store_agent_memories(memories)
    counters = (
        "SELECT pg_stat_get_xact_tuples_updated(oid), pg_stat_get_xact_tuples_hot_updated(oid)"
        " FROM pg_class WHERE oid = to_regclass('memory')"
    )
    async with client.transaction() as tx:
        # A server process that has not reported earlier transactions yet counts them, too.
        before = await tx.db.fetchrow(counters)
        hits = await tx.search_agent_memory(**MINE, embedding=AHEAD, limit=3)
        after = await tx.db.fetchrow(counters)
    assert {hit.id for hit in hits} == {"m-0", "m-1", "m-2"}
    assert before is not None
    assert after is not None
    assert [new - old for new, old in zip(after, before, strict=True)] == [3, 3]


@pytest.mark.parametrize(
    "moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
)
async def test_an_expiry_that_would_become_infinity_is_refused(
    client: PostgresClient, moment: datetime
) -> None:
    with pytest.raises(InvalidValue, match="expires_at"):
        await client.store_agent_memory(**MINE, content="a", expires_at=moment.replace(tzinfo=UTC))


async def test_metadata_may_be_given_as_the_text_of_an_object(client: PostgresClient) -> None:
    text = ' {"city" : "Lisbon"} '
    stored = await client.store_agent_memory(**MINE, content="", metadata=text)
    assert stored.metadata == text
    found = await client.search_agent_memory(**MINE, embedding=AHEAD, metadata={"city": "Lisbon"})
    assert [hit.id for hit in found] == [stored.id]
