"""Vectors of store items: search by similarity, replacement with the item, removal."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from agentrows import (
    ConfigError,
    InvalidValue,
    NewStoreItem,
    PostgresClient,
    Settings,
    StoreCondition,
    Vector,
)
from support.stores import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from agentrows import Stores


async def store(
    client: Stores,
    *rows: tuple[str, str, Sequence[Sequence[float]]],
    user_id: str = "mira",
    space: str = "plane",
    value: str = "{}",
) -> None:
    """Store items, each given as namespace, key and vectors."""
    await client.store_items(
        [NewStoreItem(namespace=namespace, key=key, value=value) for namespace, key, _ in rows],
        user_id=user_id,
        embeddings=[vectors for _, _, vectors in rows],
        space=space,
    )


async def search(
    client: Stores, *embedding: float, space: str = "plane", **more: object
) -> list[tuple[str, float | None]]:
    hits = await client.search_store_vectors(
        list(embedding),
        user_id="mira",
        space=space,
        **more,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    )
    return [(hit.key, None if hit.score is None else round(hit.score, 4)) for hit in hits]


async def test_nearest_items_are_returned_by_their_best_vector(client: PostgresClient) -> None:
    await store(
        client,
        ("a", "east", [[1, 0]]),
        ("a.b", "both", [[0, 1], [2, 0.5], [-1, 0]]),
        ("ab", "sibling", [[1, 0]]),
        ("a", "zero", [[0, 0]]),
        ("a", "none", []),
    )
    await store(client, ("a", "other", [[1, 0]]), user_id="juno")
    await store(client, ("a", "spatial", [[1, 0, 0]]))
    assert await search(client, 1, 0, namespace="a") == [
        ("east", 1.0),
        ("both", 0.9701),
        ("zero", None),
    ]
    assert await search(client, 1, 0, namespace="a", metric="l2", limit=2) == [
        ("east", 0.0),
        ("zero", -1.0),
    ]
    assert await search(client, 1, 0, namespace="a", metric="inner_product", limit=1, offset=1) == [
        ("east", 1.0)
    ]
    assert await search(client, 1, 0, namespace="ab") == [("sibling", 1.0)]
    assert await search(client, 0, 0, 1) == [("spatial", 0.0)]
    assert await search(client, 1, 0, space="unknown") == []


async def test_search_combines_conditions_expiry_and_similarity(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for number in range(4):
        value = json.dumps({"n": number})
        await store(client, ("a", str(number), [[1, number]]), value=value)
    condition = StoreCondition(("n",), "$gte", 2)
    assert await search(client, 1, 0, conditions=[condition]) == [("2", 0.4472), ("3", 0.3162)]
    await db.execute("UPDATE agentrows_store_item SET expires_at = now() WHERE key = '2'")
    assert await search(client, 1, 0, conditions=[condition]) == [("3", 0.3162)]
    assert len(await search(client, 1, 0, conditions=[condition], with_expired=True)) == 2


async def test_vectors_are_those_of_the_present_value(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await store(client, ("a", "k", [[1, 0], [0, 1], [1, 1]]))
    await store(client, ("a", "k", [[1, 2, 3]]), space="model")
    assert await search(client, 1, 0) == []  # another space, but of an earlier value
    assert await count(db, "agentrows_store_vector") == 1
    await store(client, ("a", "k", [[-1, 0]]))
    assert await search(client, 1, 0) == [("k", -1.0)]
    await store(client, ("a", "k", []))
    assert await search(client, 1, 0) == []
    assert await count(db, "agentrows_store_vector") == 0

    await store(client, ("a", "k", [[1, 0]]))
    await client.store_items([NewStoreItem(namespace="a", key="k", value="{}")], user_id="mira")
    assert await search(client, 1, 0) == []
    await store(client, ("a", "k", [[1, 0]]))
    assert await client.delete_store_items([("a", "k")], user_id="mira") == 1
    assert await count(db, "agentrows_store_vector") == 0


async def test_concurrent_writers_leave_the_vectors_of_the_last_value(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    """A vector has the number in the value of its item, in both coordinates."""
    randomness = random.Random(7)  # noqa: S311

    async def write() -> None:
        for _ in range(12):
            number = randomness.randint(1, 1000)
            keys = randomness.sample("abc", k=2)
            if number % 5 == 0:
                await client.delete_store_items([("n", key) for key in keys], user_id="mira")
                continue
            vectors: list[list[float]] = [[number, number]] * (number % 4)
            rows = [("n", key, vectors) for key in keys]
            await store(client, *rows, value=json.dumps({"n": number}))

    await asyncio.gather(*(write() for _ in range(6)))
    vectors = await db.fetch(
        "SELECT i.value ->> 'n' AS number, v.embedding FROM agentrows_store_vector AS v"
        " JOIN agentrows_store_item AS i USING (user_id, namespace, key, revision)"
    )
    assert all(row["embedding"] == Vector([float(row["number"])] * 2) for row in vectors)
    hits = await client.search_store_vectors([1, 1], user_id="mira", space="plane")
    expected = {
        item.key: json.loads(item.value)["n"]
        for item in await client.search_store_items(user_id="mira")
    }
    assert {hit.key for hit in hits} == {key for key, number in expected.items() if number % 4}
    nothing: list[list[float]] = []
    await store(client, *(("n", key, nothing) for key in "abc"))
    await client.delete_store_items([("n", key) for key in "abc"], user_id="mira")
    assert await count(db, "agentrows_store_vector") == 0


async def test_prune_and_erasure_remove_the_vectors(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await store(client, ("a", "k", [[1, 0]]), ("a", "l", [[1, 0]]))
    await store(client, ("a", "k", [[1, 0]]), user_id="juno")
    await db.execute("UPDATE agentrows_store_item SET expires_at = now() WHERE key = 'l'")
    assert await client.prune_expired_store_items() == 1
    assert await count(db, "agentrows_store_vector") == 2
    erased = await client.erase_user("mira")
    assert (erased.store_items, erased.store_vectors) == (1, 1)
    assert await count(db, "agentrows_store_vector", "user_id = 'juno'") == 1


async def test_longest_key_and_most_dimensions_are_stored(client: PostgresClient) -> None:
    vector = [float(n % 7) for n in range(16_000)]
    key = secrets.token_hex(1198)[:2395]  # PostgreSQL cannot compress it
    await store(client, ("a", key, [vector]), space="s" * 200)
    assert await search(client, *vector, space="s" * 200) == [(key, 1.0)]


async def test_wrong_embeddings_are_refused_by_name(client: PostgresClient) -> None:
    wrong: list[tuple[Any, str]] = [
        ([[]], r"embeddings\[0\]\[0\] must have 1 to 16,000 dimensions, got 0"),
        ([[1.0] * 16_001], r"embeddings\[0\]\[0\] must have 1 to 16,000 dimensions"),
        ([[1.0], [float("nan")]], r"embeddings\[0\]\[1\] must have finite"),
        ([[1e300]], r"embeddings\[0\]\[0\] must have finite"),
        (["abc"], r"embeddings\[0\]\[0\] must be a sequence of numbers"),
    ]
    for vectors, message in wrong:
        with pytest.raises(InvalidValue, match=message):
            await store(client, ("a", "k", vectors))
    new = [NewStoreItem(namespace="a", key="k", value="{}")]
    with pytest.raises(InvalidValue, match="a list for each of the 1 items, got 0"):
        await client.store_items(new, user_id="mira", embeddings=[], space="plane")
    with pytest.raises(InvalidValue, match="space must name"):
        await client.store_items(new, user_id="mira", embeddings=[[]])
    with pytest.raises(InvalidValue, match="space must have 1 to 200 bytes"):
        await store(client, ("a", "k", []), space="")
    with pytest.raises(InvalidValue, match="metric"):
        await search(client, 1, 0, metric="hamming")


async def test_only_methods_with_embeddings_need_vectors(migrated: str) -> None:
    settings = Settings(vector_enabled=False)
    async with PostgresClient.open(migrated, settings=settings, migrations="off") as client:
        new = [NewStoreItem(namespace="a", key="k", value="{}")]
        assert await client.store_items(new, user_id="mira") == 1
        assert len(await client.search_store_items(user_id="mira")) == 1
        assert await client.delete_store_items([("a", "k")], user_id="mira") == 1
        with pytest.raises(ConfigError, match="AGENTROWS_VECTOR_ENABLED"):
            await store(client, ("a", "k", [[1, 0]]))
        with pytest.raises(ConfigError, match="AGENTROWS_VECTOR_ENABLED"):
            await search(client, 1, 0)
