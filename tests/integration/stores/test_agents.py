"""Agents: upsert by id, the soft delete, the list by creation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentrows import Agent, Conflict, InvalidValue, NotFound
from support.stores import BEFORE_ALL, TIMES, count, spread, versions, visit

if TYPE_CHECKING:
    import asyncpg
    from pydantic import JsonValue

    from agentrows import PostgresClient


async def test_a_stored_agent_is_returned_as_it_is_read_again(client: PostgresClient) -> None:
    stored = await client.store_agent("travel", type="Declarative", config={"model": "small"})
    assert (stored.id, stored.type, stored.config) == (
        "travel",
        "Declarative",
        {"model": "small"},
    )
    assert stored.workload_type == "deployment"
    assert stored.created_at == stored.updated_at
    assert stored.created_at is not None
    assert await client.get_agent("travel") == stored


async def test_the_database_sets_the_times_of_an_agent(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    before = await db.fetchval("SELECT clock_timestamp()")
    stored = await client.store_agent("travel", type="BYO")
    after = await db.fetchval("SELECT clock_timestamp()")
    assert before <= stored.created_at <= after


@pytest.mark.parametrize(
    "config", [{}, [], 0, False, "", 'a "b"\n', {"a": [None, 1.5, {"b": "ü\0"}]}]
)
async def test_any_json_is_a_config(client: PostgresClient, config: JsonValue) -> None:
    stored = await client.store_agent("travel", type="BYO", config=config)
    assert stored.config == config
    assert type(stored.config) is type(config)


async def test_omitted_argument_keeps_the_value_of_an_agent(client: PostgresClient) -> None:
    await client.store_agent("travel", type="BYO", config={"a": 1}, workload_type="sandbox")
    stored = await client.store_agent("travel", type="Declarative")
    assert (stored.type, stored.config, stored.workload_type) == (
        "Declarative",
        {"a": 1},
        "sandbox",
    )


async def test_none_clears_the_config_of_an_agent(client: PostgresClient) -> None:
    await client.store_agent("travel", type="BYO", config={"a": 1})
    assert (await client.store_agent("travel", type="BYO", config=None)).config is None
    assert (await client.get_agent("travel")).config is None


async def test_storing_an_agent_as_it_is_writes_nothing(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    stored = await client.store_agent("travel", type="BYO", config={"a": 1}, workload_type="x")
    written = await versions(db, "agent")
    again = [
        await client.store_agent("travel", type="BYO", config={"a": 1}, workload_type="x"),
        await client.store_agent("travel", type="BYO", config={"a": 1}),
        await client.store_agent("travel", type="BYO"),
    ]
    assert again == [stored] * 3
    assert await versions(db, "agent") == written


@pytest.mark.parametrize("config", [{"a": 2}, None, [], {}])
async def test_a_change_of_the_config_alone_is_written(
    client: PostgresClient, config: JsonValue
) -> None:
    first = await client.store_agent("travel", type="BYO", config={"a": 1})
    second = await client.store_agent("travel", type="BYO", config=config)
    assert second.config == config
    assert second.created_at == first.created_at
    assert second.updated_at is not None
    assert first.updated_at is not None
    assert second.updated_at > first.updated_at


async def test_an_unknown_agent_is_not_found(client: PostgresClient) -> None:
    with pytest.raises(NotFound, match="travel"):
        await client.get_agent("travel")
    assert await client.list_agents() == []
    assert await client.delete_agent("travel") is False


async def test_a_deleted_agent_is_neither_found_nor_listed(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_agent("travel", type="BYO")
    assert await client.delete_agent("travel") is True
    with pytest.raises(NotFound):
        await client.get_agent("travel")
    assert await client.list_agents() == []
    assert await client.delete_agent("travel") is False
    assert await count(db, "agent", "deleted_at IS NOT NULL") == 1


async def test_storing_a_deleted_agent_restores_it(client: PostgresClient) -> None:
    await client.store_agent("travel", type="BYO", config={"a": 1})
    await client.delete_agent("travel")
    stored = await client.store_agent("travel", type="BYO", config={"a": 1})
    assert stored.deleted_at is None
    assert await client.get_agent("travel") == stored
    assert await client.list_agents() == [stored]


async def test_twenty_tasks_that_store_the_same_agent_all_get_it(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for number in range(5):
        stored = await asyncio.gather(
            *(client.store_agent(f"a-{number}", type="BYO", config={"a": 1}) for _ in range(20))
        )
        assert stored == [await client.get_agent(f"a-{number}")] * 20
    assert await count(db, "agent") == 5


async def test_twenty_tasks_that_store_one_agent_differently_leave_one_value(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    stored = await asyncio.gather(
        *(client.store_agent("travel", type=f"t-{number}") for number in range(20))
    )
    assert [agent.type for agent in stored] == [f"t-{number}" for number in range(20)]
    assert (await client.get_agent("travel")).type in {agent.type for agent in stored}
    assert await count(db, "agent") == 1


async def test_store_of_an_agent_ends_under_constant_deletes(
    client: PostgresClient,
) -> None:
    async with asyncio.timeout(20):
        for _ in range(20):
            stored, *_ = await asyncio.gather(
                client.store_agent("travel", type="BYO"),
                client.delete_agent("travel"),
                client.store_agent("travel", type="BYO"),
                client.delete_agent("travel"),
            )
            assert (stored.id, stored.deleted_at) == ("travel", None)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_agents_visit_each_row_once_over_ties_in_time(
    client: PostgresClient, db: asyncpg.Connection, limit: int
) -> None:
    for number in range(len(TIMES)):
        await client.store_agent(f"a-{number}", type="BYO")
    await spread(db, "agent", "created_at")
    found = await visit(Agent, lambda after: client.list_agents(limit=limit, after=after))
    order = sorted(range(len(TIMES)), key=lambda number: (TIMES[number] or BEFORE_ALL, number))
    assert [agent.id for agent in found] == [f"a-{number}" for number in order]
    assert await client.list_agents() == found


async def test_patch_replaces_its_keys_and_keeps_the_others(client: PostgresClient) -> None:
    config: JsonValue = {"model": "small", "tools": {"maps": True}, "limit": 3}
    stored = await client.store_agent("travel", type="BYO", config=config)

    patched = await client.update_agent_config(
        "travel", patch={"tools": {"web": True}, "limit": None, "note": "ü"}
    )
    assert patched.config == {
        "model": "small",
        "tools": {"web": True},
        "limit": None,
        "note": "ü",
    }
    assert patched.updated_at is not None
    assert stored.updated_at is not None
    assert patched.updated_at > stored.updated_at
    assert await client.get_agent("travel") == patched


async def test_patch_of_an_agent_without_a_config_stores_the_object(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_agent("travel", type="BYO")
    assert (await client.update_agent_config("travel", patch={"a": 1})).config == {"a": 1}

    await db.execute("UPDATE agent SET config = 'null'")
    assert (await client.update_agent_config("travel", patch={"b": 2})).config == {"b": 2}


async def test_concurrent_patches_of_different_keys_are_all_kept(client: PostgresClient) -> None:
    await client.store_agent("travel", type="BYO", config={})
    keys = [f"k-{number}" for number in range(20)]

    await asyncio.gather(*(client.update_agent_config("travel", patch={key: 1}) for key in keys))

    assert (await client.get_agent("travel")).config == dict.fromkeys(keys, 1)


@pytest.mark.parametrize("config", [[1], "text", 7, True])
async def test_patch_of_a_config_that_is_no_object_conflicts(
    client: PostgresClient, config: JsonValue
) -> None:
    await client.store_agent("travel", type="BYO", config=config)

    with pytest.raises(Conflict, match="store_agent"):
        await client.update_agent_config("travel", patch={"a": 1})
    assert (await client.get_agent("travel")).config == config


async def test_patch_of_an_unknown_or_deleted_agent_raises_not_found(
    client: PostgresClient,
) -> None:
    with pytest.raises(NotFound, match="travel"):
        await client.update_agent_config("travel", patch={})
    await client.store_agent("travel", type="BYO")
    await client.delete_agent("travel")
    with pytest.raises(NotFound, match="travel"):
        await client.update_agent_config("travel", patch={})


async def test_patch_that_jsonb_cannot_contain_is_refused(client: PostgresClient) -> None:
    await client.store_agent("travel", type="BYO")
    with pytest.raises(InvalidValue, match="patch"):
        await client.update_agent_config("travel", patch={"a": "\0"})
