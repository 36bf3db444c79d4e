"""Invalid checkpoints and writes are refused by name, before anything is stored."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

import pytest

from agentrows import InvalidValue, NewCheckpointWrite, PostgresClient
from support.checkpoints import listed, put, store, write, written
from support.methods import (
    NO_TEXT,
    named,
    refuse_by_name,
    refuse_limits,
    text_arguments,
    unchecked,
)
from support.stores import count

if TYPE_CHECKING:
    import asyncpg
    from pydantic import JsonValue

NO_BASE64: Final = ("a", "YQ", "YQ=", "not base64", "ü", "YW Jj", "YWJj\n", "{}")


async def test_value_that_is_not_base64_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for value in NO_BASE64:
        with pytest.raises(InvalidValue, match=named("checkpoint")):
            await client.store_checkpoint(
                "t-1",
                user_id="mira",
                checkpoint_id="p-1",
                checkpoint=value,
                checkpoint_type="",
                metadata={},
            )
        with pytest.raises(InvalidValue, match=named("writes[1].value")):
            await put(client, "w-1", write(0), write(1).model_copy(update={"value": value}))
    assert await count(db, "lg_checkpoint") + await count(db, "lg_checkpoint_write") == 0


async def test_an_empty_value_is_base64_too(client: PostgresClient) -> None:
    await store(client)
    await put(client, "w-1", write(0, ""))
    assert await written(client) == [("w-1", 0, "")]


async def test_batch_with_an_invalid_write_is_refused_and_stores_nothing(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    whole = {"idx": 1, "channel": "a", "value_type": "json", "value": ""}
    for field in ("channel", "value_type", "value"):
        for value in NO_TEXT:
            with pytest.raises(InvalidValue, match=named(f"writes[1].{field}")):
                await put(
                    client, "w", write(0), unchecked(NewCheckpointWrite, **{**whole, field: value})
                )
    for idx in (-5, -16, -17, (1 << 20) - 16, 1 << 20, 2**63, -(2**63), 1.5, "1", None):
        with pytest.raises(InvalidValue, match=named("writes[1].idx")):
            await put(client, "w", write(0), unchecked(NewCheckpointWrite, **{**whole, "idx": idx}))
    with pytest.raises(InvalidValue, match="writes"):
        await put(client, "w", write(0), write(1), write(0))
    assert await count(db, "lg_checkpoint_write") == 0


@pytest.mark.parametrize(("method", "argument"), text_arguments("checkpoints"))
async def test_invalid_text_of_a_checkpoint_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, method: str, argument: str
) -> None:
    await refuse_by_name(client, method, argument)
    assert await count(db, "lg_checkpoint") + await count(db, "lg_checkpoint_write") == 0


async def test_the_arguments_of_an_empty_batch_of_writes_are_checked_too(
    client: PostgresClient,
) -> None:
    with pytest.raises(InvalidValue, match=named("task_id")):
        await put(client, "a\0b")
    with pytest.raises(InvalidValue, match=named("thread_id")):
        await put(client, "w-1", thread_id="")


METADATA: Final[tuple[object, ...]] = (
    {"a": math.nan},
    {"a": {1}},
    {"a": b"x"},
    {"a": datetime.min},  # noqa: DTZ901  JSON has no times
    {"a": "\ud800"},
)


@pytest.mark.parametrize("metadata", METADATA, ids=ascii)
async def test_metadata_without_a_json_form_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, metadata: object
) -> None:
    value = cast("dict[str, JsonValue]", metadata)
    with pytest.raises(InvalidValue, match=named("metadata")):
        await store(client, metadata=value)
    with pytest.raises(InvalidValue, match=named("metadata")):
        await listed(client, metadata=value)
    assert await count(db, "lg_checkpoint") == 0


@pytest.mark.parametrize("metadata", [[1], "text", 1, None], ids=str)
async def test_metadata_that_is_no_object_is_refused_by_name(
    client: PostgresClient, metadata: object
) -> None:
    with pytest.raises(InvalidValue, match=named("metadata")):
        await client.store_checkpoint(
            "t-1",
            user_id="mira",
            checkpoint_id="p-1",
            checkpoint="",
            checkpoint_type="",
            metadata=cast("dict[str, JsonValue]", metadata),
        )


async def test_a_filter_with_a_nul_is_refused_by_name(client: PostgresClient) -> None:
    for metadata in ({"a": "\0"}, {"\0": 1}):
        with pytest.raises(InvalidValue, match=named("metadata")):
            await listed(client, metadata=metadata)


@pytest.mark.parametrize("version", [2**63, 1.5, "1", True, None])
async def test_a_version_that_is_no_integer_is_refused_by_name(
    client: PostgresClient, version: object
) -> None:
    with pytest.raises(InvalidValue, match=named("version")):
        await client.store_checkpoint(
            "t-1",
            user_id="mira",
            checkpoint_id="p-1",
            checkpoint="",
            checkpoint_type="",
            metadata={},
            version=cast("int", version),
        )


async def test_a_limit_of_checkpoints_below_1_is_refused(client: PostgresClient) -> None:
    await refuse_limits(client, "checkpoints", "list_checkpoints")
