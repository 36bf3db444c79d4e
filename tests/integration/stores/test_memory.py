"""Memories: upsert and owners, lists, deletion, pruning, and what a search returns."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypedDict

import pytest

from agentrows import (
    InvalidValue,
    Memory,
    NewMemory,
    OwnedByAnother,
    PrunedMemories,
    Vector,
)
from support.stores import (
    BEFORE_ALL,
    MANY_BRACKETS,
    NO_DIRECTION,
    NOT_JSON,
    TIMES,
    count,
    spread,
    towards,
    versions,
    visit,
)

if TYPE_CHECKING:
    import asyncpg
    from pydantic import JsonValue

    from agentrows import MemoryHit, PostgresClient


class Owner(TypedDict):
    """The agent and user that a memory belongs to."""

    agent_name: str
    user_id: str


MINE: Final[Owner] = {"agent_name": "travel", "user_id": "mira"}
HERS: Final[Owner] = {"agent_name": "travel", "user_id": "noor"}
OTHERS: Final[Owner] = {"agent_name": "other", "user_id": "mira"}
AHEAD: Final = towards(1)
LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)


def new(  # noqa: PLR0913  a table has many columns
    id: str,  # noqa: A002  a column is called id
    *,
    agent_name: str = "travel",
    user_id: str = "mira",
    content: str = "new",
    embedding: list[float] | None = None,
    metadata: str | None = None,
) -> NewMemory:
    return NewMemory(
        id=id,
        agent_name=agent_name,
        user_id=user_id,
        content=content,
        embedding=None if embedding is None else Vector(embedding),
        metadata=metadata,
    )


async def add_expired(db: asyncpg.Connection, *memories: tuple[str, int | None]) -> None:
    """Add memories of mira that expired a second ago, with these counts."""
    await db.executemany(
        "INSERT INTO memory (id, agent_name, user_id, content, embedding, created_at, expires_at, "
        "access_count) VALUES ($1, 'travel', 'mira', '', $2, now(), now() - interval '1 s', $3)",
        [(id_, Vector(AHEAD), reads) for id_, reads in memories],
    )


async def ids(client: PostgresClient, owner: Owner = MINE) -> list[str]:
    return sorted(memory.id for memory in await client.list_agent_memories(**owner))


async def look(client: PostgresClient, *, limit: int | None = 10) -> list[MemoryHit]:
    return await client.search_agent_memory(**MINE, embedding=AHEAD, limit=limit, touch=False)


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


async def test_memories_without_an_id_get_ids_of_their_own(client: PostgresClient) -> None:
    stored = [await client.store_agent_memory(**MINE, content="same") for _ in range(3)]
    assert len({memory.id for memory in stored}) == 3
    assert await ids(client) == sorted(memory.id for memory in stored)


async def test_an_id_that_is_given_is_kept(client: PostgresClient) -> None:
    assert (
        await client.store_agent_memory(**MINE, content="a", id="not a uuid")
    ).id == "not a uuid"
    assert await ids(client) == ["not a uuid"]


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
    assert await client.delete_agent_memory(**MINE) is False
    assert await versions(db, "memory") == written


async def test_a_batch_is_stored_in_its_order_and_counted(client: PostgresClient) -> None:
    batch = [new(f"m-{number * 7 % 50:02}", embedding=AHEAD) for number in range(50)]
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
    assert await client.store_agent_memories([new("m-1", metadata='{"b": 2}'), new("m-2")]) == 2
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
        await client.store_agent_memories([new("m-1"), new("m-2"), new("m-3")])
    assert await versions(db, "memory") == written


async def test_a_refused_batch_inside_a_transaction_leaves_no_trace_of_itself(
    client: PostgresClient,
) -> None:
    await client.store_agent_memory(**HERS, id="m-2", content="secret")
    async with client.transaction() as tx:
        with pytest.raises(OwnedByAnother):
            await tx.store_agent_memories([new("m-1"), new("m-2")])
        await tx.store_agent_memories([new("m-3")])
    assert await ids(client) == ["m-3"]


async def test_a_batch_that_has_an_id_twice_is_refused(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    with pytest.raises(InvalidValue, match="memories"):
        await client.store_agent_memories([new("m-1"), new("m-2"), new("m-1")])
    assert await count(db, "memory") == 0


async def test_batches_over_the_same_ids_in_opposite_order_do_not_deadlock(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    batch = [new(f"m-{number:02}") for number in range(40)]
    for _ in range(15):
        stored = await asyncio.gather(
            client.store_agent_memories(batch), client.store_agent_memories(batch[::-1])
        )
        assert list(stored) == [40, 40]
    assert await count(db, "memory") == 40


async def test_agent_name_with_hyphens_matches_rows_with_underscores(
    client: PostgresClient,
) -> None:
    underscored: Owner = {"agent_name": "my_travel_agent", "user_id": "mira"}
    hyphenated: Owner = {"agent_name": "my-travel-agent", "user_id": "mira"}
    await client.store_agent_memory(**underscored, id="m-1", content="a", embedding=AHEAD)
    await client.store_agent_memory(**hyphenated, id="m-2", content="a", embedding=AHEAD)
    assert await ids(client, hyphenated) == ["m-1", "m-2"]
    assert await ids(client, underscored) == ["m-1"]
    found = await client.search_agent_memory(**hyphenated, embedding=AHEAD)
    assert {hit.id for hit in found} == {"m-1", "m-2"}
    updated = await client.store_agent_memory(**hyphenated, id="m-1", content="b")
    assert (updated.content, updated.agent_name) == ("b", "my_travel_agent")
    assert await client.store_agent_memories([new("m-1", agent_name="my-travel-agent")]) == 1
    assert await client.delete_agent_memory(**hyphenated, id="m-1") is True
    assert await ids(client, hyphenated) == ["m-2"]


async def test_an_unknown_owner_has_no_memories(client: PostgresClient) -> None:
    assert await client.list_agent_memories(**MINE) == []
    assert await client.search_agent_memory(**MINE, embedding=AHEAD) == []
    assert await client.search_agent_memory(**MINE, embedding=AHEAD, touch=False) == []
    assert await client.delete_agent_memory(**MINE) is False


async def test_deleting_removes_one_memory_or_all_of_an_owner(client: PostgresClient) -> None:
    await client.store_agent_memories([new(f"m-{n}") for n in range(3)])
    await client.store_agent_memories([new("m-hers", user_id="noor"), new("m-x", agent_name="x")])
    assert await client.delete_agent_memory(**MINE, id="m-1") is True
    assert await client.delete_agent_memory(**MINE, id="m-1") is False
    assert await ids(client) == ["m-0", "m-2"]
    assert await client.delete_agent_memory(**MINE) is True
    assert await client.delete_agent_memory(**MINE) is False
    assert await ids(client, HERS) == ["m-hers"]


@pytest.mark.parametrize("limit", [1, 2, 4, 100])
async def test_pages_of_memories_visit_each_row_once_over_ties_in_time(
    client: PostgresClient, db: asyncpg.Connection, limit: int
) -> None:
    await client.store_agent_memories([new(f"m-{number}") for number in range(len(TIMES))])
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
    assert await ids(client) == ["m-new"]
    assert [hit.id for hit in await look(client)] == ["m-new"]
    touched = await client.search_agent_memory(**MINE, embedding=AHEAD)
    assert [hit.id for hit in touched] == ["m-new"]


async def test_counting_a_memory_as_read_touches_no_index(client: PostgresClient) -> None:
    """A page has room for new versions of its rows, so that the HNSW index gets no new entry."""
    memories = [new(f"m-{n}", embedding=AHEAD if n < 3 else towards(-0.5)) for n in range(100)]
    await client.store_agent_memories(memories)
    async with client.transaction() as tx:
        hits = await tx.search_agent_memory(**MINE, embedding=AHEAD, limit=3)
        updated = await tx.db.fetchrow(
            "SELECT pg_stat_get_xact_tuples_updated(oid), pg_stat_get_xact_tuples_hot_updated(oid)"
            " FROM pg_class WHERE oid = to_regclass('memory')"
        )
    assert {hit.id for hit in hits} == {"m-0", "m-1", "m-2"}
    assert updated is not None
    assert tuple(updated) == (3, 3)


@pytest.mark.parametrize(
    "moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
)
async def test_an_expiry_that_would_become_infinity_is_refused(
    client: PostgresClient, moment: datetime
) -> None:
    with pytest.raises(InvalidValue, match="expires_at"):
        await client.store_agent_memory(**MINE, content="a", expires_at=moment.replace(tzinfo=UTC))


async def test_embeddings_come_only_when_asked_for(client: PostgresClient) -> None:
    await client.store_agent_memory(**MINE, content="a", embedding=AHEAD)
    for touch in (True, False):
        without = await client.search_agent_memory(**MINE, embedding=AHEAD, touch=touch)
        having = await client.search_agent_memory(
            **MINE, embedding=AHEAD, touch=touch, with_embeddings=True
        )
        assert [hit.embedding for hit in without] == [None]
        assert [hit.embedding for hit in having] == [Vector(AHEAD)]
    assert (await client.list_agent_memories(**MINE))[0].embedding is None


async def test_hits_come_best_first_with_the_cosine_as_their_score(client: PostgresClient) -> None:
    angles = {f"m-{degrees:03}": degrees for degrees in (90, 0, 180, 45, 120, 10)}
    for name, degrees in angles.items():
        turned = math.radians(degrees)
        await client.store_agent_memory(
            **MINE,
            id=name,
            content="a",
            embedding=towards(3 * math.cos(turned), 3 * math.sin(turned)),
        )
    for touch in (True, False):
        hits = await client.search_agent_memory(**MINE, embedding=towards(0.1), touch=touch)
        assert [hit.id for hit in hits] == sorted(angles)
        for hit in hits:
            assert hit.score == pytest.approx(math.cos(math.radians(angles[hit.id])), abs=1e-6)
            assert -1 <= hit.score <= 1


async def test_memories_without_embedding_score_0_and_come_last(
    client: PostgresClient,
) -> None:
    await client.store_agent_memories([new("m-1"), new("m-2", embedding=towards(-1)), new("m-3")])
    await client.store_agent_memories([new("m-4", embedding=towards(1, 1))])
    for limit in (None, 10, 4):
        hits = await look(client, limit=limit)
        assert [hit.id for hit in hits] == ["m-4", "m-2", "m-1", "m-3"]
        assert [hit.score for hit in hits[1:]] == [-1, 0, 0]
    assert [hit.id for hit in await look(client, limit=3)] == ["m-4", "m-2", "m-1"]


async def test_min_score_is_inclusive_and_may_be_negative(client: PostgresClient) -> None:
    await client.store_agent_memories(
        [
            new("m-1", embedding=towards(1)),
            new("m-2", embedding=towards(1, 1)),
            new("m-3", embedding=towards(0, 1)),
            new("m-4", embedding=towards(-1)),
            new("m-5"),
        ]
    )
    expected = {
        1: ["m-1"],
        0.5: ["m-1", "m-2"],
        0: ["m-1", "m-2", "m-3", "m-5"],
        -0.5: ["m-1", "m-2", "m-3", "m-5"],
        -1: ["m-1", "m-2", "m-3", "m-4", "m-5"],
    }
    for least, names in expected.items():
        for touch in (True, False):
            hits = await client.search_agent_memory(
                **MINE, embedding=AHEAD, min_score=least, touch=touch
            )
            assert [hit.id for hit in hits] == names


@pytest.mark.parametrize("score", [1.01, -1.01, math.nan, math.inf])
async def test_min_score_outside_of_the_cosine_range_is_refused(
    client: PostgresClient, score: float
) -> None:
    with pytest.raises(InvalidValue, match="min_score"):
        await client.search_agent_memory(**MINE, embedding=AHEAD, min_score=score)


async def test_a_zero_vector_of_another_program_scores_0_and_comes_last(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_agent_memories(
        [new("m-1", embedding=towards(1)), new("m-4", embedding=towards(-1)), new("m-5")]
    )
    await db.execute(
        "INSERT INTO memory (id, agent_name, user_id, content, embedding) "
        "VALUES ('m-3', 'travel', 'mira', '', $1::text::vector)",
        NO_DIRECTION,
    )
    for touch in (True, False):
        hits = await client.search_agent_memory(**MINE, embedding=AHEAD, touch=touch)
        assert [(hit.id, hit.score) for hit in hits] == [
            ("m-1", 1),
            ("m-4", -1),
            ("m-3", 0),
            ("m-5", 0),
        ]


async def add_many_zero_vectors(client: PostgresClient, db: asyncpg.Connection) -> None:
    """Add 20 memories from best to worst, and 2,100 zero vectors of another program."""
    await client.store_agent_memories(
        [new(f"m-{n:02}", embedding=towards(1, n / 10)) for n in range(20)]
    )
    await db.execute(
        "INSERT INTO memory (id, agent_name, user_id, content, embedding) "
        "SELECT 'z-' || n, 'travel', 'mira', '', $1::text::vector FROM generate_series(1, 2100) n",
        NO_DIRECTION,
    )


def assert_zero_vectors_last(hits: list[MemoryHit], limit: int) -> None:
    assert len(hits) == limit
    assert [hit.id for hit in hits[:20]] == [f"m-{n:02}" for n in range(min(limit, 20))]
    assert {hit.score for hit in hits[20:]} <= {0}


@pytest.mark.parametrize("limit", [10, 20, 30])
async def test_zero_vectors_stay_last_where_an_owner_has_thousands(
    client: PostgresClient, db: asyncpg.Connection, limit: int
) -> None:
    await add_many_zero_vectors(client, db)
    assert_zero_vectors_last(await look(client, limit=limit), limit)


@pytest.mark.parametrize("limit", [10, 20, 30])
async def test_zero_vectors_stay_last_without_the_index(
    client: PostgresClient, db: asyncpg.Connection, limit: int
) -> None:
    await add_many_zero_vectors(client, db)
    async with client.transaction() as tx:
        await tx.db.execute("SET LOCAL enable_indexscan = off")
        hits = await tx.search_agent_memory(**MINE, embedding=AHEAD, limit=limit, touch=False)
    assert_zero_vectors_last(hits, limit)


async def test_metadata_keeps_the_memories_whose_json_contains_it(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    stored: dict[str, dict[str, JsonValue]] = {
        "m-1": {"city": "Lisbon", "tags": ["a", "b"], "n": 1},
        "m-2": {"city": "Porto", "tags": ["b"], "deep": {"x": {"y": None}}},
        "m-3": {},
    }
    for name, metadata in stored.items():
        await client.store_agent_memory(**MINE, id=name, content="", metadata=metadata)
    await client.store_agent_memory(**MINE, id="m-4", content="")
    await db.execute(
        "INSERT INTO memory (id, agent_name, user_id, metadata) VALUES "
        "('x-1', 'travel', 'mira', 'not json'), ('x-2', 'travel', 'mira', ''), "
        "('x-3', 'travel', 'mira', '{\"city\": \"Lisbon\"'), ('x-4', 'travel', 'mira', '[1]')"
    )
    expected: list[tuple[dict[str, JsonValue], list[str]]] = [
        ({"city": "Lisbon"}, ["m-1"]),
        ({"tags": ["b"]}, ["m-1", "m-2"]),
        ({"tags": ["b", "a"], "n": 1.0}, ["m-1"]),
        ({"deep": {"x": {"y": None}}}, ["m-2"]),
        ({"deep": {"x": {}}}, ["m-2"]),
        ({"city": "lisbon"}, []),
        ({"n": "1"}, []),
        ({"city": "\\u0000"}, []),
        ({}, ["m-1", "m-2", "m-3"]),
    ]
    for metadata, names in expected:
        for touch in (True, False):
            hits = await client.search_agent_memory(
                **MINE, embedding=AHEAD, metadata=metadata, touch=touch
            )
            assert sorted(hit.id for hit in hits) == names
    assert len(await look(client, limit=None)) == 8


async def test_metadata_may_be_given_as_the_text_of_an_object(client: PostgresClient) -> None:
    text = ' {"city" : "Lisbon"} '
    stored = await client.store_agent_memory(**MINE, content="", metadata=text)
    assert stored.metadata == text
    found = await client.search_agent_memory(**MINE, embedding=AHEAD, metadata={"city": "Lisbon"})
    assert [hit.id for hit in found] == [stored.id]


async def test_a_search_counts_each_hit_as_read_and_nothing_else(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_agent_memories([new(f"m-{n}", embedding=towards(1, n)) for n in range(4)])
    await client.store_agent_memories([new("m-hers", user_id="noor", embedding=AHEAD)])
    await db.execute("UPDATE memory SET access_count = NULL WHERE id = 'm-0'")
    await db.execute("UPDATE memory SET access_count = 7 WHERE id = 'm-1'")
    hits = await client.search_agent_memory(**MINE, embedding=AHEAD, limit=3)
    assert [(hit.id, hit.access_count) for hit in hits] == [("m-0", 1), ("m-1", 8), ("m-2", 1)]
    stored = await db.fetch("SELECT access_count FROM memory ORDER BY id")
    assert [row[0] for row in stored] == [1, 8, 1, 0, 0]
    written = await db.fetchval("SELECT count(DISTINCT xmin::text) FROM memory WHERE id < 'm-3'")
    assert written == 1


async def test_a_search_without_touch_only_reads(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_agent_memories([new(f"m-{n}", embedding=towards(1, n)) for n in range(4)])
    written = await versions(db, "memory")
    async with client.transaction(readonly=True) as tx:
        hits = await tx.search_agent_memory(**MINE, embedding=AHEAD, touch=False)
        await tx.list_agent_memories(**MINE)
    assert [hit.access_count for hit in hits] == [0] * 4
    assert await versions(db, "memory") == written


async def test_eight_tasks_that_search_the_same_memories_count_every_read(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_agent_memories(
        [new(f"m-{n:02}", embedding=towards(n % 7, n % 5 - 2, 1 + n % 3)) for n in range(40)]
    )

    async def search(task: int) -> Counter[str]:
        read: Counter[str] = Counter()
        for turn in range(50):
            hits = await client.search_agent_memory(
                **MINE, embedding=towards(task - 3.5, turn % 9 - 4, turn % 4 - 1), limit=20
            )
            assert len(hits) == 20
            read.update(hit.id for hit in hits)
        return read

    read = sum(await asyncio.gather(*(search(task) for task in range(8))), Counter[str]())
    stored = await db.fetch("SELECT id, access_count FROM memory WHERE access_count > 0")
    assert {row[0]: row[1] for row in stored} == dict(read)
    assert sum(read.values()) == 8 * 50 * 20


async def test_searches_and_batches_and_prunes_at_once_do_not_deadlock(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    batch = [new(f"m-{n:02}", embedding=towards(1, n % 6)) for n in range(30)]
    await client.store_agent_memories(batch)
    for turn in range(15):
        await add_expired(db, *((f"x-{turn}-{n}", 10 * (n % 2)) for n in range(4)))
        await asyncio.gather(
            client.store_agent_memories(batch[::-1]),
            client.search_agent_memory(**MINE, embedding=AHEAD, limit=None),
            client.search_agent_memory(**MINE, embedding=towards(-1, 2), limit=20),
            client.prune_expired_memories(),
            client.prune_expired_memories(),
        )
    await client.prune_expired_memories()
    assert await count(db, "memory", "id LIKE 'm-%'") == 30
    assert await count(db, "memory", "id LIKE 'x-%'") == 30


async def test_a_prune_deletes_what_expired_and_extends_what_was_read_ten_times(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_expired(db, ("x-0", 0), ("x-9", 9), ("x-null", None), ("x-10", 10), ("x-11", 11))
    await client.store_agent_memory(**MINE, id="m-later", content="a", expires_at=LATER)
    await client.store_agent_memory(**MINE, id="m-never", content="a")
    await db.execute("UPDATE memory SET access_count = 50 WHERE id LIKE 'm-%'")
    assert await client.prune_expired_memories() == PrunedMemories(deleted=3, extended=2)
    rows = await db.fetch(
        "SELECT id, access_count, expires_at - now() AS left FROM memory WHERE id LIKE 'x-%' "
        "ORDER BY id"
    )
    assert [(row["id"], row["access_count"]) for row in rows] == [("x-10", 0), ("x-11", 0)]
    for row in rows:
        assert timedelta(days=15) - row["left"] < timedelta(minutes=1)
    assert await ids(client) == ["m-later", "m-never", "x-10", "x-11"]
    assert await count(db, "memory", "access_count = 50") == 2
    assert await client.prune_expired_memories() == PrunedMemories(deleted=0, extended=0)


async def test_extended_memory_without_reads_is_deleted_by_the_next_prune(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_expired(db, ("x-10", 10))
    assert (await client.prune_expired_memories()).extended == 1
    await db.execute("UPDATE memory SET expires_at = now() - interval '1 s'")
    assert await client.prune_expired_memories() == PrunedMemories(deleted=1, extended=0)
    assert await count(db, "memory") == 0


async def test_a_prune_counts_every_users_memories(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_expired(db, *((f"x-{n}", n % 20) for n in range(40)))
    await db.execute("UPDATE memory SET user_id = 'noor' WHERE id < 'x-2'")
    assert await client.prune_expired_memories() == PrunedMemories(deleted=20, extended=20)


async def test_two_prunes_at_once_share_the_work(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await add_expired(db, *((f"x-{n}", n % 20) for n in range(400)))
    runs = await asyncio.gather(*(client.prune_expired_memories() for _ in range(3)))
    assert sum(run.deleted for run in runs) == 200
    assert sum(run.extended for run in runs) == 200
    assert await count(db, "memory", "expires_at > now() AND access_count = 0") == 200


@pytest.mark.parametrize("name", MANY_BRACKETS)
async def test_a_filter_finds_metadata_with_5000_brackets(
    client: PostgresClient, name: str
) -> None:
    await client.store_agent_memory(
        id="m-1",
        agent_name="a",
        user_id="mira",
        content="x",
        embedding=towards(1),
        metadata={"kind": "x", "items": MANY_BRACKETS[name]},
    )
    for touch in (True, False):
        hits = await client.search_agent_memory(
            agent_name="a",
            user_id="mira",
            embedding=towards(1),
            metadata={"kind": "x"},
            touch=touch,
        )
        assert [hit.id for hit in hits] == ["m-1"]


@pytest.mark.parametrize("name", NOT_JSON)
async def test_a_filter_passes_metadata_that_cannot_be_parsed(
    client: PostgresClient, db: asyncpg.Connection, name: str
) -> None:
    await db.executemany(
        "INSERT INTO memory (id, agent_name, user_id, content, metadata) "
        "VALUES ($1, 'a', 'mira', 'x', $2)",
        [("m-1", NOT_JSON[name]), ("m-2", '{"kind":' * 4000 + "1" + "}" * 4000)],
    )
    async with asyncio.timeout(10):
        hits = await client.search_agent_memory(
            agent_name="a", user_id="mira", embedding=towards(1), metadata={"kind": {}}
        )
    assert [hit.id for hit in hits] == ["m-2"]
