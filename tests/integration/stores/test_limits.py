"""Limits of every list and of the search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import pytest

from agentrows import InvalidValue, NewMemory, Vector
from support.stores import event, towards

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentrows import PostgresClient

    Limited = Callable[[PostgresClient, int | None], Awaitable[Sequence[object]]]

LISTS: Final[dict[str, Limited]] = {
    "agents": lambda client, limit: client.list_agents(limit=limit),
    "sessions": lambda client, limit: client.list_sessions(user_id="mira", limit=limit),
    "sessions by creation": lambda client, limit: client.list_sessions(
        user_id="mira", limit=limit, order="created"
    ),
    "sessions of an agent": lambda client, limit: client.list_sessions_for_agent(
        "travel", user_id="mira", limit=limit
    ),
    "sessions of an agent by creation": lambda client, limit: client.list_sessions_for_agent(
        "travel", user_id="mira", limit=limit, order="created"
    ),
    "sessions of all users": lambda client, limit: client.list_sessions_for_agent_all_users(
        "travel", limit=limit
    ),
    "sessions of all users by creation": lambda client, limit: (
        client.list_sessions_for_agent_all_users("travel", limit=limit, order="created")
    ),
    "events": lambda client, limit: client.list_events_for_session(
        "s-1", user_id="mira", limit=limit
    ),
    "events newest first": lambda client, limit: client.list_events_for_session(
        "s-1", user_id="mira", limit=limit, order="newest_first"
    ),
    "feedback": lambda client, limit: client.list_feedback(user_id="mira", limit=limit),
    "memories": lambda client, limit: client.list_agent_memories(
        agent_name="travel", user_id="mira", limit=limit
    ),
    "search": lambda client, limit: client.search_agent_memory(
        agent_name="travel", user_id="mira", embedding=towards(1), limit=limit, touch=False
    ),
    "touching search": lambda client, limit: client.search_agent_memory(
        agent_name="travel", user_id="mira", embedding=towards(1), limit=limit
    ),
}
NO_LIMITS: Final = (0, -1, -(2**63), 2**63, True, False, 1.5, 2.0, "2")


async def fill(client: PostgresClient) -> None:
    """Store three rows for every list."""
    for number in range(1, 4):
        await client.store_agent(f"a-{number}", type="BYO")
        await client.store_session(f"s-{number}", user_id="mira", agent_id="travel")
        await client.store_feedback(user_id="mira", is_positive=True, feedback_text="Good.")
    await client.store_events([event(f"e-{number}") for number in range(3)])
    await client.store_agent_memories(
        [
            NewMemory(
                id=f"m-{number}",
                agent_name="travel",
                user_id="mira",
                content="",
                embedding=Vector(towards(1, number)),
            )
            for number in range(3)
        ]
    )


@pytest.mark.parametrize("name", list(LISTS))
async def test_limit_returns_the_first_rows_and_none_returns_all(
    client: PostgresClient, name: str
) -> None:
    await fill(client)
    # A search increments the access count, so its rows are compared by their ids.
    every = [getattr(row, "id", None) for row in await LISTS[name](client, None)]
    assert len(set(every)) == 3
    for limit in (1, 2, 3, 4, 2**31, 2**63 - 1):
        found = await LISTS[name](client, limit)
        assert [getattr(row, "id", None) for row in found] == every[:limit]


@pytest.mark.parametrize("name", list(LISTS))
async def test_invalid_limit_is_refused_by_name(client: PostgresClient, name: str) -> None:
    for limit in NO_LIMITS:
        with pytest.raises(InvalidValue, match=r"^limit "):
            await LISTS[name](client, cast("int", limit))


@pytest.mark.parametrize("last", NO_LIMITS)
async def test_invalid_number_of_last_events_is_refused_by_name(
    client: PostgresClient, last: object
) -> None:
    with pytest.raises(InvalidValue, match=r"^last "):
        await client.list_events_for_session("s-1", user_id="mira", last=cast("int", last))
