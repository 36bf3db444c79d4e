"""Imports of LangGraph threads: no row without its values, and no stored row overwritten."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentrows import (
    ChannelValueKey,
    ImportedCheckpoint,
    ImportedRows,
    ImportedValue,
    ImportedWrite,
    InvalidValue,
    NewChannelValue,
    NewThreadWrite,
    PostgresClient,
)

if TYPE_CHECKING:
    from agentrows import ThreadCheckpoint

MARCH = datetime(2025, 3, 1, 10, tzinfo=UTC)


def checkpoint(id: str = "c-1", **changes: Any) -> ImportedCheckpoint:  # noqa: A002, ANN401
    fields = {
        "thread_id": "t-1",
        "checkpoint_ns": "",
        "checkpoint_id": id,
        "checkpoint": b'{"v": 4}',
        "metadata": '{"step": 1}',
        "versions": {"b": "2", "a": "1"},
        "version": 4,
        "created_at": MARCH,
    }
    return ImportedCheckpoint.model_validate({**fields, **changes})


def value(channel: str, version: str, **changes: Any) -> ImportedValue:  # noqa: ANN401
    fields = {"thread_id": "t-1", "checkpoint_ns": "", "channel": channel, "version": version}
    return ImportedValue.model_validate({**fields, "type": "msgpack", "value": b"\0", **changes})


def write(idx: int = 0, **changes: Any) -> ImportedWrite:  # noqa: ANN401
    fields = {
        "thread_id": "t-1",
        "checkpoint_ns": "",
        "checkpoint_id": "c-1",
        "task_id": "tâche-1",
        "task_path": "~p",
        "idx": idx,
        "channel": "a",
        "type": "msgpack",
        "value": b"imported",
        "created_at": MARCH,
    }
    return ImportedWrite.model_validate({**fields, **changes})


async def find(client: PostgresClient, id: str = "c-1") -> ThreadCheckpoint:  # noqa: A002
    row = await client.find_thread_checkpoint("t-1", user_id="mira", checkpoint_id=id)
    assert row is not None
    return row


async def test_missing_values_are_named_and_nothing_is_stored(client: PostgresClient) -> None:
    first = await client.import_threads(
        [checkpoint()], user_id="mira", values=[value("a", "1")], writes=[write()]
    )

    key = ChannelValueKey(thread_id="t-1", checkpoint_ns="", channel="b", version="2")
    assert first == ImportedRows(missing=(key,))
    assert await client.list_threads(user_id="mira") == []
    values = [value("b", "2"), value("a", "1")]
    stored = await client.import_threads(
        [checkpoint()], user_id="mira", values=values, writes=[write()]
    )
    assert stored == ImportedRows(1, 2, 1)
    again = await client.import_threads(
        [checkpoint()], user_id="mira", values=values, writes=[write()]
    )
    assert again == await client.import_threads([], user_id="mira") == ImportedRows()
    # In a transaction of the caller, missing values do not abort it.
    async with client.transaction() as tx:
        missing = await tx.import_threads([checkpoint(versions={"c": "1"})], user_id="juno")
        assert [one.channel for one in missing.missing] == ["c"]
        await tx.import_threads([checkpoint(versions={})], user_id="juno")
    row = await find(client)
    assert row.created_at == MARCH
    assert (row.checkpoint_type, row.checkpoint, row.metadata) == (
        "json",
        b'{"v": 4}',
        '{"step": 1}',
    )
    assert dict(zip(row.value_channels, row.values, strict=True)) == {"a": b"\0", "b": b"\0"}
    assert (row.write_task_ids, row.write_task_paths, row.write_idxs) == (["tâche-1"], ["~p"], [0])


async def test_rows_that_the_application_stored_stay(client: PostgresClient) -> None:
    values = [value("a", "1"), value("b", "2")]
    ids = ["c-1", "c-2", "c-3"]
    await client.import_threads(
        [checkpoint(id) for id in ids],  # noqa: A001
        user_id="mira",
        values=values,
        writes=[write(0), write(-4), write(-3)],
    )
    await client.store_thread_checkpoint(
        "t-1",
        user_id="mira",
        checkpoint_id="c-1",
        checkpoint=b"of the application",
        checkpoint_type="msgpack",
        metadata={"step": 9},
        values=[NewChannelValue(channel="a", type="msgpack", value=b"new")],
        versions={"a": "3"},
    )
    # The same keys as those of the import: write_idx has the same hash of the task.
    await client.store_thread_writes(
        "t-1",
        user_id="mira",
        checkpoint_id="c-1",
        task_id="tâche-1",
        writes=[
            NewThreadWrite(idx=idx, channel="a", type="msgpack", value=b"here") for idx in (0, -4)
        ],
    )
    await client.delete_checkpoint("t-1", user_id="mira", checkpoint_id="c-3")

    later = MARCH + timedelta(days=1)
    stored = await client.import_threads(
        [checkpoint(id, metadata='{"step": 2}', created_at=later) for id in ids],  # noqa: A001
        user_id="mira",
        values=[value("a", "1", value=b"other")],
        writes=[write(idx, value=b"later") for idx in (0, -4, -3)],
    )

    assert stored == ImportedRows(1, 0, 1)
    row = await find(client)
    assert (row.checkpoint, row.metadata) == (b"of the application", '{"step":9}')
    writes = dict(zip(row.write_idxs, row.write_values, strict=True))
    assert writes == {0: b"imported", -4: b"here", -3: b"later"}
    replaced = await find(client, "c-2")
    assert (replaced.metadata, replaced.created_at, replaced.values[0]) == (
        '{"step": 2}',
        MARCH,
        b"\0",
    )
    assert await client.find_thread_checkpoint("t-1", user_id="mira", checkpoint_id="c-3") is None


async def test_imports_beside_deletions_leave_no_checkpoint_without_values(
    client: PostgresClient,
) -> None:
    end = time.monotonic() + 1.5
    resent = 0

    async def import_all(worker: int) -> None:
        """Import checkpoints that name one old value, which is passed only if it is missing."""
        nonlocal resent
        for number in itertools.count():
            if time.monotonic() > end:
                return
            rows = [checkpoint(f"w{worker}-{number}-{n}", versions={"a": "1"}) for n in range(3)]
            result = await client.import_threads(rows, user_id="mira")
            while result.missing:
                resent += 1
                result = await client.import_threads(rows, user_id="mira", values=[value("a", "1")])
            stored = await client.list_checkpoint_digests(["t-1"], user_id="mira")
            assert [row for row in stored if row.missing_values] == []

    async def delete_all() -> None:
        while time.monotonic() < end:
            # March is longer ago than a day, so both delete everything.
            await client.delete_threads(["t-1"], user_id="mira")
            await client.prune_idle_threads(timedelta(days=1))

    await asyncio.gather(*(import_all(worker) for worker in range(4)), delete_all())

    assert resent > 1
    stored = await client.list_checkpoint_digests(["t-1"], user_id="mira")
    assert [row for row in stored if row.missing_values] == []


async def test_time_is_at_most_that_of_the_server(client: PostgresClient) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    await client.import_threads([checkpoint(versions={}, created_at=ahead)], user_id="mira")
    await client.store_thread_checkpoint(
        "t-1",
        user_id="mira",
        checkpoint_id="c-0",
        checkpoint=b"",
        checkpoint_type="msgpack",
        metadata={},
        values=[],
        versions={},
    )

    newest = await client.find_thread_checkpoint("t-1", user_id="mira")
    assert newest is not None
    assert newest.checkpoint_id == "c-0"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"checkpoints": [checkpoint(""), checkpoint()]}, r"checkpoints\[0\]: checkpoint_id must"),
        ({"checkpoints": [checkpoint(metadata="[]")]}, r"checkpoints\[0\]: metadata must be the"),
        ({"checkpoints": [checkpoint(metadata='{"a": NaN}')]}, "metadata must be the text of a"),
        ({"checkpoints": [checkpoint(versions=["a"])]}, "versions must be an object of texts"),
        (
            {"checkpoints": [checkpoint(versions={"a": 1})]},
            r"versions\['a'\] must be text, not int",
        ),
        ({"checkpoints": [checkpoint(), checkpoint()]}, "checkpoints contains the same key more"),
        ({"values": [value("a", "x" * 2600)]}, r"values\[0\]: .* at most 2,600 bytes together"),
        ({"values": [value("a", "1"), value("a", "1")]}, "values contains the same key more"),
        ({"writes": [write(), write(-5)]}, r"writes\[1\]: idx must be from -4 to 1048559"),
        ({"writes": [write(task_id="")]}, r"writes\[0\]: task_id must have 1 to 512 bytes"),
        ({"writes": [write(), write()]}, "writes contains the same key more than once"),
        ({"checkpoints": [write()]}, r"checkpoints\[0\] must be a ImportedCheckpoint"),
    ],
)
async def test_row_that_cannot_be_stored_is_named(
    client: PostgresClient, rows: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        await client.import_threads(rows.pop("checkpoints", []), user_id="mira", **rows)
