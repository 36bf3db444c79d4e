"""Counts of sessions and events: by user, by agent and by session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.stores import event

if TYPE_CHECKING:
    from agentrows import PostgresClient


async def test_count_of_sessions_equals_the_rows_of_the_lists(client: PostgresClient) -> None:
    await client.store_session("s-1", user_id="mira", agent_id="travel")
    await client.store_session("s-2", user_id="mira", agent_id="travel", source="agent")
    await client.store_session("s-3", user_id="mira")
    await client.store_session("s-4", user_id="mira", agent_id="travel")
    await client.store_session("s-1", user_id="noor", agent_id="travel")
    await client.delete_session("s-4", user_id="mira")

    assert await client.count_sessions(user_id="mira") == 3
    assert len(await client.list_sessions(user_id="mira")) == 3
    assert await client.count_sessions(user_id="mira", agent_id="travel") == 1
    assert len(await client.list_sessions_for_agent("travel", user_id="mira")) == 1
    assert await client.count_sessions(user_id="mira", agent_id="other") == 0
    assert await client.count_sessions(user_id="juno") == 0


async def test_count_of_events_equals_the_rows_of_the_lists(client: PostgresClient) -> None:
    await client.store_session("s-1", user_id="mira")
    await client.store_session("s-2", user_id="mira")
    await client.store_events(
        [event("e-1"), event("e-2"), event("e-3"), event("e-4", session_id="s-2")]
    )
    await client.store_session("s-1", user_id="noor")
    await client.store_events([event("e-1", user_id="noor")])
    await client.delete_event("e-3", user_id="mira")

    assert await client.count_events(user_id="mira", session_id="s-1") == 2
    assert len(await client.list_events_for_session("s-1", user_id="mira")) == 2
    assert await client.count_events(user_id="mira") == 3
    assert await client.count_events(user_id="mira", session_id="s-9") == 0
    assert await client.count_events(user_id="juno") == 0

    await client.delete_session("s-1", user_id="mira")
    listed = await client.list_events_for_session("s-1", user_id="mira")
    assert await client.count_events(user_id="mira", session_id="s-1") == len(listed)
