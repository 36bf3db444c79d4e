"""Tools and tool servers: keys of several columns, look-ups that may be ambiguous, the refresh."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

import pytest

from agentrows import (
    Aborted,
    Conflict,
    InvalidValue,
    NewTool,
    NotFound,
    PostgresClient,
    Tool,
    ToolServer,
)
from support.methods import (
    NO_ID,
    NO_TEXT,
    named,
    refuse_by_name,
    refuse_limits,
    text_arguments,
    unchecked,
)
from support.stores import EARLY, count, versions, visit

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

NAIVE: Final = datetime(2030, 1, 1)  # noqa: DTZ001  the point of it


def tools(*ids: str, description: str | None = "x") -> list[NewTool]:
    return [NewTool(id=name, description=description) for name in ids]


async def refresh(client: PostgresClient, wanted: Iterable[NewTool]) -> tuple[int, int]:
    done = await client.refresh_tools_for_server("maps", group_kind="MCP", tools=list(wanted))
    return done.stored, done.deleted


async def live(client: PostgresClient, server: str = "maps") -> list[tuple[str, str | None]]:
    found = await client.list_tools_for_server(server, group_kind="MCP")
    return [(tool.id, tool.description) for tool in found]


async def test_a_stored_tool_is_returned_as_it_is_read_again(client: PostgresClient) -> None:
    stored = await client.store_tool(
        "route", server_name="maps", group_kind="MCP", description="Finds a way."
    )
    assert (stored.id, stored.server_name, stored.group_kind) == ("route", "maps", "MCP")
    assert stored.description == "Finds a way."
    assert stored.created_at == stored.updated_at
    assert stored.created_at is not None
    assert await client.get_tool("route", server_name="maps", group_kind="MCP") == stored
    assert await client.list_tools() == [stored]
    assert await client.list_tools_for_server("maps", group_kind="MCP") == [stored]


async def test_a_description_left_out_stays_and_none_clears_it(client: PostgresClient) -> None:
    async def describe(**description: str | None) -> str | None:
        return (
            await client.store_tool("t", server_name="m", group_kind="k", **description)
        ).description

    assert await describe() is None
    assert await describe(description="x") == "x"
    assert await describe() == "x"
    assert await describe(description=None) is None


async def test_a_look_up_of_a_tool_that_fits_several_raises_conflict(
    client: PostgresClient,
) -> None:
    keys = [("maps", "MCP"), ("maps", "Remote"), ("news", "MCP")]
    for server, kind in keys:
        await client.store_tool("route", server_name=server, group_kind=kind)
    with pytest.raises(Conflict, match="route"):
        await client.get_tool("route")
    with pytest.raises(Conflict):
        await client.get_tool("route", server_name="maps")
    with pytest.raises(Conflict):
        await client.get_tool("route", group_kind="MCP")
    assert (await client.get_tool("route", server_name="news")).group_kind == "MCP"
    assert (await client.get_tool("route", group_kind="Remote")).server_name == "maps"
    for server, kind in keys:
        found = await client.get_tool("route", server_name=server, group_kind=kind)
        assert (found.server_name, found.group_kind) == (server, kind)
    await client.delete_tools_for_server("maps", group_kind="MCP")
    await client.delete_tools_for_server("maps", group_kind="Remote")
    assert (await client.get_tool("route")).server_name == "news"


async def test_an_unknown_tool_and_server_are_not_found(client: PostgresClient) -> None:
    with pytest.raises(NotFound, match="route"):
        await client.get_tool("route")
    with pytest.raises(NotFound, match="maps"):
        await client.get_tool_server("maps")
    assert await client.list_tools() == []
    assert await client.list_tools_for_server("maps", group_kind="MCP") == []
    assert await client.list_tool_servers() == []
    assert await client.delete_tools_for_server("maps", group_kind="MCP") is False
    assert await client.delete_tool_server("maps", group_kind="MCP") is False


async def test_deleted_tools_are_gone_and_storing_one_brings_it_back(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for name in ("a", "b"):
        await client.store_tool(name, server_name="maps", group_kind="MCP", description="x")
    await client.store_tool("a", server_name="news", group_kind="MCP")
    assert await client.delete_tools_for_server("maps", group_kind="MCP") is True
    assert await client.delete_tools_for_server("maps", group_kind="MCP") is False
    assert await live(client) == []
    assert await live(client, "news") == [("a", None)]
    with pytest.raises(NotFound):
        await client.get_tool("a", server_name="maps")
    back = await client.store_tool("a", server_name="maps", group_kind="MCP")
    assert (back.description, back.deleted_at) == ("x", None)
    assert await live(client) == [("a", "x")]
    assert await count(db, "tool") == 3


async def test_a_stored_server_is_returned_as_it_is_read_again(client: PostgresClient) -> None:
    stored = await client.store_tool_server(
        "maps", group_kind="MCP", description="Maps.", last_connected=EARLY
    )
    assert (stored.name, stored.group_kind, stored.description) == ("maps", "MCP", "Maps.")
    assert stored.last_connected == EARLY
    assert stored.created_at == stored.updated_at
    assert await client.get_tool_server("maps", group_kind="MCP") == stored
    assert await client.get_tool_server("maps") == stored
    assert await client.list_tool_servers() == [stored]


async def test_omitted_field_of_a_server_stays_and_none_clears_it(
    client: PostgresClient,
) -> None:
    await client.store_tool_server("m", group_kind="k", description="x", last_connected=EARLY)
    kept = await client.store_tool_server("m", group_kind="k")
    assert (kept.description, kept.last_connected) == ("x", EARLY)
    one = await client.store_tool_server("m", group_kind="k", description=None)
    assert (one.description, one.last_connected) == (None, EARLY)
    two = await client.store_tool_server("m", group_kind="k", last_connected=None)
    assert (two.description, two.last_connected) == (None, None)


async def test_a_look_up_of_a_server_that_fits_several_raises_conflict(
    client: PostgresClient,
) -> None:
    for kind in ("MCP", "Remote"):
        await client.store_tool_server("maps", group_kind=kind)
    with pytest.raises(Conflict, match="maps"):
        await client.get_tool_server("maps")
    assert (await client.get_tool_server("maps", group_kind="MCP")).group_kind == "MCP"
    assert await client.delete_tool_server("maps", group_kind="MCP") is True
    assert (await client.get_tool_server("maps")).group_kind == "Remote"


async def test_storing_a_deleted_server_restores_it_and_tools_stay(client: PostgresClient) -> None:
    await client.store_tool_server("maps", group_kind="MCP", description="x")
    await client.store_tool("route", server_name="maps", group_kind="MCP")
    assert await client.delete_tool_server("maps", group_kind="MCP") is True
    assert await client.delete_tool_server("maps", group_kind="MCP") is False
    with pytest.raises(NotFound):
        await client.get_tool_server("maps", group_kind="MCP")
    assert await client.list_tool_servers() == []
    assert await live(client) == [("route", None)]
    back = await client.store_tool_server("maps", group_kind="MCP")
    assert (back.description, back.deleted_at) == ("x", None)


async def test_twenty_tasks_that_store_one_tool_and_server_all_get_them(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await asyncio.gather(
        *(client.store_tool("t", server_name="m", group_kind="k") for _ in range(20)),
        *(client.store_tool_server("m", group_kind="k") for _ in range(20)),
    )
    assert (await count(db, "tool"), await count(db, "toolserver")) == (1, 1)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_tools_and_servers_visit_each_key_once(
    client: PostgresClient, limit: int
) -> None:
    names = ("a", "b", "c-d", "c_d")
    keys = [(name, server, kind) for name in names for server in "xy" for kind in ("j", "k")]
    for name, server, kind in keys:
        await client.store_tool(name, server_name=server, group_kind=kind)
        await client.store_tool_server(name, group_kind=kind)
    found = await visit(Tool, lambda after: client.list_tools(limit=limit, after=after))
    assert sorted((tool.id, tool.server_name, tool.group_kind) for tool in found) == sorted(keys)
    assert await client.list_tools() == found
    of_one = await visit(
        Tool,
        lambda after: client.list_tools_for_server("x", group_kind="k", limit=limit, after=after),
    )
    assert of_one == [tool for tool in found if (tool.server_name, tool.group_kind) == ("x", "k")]
    servers = await visit(
        ToolServer, lambda after: client.list_tool_servers(limit=limit, after=after)
    )
    assert len(servers) == len(set(names)) * 2
    assert await client.list_tool_servers() == servers


async def test_a_refresh_makes_the_set_exactly_this(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_tool("a", server_name="news", group_kind="MCP")
    await client.store_tool("a", server_name="maps", group_kind="Remote")
    assert await refresh(client, tools("a", "b", "c")) == (3, 0)
    assert await live(client) == [("a", "x"), ("b", "x"), ("c", "x")]
    wanted = [*tools("b"), *tools("c", description="y"), *tools("d", description=None)]
    assert await refresh(client, wanted) == (2, 1)
    assert await live(client) == [("b", "x"), ("c", "y"), ("d", None)]
    # A deleted tool is restored with its new description; tools of other servers stay.
    assert await refresh(client, tools("a", description=None)) == (1, 3)
    assert await live(client) == [("a", None)]
    assert await refresh(client, []) == (0, 1)
    assert await live(client) == []
    assert await count(db, "tool", "server_name = 'news' AND deleted_at IS NULL") == 1
    assert await count(db, "tool", "group_kind = 'Remote' AND deleted_at IS NULL") == 1


async def test_a_refresh_writes_only_the_rows_that_differ(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await refresh(client, [*tools("a", "b", "c"), *tools("n", description=None)])
    await refresh(client, [*tools("a", "b"), *tools("n", description=None)])
    written = await versions(db, "tool")
    assert await refresh(client, [*tools("n", description=None), *tools("b", "a")]) == (0, 0)
    assert await versions(db, "tool") == written
    one = "SELECT ctid, xmin::text FROM tool WHERE id = 'a'"
    before = await db.fetchrow(one)
    assert await refresh(client, [*tools("a"), *tools("b", description="y")]) == (1, 1)
    assert await db.fetchrow(one) == before


async def test_two_tasks_that_refresh_one_server_never_leave_a_mixture(
    migrated: str, client: PostgresClient
) -> None:
    mine, theirs = tools("a", "b", "m", description="mine"), tools("a", "b", "t", description="th")
    sets = [[(tool.id, tool.description) for tool in each] for each in (mine, theirs)]
    async with PostgresClient.open(migrated, migrations="off") as other:
        for number in range(30):
            if number % 3 == 0:
                await client.delete_tools_for_server("maps", group_kind="MCP")
            async with asyncio.timeout(20):
                await asyncio.gather(refresh(client, mine), refresh(other, theirs[::-1]))
            assert await live(client) in sets


async def test_refresh_with_an_old_snapshot_leaves_no_mixture(
    migrated: str, client: PostgresClient
) -> None:
    async with PostgresClient.open(migrated, migrations="off") as other:

        async def late() -> None:
            async with client.transaction(isolation="repeatable_read") as tx:
                assert await tx.list_tools() == []
                await refresh(other, tools("theirs"))
                await tx.refresh_tools_for_server("maps", group_kind="MCP", tools=tools("mine"))

        try:
            await late()
        except (Aborted, InvalidValue):
            assert await live(client) == [("theirs", "x")]
        else:
            assert await live(client) == [("mine", "x")]


async def test_refreshes_of_several_servers_do_not_wait_for_each_other(
    client: PostgresClient,
) -> None:
    async with asyncio.timeout(10), client.transaction() as tx:
        await tx.refresh_tools_for_server("news", group_kind="MCP", tools=tools("a"))
        await refresh(client, tools("b"))
    assert (await live(client), await live(client, "news")) == ([("b", "x")], [("a", "x")])


async def test_a_refresh_of_5000_tools_is_taken(client: PostgresClient) -> None:
    assert await refresh(client, tools(*(f"t-{n}" for n in range(5000)))) == (5000, 0)
    assert await refresh(client, tools(*(f"t-{n}" for n in range(1, 5001)))) == (1, 1)


async def test_batch_with_an_invalid_tool_is_refused_and_stores_nothing(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for value in (*NO_TEXT, *NO_ID):
        with pytest.raises(InvalidValue, match=named("tools[1].id")):
            await refresh(client, [*tools("a"), unchecked(NewTool, id=value, description=None)])
    for value in NO_TEXT:
        with pytest.raises(InvalidValue, match=named("tools[1].description")):
            await refresh(client, [*tools("a"), unchecked(NewTool, id="b", description=value)])
    with pytest.raises(InvalidValue, match="tools"):
        await refresh(client, tools("a", "b", "a"))
    assert await count(db, "tool") == 0


@pytest.mark.parametrize(("method", "argument"), text_arguments("tools"))
async def test_invalid_text_of_a_tool_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, method: str, argument: str
) -> None:
    await refuse_by_name(client, method, argument)
    assert await count(db, "tool") + await count(db, "toolserver") == 0


async def test_a_limit_of_tools_below_1_is_refused(client: PostgresClient) -> None:
    await refuse_limits(client, "tools", "list_tools", "list_tools_for_server", "list_tool_servers")


async def test_invalid_last_connected_is_refused_by_name(
    client: PostgresClient,
) -> None:
    for moment in (NAIVE, "2030-01-01", 1):
        with pytest.raises(InvalidValue, match=named("last_connected")):
            await client.store_tool_server(
                "maps", group_kind="MCP", last_connected=cast("datetime", moment)
            )


async def test_ids_of_512_bytes_are_a_key_of_a_tool(client: PostgresClient) -> None:
    longest = "ü" * 256
    stored = await client.store_tool(longest, server_name=longest, group_kind=longest)
    assert await client.get_tool(longest) == stored
    await client.refresh_tools_for_server(longest, group_kind=longest, tools=tools(longest))
    await client.store_tool_server(longest, group_kind=longest)
