"""search_agent_memory on 20,000 memories: number and recall of the hits."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest
import pytest_asyncio

from agentrows import PostgresClient, Settings, Vector, init_connection
from support.stores import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agentrows import Stores
    from support.postgres import Server

INDEX: Final = Path(__file__).parents[3] / "migrations/vector/000002_hnsw_index.up.sql"
OWNERS: Final = {"one": 1, "ten": 10, "thousand": 1_000, "three": 3_000, "half": 10_000}
ROWS: Final = 20_000
DIRECTIONS: Final = 16
"""Embeddings near a surface of few dimensions, as real ones are, with a little noise."""
METADATA: Final = ('{"kind": "a"}', "not json", '{"kind": "a", "n": 1}', None)
"""Two of every four memories are of the kind a."""
BATCHES: Final = (1, 10, 100, 500, 501, 600, None)
ONE_CONNECTION: Final = Settings(pool_max_size=1)


def embeddings(seed: int) -> Iterator[Vector]:
    """Endless random embeddings, the same ones for the same seed."""
    dice = random.Random(seed)  # noqa: S311  not a secret
    noise = [dice.gauss(0, 0.02) for _ in range(6_000)]
    rest = DIMENSIONS - DIRECTIONS
    while True:
        start = dice.randrange(len(noise) - rest)
        strong = [dice.gauss(0, 1) for _ in range(DIRECTIONS)]
        yield Vector(strong + noise[start : start + rest])


def queries(number: int) -> list[Vector]:
    endless = embeddings(seed=2)
    return [next(endless) for _ in range(number)]


async def load(dsn: str) -> None:
    """Fill the table by COPY, then build the index of the migration again, which is faster."""
    owners = [user for user, size in OWNERS.items() for _ in range(size)]
    owners += [f"other-{number % 50}" for number in range(ROWS - len(owners))]
    random.Random(3).shuffle(owners)  # noqa: S311  not a secret
    connection = await asyncpg.connect(dsn)
    try:
        await init_connection(connection)
        await connection.execute("DROP INDEX idx_memory_embedding_hnsw")
        await connection.copy_records_to_table(
            "memory",
            columns=["id", "agent_name", "user_id", "metadata", "embedding", "access_count"],
            records=(
                (f"m-{number:05}", "travel", user, METADATA[number % 4], embedding, 0)
                for number, (user, embedding) in enumerate(
                    zip(owners, embeddings(seed=1), strict=False)
                )
            ),
        )
        await connection.execute("SET maintenance_work_mem = '512MB'")
        await connection.execute(INDEX.read_text())
        await connection.execute("ANALYZE memory")
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def loaded(server: Server, template: str) -> Iterator[str]:
    """The DSN of a migrated database with 20,000 memories, which no test changes."""
    name = server.create_database(template)
    asyncio.run(load(server.dsn(name)))
    yield server.dsn(name)
    server.drop_database(name)


@pytest_asyncio.fixture
async def large(loaded: str) -> AsyncIterator[PostgresClient]:
    """A client with one connection, so that every statement uses the plans of earlier ones."""
    async with PostgresClient.open(loaded, settings=ONE_CONNECTION, migrations="off") as client:
        yield client


@pytest_asyncio.fixture
async def reader(loaded: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that uses no index and so returns exact results."""
    connection = await asyncpg.connect(loaded)
    await init_connection(connection)
    await connection.execute("SET enable_indexscan = off; SET enable_bitmapscan = off")
    yield connection
    await connection.close()


async def exact(
    reader: asyncpg.Connection, user: str, query: Vector, limit: int | None
) -> list[str]:
    rows = await reader.fetch(
        "SELECT id FROM memory WHERE user_id = $1 ORDER BY embedding <=> $2, id LIMIT $3",
        user,
        query,
        limit,
    )
    return [str(row[0]) for row in rows]


async def search(
    stores: Stores, user: str, query: Vector, limit: int | None, *, min_score: float | None = None
) -> list[str]:
    hits = await stores.search_agent_memory(
        agent_name="travel",
        user_id=user,
        embedding=query,
        limit=limit,
        min_score=min_score,
        touch=False,
    )
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert {hit.user_id for hit in hits} <= {user}
    return [hit.id for hit in hits]


async def recall(
    stores: Stores, reader: asyncpg.Connection, user: str, *, number: int = 20, limit: int = 10
) -> float:
    """Return the share of the exact results that was found."""
    found = 0
    for query in queries(number):
        hits = await search(stores, user, query, limit)
        assert len(hits) == len(set(hits)) == limit
        found += len(set(hits) & set(await exact(reader, user, query, limit)))
    return found / (number * limit)


async def test_index_of_the_migration_exists_and_is_valid(reader: asyncpg.Connection) -> None:
    valid = await reader.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'idx_memory_embedding_hnsw'::regclass"
    )
    assert valid is True
    assert await reader.fetchval("SELECT count(*) FROM memory") == ROWS


@pytest.mark.parametrize("user", ["one", "ten", "thousand"])
@pytest.mark.parametrize("limit", [1, 10, 100, 600, None])
async def test_search_of_a_small_owner_is_exact(
    large: PostgresClient, reader: asyncpg.Connection, user: str, limit: int | None
) -> None:
    for query in queries(3):
        found = await search(large, user, query, limit)
        assert len(found) == min(OWNERS[user], limit or ROWS)
        assert found == await exact(reader, user, query, limit)


