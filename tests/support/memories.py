"""Memories for tests: owners, rows to store, and lists of their ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypedDict

from agentrows import NewMemory, Vector
from support.stores import towards

if TYPE_CHECKING:
    import asyncpg

    from agentrows import MemoryHit, PostgresClient


class Owner(TypedDict):
    """The agent and user that a memory belongs to."""

    agent_name: str
    user_id: str


MINE: Final[Owner] = {"agent_name": "travel", "user_id": "mira"}
HERS: Final[Owner] = {"agent_name": "travel", "user_id": "noor"}
OTHERS: Final[Owner] = {"agent_name": "other", "user_id": "mira"}
AHEAD: Final = towards(1)
LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)


def new_memory(  # noqa: PLR0913  a table has many columns
    id: str,  # noqa: A002  a column is called id
    *,
    agent_name: str = "travel",
    user_id: str = "mira",
    content: str = "new",
    embedding: list[float] | None = None,
    metadata: str | None = None,
) -> NewMemory:
    return NewMemory(
        id=id,
        agent_name=agent_name,
        user_id=user_id,
        content=content,
        embedding=None if embedding is None else Vector(embedding),
        metadata=metadata,
    )


async def add_expired(db: asyncpg.Connection, *memories: tuple[str, int | None]) -> None:
    """Add memories of mira that expired a second ago, with these counts."""
    await db.executemany(
        "INSERT INTO memory (id, agent_name, user_id, content, embedding, created_at, expires_at, "
        "access_count) VALUES ($1, 'travel', 'mira', '', $2, now(), now() - interval '1 s', $3)",
        [(id_, Vector(AHEAD), reads) for id_, reads in memories],
    )


async def list_ids(client: PostgresClient, owner: Owner = MINE) -> list[str]:
    return sorted(memory.id for memory in await client.list_agent_memories(**owner))


async def search_ahead(client: PostgresClient, *, limit: int | None = 10) -> list[MemoryHit]:
    return await client.search_agent_memory(**MINE, embedding=AHEAD, limit=limit, touch=False)
