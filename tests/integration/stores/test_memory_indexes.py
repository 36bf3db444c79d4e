"""Searches of agentrows_memory with and without an index of the number of dimensions."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

from agentrows import NewMemory, PostgresClient, Settings, Vector
from agentrows.gen import memory_searches
from agentrows.migrate.memory_indexes import build_memory_index
from agentrows.migrate.report import Options
from agentrows.stores import _memory_tables
from support.memories import HERS, MINE, OTHERS, new_memory
from support.postgres import SUPERUSER, as_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agentrows import MemoryHit
    from agentrows.client import Stores
    from support.postgres import Server

INDEXED: Final = (384, 768, 1024, 1536, 3072)
EXACT_UP_TO: Final = 20
"""The number of rows up to which these tests scan an owner exactly."""
MINE_ROWS, HER_ROWS = 150, 12
SEARCHES_BY_INDEX: Final = 8
"""The searches of one owner with many memories, and a limit of at most 500."""
STRONG: Final = 8
SETTINGS: Final = Settings(memory_table="agentrows", memory_model="m", memory_check=False)


def vectors(dimensions: int, number: int, *, seed: int) -> Iterator[Vector]:
    """Random vectors near a surface of few dimensions, as embeddings are."""
    dice = random.Random(seed)  # noqa: S311  not a secret
    noise = [dice.gauss(0, 0.02) for _ in range(dimensions)]
    for _ in range(number):
        start = dice.randrange(dimensions)
        rest = (noise[start:] + noise[:start])[: dimensions - STRONG]
        # A length beyond the range of float16, which an index must not depend on.
        yield Vector([1e6 * dice.gauss(0, 1) for _ in range(STRONG)] + rest)


def rows(dimensions: int) -> Iterator[NewMemory]:
    """Yield memories of two users and agents, some of other sizes or without an embedding."""
    embeddings = list(vectors(dimensions, 400, seed=1))
    for n in range(MINE_ROWS):
        metadata = '{"kind": "a"}' if n % 2 else None
        content = f"memory {n} about {'tea' if n % 3 else 'coffee'}"
        yield new_memory(
            f"mine-{n}",
            embedding=embeddings[n].to_list(),
            metadata=metadata,
            content=content,
        )
    for n in range(150, 400):
        owner = OTHERS if n % 2 else HERS
        if owner is HERS and n >= 150 + 2 * HER_ROWS:
            continue
        yield new_memory(f"other-{n}", **owner, embedding=embeddings[n].to_list())
    yield new_memory("small", embedding=[1.0, 0.0])
    yield new_memory("none")


@pytest.fixture(params=INDEXED)
def dimensions(request: pytest.FixtureRequest) -> int:
    """Return a number of dimensions that can have an index."""
    return int(request.param)


@pytest.fixture
def indexed(server: Server, template: str) -> Iterator[str]:
    """Yield the DSN of a database of its own, because these tests change its indexes."""
    name = server.create_database(template)
    yield as_role(server.dsn(name), SUPERUSER)
    server.drop_database(name)


@pytest_asyncio.fixture
async def own(
    indexed: str, dimensions: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PostgresClient]:
    monkeypatch.setattr(_memory_tables, "EXACT_UP_TO", EXACT_UP_TO)
    async with PostgresClient.open(indexed, settings=SETTINGS, migrations="off") as client:
        await client.store_agent_memories(rows(dimensions))
        async with PostgresClient.open(
            indexed,
            settings=SETTINGS.model_copy(update={"memory_model": "other"}),
            migrations="off",
        ) as other:
            nearest = vectors(dimensions, 30, seed=2)
            await other.store_agent_memories(
                new_memory(f"model-{n}", embedding=each.to_list()) for n, each in enumerate(nearest)
            )
        yield client


async def build(client: PostgresClient, dsn: str, dimensions: int) -> None:
    assert await build_memory_index(dsn, None, dimensions, Options(60, 5, None))
    await client.db.execute("ANALYZE agentrows_memory")


async def search(stores: Stores, query: Vector, options: dict[str, Any]) -> list[MemoryHit]:
    arguments: dict[str, Any] = {**MINE, "embedding": query, "touch": False, **options}
    return await stores.search_agent_memory(**arguments)


async def searches(stores: Stores, dimensions: int) -> list[list[tuple[str, float]]]:
    """Return the hits of many kinds of searches."""
    found: list[list[tuple[str, float]]] = []
    for query in vectors(dimensions, 3, seed=2):
        for options in (
            {},
            {"limit": 1},
            {"limit": 30},
            {"limit": 600},
            {"limit": None},
            {"limit": 5, "metadata": {"kind": "a"}},
            {"limit": 40, "min_score": 0.5},
            {"limit": 400, "min_score": -1.0},
            {"text": "coffee", "limit": 3},
            {"text": "tea", "limit": None},
            {"limit": 5, "touch": True},
            {**HERS, "limit": 10},
            {**OTHERS, "limit": 10},
        ):
            hits = await search(stores, query, options)
            found.append([(hit.id, round(hit.score, 6)) for hit in hits])
    return found


PLANS: Final = ("SET LOCAL enable_seqscan = off", "SET LOCAL enable_sort = off")
"""Settings with which a table of a few rows is planned as one of many."""


async def plan(client: PostgresClient, dimensions: int, *, touch: bool) -> str:
    """Return the plan of a search as the server chooses it for any arguments."""
    name = f"SEARCH{'_AND_TOUCH' * touch}_OWN_MEMORIES{dimensions}"
    statement = str(getattr(memory_searches, name))
    async with client.transaction() as tx:
        for setting in (*PLANS, "SET LOCAL plan_cache_mode = force_generic_plan"):
            await tx.db.execute(setting)
        await tx.db.execute(f"PREPARE s AS {statement}")
        nulls = ", ".join(["NULL"] * 11)
        lines = await tx.db.fetch(f"EXPLAIN EXECUTE s ({nulls})")
        await tx.db.execute("DEALLOCATE s")
    return "\n".join(str(line[0]) for line in lines)


async def test_search_finds_the_same_with_and_without_the_index(
    own: PostgresClient, indexed: str, dimensions: int
) -> None:
    exact = await searches(own, dimensions)
    scan = f"Index Scan using agentrows_memory_nearest_{dimensions} on"
    for touch in (False, True):
        assert scan not in await plan(own, dimensions, touch=touch)

    await build(own, indexed, dimensions)

    for touch in (False, True):
        assert scan in await plan(own, dimensions, touch=touch)
    for mode in ("force_generic_plan", "force_custom_plan"):
        async with own.transaction() as tx:
            for setting in (*PLANS, f"SET LOCAL plan_cache_mode = {mode}"):
                await tx.db.execute(setting)
            assert await searches(tx, dimensions) == exact
            index = f"agentrows_memory_nearest_{dimensions}"
            scans = "SELECT pg_stat_get_xact_numscans(to_regclass($1))"
            assert int(str(await tx.db.fetchval(scans, index))) >= 3 * SEARCHES_BY_INDEX
    assert len(exact[0]) == 10
    assert {len(each) for each in exact} >= {1, 5, 10, 152}


async def test_memories_of_every_size_are_stored_beside_every_index(indexed: str) -> None:
    async with PostgresClient.open(indexed, settings=SETTINGS, migrations="off") as client:
        for number in INDEXED:
            await build(client, indexed, number)
        for number in (*INDEXED, 2, 5000):
            direction = [0.0] * (number - 1) + [1e9]
            await client.store_agent_memory(
                **HERS, id=f"n-{number}", content="a", embedding=direction
            )
            best, *_ = await search(client, Vector(direction), {**HERS})
            assert (best.id, round(best.score, 6)) == (f"n-{number}", 1)


async def test_memories_without_a_direction_take_no_place_of_another(
    own: PostgresClient, indexed: str, dimensions: int
) -> None:
    """The client refuses zero vectors; another program may store them."""
    (question,) = vectors(dimensions, 1, seed=7)
    await own.store_agent_memories(
        new_memory(f"zero-{n}", embedding=question.to_list()) for n in range(600)
    )
    await own.db.execute(
        "UPDATE agentrows_memory SET embedding = array_fill(0::real, ARRAY[$1::int])::vector"
        " WHERE id LIKE 'zero-%'",
        dimensions,
    )
    options = {"limit": 5, "min_score": 0.01}
    exact = await search(own, question, options)
    await build(own, indexed, dimensions)

    async with own.transaction() as tx:
        for setting in PLANS:
            await tx.db.execute(setting)
        assert await search(tx, question, options) == exact

    assert len(exact) == 5


NEARER: Final = 600
"""Memories of another owner, all nearer to the question than those of the first one."""


async def test_search_reads_few_rows_of_other_owners_however_near(
    own: PostgresClient, indexed: str, dimensions: int
) -> None:
    (question,) = vectors(dimensions, 1, seed=7)
    dice = random.Random(8)  # noqa: S311  not a secret
    await own.store_agent_memories(
        new_memory(
            f"nearer-{n}",
            **OTHERS,
            embedding=[each * (1 + dice.gauss(0, 1e-3)) for each in question.to_list()],
        )
        for n in range(NEARER)
    )
    exact = await search(own, question, {"limit": 5})
    await build(own, indexed, dimensions)

    async with own.transaction() as tx:
        for setting in PLANS:
            await tx.db.execute(setting)
        hits = await search(tx, question, {"limit": 5})
        index = f"agentrows_memory_nearest_{dimensions}"
        read = await tx.db.fetchval(
            "SELECT pg_stat_get_xact_tuples_returned(to_regclass($1))", index
        )

    assert [hit.id for hit in hits] == [hit.id for hit in exact]
    # Four times the limit are read, and some whose place is no better than theirs.
    assert 20 <= int(str(read)) <= 60
