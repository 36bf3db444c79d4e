"""Tails of events through every kind of connection; with --pooler through pgbouncer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from support.stores import event

if TYPE_CHECKING:
    from agentrows import PostgresClient


async def test_tail_returns_stored_and_later_events_of_each_kind(client: PostgresClient) -> None:
    chat = {"user_id": "mira", "agent_id": "travel"}
    await client.store_session("s-1", **chat)
    await client.store_events([event("e-1"), event("e-2", session_id="s-2")])
    events = client.tail_events("s-1", user_id="mira")
    async with contextlib.aclosing(events), asyncio.timeout(30):
        assert (await anext(events)).id == "e-1"
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        async with client.transaction() as tx:
            await tx.store_events([event("e-3")])
        assert (await waiting).id == "e-3"
        await client.append_items("s-1", items=["{}"], ids=["i-1"], **chat)
        assert (await anext(events)).id == "i-1"
