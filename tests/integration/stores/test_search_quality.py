"""Search quality on passages and questions, with vectors of a real model of 384 dimensions."""

from __future__ import annotations

import math
import random
import struct
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from agentrows import NewMemory, PostgresClient, Settings, Vector
from support.memories import MINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

FOLDER: Final = Path(__file__).parents[2] / "support" / "search_quality"
LINES: Final = [
    line.split("\t") for line in (FOLDER / "passages.tsv").read_text(encoding="utf-8").splitlines()
]
"""A passage, the question that it answers, and the kind of search that the question is for."""
DIMENSIONS: Final = 384
VECTORS: Final = [
    list(vector)
    for vector in struct.iter_unpack(f"<{DIMENSIONS}e", (FOLDER / "vectors.f16").read_bytes())
]
PASSAGES, QUESTIONS = VECTORS[: len(LINES)], VECTORS[len(LINES) :]
OWN: Final = Settings(
    memory_table="agentrows",
    memory_model="all-MiniLM-L6-v2",
    memory_text_config="english",
    memory_check=False,
)
LARGE_OWNER: Final = 2100
"""Memories of an owner for which the search on kagent's table uses its index."""


@pytest.fixture
async def own(migrated: str) -> AsyncIterator[PostgresClient]:
    async with PostgresClient.open(migrated, settings=OWN, migrations="off") as client:
        yield client


def new_memories(
    vectors: Sequence[list[float]], contents: Sequence[str] | None = None
) -> list[NewMemory]:
    return [
        NewMemory(
            id=f"m-{n:05}",
            content=contents[n] if contents else "",
            embedding=Vector(vector),
            **MINE,
        )
        for n, vector in enumerate(vectors)
    ]


async def found_by(client: PostgresClient, *, vector: bool, words: bool, top: int) -> set[int]:
    """Return the lines with a passage among the first results for their question."""
    found: set[int] = set()
    for n, (_, question, _) in enumerate(LINES):
        hits = await client.search_agent_memory(
            **MINE,
            embedding=QUESTIONS[n] if vector else None,
            text=question if words else None,
            limit=top,
            touch=False,
        )
        if f"m-{n:05}" in {hit.id for hit in hits}:
            found.add(n)
    return found


def many_vectors(number: int) -> list[list[float]]:
    """The vectors of the passages, and further ones near to them."""
    noise = random.Random(7)  # noqa: S311  no secret
    more = [
        [value + noise.gauss(0, 0.03) for value in PASSAGES[n % len(PASSAGES)]]
        for n in range(number - len(PASSAGES))
    ]
    return [*PASSAGES, *more]


def nearest(question: list[float], units: Sequence[list[float]]) -> set[str]:
    """The ids of the ten vectors with the highest cosine similarity, each compared."""
    scores = [sum(map(mul, question, unit)) for unit in units]
    order = sorted(range(len(units)), key=lambda n: -scores[n])
    return {f"m-{n:05}" for n in order[:10]}


def test_vectors_are_those_of_the_lines() -> None:
    assert len(PASSAGES) == len(QUESTIONS) == len(LINES) == 60
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=0.002) for vector in VECTORS)


@pytest.mark.parametrize("top", [1, 3, 5])
async def test_hybrid_search_finds_at_least_as_many_as_either_alone(
    own: PostgresClient, top: int
) -> None:
    await own.store_agent_memories(new_memories(PASSAGES, [passage for passage, *_ in LINES]))

    by_vector = await found_by(own, vector=True, words=False, top=top)
    by_words = await found_by(own, vector=False, words=True, top=top)
    by_both = await found_by(own, vector=True, words=True, top=top)

    counts = f"vector {len(by_vector)}, words {len(by_words)}, both {len(by_both)} of {len(LINES)}"
    assert len(by_both) >= max(len(by_vector), len(by_words)), counts
    assert by_vector - by_words, "the set needs questions that only the meaning finds"
    assert by_words - by_vector or top > 1, "the set needs questions that only the words find"


@pytest.mark.parametrize("number", [len(LINES), LARGE_OWNER])
async def test_recall_is_no_worse_than_on_the_table_of_768_dimensions(
    own: PostgresClient, client: PostgresClient, number: int
) -> None:
    vectors = many_vectors(number)
    await own.store_agent_memories(new_memories(vectors))
    # Twice the same vector has the same cosine similarities, in 768 dimensions.
    await client.store_agent_memories(new_memories([[*vector, *vector] for vector in vectors]))

    lengths = [math.hypot(*vector) for vector in vectors]
    units = [
        [value / length for value in vector]
        for vector, length in zip(vectors, lengths, strict=True)
    ]
    recall = {"384": 0, "768": 0}
    for question in QUESTIONS[::3]:
        expected = nearest(question, units)
        hits = await own.search_agent_memory(**MINE, embedding=question, touch=False)
        recall["384"] += len(expected & {hit.id for hit in hits})
        hits = await client.search_agent_memory(
            **MINE, embedding=[*question, *question], touch=False
        )
        recall["768"] += len(expected & {hit.id for hit in hits})

    assert recall["384"] >= recall["768"], recall
    assert recall["384"] >= 0.99 * 10 * len(QUESTIONS[::3]), recall
