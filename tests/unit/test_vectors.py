"""Embeddings as sequences and arrays, in methods and in models."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pytest

from agentrows import InvalidValue, NewMemory, Vector
from agentrows.stores._vectors import check_embedding

if TYPE_CHECKING:
    from agentrows import VectorLike

NUMBERS = [1.0, 0.0, -2.5]


class Flags:
    """An array of truth values, as numpy has them."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> float:
        return float(self.tolist()[index])

    def __iter__(self) -> object:
        return iter(self.tolist())

    def tolist(self) -> list[bool]:
        return [True, False, True]


def new_memory(embedding: VectorLike) -> NewMemory:
    return NewMemory(id="m-1", agent_name="a", user_id="mira", content="c", embedding=embedding)


@pytest.mark.parametrize(
    "value",
    [NUMBERS, tuple(NUMBERS), array("f", NUMBERS), array("d", NUMBERS), Vector(NUMBERS)],
    ids=["list", "tuple", "float32 array", "float64 array", "Vector"],
)
def test_sequence_or_array_is_an_embedding_of_methods_and_models(value: VectorLike) -> None:
    assert check_embedding("embedding", value, 3).to_list() == NUMBERS
    assert new_memory(value).embedding == Vector(NUMBERS)


def test_array_of_truth_values_is_no_embedding() -> None:
    with pytest.raises(InvalidValue, match="embedding must be a sequence of numbers"):
        check_embedding("embedding", Flags(), 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "value", ["1.0", b"123", {1.0}, {1: 2.0}, 1.0, [10**400], [None], [[1.0]], iter(NUMBERS)]
)
def test_other_value_is_no_embedding_of_a_model(value: object) -> None:
    with pytest.raises(ValueError, match="embedding"):
        NewMemory.model_validate(
            {
                "id": "m-1",
                "agent_name": "a",
                "user_id": "u",
                "content": "c",
                "embedding": value,
            }
        )
