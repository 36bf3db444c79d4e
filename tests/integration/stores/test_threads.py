"""Threads as bytes: values per version, both layouts, order, history, limits and bad input."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from agentrows import InvalidValue, NewChannelValue, PostgresClient, TaskWrites, UnreadableRow
from agentrows.gen import threads
from agentrows.validation import LARGEST_TEXT
from support import checkpoints
from support.methods import NO_ID, NO_LIMIT, NO_TEXT, named, refuse_by_name
from support.stores import count
from support.threads import listed, put, put_writes, thread_writes, values_of, writes_of

if TYPE_CHECKING:
    import asyncpg

EVERY_BYTE = bytes(range(256))


async def age(db: asyncpg.Connection, *ids: str) -> None:
    """Set the times of checkpoints, the first one the oldest."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number, id_ in enumerate(ids):
        await db.execute(
            "UPDATE lg_checkpoint SET created_at = $2 WHERE checkpoint_id = $1",
            id_,
            start + timedelta(minutes=number),
        )


async def test_checkpoint_returns_with_values_of_earlier_checkpoints(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    assert await put(client, "1", {"a": EVERY_BYTE, "b": b""}, run_id="r") == []
    assert (
        await put(
            client,
            "2",
            {"b": b"new"},
            {"a": "1", "b": "2"},
            parent_checkpoint_id="1",
            metadata={"step": 1, "name": "Zoë 🦊"},
            version=3,
        )
        == []
    )
    row = await client.find_thread_checkpoint("t-1", user_id="mira")
    assert row is not None
    assert values_of(row) == {"a": EVERY_BYTE, "b": b"new"}
    assert (row.checkpoint_id, row.parent_checkpoint_id, row.version) == ("2", "1", 3)
    assert (row.checkpoint, row.checkpoint_type) == (b"2", "msgpack")
    assert row.metadata == '{"step":1,"name":"Zoë 🦊"}'
    assert row.value_types == ["t", "t"]
    first = await client.find_thread_checkpoint("t-1", user_id="mira", checkpoint_id="1")
    assert values_of(first) == {"a": EVERY_BYTE, "b": b""}
    assert await count(db, "agentrows_checkpoint_blob") == 3
    assert await client.find_thread_checkpoint("t-1", user_id="juno") is None
    assert await client.find_thread_checkpoint("t-1", user_id="mira", checkpoint_id="9") is None


async def test_missing_values_are_returned_and_nothing_is_stored(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    missing = await put(client, "1", {"a": b"a"}, {"b": "1", "c": "1"})
    assert sorted(missing) == ["b", "c"]
    assert await count(db, "lg_checkpoint") == await count(db, "agentrows_checkpoint_blob") == 0
    assert await put(client, "1", {"a": b"a", "b": b"b", "c": b"c"}) == []
    # A value of another namespace, thread or user is not this one's.
    for other in ({"checkpoint_ns": "n"}, {"thread_id": "t-2"}, {"user_id": "juno"}):
        assert await put(client, "2", {}, {"a": "1"}, **other) == ["a"]


async def test_optional_values_are_named_if_they_are_stored(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    optional = {"a": "1", "absent": "1"}
    await put(client, "1", {"a": b"a", "b": b"b"}, run_id="first")
    assert await put(client, "2", {}, {"x": "1"}, optional_versions=optional) == ["x"]
    assert await put(client, "2", {}, {"b": "1"}, optional_versions=optional) == []
    assert await put(client, "3", {"c": b"c"}, optional_versions={"a": "2"}) == []
    assert await put(client, "4", optional_versions=optional, user_id="juno") == []

    assert await client.delete_runs(["first"], user_id="mira") == 1

    found = await client.find_thread_checkpoint("t-1", user_id="mira", checkpoint_id="2")
    assert values_of(found) == {"a": b"a", "b": b"b"}
    assert values_of(await client.find_thread_checkpoint("t-1", user_id="mira")) == {"c": b"c"}
    assert values_of(await client.find_thread_checkpoint("t-1", user_id="juno")) == {}
    assert await count(db, "agentrows_checkpoint_blob") == 3


async def test_storing_again_replaces_and_restores_and_keeps_the_time(
    client: PostgresClient,
) -> None:
    await put(client, "1", {"a": b"a"})
    first = await client.find_thread_checkpoint("t-1", user_id="mira")
    assert await client.delete_checkpoint("t-1", user_id="mira")
    assert await client.find_thread_checkpoint("t-1", user_id="mira") is None
    assert await client.list_threads(user_id="mira") == []
    await put(client, "1", {"a": b"other"}, checkpoint=b"again")
    again = await client.find_thread_checkpoint("t-1", user_id="mira")
    assert first is not None
    assert again is not None
    assert (again.created_at, again.checkpoint) == (first.created_at, b"again")
    assert values_of(again) == {"a": b"other"}


async def test_special_writes_are_replaced_and_others_stay(client: PostgresClient) -> None:
    await put_writes(client, "1", "b", {0: b"b0"}, task_path="p1")
    await put_writes(client, "1", "a", {0: EVERY_BYTE, -1: b"error"}, task_path="p2")
    await put_writes(client, "1", "a", {0: b"late", -1: b"again"}, task_path="p2")
    await put(client, "1")
    row = await client.find_thread_checkpoint("t-1", user_id="mira")
    assert writes_of(row) == [
        ("p1", "b", 0, "c", "t", b"b0"),
        ("p2", "a", -1, "c", "t", b"again"),
        ("p2", "a", 0, "c", "t", EVERY_BYTE),
    ]


async def test_writes_of_several_tasks_are_stored_like_those_of_each(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await put_writes(client, "1", "a", {0: b"first", -1: b"error"})
    for thread_id, checkpoint_id in (("t-1", "1"), ("t-1", "2"), ("t-2", "1")):
        await put(client, checkpoint_id, thread_id=thread_id)

    await client.store_task_writes(
        [
            TaskWrites("t-1", "", "1", "a", "p", thread_writes({-1: b"again", 0: b"late"})),
            TaskWrites("t-1", "", "1", "b", "p2", thread_writes({1: EVERY_BYTE})),
            TaskWrites("t-1", "", "2", "b", "", thread_writes({0: b""})),
            TaskWrites("t-2", "", "1", "a", "", thread_writes({0: b"other"})),
            TaskWrites("t-2", "", "1", "none", "", []),
        ],
        user_id="mira",
    )

    found = {
        key: await client.find_thread_checkpoint(key[0], user_id="mira", checkpoint_id=key[1])
        for key in (("t-1", "1"), ("t-1", "2"), ("t-2", "1"))
    }
    assert {key: writes_of(row) for key, row in found.items()} == {
        ("t-1", "1"): [
            ("", "a", 0, "c", "t", b"first"),
            ("p", "a", -1, "c", "t", b"again"),
            ("p2", "b", 1, "c", "t", EVERY_BYTE),
        ],
        ("t-1", "2"): [("", "b", 0, "c", "t", b"")],
        ("t-2", "1"): [("", "a", 0, "c", "t", b"other")],
    }
    assert await count(db, "lg_checkpoint_write") == 5


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (
            [TaskWrites("t-1", "", "1", "a", "", []), TaskWrites("t-1", "", "1", "a", "p", [])],
            "tasks contains the task 'a' of a checkpoint twice",
        ),
        (
            [TaskWrites("t-1", "", "1", "a", "", thread_writes({-5: b""}))],
            "tasks[0].writes[0].idx must be from -4 to 1048559",
        ),
        ([TaskWrites("t-1", "", "1", "", "", [])], "tasks[0].task_id"),
        ([("t-1", "", "1", "a", "")], "tasks[0] must be a TaskWrites, not tuple"),
        (7, "tasks must be an iterable of TaskWrites, not int"),
    ],
)
async def test_bad_writes_of_tasks_are_refused_and_nothing_is_stored(
    client: PostgresClient, db: asyncpg.Connection, tasks: object, message: str
) -> None:
    good = TaskWrites("t-1", "", "1", "good", "", thread_writes({0: b"1"}))
    with pytest.raises(InvalidValue, match=re.escape(message)):
        await client.store_task_writes(cast("Any", tasks), user_id="mira")
    if isinstance(tasks, list):
        wrong = cast("list[TaskWrites]", tasks)
        with pytest.raises(InvalidValue):
            await client.store_task_writes([good, *wrong], user_id="mira")
    assert await count(db, "lg_checkpoint_write") == 0


async def test_checkpoint_is_stored_in_one_statement_with_writes_of_its_namespace(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await put(client, "1", {"a": b"old"})
    tasks = [
        TaskWrites("t-1", "", "1", "w", "p", thread_writes({0: EVERY_BYTE, -1: b"e"})),
        TaskWrites("t-1", "", "2", "w", "", thread_writes({3: b"own"})),
    ]

    # The writes are stored also where the checkpoint is not, and again without an effect.
    assert await put(client, "2", {}, {"b": "2"}, parent_checkpoint_id="1", tasks=tasks) == ["b"]
    assert await count(db, "lg_checkpoint") == 1
    assert await count(db, "lg_checkpoint_write") == 3
    new = {"b": b"new"}
    versions = {"a": "1", "b": "2"}
    assert await put(client, "2", new, versions, parent_checkpoint_id="1", tasks=tasks) == []

    first = await client.find_thread_checkpoint("t-1", user_id="mira", checkpoint_id="1")
    assert writes_of(first) == [
        ("p", "w", -1, "c", "t", b"e"),
        ("p", "w", 0, "c", "t", EVERY_BYTE),
    ]
    newest = await client.find_thread_checkpoint("t-1", user_id="mira")
    assert values_of(newest) == {"a": b"old", "b": b"new"}
    assert writes_of(newest) == [("", "w", 3, "c", "t", b"own")]
    for thread_id, checkpoint_ns in (("t-2", ""), ("t-1", "inner")):
        wrong = TaskWrites(thread_id, checkpoint_ns, "1", "w", "", thread_writes({0: b"1"}))
        with pytest.raises(InvalidValue, match=r"tasks\[0\] must have the thread_id and"):
            await put(client, "3", tasks=[wrong])
    assert await count(db, "lg_checkpoint") == 2


async def test_both_layouts_are_read_row_by_row_in_one_thread(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await checkpoints.store(client, "p-1", metadata={"of": "kagent"})
    await checkpoints.put(client, "task", checkpoints.write(0, "old"), checkpoint_id="p-1")
    await put(client, "p-2", {"a": b"a"}, parent_checkpoint_id="p-1")
    await checkpoints.put(client, "task", checkpoints.write(0, "mixed"), checkpoint_id="p-2")
    await put_writes(client, "p-2", "other", {1: b"new"})
    new, old = await client.list_thread_checkpoints(user_id="mira")
    assert (old.checkpoint, old.checkpoint_type) == (EVERY_BYTE, "msgpack")
    assert (old.metadata, values_of(old)) == ('{"of":"kagent"}', {})
    assert writes_of(old) == [("", "task", 0, "answer", "json", b"old")]
    assert (new.checkpoint, values_of(new)) == (b"p-2", {"a": b"a"})
    assert writes_of(new) == [
        ("", "other", 1, "c", "t", b"new"),
        ("", "task", 0, "answer", "json", b"mixed"),
    ]
    # The methods for base64 return the rows of their layout, and refuse the others.
    found = await client.get_checkpoint("t-1", user_id="mira", checkpoint_id="p-1")
    assert set(found.checkpoint.model_dump()) == set(type(found.checkpoint).model_fields)
    assert not [name for name in type(found.checkpoint).model_fields if "agentrows" in name]
    for call in (client.get_checkpoint, client.list_checkpoints):
        with pytest.raises(InvalidValue, match=r"'p-2'.*agentrows\.langgraph"):
            await call("t-1", user_id="mira")
    await put_writes(client, "p-1", "third", {2: b"bytes"})
    with pytest.raises(InvalidValue, match=r"'p-1'.*agentrows\.langgraph"):
        await client.get_checkpoint("t-1", user_id="mira", checkpoint_id="p-1")
    # Another writer's upsert leaves the other columns behind: the type alone counts.
    await checkpoints.store(client, "p-2")
    (row, _) = await client.list_thread_checkpoints(user_id="mira")
    assert (row.checkpoint, values_of(row)) == (EVERY_BYTE, {})
    assert await count(db, "lg_checkpoint", "agentrows_channels IS NOT NULL") == 1


async def test_checkpoints_are_ordered_by_time_then_id(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for id_ in ("c", "b", "a"):
        await put(client, id_, metadata={"id": id_, "both": [1]})
        await put(client, id_, checkpoint_ns="sub", thread_id="t-2")
    await age(db, "c", "b", "a")
    await db.execute("UPDATE lg_checkpoint SET created_at = NULL WHERE checkpoint_id = 'c'")
    newest = await client.find_thread_checkpoint("t-1", user_id="mira")
    assert newest is not None
    assert newest.checkpoint_id == "a"
    for chosen in ({"thread_id": "t-1"}, {"thread_id": "t-1", "checkpoint_ns": ""}):
        assert await listed(client, **chosen) == ["a", "b", "c"]
        assert await listed(client, **chosen, before="b") == ["c"]
        assert await listed(client, **chosen, before="b", limit=1) == ["c"]
        assert await listed(client, **chosen, before="bb") == ["b", "a"][::-1]
        assert await listed(client, **chosen, metadata={"both": [1]}, limit=2) == ["a", "b"]
        assert await listed(client, **chosen, metadata={"id": "b"}) == ["b"]
        assert await listed(client, **chosen, metadata={"id": "b"}, before="b") == []
    assert await listed(client) == ["a", "a", "b", "b", "c", "c"]
    assert await listed(client, checkpoint_ns="sub", before="b") == ["c"]
    assert await listed(client, checkpoint_id="b") == ["b", "b"]
    assert [
        head.checkpoint_id for head in await client.list_thread_heads("t-1", user_id="mira")
    ] == ["a"]


async def test_sends_of_the_parent_are_returned_for_old_versions_only(
    client: PostgresClient,
) -> None:
    await put_writes(client, "1", "x", {0: b"send"}, channel="__pregel_tasks", task_path="p")
    await put_writes(client, "1", "x", {1: b"other"})
    for version in (3, 4):
        await put(client, f"{version}", version=version, parent_checkpoint_id="1")
        row = await client.find_thread_checkpoint("t-1", user_id="mira")
        assert row is not None
        assert row.send_values == ([b"send"] if version == 3 else [])
        assert row.send_task_paths == (["p"] if version == 3 else [])
        (head,) = await client.list_thread_heads("t-1", user_id="mira")
        assert head.parent_has_sends


async def test_channel_history_ends_at_the_stored_values(client: PostgresClient) -> None:
    """Ancestors 1 to 5: `d` has a value in 2, `e` in 4; each has a write on both."""
    parent = None
    for number in range(1, 7):
        values = {"d": b"seed d"} if number == 2 else {"e": b"seed e"} if number == 4 else {}
        await put(client, str(number), values, parent_checkpoint_id=parent)
        for channel, idx in (("d", 0), ("e", 1), ("f", 2)):
            await put_writes(client, str(number), channel, {idx: b"%d" % number}, channel=channel)
        parent = str(number)
    rows = await client.list_channel_history("t-1", user_id="mira", channels=["d", "e"])
    assert [row.checkpoint_id for row in rows] == ["5", "4", "3", "2"]
    assert [sorted(row.write_channels) for row in rows] == [["d", "e"], ["d", "e"], ["d"], ["d"]]
    assert [dict(zip(row.value_channels, row.values, strict=True)) for row in rows] == [
        {},
        {"e": b"seed e"},
        {},
        {"d": b"seed d"},
    ]
    key: dict[str, Any] = {"user_id": "mira", "channels": ["d"]}
    page = await client.list_channel_history("t-1", **key, checkpoint_id="6", limit=2)
    page += await client.list_channel_history("t-1", **key, checkpoint_id=page[-1].checkpoint_id)
    assert [row.checkpoint_id for row in page] == ["5", "4", "3", "2"]
    whole = await client.list_channel_history("t-1", user_id="mira", channels=["absent"])
    assert [row.checkpoint_id for row in whole] == ["5", "4", "3", "2", "1"]
    assert await client.list_channel_history("t-1", user_id="juno", channels=["d"]) == []
    assert await client.list_channel_history("t-1", user_id="mira", channels=[]) == []


async def test_channel_history_returns_whole_checkpoints_and_survives_a_cycle(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await checkpoints.store(client, "1")
    await put(client, "2", parent_checkpoint_id="1")
    await db.execute("UPDATE lg_checkpoint SET parent_checkpoint_id = '1'")
    rows = await client.list_channel_history(
        "t-1", user_id="mira", checkpoint_id="2", channels=["d"]
    )
    assert len(rows) == 64
    assert {(row.checkpoint_id, row.checkpoint) for row in rows} == {("1", EVERY_BYTE)}


async def test_lost_value_and_foreign_text_are_errors(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await put(client, "1", {"a": b"a", "b": b"b"})
    await put(client, "2", parent_checkpoint_id="1")
    await db.execute("DELETE FROM agentrows_checkpoint_blob WHERE channel = 'a'")
    with pytest.raises(UnreadableRow, match=r"'1'.*'a'"):
        await client.list_thread_checkpoints(user_id="mira")
    with pytest.raises(UnreadableRow, match=r"'1'.*'a'"):
        await client.list_channel_history("t-1", user_id="mira", channels=["a"])
    await client.delete_threads(["t-1"], user_id="mira")
    for column in ("metadata", "checkpoint"):
        await checkpoints.store(client, "3")
        await db.execute(f"UPDATE lg_checkpoint SET {column} = 'no base64!'")  # noqa: S608
        with pytest.raises(UnreadableRow, match=r"'3' of thread 't-1'.*base64"):
            await client.find_thread_checkpoint("t-1", user_id="mira", checkpoint_id="3")


async def test_read_of_a_long_thread_reads_few_blocks(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await put(client, "c-0", {"a": b"a", "b": b"b"})
    await db.execute(
        """
        WITH rows AS (
            INSERT INTO lg_checkpoint (
                user_id, thread_id, checkpoint_id, metadata, checkpoint, checkpoint_type, version,
                agentrows_checkpoint, agentrows_channels, agentrows_versions, created_at
            )
            SELECT 'mira', 't-1', 'c-' || n, 'e30=', '', 'agentrows+t', 4, '', '{a,b}',
                ARRAY['1', n::text], now() + n * interval '1 s'
            FROM generate_series(1, 5000) AS n
        ),
        writes AS (
            INSERT INTO lg_checkpoint_write (
                user_id, thread_id, checkpoint_id, write_idx, value, value_type, channel, task_id,
                agentrows_value
            )
            SELECT 'mira', 't-1', 'c-' || n, 16, '', 'agentrows+t', 'b', 't', ''
            FROM generate_series(1, 5000) AS n
        )
        INSERT INTO agentrows_checkpoint_blob
        SELECT 'mira', 't-1', '', 'b', n::text, 't', '' FROM generate_series(2, 5000) AS n
        """
    )
    await db.execute("ANALYZE lg_checkpoint, lg_checkpoint_write, agentrows_checkpoint_blob")
    for name in ("FIND_THREAD_CHECKPOINT", "LIST_NAMESPACE_CHECKPOINTS"):
        arguments = "'c-2500'" if name.startswith("FIND") else "NULL, 1"
        for mode in ("custom", "generic"):
            await db.execute(f"SET plan_cache_mode = force_{mode}_plan")
            await db.execute(f"PREPARE read AS {getattr(threads, name)}")
            call = f"EXECUTE read ('mira', 't-1', '', {arguments})"
            plan = await db.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {call}")
            await db.execute("DEALLOCATE read")
            read = plan[0]["Plan"]
            assert read["Actual Rows"] == 1
            assert read["Shared Hit Blocks"] + read["Shared Read Blocks"] < 40, plan


async def test_bad_arguments_are_refused_by_name(client: PostgresClient) -> None:
    for method in ("store_thread_checkpoint", "store_thread_writes", "find_thread_checkpoint"):
        for argument in ("thread_id", "user_id", "checkpoint_ns", "checkpoint_id"):
            await refuse_by_name(client, method, argument)
    for argument in ("checkpoint_type", "parent_checkpoint_id", "run_id"):
        for text in NO_TEXT if argument == "checkpoint_type" else (*NO_TEXT, *NO_ID):
            with pytest.raises(InvalidValue, match=named(argument)):
                await put(client, "1", **cast("Any", {argument: text}))
    wrong: dict[str, tuple[object, ...]] = {
        "checkpoint": ("text", bytearray(b"x"), None, bytes(LARGEST_TEXT + 1)),
        "metadata": ([], {"a": float("nan")}, {1: 2}),
        "versions": ([], {"c": 1}, {"a\0": "1"}, {"c": "x" * 2600}),
        "optional_versions": (["c"], {"c": 1}, {"a\0": "1"}),
        "version": ("4", 2**63),
        "values": (7, ["c"]),
    }
    for argument, values in wrong.items():
        for each in values:
            with pytest.raises(InvalidValue, match=argument[:7]):
                await put(client, "1", **cast("Any", {argument: each}))
    value = NewChannelValue(channel="c", type="t", value=b"")
    with pytest.raises(InvalidValue, match=r"versions lacks .* values\[0\]"):
        await put(client, "1", values=[value], versions={})
    with pytest.raises(InvalidValue, match="optional_versions contains a channel"):
        await put(client, "1", {"c": b""}, optional_versions={"c": "1"})
    with pytest.raises(InvalidValue, match="same channel"):
        await put(client, "1", values=[value, value], versions={"c": "1"})
    for indexes in ({-5: b""}, {1_048_560: b""}):
        with pytest.raises(InvalidValue, match=r"writes\[0\]\.idx"):
            await put_writes(client, "1", "t", indexes)
    for limit in (*NO_LIMIT, None):
        with pytest.raises(InvalidValue, match="limit"):
            await client.list_channel_history("t", user_id="u", channels=["c"], limit=limit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for many in ("t-1", 7, [""], ["a", 7]):
        with pytest.raises(InvalidValue, match="thread_ids"):
            await client.delete_threads(many, user_id="mira")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
