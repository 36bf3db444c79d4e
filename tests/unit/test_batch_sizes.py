"""The limit of a batch counts every embedding with its own number of dimensions."""

from __future__ import annotations

import pytest

from agentrows import InvalidValue, NewMemory, Vector
from agentrows.validation import LARGEST_BATCH_BYTES, check_batch

LARGEST = 16_000


def memory(embedding: Vector | None) -> NewMemory:
    return NewMemory(
        id="m-1",
        agent_name="travel",
        user_id="mira",
        content="",
        embedding=embedding,
        metadata=None,
        expires_at=None,
    )


@pytest.mark.parametrize("dimensions", [768, 3072, LARGEST])
def test_batch_above_the_limit_is_refused_at_any_dimension(dimensions: int) -> None:
    row = memory(Vector([1.0] * dimensions))
    number = LARGEST_BATCH_BYTES // (4 * dimensions)

    assert len(check_batch("memories", [row] * (number * 9 // 10), NewMemory)) == number * 9 // 10
    with pytest.raises(InvalidValue, match=r"^memories must have .* bytes in all, got 1,[0-9,]+"):
        check_batch("memories", [row] * (number + 1), NewMemory)


def test_small_embeddings_and_none_are_not_counted_as_768_dimensions() -> None:
    number = LARGEST_BATCH_BYTES // (4 * 768)

    for embedding in (None, Vector([1.0])):
        rows = check_batch("memories", [memory(embedding)] * number, NewMemory)
        assert len(rows) == number


def test_embedding_assigned_as_a_list_is_counted() -> None:
    row = memory(None)
    row.embedding = [1.0] * LARGEST

    with pytest.raises(InvalidValue, match="bytes in all"):
        check_batch("memories", [row] * (LARGEST_BATCH_BYTES // (4 * LARGEST) + 1), NewMemory)
