"""CrewAI: the memory of a thread, its literal search, the latest state of a flow."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from support.methods import refuse_by_name, refuse_limits, text_arguments
from support.stores import EARLY, MANY_BRACKETS, NOT_JSON, count

if TYPE_CHECKING:
    import asyncpg

    from agentrows import PostgresClient


def memory(task: str, **more: object) -> str:
    return json.dumps({"task_description": task, **more}, ensure_ascii=False)


async def remember(client: PostgresClient, **rows: str) -> None:
    for thread, data in rows.items():
        await client.store_crewai_memory(thread, user_id="mira", memory_data=data)


async def search(client: PostgresClient, text: str, *, limit: int | None = None) -> list[str]:
    found = await client.search_crewai_memory_by_task(text, user_id="mira", limit=limit)
    return [row.thread_id for row in found]


async def at_once(db: asyncpg.Connection) -> None:
    """Set one time for all memories, so that the score decides the order."""
    await db.execute("UPDATE crewai_agent_memory SET created_at = $1", EARLY)


async def test_a_stored_memory_is_returned_and_found(client: PostgresClient) -> None:
    stored = await client.store_crewai_memory("t-1", user_id="mira", memory_data=memory("Plan."))
    assert (stored.user_id, stored.thread_id) == ("mira", "t-1")
    assert stored.memory_data == memory("Plan.")
    assert stored.created_at == stored.updated_at
    assert stored.created_at is not None
    assert await client.search_crewai_memory_by_task("Plan", user_id="mira") == [stored]


async def test_storing_a_memory_again_replaces_it(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    first = await client.store_crewai_memory("t-1", user_id="mira", memory_data=memory("one"))
    second = await client.store_crewai_memory("t-1", user_id="mira", memory_data=memory("two"))
    assert second.created_at == first.created_at
    assert second.updated_at is not None
    assert first.updated_at is not None
    assert second.updated_at > first.updated_at
    assert (await search(client, "one"), await search(client, "two")) == ([], ["t-1"])
    assert await count(db, "crewai_agent_memory") == 1


async def test_a_reset_takes_the_memory_of_one_thread_and_a_store_brings_it_back(
    client: PostgresClient,
) -> None:
    await remember(client, a=memory("x"), b=memory("x"))
    await client.store_crewai_memory("a", user_id="juno", memory_data=memory("x"))
    assert await client.reset_crewai_memory("c", user_id="mira") is False
    assert await client.reset_crewai_memory("a", user_id="mira") is True
    assert await client.reset_crewai_memory("a", user_id="mira") is False
    assert await search(client, "x") == ["b"]
    assert len(await client.search_crewai_memory_by_task("x", user_id="juno")) == 1
    back = await client.store_crewai_memory("a", user_id="mira", memory_data=memory("new"))
    assert back.deleted_at is None
    assert await search(client, "new") == ["a"]


async def test_memories_of_another_user_are_not_found(client: PostgresClient) -> None:
    await client.store_crewai_memory("a", user_id="juno", memory_data=memory("x"))
    assert await search(client, "") == []
    found = await client.search_crewai_memory_by_task("x", user_id="mira", thread_id="a")
    assert found == []


async def test_a_search_may_stay_in_one_thread(client: PostgresClient) -> None:
    await remember(client, a=memory("x"), b=memory("x"))
    found = await client.search_crewai_memory_by_task("x", user_id="mira", thread_id="b")
    assert [row.thread_id for row in found] == ["b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100%", "percent"),
        ("%", "percent"),
        ("a_b", "under"),
        ("_", "under"),
        ("%_", ""),
        ("a%b", ""),
        ("\\", "slash"),
        ("\\%", ""),
        ("it's", "quote"),
        ('say "so"', "quote"),
        ("AXB", "plain"),
        ("axB", "plain"),
        (" axb", ""),
        ("", "percent under plain slash quote"),
        (".*", ""),
    ],
)
async def test_the_text_of_a_search_is_literal_and_in_any_case(
    client: PostgresClient, text: str, expected: str
) -> None:
    await remember(
        client,
        percent=memory("Grow by 100% now"),
        under=memory("Join A_B here"),
        plain=memory("aXb"),
        slash=memory("C:\\temp"),
        quote=memory('It\'s me, say "so"'),
    )
    assert set(await search(client, text)) == set(expected.split())


async def test_search_ignores_the_case_of_non_ascii_letters(client: PostgresClient) -> None:
    await remember(client, a=memory("Große ÜBERSICHT"))
    assert await search(client, "übersicht") == ["a"]


async def test_search_matches_non_ascii_letters_that_are_escaped_in_json(
    client: PostgresClient,
) -> None:
    await remember(client, a=json.dumps({"task_description": "Grüße 🦊"}))
    assert await search(client, "Grüße 🦊") == ["a"]


NO_JSON = (
    "",
    "needle",
    "not json, needle",
    '{"task_description": "needle"',
    "{'task_description': 'needle'}",
    '{"task_description": "needle\\u0000"}',
    '{"task_description": "needle", "score": NaN}',
)


async def test_search_includes_memories_that_are_not_json(
    client: PostgresClient,
) -> None:
    await remember(client, good=memory("needle"))
    for number, data in enumerate(NO_JSON):
        await client.store_crewai_memory(f"bad-{number}", user_id="mira", memory_data=data)
    found = await search(client, "needle")
    assert "good" in found
    assert set(found) == {"good", *(f"bad-{n}" for n, data in enumerate(NO_JSON) if data)}
    assert len(await search(client, "")) == 1 + len(NO_JSON)


@pytest.mark.parametrize(
    "data",
    [
        "null",
        "1",
        '"needle"',
        "[]",
        '[{"task_description": "x"}]',
        '{"task_description": null}',
        '{"task_description": {"a": 1}}',
        '{"task_description": 5, "score": []}',
        '{"task_description": "a", "score": 1e999}',
        '{"task_description": "a", "score": "1e999"}',
        '{"task_description": "a", "score": ""}',
        '{"task_description": "a", "score": {"b": 1}}',
    ],
)
async def test_json_of_another_shape_does_not_break_a_search(
    client: PostgresClient, data: str
) -> None:
    await remember(client, odd=data, good=memory("other"))
    assert await search(client, "other") == ["good"]
    assert set(await search(client, "")) == {"odd", "good"}


async def test_a_memory_nested_too_deeply_for_the_server_does_not_break_a_search(
    client: PostgresClient,
) -> None:
    await remember(client, good=memory("needle"), deep="[" * 100_000)
    assert await search(client, "needle") == ["good"]


async def test_search_is_newest_first_and_null_time_is_oldest(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await remember(client, a=memory("x", score=1), b=memory("x", score=9), c=memory("x"))
    assert await search(client, "x") == ["c", "b", "a"]
    await db.execute("UPDATE crewai_agent_memory SET created_at = NULL WHERE thread_id = 'c'")
    assert await search(client, "x") == ["b", "a", "c"]


async def test_among_memories_of_one_moment_the_score_compares_as_a_number(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await remember(
        client,
        a=memory("x", score=10),
        b=memory("x", score="9"),
        c=memory("x", score=-1),
        d=memory("x", score="100"),
        e=memory("x", score=9.5),
        f=memory("x", score="1e1"),
        g=memory("x"),
        h=memory("x", score="high"),
        i="x",
    )
    await at_once(db)
    assert await search(client, "x") == ["c", "b", "e", "a", "f", "d", "g", "h", "i"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_limit_returns_the_first_rows(client: PostgresClient, limit: int) -> None:
    await remember(client, a=memory("x"), b=memory("x"), c=memory("x"))
    assert await search(client, "x", limit=limit) == ["c", "b", "a"][:limit]


async def state(client: PostgresClient, method: str, data: str = "{}", thread: str = "t-1") -> None:
    stored = await client.store_crewai_flow_state(
        thread, user_id="mira", method_name=method, state_data=data
    )
    assert (stored.user_id, stored.thread_id, stored.method_name) == ("mira", thread, method)
    assert stored.state_data == data
    assert stored.updated_at is not None


async def latest(client: PostgresClient) -> str | None:
    found = await client.find_crewai_flow_state("t-1", user_id="mira")
    return found.method_name if found else None


async def test_flow_without_a_state_returns_none(client: PostgresClient) -> None:
    await state(client, "begin", thread="t-2")
    await client.store_crewai_flow_state("t-1", user_id="juno", method_name="m", state_data="{}")
    assert await client.find_crewai_flow_state("t-1", user_id="mira") is None


async def test_latest_state_is_the_most_recently_stored_one(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await state(client, "begin")
    await state(client, "end")
    assert await latest(client) == "end"
    await state(client, "begin", '{"again": true}')
    found = await client.find_crewai_flow_state("t-1", user_id="mira")
    assert found is not None
    assert (found.method_name, found.state_data) == ("begin", '{"again": true}')
    assert await count(db, "crewai_flow_state") == 2


async def test_state_without_a_time_is_oldest_and_deleted_state_is_not_returned(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await state(client, "begin")
    await state(client, "end")
    await db.execute("UPDATE crewai_flow_state SET updated_at = NULL WHERE method_name = 'end'")
    assert await latest(client) == "begin"
    await db.execute("UPDATE crewai_flow_state SET updated_at = $1", EARLY + timedelta(days=1))
    assert await latest(client) == await latest(client)
    await db.execute("UPDATE crewai_flow_state SET deleted_at = now()")
    assert await latest(client) is None
    await state(client, "begin")
    assert await latest(client) == "begin"


async def test_twenty_tasks_that_store_one_memory_and_state_leave_one_of_each(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await asyncio.gather(
        *(remember(client, a=memory(str(number))) for number in range(20)),
        *(state(client, "begin", str(number)) for number in range(20)),
    )
    assert await count(db, "crewai_agent_memory") == 1
    assert await count(db, "crewai_flow_state") == 1


@pytest.mark.parametrize(("method", "argument"), text_arguments("crewai"))
async def test_invalid_text_of_crewai_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, method: str, argument: str
) -> None:
    await refuse_by_name(client, method, argument)
    assert await count(db, "crewai_agent_memory") + await count(db, "crewai_flow_state") == 0


async def test_a_limit_of_a_crewai_search_below_1_is_refused(client: PostgresClient) -> None:
    await refuse_limits(client, "crewai", "search_crewai_memory_by_task")


async def test_ids_of_512_bytes_are_a_key_of_a_flow_state(client: PostgresClient) -> None:
    longest = "ü" * 256
    key = {"user_id": longest, "method_name": longest}
    await client.store_crewai_flow_state(longest, **key, state_data="{}")
    assert await client.find_crewai_flow_state(longest, user_id=longest) is not None


@pytest.mark.parametrize("name", MANY_BRACKETS)
async def test_a_search_reads_the_task_of_a_memory_with_5000_brackets(
    client: PostgresClient, name: str
) -> None:
    data = memory("needle", other="hay", items=MANY_BRACKETS[name])
    await remember(client, thread=data)
    assert await search(client, "needle") == ["thread"]
    assert await search(client, "hay") == []
    for text, found in (("needle", 1), ("hay", 0)):
        rows = await client.search_crewai_memory_by_task(text, user_id="mira", thread_id="thread")
        assert len(rows) == found


@pytest.mark.parametrize("name", NOT_JSON)
async def test_a_search_reads_all_text_of_a_memory_that_cannot_be_parsed(
    client: PostgresClient, name: str
) -> None:
    await remember(client, thread=NOT_JSON[name] + "needle")
    async with asyncio.timeout(10):
        assert await search(client, "needle") == ["thread"]
