"""Memories with embeddings of any model, in agentrows_memory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest
from pgvector import Vector

from agentrows import (
    ConfigError,
    InvalidValue,
    NotFound,
    OwnedByAnother,
    PostgresClient,
    Settings,
)
from support.memories import HERS, LATER, MINE, OTHERS, Owner, new_memory
from support.stores import count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

PLANE: Final = Settings(memory_table="agentrows", memory_model="plane", memory_check=False)
SPACE: Final = Settings(memory_table="agentrows", memory_model="space", memory_check=False)


@pytest.fixture
async def own(migrated: str) -> AsyncIterator[PostgresClient]:
    async with PostgresClient.open(migrated, settings=PLANE, migrations="off") as client:
        yield client


async def find(client: PostgresClient, **arguments: object) -> list[str]:
    hits = await client.search_agent_memory(**MINE, **arguments)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    return [hit.id for hit in hits]


async def test_memory_of_any_size_is_stored_listed_found_and_deleted(own: PostgresClient) -> None:
    first = await own.store_agent_memory(
        **MINE, id="m-1", content="a", embedding=[1, 0], metadata={"n": 1}, expires_at=LATER
    )
    assert await own.store_agent_memories([new_memory("m-2", embedding=[0, 1])]) == 1

    [listed] = [m for m in await own.list_agent_memories(**MINE) if m.id == "m-1"]
    assert listed == first.model_copy(update={"embedding": None})
    hits = await own.search_agent_memory(**MINE, embedding=[1, 0.1])
    assert [(hit.id, hit.access_count) for hit in hits] == [("m-1", 1), ("m-2", 1)]
    assert hits[0].score > hits[1].score
    assert await find(own, embedding=[1, 0], metadata={"n": 1}) == ["m-1"]
    assert (await own.get_agent_memory("m-1", **MINE)).access_count == 2
    assert await own.count_agent_memories(**MINE) == 2
    assert await own.delete_agent_memory("m-1", **MINE)
    assert await find(own, embedding=[1, 0]) == ["m-2"]


async def test_count_with_metadata_equals_the_hits_of_a_search(own: PostgresClient) -> None:
    await own.store_agent_memory(**MINE, content="a", embedding=[1, 0], metadata={"n": 1, "m": 2})
    await own.store_agent_memory(**MINE, content="b", embedding=[0, 1], metadata={"n": 1})
    await own.store_agent_memory(**MINE, content="c", embedding=[1, 1])
    await own.store_agent_memory(**HERS, content="d", embedding=[1, 0], metadata={"n": 1})

    for metadata, expected in (({"n": 1}, 2), ({"m": 2}, 1), ({}, 2), ({"n": 2}, 0)):
        assert await own.count_agent_memories(**MINE, metadata=metadata) == expected
        assert len(await find(own, embedding=[1, 0], metadata=metadata)) == expected
    with pytest.raises(InvalidValue, match="metadata"):
        await own.count_agent_memories(**MINE, metadata={"n": "a\0b"})


async def test_memories_of_two_models_have_their_own_ids_and_searches(
    own: PostgresClient, migrated: str
) -> None:
    await own.store_agent_memory(**MINE, id="m-1", content="plane", embedding=[1, 0])
    async with PostgresClient.open(migrated, settings=SPACE, migrations="off") as other:
        await other.store_agent_memory(**MINE, id="m-1", content="space", embedding=[1, 0, 0])
        [hit] = await other.search_agent_memory(**MINE, embedding=[1, 0, 0])
        assert hit.content == "space"
        assert await other.count_agent_memories(**MINE) == 1
        assert (await other.get_agent_memory("m-1", **MINE)).content == "space"
        assert await other.delete_all_agent_memories(**MINE) == 1
        assert not await other.delete_agent_memory("m-1", **MINE)
        with pytest.raises(NotFound):
            await other.get_agent_memory("m-1", **MINE)
    [memory] = await own.list_agent_memories(**MINE)
    assert memory.content == "plane"
    assert await own.get_agent_memory("m-1", **MINE) == memory.model_copy(
        update={"embedding": Vector([1, 0])}
    )


async def test_page_token_is_limited_to_the_table_and_model(
    own: PostgresClient, client: PostgresClient, migrated: str
) -> None:
    await own.store_agent_memories([new_memory(f"m-{n}") for n in range(3)])
    page = await own.list_agent_memories(**MINE, limit=2)
    rest = await own.list_agent_memories(**MINE, limit=2, after=page.next_token)
    assert [memory.id for memory in (*page, *rest)] == ["m-2", "m-1", "m-0"]
    async with PostgresClient.open(migrated, settings=SPACE, migrations="off") as other:
        for stranger in (other, client):
            with pytest.raises(InvalidValue, match="page token"):
                await stranger.list_agent_memories(**MINE, after=page.next_token)


@pytest.mark.parametrize("owner", [HERS, OTHERS])
async def test_memory_of_another_owner_is_neither_found_nor_changed(
    own: PostgresClient, owner: Owner
) -> None:
    await own.store_agent_memory(**owner, id="m-1", content="tea", embedding=[1, 0])

    assert await find(own, embedding=[1, 0]) == await find(own, text="tea") == []
    assert await own.list_agent_memories(**MINE) == []
    assert await own.count_agent_memories(**MINE) == 0
    with pytest.raises(NotFound):
        await own.get_agent_memory("m-1", **MINE)
    assert not await own.delete_agent_memory("m-1", **MINE)
    assert await own.delete_all_agent_memories(**MINE) == 0
    with pytest.raises(OwnedByAnother):
        await own.store_agent_memory(**MINE, id="m-1", content="b")
    with pytest.raises(OwnedByAnother):
        await own.store_agent_memories([new_memory("m-1")])


async def test_words_are_found_and_combined_with_the_embedding(own: PostgresClient) -> None:
    await own.store_agent_memory(**MINE, id="tea", content="Green tea", embedding=[1, 0])
    await own.store_agent_memory(**MINE, id="seat", content="A window seat", embedding=[0, 1])
    await own.store_agent_memory(**MINE, id="none", content="Black tea")

    assert sorted(await find(own, text="TEA")) == ["none", "tea"]
    assert await find(own, text="tea -black") == ["tea"]
    assert await find(own, text="window", embedding=[0.1, 1]) == ["seat", "tea"]
    assert (await find(own, text="black tea", embedding=[0, 1], limit=2))[0] in {"none", "seat"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "'",
        '"',
        "a & | !",
        ":*",
        "((",
        "\\",
        "or or",
        "-",
        "\U0001f600",
        "a" * 10_000,
        "a " * 5_000,
    ],
)
async def test_no_text_is_a_syntax_error(own: PostgresClient, text: str) -> None:
    assert await find(own, text=text) == []


@pytest.mark.parametrize("letter", ["a-", "\u0436", "\U00020000-", "x y "])
async def test_long_content_is_stored(own: PostgresClient, letter: str) -> None:
    await own.store_agent_memory(**MINE, content=letter * 400_000)


async def test_many_different_words_of_four_bytes_are_stored(own: PostgresClient) -> None:
    signs = [chr(0x20000 + n) for n in range(40_000)]
    pairs = " ".join(f"{a}-{b}" for a, b in zip(signs, reversed(signs), strict=True))
    await own.store_agent_memory(**MINE, content=pairs * 2)


async def test_wrong_arguments_are_refused(own: PostgresClient, client: PostgresClient) -> None:
    wrong: tuple[dict[str, object], ...] = (
        {},
        {"text": "a" * 10_001},
        {"text": "a\0"},
        {"text": "a", "min_score": 0.5},
        {"embedding": [0.0, 0.0]},
        {"embedding": []},
    )
    for arguments in wrong:
        with pytest.raises(InvalidValue):
            await find(own, **arguments)
    with pytest.raises(ConfigError, match="AGENTROWS_MEMORY_TABLE"):
        await find(client, text="tea")


async def test_expired_memories_are_pruned(own: PostgresClient, db: asyncpg.Connection) -> None:
    past = datetime(2000, 1, 1, tzinfo=UTC)
    await own.store_agent_memory(**MINE, content="a", embedding=[1, 0], expires_at=past)

    assert await find(own, embedding=[1, 0]) == []
    assert await own.count_agent_memories(**MINE) == 0
    assert (await own.prune_expired_memories()).deleted == 1
    assert await count(db, "agentrows_memory") == 0


async def test_another_model_on_a_full_database_is_a_config_error(
    client: PostgresClient, migrated: str
) -> None:
    settings = Settings(memory_table="agentrows", memory_model="plane")
    async with PostgresClient.open(migrated, settings=settings, migrations="off"):
        pass
    await client.store_agent_memory(**MINE, content="a")
    with pytest.raises(ConfigError, match=r"plane.*AGENTROWS_MEMORY_CHECK=false"):
        async with PostgresClient.open(migrated, settings=settings, migrations="off"):
            pass


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"memory_model": None}, "AGENTROWS_MEMORY_MODEL"),
        ({"vector_enabled": False}, "AGENTROWS_VECTOR_ENABLED"),
        ({"memory_text_config": "klingon", "memory_check": True}, "AGENTROWS_MEMORY_TEXT_CONFIG"),
    ],
)
async def test_contradicting_settings_are_refused(
    migrated: str, fields: dict[str, object], match: str
) -> None:
    settings = PLANE.model_copy(update=fields)
    with pytest.raises(ConfigError, match=match):
        async with PostgresClient.open(migrated, settings=settings, migrations="off"):
            pass
