"""Times of events: after the last event of the session, in the order of the commits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agentrows import NewEvent, PostgresClient
from support.stores import event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    Append = Callable[[PostgresClient], Awaitable[object]]

AHEAD = datetime(2100, 1, 1, tzinfo=UTC)
OTHER = NewEvent(id="e-9", user_id="mira", session_id="s-9", data="{}")


async def append_app_event(client: PostgresClient) -> None:
    await client.append_app_event(
        "e-2",
        session_id="s-1",
        user_id="mira",
        app_name="travel",
        version=0,
        data="{}",
        occurred_at=1.0,
    )


APPENDS: dict[str, Append] = {
    "store_events": lambda c: c.store_events([event("e-2"), OTHER, event("e-3")]),
    "store_events skip": lambda c: c.store_events([event("e-2")], on_duplicate="skip"),
    "store_events repeat": lambda c: c.store_events([event("e-2")], on_duplicate="repeat"),
    "append_items": lambda c: c.append_items(
        "s-1", user_id="mira", agent_id="travel", items=["{}", "{}"]
    ),
    "append_app_event": append_app_event,
}


async def set_time(db: asyncpg.Connection, moment: str) -> None:
    """Set the time of the first event, and not that of the session."""
    await db.execute("UPDATE event SET created_at = $1::text::timestamptz WHERE id = 'e-1'", moment)


@pytest.mark.parametrize("name", APPENDS)
async def test_event_after_a_last_one_in_the_future_is_later(
    client: PostgresClient, db: asyncpg.Connection, name: str
) -> None:
    await client.store_session("s-1", user_id="mira", agent_id="travel")
    await client.store_session("s-9", user_id="mira", agent_id="travel")
    await client.store_events([event("e-1")])
    await set_time(db, AHEAD.isoformat())

    await APPENDS[name](client)

    first, *later = await client.list_events_for_session("s-1", user_id="mira")
    assert first.id == "e-1"
    assert later
    times = [each.created_at for each in later if each.created_at]
    assert AHEAD < min(times) <= max(times) < AHEAD + timedelta(seconds=1)
    assert times == sorted(set(times))
    session = await client.get_session("s-1", user_id="mira")
    assert session.updated_at == times[-1]
    # The clock of one session is not that of another.
    others = await client.list_events_for_session("s-9", user_id="mira")
    assert all(each.created_at and each.created_at < AHEAD for each in others)


async def test_event_of_an_unknown_session_is_after_its_last_one(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_events([event("e-1")])
    await set_time(db, AHEAD.isoformat())
    await client.store_events([event("e-0")])
    found = await client.list_events_for_session("s-1", user_id="mira")
    assert [each.id for each in found] == ["e-1", "e-0"]


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "294276-12-31 23:59:59.999999+00"])
async def test_last_event_without_a_usable_time_is_ignored(
    client: PostgresClient, db: asyncpg.Connection, moment: str
) -> None:
    await client.store_session("s-1", user_id="mira", agent_id="travel")
    await client.store_events([event("e-1")])
    await set_time(db, moment)
    await client.store_events([event("e-2")])
    found = await client.get_event("e-2", user_id="mira")
    assert found.created_at is not None
    assert found.created_at < AHEAD


@pytest.mark.parametrize("name", APPENDS)
async def test_writer_beside_an_open_transaction_waits_and_is_later(
    client: PostgresClient, name: str
) -> None:
    await client.store_session("s-1", user_id="mira", agent_id="travel")
    async with client.transaction() as tx:
        await tx.store_events([event("e-1")])
        beside = asyncio.ensure_future(APPENDS[name](client))
        await asyncio.sleep(0.2)
        if beside.done():
            await beside  # raises SchemaBehind on an older schema
        assert not beside.done()
        # The second writer began earlier than this event, and commits later.
        await tx.store_events([event("e-1b")])
        assert await client.list_events_for_session("s-1", user_id="mira") == []
    await beside

    found = await client.list_events_for_session("s-1", user_id="mira")
    assert [each.id for each in found][:2] == ["e-1", "e-1b"]
    assert len(found) > 2
    times = [each.created_at for each in found if each.created_at]
    assert times == sorted(set(times))