@pytest.mark.parametrize("user", ["three", "half"])
@pytest.mark.parametrize("limit", BATCHES)
async def test_search_of_a_large_owner_returns_limit_many_hits(
    large: PostgresClient, user: str, limit: int | None
) -> None:
    for query in queries(2):
        found = await search(large, user, query, limit)
        assert len(found) == len(set(found)) == min(OWNERS[user], limit or ROWS)


@pytest.mark.parametrize("user", ["three", "half"])
async def test_large_owner_gets_at_least_95_of_the_100_nearest(
    large: PostgresClient, reader: asyncpg.Connection, user: str
) -> None:
    assert await recall(large, reader, user) >= 0.95


@pytest.mark.parametrize("limit", [600, None])
async def test_large_owner_gets_the_exact_result_with_a_high_limit(
    large: PostgresClient, reader: asyncpg.Connection, limit: int | None
) -> None:
    [query] = queries(1)
    assert await search(large, "half", query, limit) == await exact(reader, "half", query, limit)


@pytest.mark.parametrize("user", list(OWNERS))
async def test_recall_stays_the_same_after_ten_runs_on_one_connection(
    large: PostgresClient, reader: asyncpg.Connection, user: str
) -> None:
    # After five runs the server may use a generic plan, the same for small and large owners.
    for query in queries(10):
        await search(large, user, query, 10)
    limit = min(OWNERS[user], 10)
    found = await recall(large, reader, user, number=10, limit=limit)
    assert found >= (0.95 if OWNERS[user] > 1_000 else 1)
    assert len(await search(large, user, queries(1)[0], 100)) == min(OWNERS[user], 100)
    assert len(await search(large, user, queries(1)[0], None)) == OWNERS[user]


@pytest.mark.parametrize("plans", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("user", list(OWNERS))
async def test_result_does_not_depend_on_the_plan_mode(
    large: PostgresClient, reader: asyncpg.Connection, user: str, plans: str
) -> None:
    async with large.transaction() as tx:
        await tx.db.execute(f"SET LOCAL plan_cache_mode = {plans}")
        limit = min(OWNERS[user], 10)
        found = await recall(tx, reader, user, number=5, limit=limit)
        assert found >= (0.95 if OWNERS[user] > 1_000 else 1)
        for wide in (100, 600, None):
            hits = await search(tx, user, queries(1)[0], wide)
            assert len(hits) == min(OWNERS[user], wide or ROWS)


async def test_searches_of_one_transaction_do_not_spoil_each_other(
    large: PostgresClient, reader: asyncpg.Connection
) -> None:
    # The settings of one scan last until the end of the transaction.
    async with large.transaction(readonly=True) as tx:
        for _ in range(4):
            for user, limit in (("half", 500), ("half", 1), ("ten", 10), ("half", 100)):
                found = await search(tx, user, queries(1)[0], limit)
                assert len(found) == min(OWNERS[user], limit)
        assert await recall(tx, reader, "half", number=5) >= 0.95


async def test_a_search_leaves_no_setting_behind(large: PostgresClient) -> None:
    before = await settings(large)
    await search(large, "half", queries(1)[0], 10)
    assert await settings(large) == before


async def settings(stores: Stores) -> list[object]:
    """The settings of pgvector's scans on the only connection."""
    await stores.db.execute("LOAD 'vector'")
    rows = await stores.db.fetch("SELECT name, setting FROM pg_settings WHERE name ~ '^hnsw'")
    return [tuple(row) for row in rows]


async def test_min_score_limits_the_result_of_a_large_owner(
    large: PostgresClient, reader: asyncpg.Connection
) -> None:
    [query] = queries(1)
    scores = [
        float(row[0])
        for row in await reader.fetch(
            "SELECT 1 - (embedding <=> $1) FROM memory WHERE user_id = 'half' ORDER BY 1 DESC",
            query,
        )
    ]
    for least in (scores[4], 0, -0.2):
        expected = sum(score >= least for score in scores)
        for limit in (10, 600, None):
            found = await search(large, "half", query, limit, min_score=least)
            assert len(found) == min(expected, limit or ROWS)


@pytest.mark.parametrize("user", ["thousand", "half"])
async def test_metadata_is_filtered_before_the_nearest_are_taken(
    large: PostgresClient, reader: asyncpg.Connection, user: str
) -> None:
    right = 0
    for query in queries(10):
        hits = await large.search_agent_memory(
            agent_name="travel",
            user_id=user,
            embedding=query,
            metadata={"kind": "a"},
            touch=False,
        )
        expected = await reader.fetch(
            "SELECT id FROM memory WHERE user_id = $1 AND metadata LIKE '%kind%' "
            "ORDER BY embedding <=> $2 LIMIT 10",
            user,
            query,
        )
        assert len(hits) == 10
        assert all("kind" in (hit.metadata or "") for hit in hits)
        right += len({hit.id for hit in hits} & {row[0] for row in expected})
    assert right >= (95 if user == "half" else 100)


async def test_a_search_that_touches_finds_the_same(loaded: str, large: PostgresClient) -> None:
    assert loaded
    for user in ("ten", "half"):
        for query in queries(3):
            expected = await search(large, user, query, 10)

            async def touching(query: Vector = query, user: str = user) -> list[str]:
                async with large.transaction() as tx:
                    hits = await tx.search_agent_memory(
                        agent_name="travel", user_id=user, embedding=query
                    )
                    found = [hit.id for hit in hits]
                    assert [hit.access_count for hit in hits] == [1] * 10
                    await tx.db.execute("ROLLBACK; BEGIN")
                    return found

            assert await touching() == expected
