"""copy_memories: from kagent's table and between models, with and without new embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from agentrows import (
    InvalidValue,
    MemoryCopyProgress,
    MemoryCopyReport,
    PostgresClient,
    Settings,
    Vector,
)
from support.memories import HERS, LATER, MINE, Owner, new_memory
from support.stores import DIMENSIONS, towards

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

PLANE: Final = Settings(memory_table="agentrows", memory_model="plane", memory_check=False)
DONE: Final = MemoryCopyReport(0, 0, is_dry_run=False)


@pytest.fixture
async def own(migrated: str) -> AsyncIterator[PostgresClient]:
    async with PostgresClient.open(migrated, settings=PLANE, migrations="off") as client:
        yield client


async def embed(texts: list[str]) -> list[list[float]]:
    """Return vectors of two dimensions: the length of each text, and one."""
    return [[float(len(text)), 1.0] for text in texts]


async def fill(client: PostgresClient, number: int = 5, owner: Owner = MINE) -> None:
    user = owner["user_id"]
    await client.store_agent_memories(
        new_memory(
            f"{user}-{n}", **owner, content="tea" * n, embedding=towards(1, n), metadata='{"n": 1}'
        )
        for n in range(number)
    )


async def test_memories_of_kagents_table_are_copied_as_they_are(
    client: PostgresClient, own: PostgresClient
) -> None:
    await fill(client)
    await fill(client, owner=HERS)
    await client.store_agent_memory(**MINE, id="late", content="a", expires_at=LATER)
    await client.search_agent_memory(**MINE, embedding=towards(1), limit=1)
    seen: list[MemoryCopyProgress] = []

    report = await own.copy_memories("plane", batch_size=4, on_progress=seen.append)

    assert report == MemoryCopyReport(11, 0, is_dry_run=False)
    assert report.is_complete
    assert seen == [(4, 11), (8, 11), (11, 11)]
    for owner in (MINE, HERS):
        before = await client.list_agent_memories(**owner, with_embeddings=True)
        assert await own.list_agent_memories(**owner, with_embeddings=True) == before
    assert [hit.id for hit in await own.search_agent_memory(**MINE, text="teatea")] == ["mira-2"]
    assert await own.copy_memories("plane") == DONE


async def test_dry_run_counts_and_copies_nothing(
    client: PostgresClient, own: PostgresClient
) -> None:
    await fill(client)

    assert await own.copy_memories("plane", dry_run=True) == MemoryCopyReport(0, 5, is_dry_run=True)
    assert await own.count_agent_memories(**MINE) == 0


async def test_contents_are_embedded_for_another_model(own: PostgresClient, migrated: str) -> None:
    await fill(own)
    seen: list[int] = []

    async def counting(texts: list[str]) -> list[list[float]]:
        seen.append(len(texts))
        return await embed(texts)

    report = await own.copy_memories("space", from_model="plane", embed=counting, batch_size=3)

    assert report.copied == 5
    assert seen == [2, 2]  # mira-0 has no content
    space = PLANE.model_copy(update={"memory_model": "space"})
    async with PostgresClient.open(migrated, settings=space, migrations="off") as other:
        memories = await other.list_agent_memories(**MINE, with_embeddings=True)
    assert {memory.id: memory.embedding for memory in memories} == {
        "mira-0": None,
        **{f"mira-{n}": Vector([3.0 * n, 1.0]) for n in range(1, 5)},
    }
    assert await own.count_agent_memories(**MINE) == 5
    assert (await own.get_agent_memory("mira-1", **MINE)).embedding == Vector(towards(1, 1))


async def test_failed_run_is_continued_without_repeating_batches(
    client: PostgresClient, own: PostgresClient
) -> None:
    await fill(client, 9)
    embedded: list[str] = []

    async def failing(texts: list[str]) -> list[list[float]]:
        if len(embedded) == 3:
            raise TimeoutError("the model does not answer")
        embedded.extend(texts)
        return await embed(texts)

    with pytest.raises(TimeoutError):
        await own.copy_memories("plane", embed=failing, batch_size=4)
    assert await own.count_agent_memories(**MINE) == 4
    report = await own.copy_memories("plane", embed=embed, batch_size=4)
    assert (report.copied, report.remaining) == (5, 0)
    assert await own.count_agent_memories(**MINE) == 9


async def test_memory_that_changes_meanwhile_remains_for_the_next_run(
    client: PostgresClient, own: PostgresClient
) -> None:
    await fill(client)

    async def changing(texts: list[str]) -> list[list[float]]:
        await client.store_agent_memory(**MINE, id="mira-1", content="coffee")
        return await embed(texts)

    report = await own.copy_memories("plane", embed=changing)
    assert (report.copied, report.remaining, report.is_complete) == (4, 1, False)
    assert (await own.copy_memories("plane", embed=embed)).remaining == 0
    assert (await own.get_agent_memory("mira-1", **MINE)).content == "coffee"


async def test_memory_that_the_model_has_is_not_overwritten(
    client: PostgresClient, own: PostgresClient
) -> None:
    await fill(client)
    await own.store_agent_memory(**HERS, id="mira-1", content="hers")

    assert (await own.copy_memories("plane")).copied == 4
    assert (await own.get_agent_memory("mira-1", **HERS)).content == "hers"


async def test_rows_of_other_writers_are_copied(
    own: PostgresClient, db: asyncpg.Connection
) -> None:
    await db.execute(
        "INSERT INTO memory (id, agent_name, user_id, content, embedding) VALUES "
        "('all', 'travel', 'mira', NULL, NULL), ('no-user', 'travel', NULL, 'a', NULL), "
        "('no-agent', NULL, 'mira', 'a', NULL)"
    )
    assert (await own.copy_memories("plane", embed=embed)).copied == 1
    memory = await own.get_agent_memory("all", **MINE)
    assert (memory.content, memory.embedding, memory.access_count) == ("", None, 0)


async def none(_: list[str]) -> list[list[float]]:
    return []


async def mixed(texts: list[str]) -> list[list[float]]:
    return [[1.0] * (n + 1) for n in range(len(texts))]


async def zeros(texts: list[str]) -> list[list[float]]:
    return [[0.0]] * len(texts)


def plain(texts: list[str]) -> Sequence[object]:
    return texts


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"embed": none}, "embed returned 0 vectors for 4 texts"),
        ({"embed": mixed}, "vectors of one size"),
        ({"embed": zeros}, r"embed\(texts\)\[0\] must have a finite norm"),
        ({"embed": plain}, "must be an async function"),
        ({"embed": "x"}, "must be an async function"),
        ({"from_model": "plane"}, "another model"),
        ({"from_model": ""}, "from_model"),
        ({"to_model": "a\0"}, "to_model"),
        ({"batch_size": 0}, "batch_size"),
        ({"dry_run": 1}, "dry_run"),
        ({"on_progress": embed}, "on_progress"),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_is_stored(
    client: PostgresClient, own: PostgresClient, arguments: dict[str, Any], match: str
) -> None:
    await fill(client)

    given: dict[str, Any] = {"to_model": "plane", **arguments}
    with pytest.raises(InvalidValue, match=match):
        await own.copy_memories(**given)
    assert await own.count_agent_memories(**MINE) == 0


async def test_embeddings_of_kagents_size_are_searched_after_a_copy(
    client: PostgresClient, own: PostgresClient
) -> None:
    await fill(client)
    await own.copy_memories("plane")

    query = towards(1, 0.1)
    assert len(query) == DIMENSIONS
    before = await client.search_agent_memory(**MINE, embedding=query, touch=False)
    after = await own.search_agent_memory(**MINE, embedding=query, touch=False)
    assert [(hit.id, hit.score) for hit in after] == [(hit.id, hit.score) for hit in before]
