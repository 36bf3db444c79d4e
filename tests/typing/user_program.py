"""For the type checkers: a program of a user passes its own types, without casts."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, assert_type, overload

from agentrows import (
    ImportedCheckpoint,
    JsonLike,
    NewMemory,
    PostgresClient,
    StoreCondition,
    Vector,
    VectorLike,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Array:
    """The methods of `numpy.ndarray` that a vector needs, with the types that numpy declares."""

    def __len__(self) -> int:
        return 3

    @overload
    def __getitem__(self, key: tuple[int, ...] | slice, /) -> Array: ...
    @overload
    def __getitem__(self, key: int, /) -> Any: ...  # noqa: ANN401
    def __getitem__(self, key: object, /) -> Any: ...

    def __iter__(self) -> Any: ...  # noqa: ANN401


class Tensor:
    """The same of an array whose items are arrays, such as those of torch."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: object, /) -> Tensor:
        return self

    def __iter__(self) -> Iterator[Tensor]:
        return iter([self, self, self])

    def __float__(self) -> float:
        return 0.5


async def pass_json(
    client: PostgresClient,
    texts: dict[str, str],
    numbers: dict[str, int],
    nested: dict[str, dict[str, list[int]]],
    view: Mapping[str, str],
) -> None:
    await client.store_agent("a", type="BYO", config=texts)
    await client.store_agent("a", type="BYO", config=[texts])
    await client.update_agent_config("a", patch=nested)
    await client.store_agent_memory(agent_name="a", user_id="u", content="c", metadata=texts)
    await client.search_agent_memory(agent_name="a", user_id="u", text="t", metadata=view)
    await client.store_checkpoint(
        "t", user_id="u", checkpoint_id="c", checkpoint="", checkpoint_type="json", metadata=numbers
    )
    await client.list_checkpoints("t", user_id="u", metadata=texts)
    await client.list_thread_checkpoints(user_id="u", metadata=texts)
    await client.create_app_session(
        "s", user_id="u", app_name="a", started_at=0, state=texts, user_state=nested
    )
    await client.append_app_event(
        "e",
        session_id="s",
        user_id="u",
        app_name="a",
        version=1,
        data="{}",
        occurred_at=0,
        state=numbers,
        base_state=view,
    )
    await client.store_thread_checkpoint(
        "t",
        user_id="u",
        checkpoint_id="c",
        checkpoint=b"",
        checkpoint_type="json",
        metadata=texts,
        values=(),
        versions=view,
    )
    await client.search_store_items(
        user_id="u", conditions=[StoreCondition(("a",), "$eq", list(texts))]
    )


async def pass_embeddings(
    client: PostgresClient,
    integers: list[int],
    floats: Sequence[float],
    numbers: Array,
    tensor: Tensor,
) -> None:
    vectors: list[VectorLike] = [integers, floats, numbers, tensor, array("f"), (0.5,), Vector([1])]
    for vector in vectors:
        await client.store_agent_memory(
            agent_name="a", user_id="u", content="c", embedding=vector, metadata={}
        )
        await client.search_agent_memory(agent_name="a", user_id="u", embedding=vector)
        await client.search_store_vectors(vector, user_id="u", space="s")
    await client.store_items([], user_id="u", embeddings=[integers, [numbers]], space="s")  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await client.store_items([], user_id="u", embeddings=[[numbers], [tensor, tensor]], space="s")
    await client.search_agent_memory(agent_name="a", user_id="u", embedding="text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.search_agent_memory(agent_name="a", user_id="u", embedding={0.5})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def construct_models(integers: list[int], numbers: Array, versions: dict[str, str]) -> None:
    for vector in (integers, numbers, (0.5,), None):
        NewMemory(id="m", agent_name="a", user_id="u", content="c", embedding=vector)
    NewMemory(id="m", agent_name="a", user_id="u", content="c", embedding="text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ImportedCheckpoint(
        thread_id="t",
        checkpoint_ns="",
        checkpoint_id="c",
        checkpoint=b"",
        metadata="{}",
        versions=versions,
        version=4,
    )


def forward(value: dict[str, list[str]], other: object) -> JsonLike:
    as_json: JsonLike = value
    wrong: JsonLike = other  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    assert_type(wrong, JsonLike)
    return as_json
