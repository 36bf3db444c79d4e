"""Checkpoints and their writes: keys, order, concurrent tasks and the number of statements."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import asyncpg
import pytest

from agentrows import (
    CheckpointTuple,
    InvalidValue,
    NewChannelValue,
    NotFound,
    PostgresClient,
    init_connection,
)
from support.checkpoints import BYTES, LOW, encoded, listed, put, store, write, written
from support.stores import BEFORE_ALL, EARLY, MANY_BRACKETS, NOT_JSON, TIMES, count, versions

if TYPE_CHECKING:
    from pydantic import JsonValue


async def test_stored_checkpoint_is_returned_unchanged(client: PostgresClient) -> None:
    metadata: dict[str, JsonValue] = {"source": "loop", "step": -1, "who": "Zoë 🦊", "a": [None]}
    await client.store_checkpoint(
        "t-1",
        user_id="mira",
        checkpoint_id="p-2",
        parent_checkpoint_id="p-1",
        checkpoint=BYTES,
        checkpoint_type="msgpack",
        metadata=metadata,
        version=3,
    )
    found = await client.get_checkpoint("t-1", user_id="mira", checkpoint_id="p-2")
    row = found.checkpoint
    assert (row.user_id, row.thread_id, row.checkpoint_ns) == ("mira", "t-1", "")
    assert (row.checkpoint_id, row.parent_checkpoint_id, row.version) == ("p-2", "p-1", 3)
    assert (row.checkpoint, row.checkpoint_type) == (BYTES, "msgpack")
    assert json.loads(base64.b64decode(row.metadata)) == metadata
    assert row.created_at == row.updated_at
    assert row.created_at is not None
    assert found.writes == []
    assert await client.list_checkpoints("t-1", user_id="mira") == [found]
    assert await client.get_checkpoint("t-1", user_id="mira") == found


async def test_storing_a_checkpoint_again_replaces_it_in_its_place(client: PostgresClient) -> None:
    await store(client, "p-1", metadata={"step": 1})
    first = await client.get_checkpoint("t-1", user_id="mira", checkpoint_id="p-1")
    await store(client, "p-2")
    await client.store_checkpoint(
        "t-1",
        user_id="mira",
        checkpoint_id="p-1",
        checkpoint=encoded("new"),
        checkpoint_type="json",
        metadata={"step": 2},
    )
    second = await client.get_checkpoint("t-1", user_id="mira", checkpoint_id="p-1")
    assert (second.checkpoint.checkpoint, second.checkpoint.version) == (encoded("new"), 1)
    assert second.checkpoint.parent_checkpoint_id is None
    assert second.checkpoint.created_at == first.checkpoint.created_at
    assert await listed(client) == ["p-2", "p-1"]


async def test_checkpoints_of_other_users_threads_and_namespaces_are_not_seen(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await store(client, "p-1", user_id="juno")
    await store(client, "p-1", thread_id="t-2")
    await store(client, "p-1", checkpoint_ns="child")
    assert await listed(client) == []
    with pytest.raises(NotFound, match="t-1"):
        await client.get_checkpoint("t-1", user_id="mira")
    with pytest.raises(NotFound, match="p-1"):
        await client.get_checkpoint("t-1", user_id="mira", checkpoint_id="p-1")
    await store(client, "p-1")
    await put(client, "w-1", write(0))
    for user, thread, namespace in (("juno", "t-1", ""), ("mira", "t-2", ""), ("mira", "t-1", "x")):
        for found in await client.list_checkpoints(thread, user_id=user, checkpoint_ns=namespace):
            assert found.writes == []
    assert await client.delete_checkpoint("t-1", user_id="kim") is False
    assert await count(db, "lg_checkpoint", "deleted_at IS NULL") == 4


@pytest.mark.parametrize(
    ("narrowed", "gone"),
    [
        ({}, {("", "p-1"), ("", "p-2"), ("child", "p-1")}),
        ({"checkpoint_ns": ""}, {("", "p-1"), ("", "p-2")}),
        ({"checkpoint_ns": "child"}, {("child", "p-1")}),
        ({"checkpoint_id": "p-1"}, {("", "p-1"), ("child", "p-1")}),
        ({"checkpoint_ns": "", "checkpoint_id": "p-1"}, {("", "p-1")}),
    ],
    ids=lambda value: str(sorted(value)),
)
async def test_deleted_checkpoints_and_writes_are_restored_by_storing_them(
    client: PostgresClient,
    db: asyncpg.Connection,
    narrowed: dict[str, str],
    gone: set[tuple[str, str]],
) -> None:
    keys = [("", "p-1"), ("", "p-2"), ("child", "p-1")]
    for namespace, name in keys:
        await store(client, name, checkpoint_ns=namespace)
        await put(client, "w", write(0), checkpoint_id=name, checkpoint_ns=namespace)
    await store(client, "p-1", user_id="juno")
    await store(client, "p-1", thread_id="t-2")
    assert await client.delete_checkpoint("t-1", user_id="mira", **narrowed) is True
    assert await client.delete_checkpoint("t-1", user_id="mira", **narrowed) is False
    for namespace, name in keys:
        where = f"thread_id = 't-1' AND checkpoint_ns = '{namespace}' AND checkpoint_id = '{name}'"
        for table in ("lg_checkpoint", "lg_checkpoint_write"):
            left = await count(db, table, f"{where} AND deleted_at IS NULL AND user_id = 'mira'")
            assert left == (0 if (namespace, name) in gone else 1)
    assert await count(db, "lg_checkpoint", "deleted_at IS NULL") == 2 + len(keys) - len(gone)
    for namespace, name in gone:
        await store(client, name, checkpoint_ns=namespace)
        back = await client.get_checkpoint(
            "t-1", user_id="mira", checkpoint_ns=namespace, checkpoint_id=name
        )
        assert back.writes == []
        await put(client, "w", write(0, "2"), checkpoint_id=name, checkpoint_ns=namespace)
        back = await client.get_checkpoint(
            "t-1", user_id="mira", checkpoint_ns=namespace, checkpoint_id=name
        )
        assert [each.value for each in back.writes] == [encoded("2")]


async def test_writes_are_returned_by_task_and_index_with_their_values(
    client: PostgresClient,
) -> None:
    await store(client)
    await put(client, "w-2", write(1, "b"), write(0, "a", "other"), write(-1, "error", "__error__"))
    await put(client, "w-1", write(0, "c"))
    assert await written(client) == [
        ("w-1", 0, "c"),
        ("w-2", -1, "error"),
        ("w-2", 0, "a"),
        ("w-2", 1, "b"),
    ]
    found = await client.get_checkpoint("t-1", user_id="mira")
    assert [each.channel for each in found.writes] == ["answer", "__error__", "other", "answer"]
    assert {each.value_type for each in found.writes} == {"json"}
    assert all(each.created_at is not None for each in found.writes)


async def test_two_tasks_that_write_one_index_at_once_both_keep_their_writes(
    migrated: str, client: PostgresClient
) -> None:
    indexes = (-4, -3, -2, -1, 0, 1)
    async with PostgresClient.open(migrated, migrations="off") as other:
        for number in range(30):
            name = f"p-{number}"
            await store(client, name)
            await asyncio.gather(
                put(client, "w-1", *(write(idx, "one") for idx in indexes), checkpoint_id=name),
                put(other, "w-2", *(write(idx, "two") for idx in indexes), checkpoint_id=name),
            )
            assert await written(client, name) == [
                *(("w-1", idx, "one") for idx in indexes),
                *(("w-2", idx, "two") for idx in indexes),
            ]


async def test_stored_index_has_43_bits_of_the_task_hash_and_fits_int64(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    tasks = [f"w-{number}" for number in range(300)]
    for task in tasks:
        await put(client, task, write(0), write((1 << 20) - 17))
    rows = await db.fetch("SELECT task_id, write_idx FROM lg_checkpoint_write")
    assert len(rows) == 600
    assert all(0 <= row["write_idx"] < 2**63 for row in rows)
    assert {row["write_idx"] & LOW for row in rows} == {16, LOW}
    hashes = {row["task_id"]: row["write_idx"] >> 20 for row in rows}
    assert len(set(hashes.values())) == 300
    assert max(hashes.values()) > 2**42
    # The same on every machine: the first 43 bits of SHA-256.
    assert hashes["w-0"] == 3231507254102


@pytest.mark.parametrize("idx", [-1, -2, -3, -4])
async def test_a_special_write_is_replaced(client: PostgresClient, idx: int) -> None:
    await store(client)
    await put(client, "w-1", write(idx, "first"))
    await put(client, "w-1", write(idx, "second"))
    assert await written(client) == [("w-1", idx, "second")]


@pytest.mark.parametrize("idx", [0, 1, 15, 16, 1000, (1 << 20) - 17])
async def test_write_to_a_normal_channel_is_not_replaced(
    client: PostgresClient, db: asyncpg.Connection, idx: int
) -> None:
    await store(client)
    await put(client, "w-1", write(idx, "first"))
    before = await versions(db, "lg_checkpoint_write")
    await put(client, "w-1", write(idx, "second"))
    assert await written(client) == [("w-1", idx, "first")]
    assert await versions(db, "lg_checkpoint_write") == before


async def test_a_batch_replaces_the_special_writes_and_adds_the_new_ones(
    client: PostgresClient,
) -> None:
    await store(client)
    await put(client, "w-1", write(-1, "error"), write(0, "first"))
    await put(client, "w-1", write(1, "new"), write(0, "second"), write(-1, "again"))
    assert await written(client) == [("w-1", -1, "again"), ("w-1", 0, "first"), ("w-1", 1, "new")]
    await put(client, "w-1")
    assert len(await written(client)) == 3


async def test_writes_come_before_their_checkpoint_too(client: PostgresClient) -> None:
    await put(client, "w-1", write(0))
    assert await listed(client) == []
    await store(client)
    assert await written(client) == [("w-1", 0, "1")]


async def test_twenty_tasks_that_store_one_checkpoint_leave_one(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await asyncio.gather(*(store(client) for _ in range(20)))
    await asyncio.gather(*(put(client, "w-1", write(0), write(-1)) for _ in range(20)))
    assert (await count(db, "lg_checkpoint"), await count(db, "lg_checkpoint_write")) == (1, 2)


async def scatter(client: PostgresClient, db: asyncpg.Connection) -> list[str]:
    """Store checkpoints with ties in time, also of NULL; return their ids, newest first."""
    for number, time in enumerate(TIMES):
        await store(client, f"p-{number}")
        await db.execute(
            "UPDATE lg_checkpoint SET created_at = $2 WHERE checkpoint_id = $1", f"p-{number}", time
        )
    order = sorted(range(len(TIMES)), key=lambda number: (TIMES[number] or BEFORE_ALL, number))
    return [f"p-{number}" for number in order[::-1]]


@pytest.mark.parametrize("limit", [1, 2, 3, 100, None])
async def test_pages_of_checkpoints_go_on_before_the_last_one_over_ties_in_time(
    client: PostgresClient, db: asyncpg.Connection, limit: int | None
) -> None:
    order = await scatter(client, db)
    seen: list[str] = []
    while page := await listed(client, limit=limit, before=seen[-1] if seen else None):
        seen += page
        assert len(seen) <= len(order)
    assert seen == order
    assert await listed(client) == order
    newest = await client.get_checkpoint("t-1", user_id="mira")
    assert newest.checkpoint.checkpoint_id == order[0]


async def test_page_starts_before_a_deleted_or_foreign_checkpoint(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    order = await scatter(client, db)
    await client.delete_checkpoint("t-1", user_id="mira", checkpoint_id=order[3])
    assert await listed(client, before=order[3], limit=2) == order[4:6]
    # An unknown id is compared by itself, because LangGraph's ids grow with time.
    assert set(await listed(client, before="p-35")) == {"p-0", "p-1", "p-2", "p-3"}
    assert await listed(client, before="a") == []


async def test_checkpoint_of_another_thread_does_not_start_a_page(client: PostgresClient) -> None:
    await store(client, "p-5", thread_id="t-2")
    await store(client, "p-9", user_id="juno")
    for name in ("p-1", "p-6"):
        await store(client, name)
    assert await listed(client, before="p-5") == ["p-1"]
    assert await listed(client, before="p-9") == ["p-6", "p-1"]


FILTERED: Final[list[tuple[dict[str, JsonValue], list[str]]]] = [
    ({}, ["p-5", "p-4", "p-3", "p-2", "p-1"]),
    ({"source": "loop"}, ["p-2", "p-1"]),
    ({"source": "loop", "step": 2}, ["p-2"]),
    ({"step": 2}, ["p-3", "p-2"]),
    ({"step": "2"}, []),
    ({"who": "Zoë 🦊 \\ \" '"}, ["p-4"]),
    ({"ключ": {"ü": [1]}}, ["p-5"]),
    ({"source": "LOOP"}, []),
    ({"none": None}, ["p-5"]),
    ({"source": None}, []),
]


@pytest.mark.parametrize(("metadata", "expected"), FILTERED, ids=str)
async def test_a_filter_keeps_the_checkpoints_whose_metadata_contains_it(
    client: PostgresClient,
    db: asyncpg.Connection,
    metadata: dict[str, JsonValue],
    expected: list[str],
) -> None:
    rows: list[dict[str, JsonValue]] = [
        {"source": "loop", "step": 1},
        {"source": "loop", "step": 2},
        {"source": "input", "step": 2.0},
        {"who": "Zoë 🦊 \\ \" '"},
        {"ключ": {"ü": [1, 2]}, "none": None},
    ]
    for number, row in enumerate(rows, start=1):
        await store(client, f"p-{number}", metadata=row)
    await spoil(db)
    assert await listed(client, metadata=metadata) == expected
    assert await listed(client, metadata=metadata, limit=1) == expected[:1]
    before = [name for name in expected if name < "p-5"]
    assert await listed(client, metadata=metadata, before="p-5") == before
    # Without a filter the list contains all of them.
    assert len(await listed(client)) == len(rows) + len(SPOILT)


SPOILT: Final = (
    "",
    "not base64",
    "====",
    "abc",
    "YQ",
    "YQ=",
    "Y=Q=",
    "YWJj*",
    '{"source": "loop", "step": 2}',
    "ü",
    base64.b64encode(b"").decode(),
    base64.b64encode(b"not json").decode(),
    base64.b64encode(b'{"source": "loop"').decode(),
    base64.b64encode(b"\xff\xfe{}").decode(),
    base64.b64encode(b"\xc0\x80").decode(),
    base64.b64encode(b"\xed\xa0\x80").decode(),
    base64.b64encode(b"\xf4\x90\x80\x80").decode(),
    base64.b64encode(b"\xf5\x80\x80\x80").decode(),
    base64.b64encode(b"\xe0\x80\x80").decode(),
    base64.b64encode(b"\xc3").decode(),
    base64.b64encode(b'{"a": "\xe4\xb8"}').decode(),
    base64.b64encode(b'"\0"').decode(),
    base64.b64encode(b'{"source": "\\u0000"}').decode(),
    base64.b64encode(b'{"source": "\\ud800"}').decode(),
    base64.b64encode(b'{"step": 1e999999}').decode(),
    base64.b64encode(b"[1]").decode(),
    base64.b64encode(b'"loop"').decode(),
    base64.b64encode(b"null").decode(),
)


async def spoil(db: asyncpg.Connection) -> None:
    """Add older rows of another program, with metadata that is not base64 of a JSON object."""
    await db.executemany(
        "INSERT INTO lg_checkpoint (user_id, thread_id, checkpoint_id, metadata, checkpoint, "
        "checkpoint_type, created_at) VALUES ('mira', 't-1', $1, $2, '', '', $3)",
        [(f"spoilt-{number}", metadata, EARLY) for number, metadata in enumerate(SPOILT)],
    )


async def test_metadata_nested_too_deeply_for_the_server_does_not_break_a_filter(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await store(client, metadata={"step": 1})
    await db.execute(
        "INSERT INTO lg_checkpoint (user_id, thread_id, checkpoint_id, metadata, checkpoint, "
        "checkpoint_type) VALUES ('mira', 't-1', 'deep', $1, '', '')",
        encoded("[" * 100_000),
    )
    assert await listed(client, metadata={"step": 1}) == ["p-1"]


@pytest.mark.parametrize("character", ["\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000"])
@pytest.mark.parametrize("beyond", ["", "\uffff", "\U00010000", "\U0010ffff"])
async def test_a_filter_finds_every_length_of_utf_8(
    client: PostgresClient, character: str, beyond: str
) -> None:
    await store(client, metadata={"a": character + beyond, "step": 1})
    assert await listed(client, metadata={"step": 1}) == ["p-1"]
    assert await listed(client, metadata={"a": character + beyond}) == ["p-1"]


async def test_a_filter_reads_base64_with_line_breaks_as_other_writers_make_it(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    text = base64.encodebytes(json.dumps({"source": "loop" * 40, "step": 1}).encode()).decode()
    assert "\n" in text.strip()
    await store(client)
    await db.execute("UPDATE lg_checkpoint SET metadata = $1", text)
    assert await listed(client, metadata={"step": 1}) == ["p-1"]


async def test_a_filter_passes_over_a_megabyte_of_metadata(client: PostgresClient) -> None:
    await store(client, metadata={"large": "ü" * 500_000, "step": 1})
    async with asyncio.timeout(10):
        assert await listed(client, metadata={"step": 1}) == ["p-1"]


async def statements_of_a_list(dsn: str, **arguments: Any) -> tuple[list[str], int]:  # noqa: ANN401
    """The statements that reach the server in one list_checkpoints, and how many rows it read."""
    seen: list[str] = []

    async def note(connection: asyncpg.Connection, *, queries: list[str]) -> None:
        await init_connection(connection)
        connection.add_query_logger(lambda record: queries.append(record.query))

    async with asyncpg.create_pool(
        dsn, min_size=1, max_size=1, init=partial(note, queries=seen)
    ) as pool:
        client = await PostgresClient.from_pool(pool)
        seen.clear()
        found = await client.list_checkpoints("t-1", user_id="mira", **arguments)
        # The statements of an application's pool at the release of a connection do not count.
        return [query for query in seen if "pg_advisory_unlock_all" not in query], len(found)


@pytest.mark.parametrize("number", [0, 1, 1000])
async def test_list_of_any_length_takes_at_most_two_statements(
    migrated: str, db: asyncpg.Connection, number: int
) -> None:
    await db.execute(
        "INSERT INTO lg_checkpoint (user_id, thread_id, checkpoint_id, metadata, checkpoint, "
        "checkpoint_type, created_at) SELECT 'mira', 't-1', 'p-' || n, 'e30=', 'e30=', '', now() "
        "FROM generate_series(1, $1) AS n",
        number,
    )
    await db.execute(
        "INSERT INTO lg_checkpoint_write (user_id, thread_id, checkpoint_id, write_idx, value, "
        "value_type, channel, task_id) SELECT 'mira', 't-1', 'p-' || n, idx, 'e30=', '', '', 'w' "
        "FROM generate_series(1, $1) AS n, generate_series(0, 2) AS idx",
        number,
    )
    filters: list[dict[str, Any]] = [{}, {"metadata": {}}, {"before": "q"}, {"limit": 1000}]
    for arguments in filters:
        seen, found = await statements_of_a_list(migrated, **arguments)
        assert found == number
        assert 1 <= len(seen) <= 2, seen


async def test_each_of_1000_checkpoints_gets_its_own_writes(client: PostgresClient) -> None:
    async with client.transaction() as tx:
        for number in range(100):
            await store(cast("PostgresClient", tx), f"p-{number:03}")
            await put(
                cast("PostgresClient", tx),
                "w-1",
                write(0, str(number)),
                checkpoint_id=f"p-{number:03}",
            )
    found: list[CheckpointTuple] = await client.list_checkpoints("t-1", user_id="mira")
    assert [each.checkpoint.checkpoint_id for each in found] == [
        f"p-{number:03}" for number in range(99, -1, -1)
    ]
    assert [[row.value for row in each.writes] for each in found] == [
        [encoded(str(number))] for number in range(99, -1, -1)
    ]


async def test_longest_possible_key_fits_every_index(client: PostgresClient) -> None:
    dice = random.Random(7)  # noqa: S311  not a secret

    def scribble(size: int) -> str:
        return "".join(chr(dice.randrange(33, 127)) for _ in range(size))

    user, thread, name, task = (scribble(512) for _ in range(4))
    namespace = scribble(2600 - 3 * 512)
    key: dict[str, Any] = {"user_id": user, "checkpoint_ns": namespace, "checkpoint_id": name}
    await client.store_checkpoint(
        thread,
        **key,
        parent_checkpoint_id=scribble(512),
        checkpoint="",
        checkpoint_type="",
        metadata={},
    )
    await client.store_checkpoint_writes(thread, **key, task_id=task, writes=[write(0), write(-1)])
    assert len((await client.get_checkpoint(thread, **key)).writes) == 2
    for longer in (f"{namespace}x", "ü" * 533):
        key["checkpoint_ns"] = longer
        with pytest.raises(InvalidValue, match=r"checkpoint_ns .* at most 2,600 bytes together"):
            await client.get_checkpoint(thread, **key)
    await client.store_thread_checkpoint(
        "t",
        user_id="u",
        checkpoint_ns=scribble(2000),
        checkpoint_id="p-1",
        checkpoint=b"",
        checkpoint_type="",
        metadata={},
        values=[NewChannelValue(channel="c" * 500, type="", value=b"")],
        versions={"c" * 500: "1" * 98},
        run_id=scribble(512),
    )


async def test_a_checkpoint_keeps_its_place_for_a_day_and_more(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await store(client, "p-1")
    await db.execute("UPDATE lg_checkpoint SET created_at = $1", EARLY + timedelta(days=9999))
    await store(client, "p-2")
    assert await listed(client) == ["p-1", "p-2"]


@pytest.mark.parametrize("name", MANY_BRACKETS)
async def test_a_filter_finds_checkpoints_with_5000_brackets(
    client: PostgresClient, name: str
) -> None:
    await client.store_checkpoint(
        "t-1",
        user_id="mira",
        checkpoint_id="c-1",
        checkpoint="eyI=",
        checkpoint_type="json",
        metadata={"kind": "x", "items": MANY_BRACKETS[name]},
    )
    listed = await client.list_checkpoints("t-1", user_id="mira", metadata={"kind": "x"})
    assert len(listed) == 1


@pytest.mark.parametrize("name", NOT_JSON)
async def test_a_filter_passes_checkpoints_whose_metadata_cannot_be_parsed(
    client: PostgresClient, db: asyncpg.Connection, name: str
) -> None:
    await db.execute(
        "INSERT INTO lg_checkpoint (user_id, thread_id, checkpoint_id, metadata, checkpoint, "
        "checkpoint_type) VALUES ('mira', 't-1', 'c-1', $1, '', '')",
        base64.b64encode(NOT_JSON[name].encode()).decode(),
    )
    async with asyncio.timeout(10):
        assert await client.list_checkpoints("t-1", user_id="mira", metadata={"kind": {}}) == []
