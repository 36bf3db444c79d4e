"""Similarity search of `AgentRowsStore`, and the vectors of its items."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agentrows import InvalidValue, PostgresClient
from agentrows.langgraph import AgentRowsStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.langgraph.embeddings import DistanceType


DIMENSIONS = 1536
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Letters:
    """Embeddings by the numbers of letters, and the texts of each call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls.append(list(texts))
        if any("refused" in text for text in texts):
            raise ConnectionError("the model refused a text")
        vectors = [[float(text.count(letter)) for letter in LETTERS] for text in texts]
        return [[*vector, *[0.0] * (DIMENSIONS - len(LETTERS))] for vector in vectors]


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def store(client: PostgresClient, letters: Letters) -> AgentRowsStore:
    index: Any = {"dims": DIMENSIONS, "embed": letters, "fields": ["title", "parts[*].text"]}
    return AgentRowsStore(client, user="mira", index=index)


async def search(
    store: AgentRowsStore,
    query: str,
    *,
    prefix: tuple[str, ...] = ("a",),
    **more: Any,  # noqa: ANN401  arguments of asearch
) -> list[tuple[str, float | None]]:
    found = await store.asearch(prefix, query=query, **more)
    return [(item.key, None if item.score is None else round(item.score, 3)) for item in found]


async def test_items_are_found_by_the_best_of_their_fields(store: AgentRowsStore) -> None:
    await store.aput(("a",), "one", {"title": "aab"})
    await store.aput(("a", "x"), "two", {"title": "zzz", "parts": [{"text": "b"}, {"text": "a"}]})
    await store.aput(("a",), "three", {"title": "ab", "n": 3})
    await store.aput(("ab",), "sibling", {"title": "a"})
    await store.aput(("a",), "not indexed", {"title": "a"}, index=False)
    await store.aput(("a",), "no text", {"other": "a"})
    await store.aput(("a",), "by other", {"title": "a", "other": "z"}, index=["other"])

    assert await search(store, "a") == [
        *(("two", 1.0), ("one", 0.894), ("three", 0.707), ("by other", 0.0))
    ]
    assert await search(store, "a", limit=1, offset=1) == [("one", 0.894)]
    assert await search(store, "a", filter={"n": {"$gte": 3}}) == [("three", 0.707)]
    assert await search(store, "a", prefix=("a", "x")) == [("two", 1.0)]
    without_query = await store.asearch(("a",), query="")
    assert len(without_query) == 6
    assert {item.score for item in without_query} == {None}


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        ("cosine", [("one", 1.0), ("two", 1.0), ("half", 0.707)]),
        ("l2", [("one", 0.0), ("half", -1.0), ("two", -1.0)]),
        ("inner_product", [("two", 2.0), ("half", 1.0), ("one", 1.0)]),
    ],
)
async def test_score_is_that_of_the_distance_type(
    client: PostgresClient,
    letters: Letters,
    distance: DistanceType,
    expected: list[tuple[str, float]],
) -> None:
    store = AgentRowsStore(
        client,
        user="mira",
        index={"dims": DIMENSIONS, "embed": letters, "distance_type": distance, "fields": ["t"]},
    )
    for key, text in (("one", "a"), ("two", "aa"), ("half", "ab")):
        await store.aput(("a",), key, {"t": text})

    assert sorted(await search(store, "a"), key=lambda hit: (-(hit[1] or 0), hit[0])) == expected


async def test_vectors_are_replaced_and_deleted_with_the_item(
    store: AgentRowsStore, client: PostgresClient
) -> None:
    count = "SELECT count(*) FROM agentrows_store_vector"
    await store.aput(("a",), "k", {"title": "a", "parts": [{"text": "b"}, {"text": "c"}]})
    assert await client.db.fetchval(count) == 3

    await store.aput(("a",), "k", {"title": "z"})
    assert await search(store, "a") == [("k", 0.0)]
    assert await client.db.fetchval(count) == 1
    await store.aput(("a",), "k", {"title": "a"}, index=False)
    assert await search(store, "z") == []
    await store.aput(("a",), "k", {"title": "a"})
    without_index = AgentRowsStore(client, user="mira")
    await without_index.aput(("a",), "k", {"title": "changed"})
    assert await search(store, "a") == []
    await store.aput(("a",), "k", {"title": "a"})
    await store.adelete(("a",), "k")
    assert await client.db.fetchval(count) == 0


async def test_texts_of_concurrent_puts_are_embedded_in_one_call(
    store: AgentRowsStore, letters: Letters
) -> None:
    await asyncio.gather(*(store.aput(("a",), str(n), {"title": f"{n % 5}"}) for n in range(50)))

    assert letters.calls == [[str(n) for n in range(5)]]


async def test_refused_text_fails_only_its_own_call_and_stores_nothing(
    store: AgentRowsStore,
) -> None:
    results = await asyncio.gather(
        *(store.aput(("a",), str(n), {"title": "refused" if n == 3 else f"{n}"}) for n in range(8)),
        return_exceptions=True,
    )

    assert [n for n, result in enumerate(results) if result is not None] == [3]
    assert isinstance(results[3], ConnectionError)
    assert {item.key for item in await store.asearch(("a",))} == set("0124567")


async def test_vectors_of_two_spaces_are_not_compared(
    client: PostgresClient, letters: Letters
) -> None:
    async def other(texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]

    one = AgentRowsStore(client, user="mira", index={"dims": DIMENSIONS, "embed": letters})
    two = AgentRowsStore(
        client, user="mira", index={"dims": 2, "embed": other, "space": "other model"}
    )
    await one.aput(("a",), "one", {"title": "a"})
    await two.aput(("a",), "two", {"title": "a"})

    assert [key for key, _ in await search(one, "a")] == ["one"]
    assert await search(two, "a") == [("two", 1.0)]


async def test_other_dimensions_than_configured_are_refused(
    client: PostgresClient, letters: Letters
) -> None:
    store = AgentRowsStore(client, user="mira", index={"dims": 3, "embed": letters})

    message = f"index.dims is 3, but index.embed returned a vector with {DIMENSIONS} numbers"
    with pytest.raises(InvalidValue, match=message):
        await store.aput(("a",), "k", {"title": "a"})
    with pytest.raises(InvalidValue, match=message):
        await store.asearch(("a",), query="a")
    assert await store.asearch(("a",)) == []


def test_wrong_index_is_refused(letters: Letters) -> None:
    for index, message in (
        ({"embed": letters}, "index.dims"),
        ({"dims": 0, "embed": letters}, "index.dims"),
        ({"dims": 16_001, "embed": letters}, "index.dims"),
        ({"dims": 3}, "index.embed"),
        ({"dims": 3, "embed": letters, "distance_type": "hamming"}, "index.distance_type"),
    ):
        with pytest.raises(InvalidValue, match=message):
            AgentRowsStore.open(user="mira", index=index)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
