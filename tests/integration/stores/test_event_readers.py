"""A reader of pages misses no event of concurrent writers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentrows import NewEvent

if TYPE_CHECKING:
    from agentrows import Event, PostgresClient

WRITERS, BATCHES, SIZE = 5, 40, 5


async def test_reader_that_continues_after_its_last_event_misses_no_event(
    client: PostgresClient,
) -> None:
    await client.store_session("s-1", user_id="mira")
    seen: list[Event] = []
    writing = True

    async def write(writer: int) -> None:
        for batch in range(BATCHES):
            ids = [f"e-{writer}-{batch}-{number}" for number in range(SIZE)]
            await client.store_events(
                [NewEvent(id=id_, user_id="mira", session_id="s-1", data="") for id_ in ids]
            )

    async def read() -> None:
        while True:
            was_writing = writing
            after = seen[-1] if seen else None
            page = await client.list_events_for_session(
                "s-1", user_id="mira", after=after, limit=50
            )
            seen.extend(page)
            if not page and not was_writing:
                return

    reader = asyncio.create_task(read())
    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    writing = False
    await reader

    assert len({event.id for event in seen}) == len(seen) == WRITERS * BATCHES * SIZE
