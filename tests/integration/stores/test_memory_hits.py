"""search_agent_memory: scores, order, filters and access counts of the hits."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from agentrows import InvalidValue
from support.memories import AHEAD, MINE, new_memory, search_ahead
from support.stores import MANY_BRACKETS, NO_DIRECTION, NOT_JSON, towards, versions

if TYPE_CHECKING:
    import asyncpg
    from pydantic import JsonValue

    from agentrows import MemoryHit, PostgresClient


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
    await client.store_agent_memories(
        [new_memory("m-1"), new_memory("m-2", embedding=towards(-1)), new_memory("m-3")]
    )
    await client.store_agent_memories([new_memory("m-4", embedding=towards(1, 1))])
    for limit in (None, 10, 4):
        hits = await search_ahead(client, limit=limit)
        assert [hit.id for hit in hits] == ["m-4", "m-2", "m-1", "m-3"]
        assert [hit.score for hit in hits[1:]] == [-1, 0, 0]
    assert [hit.id for hit in await search_ahead(client, limit=3)] == ["m-4", "m-2", "m-1"]


async def test_min_score_is_inclusive_and_may_be_negative(client: PostgresClient) -> None:
    await client.store_agent_memories(
        [
            new_memory("m-1", embedding=towards(1)),
            new_memory("m-2", embedding=towards(1, 1)),
            new_memory("m-3", embedding=towards(0, 1)),
            new_memory("m-4", embedding=towards(-1)),
            new_memory("m-5"),
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
        [
            new_memory("m-1", embedding=towards(1)),
            new_memory("m-4", embedding=towards(-1)),
            new_memory("m-5"),
        ]
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
        [new_memory(f"m-{n:02}", embedding=towards(1, n / 10)) for n in range(20)]
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
    assert_zero_vectors_last(await search_ahead(client, limit=limit), limit)


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
        assert await client.count_agent_memories(**MINE, metadata=metadata) == len(names)
    assert len(await search_ahead(client, limit=None)) == 8
    assert await client.count_agent_memories(**MINE) == 8


async def test_a_search_counts_each_hit_as_read_and_nothing_else(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_agent_memories(
        [new_memory(f"m-{n}", embedding=towards(1, n)) for n in range(4)]
    )
    await client.store_agent_memories([new_memory("m-hers", user_id="noor", embedding=AHEAD)])
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
    await client.store_agent_memories(
        [new_memory(f"m-{n}", embedding=towards(1, n)) for n in range(4)]
    )
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
        [new_memory(f"m-{n:02}", embedding=towards(n % 7, n % 5 - 2, 1 + n % 3)) for n in range(40)]
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
    counted = await client.count_agent_memories(
        agent_name="a", user_id="mira", metadata={"kind": "x"}
    )
    assert counted == 1


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
        counted = await client.count_agent_memories(
            agent_name="a", user_id="mira", metadata={"kind": {}}
        )
    assert [hit.id for hit in hits] == ["m-2"]
    assert counted == 1
