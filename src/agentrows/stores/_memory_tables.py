"""Tables of memories: kagent's `memory`, or `agentrows_memory` with a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import ConfigError, InvalidValue
from agentrows.gen import memory as queries
from agentrows.gen import own_memories as own_queries
from agentrows.validation import (
    DIMENSIONS,
    check_embedding,
    check_jsonb_object,
    check_number,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from agentrows.db.executor import Executor
    from agentrows.db.store_options import StoreOptions
    from agentrows.gen.dbtx import DBTX
    from agentrows.gen.models import MemoryHit, NewMemory
    from agentrows.validation import VectorLike

LONGEST_TEXT: Final = 10_000
"""Characters of a search by words; PostgreSQL limits the size of the parsed query."""
NO_WORDS: Final = (
    "a search by words needs the table agentrows_memory: set AGENTROWS_MEMORY_TABLE=agentrows and "
    "AGENTROWS_MEMORY_MODEL"
)
EXACT_UP_TO: Final = 2000
"""Rows of one owner up to which an exact scan is about as fast as the HNSW index."""


@dataclass(frozen=True, slots=True)
class OwnTable:
    """The table agentrows_memory, limited to a model."""

    model: str
    text_config: str


def own_table(options: StoreOptions) -> OwnTable | None:
    """Return the table of the settings; None for kagent's."""
    if options.memory_table == "kagent":
        return None
    if options.memory_model is None:
        raise ConfigError("memory_table is agentrows, and memory_model is missing")
    return OwnTable(options.memory_model, options.memory_text_config)


def dimensions_of(own: OwnTable | None) -> int | None:
    """Return the number of dimensions of embeddings; None if the model determines it."""
    return DIMENSIONS if own is None else None


async def upsert_own(db: Executor, own: OwnTable, memories: Sequence[NewMemory]) -> int:
    """Store memories in agentrows_memory and return their number."""
    return await own_queries.upsert_own_memories(
        db.repeatable,
        model=own.model,
        config=own.text_config,
        id=[memory.id for memory in memories],
        agent_name=[memory.agent_name for memory in memories],
        user_id=[memory.user_id for memory in memories],
        content=[memory.content for memory in memories],
        embedding=[memory.embedding for memory in memories],
        metadata=[memory.metadata for memory in memories],
        expires_at=[memory.expires_at for memory in memories],
    )


def check_search(
    text: str | None,
    embedding: VectorLike | None,
    min_score: float | None,
    metadata: dict[str, JsonValue] | None,
) -> None:
    """Check the arguments of a search that depend on each other."""
    if embedding is None and text is None:
        raise InvalidValue("embedding or text must be given")
    if text is not None and len(check_text("text", text)) > LONGEST_TEXT:
        raise InvalidValue(f"text must have at most {LONGEST_TEXT:,} characters, got {len(text):,}")
    if min_score is not None:
        if not -1 <= check_number("min_score", min_score) <= 1:
            raise InvalidValue("min_score must be between -1 and 1")
        if text is not None:
            raise InvalidValue("min_score must be None with text: it limits cosine similarities")
    if metadata is not None:
        check_jsonb_object("metadata", metadata)


async def search_kagent(
    db: DBTX,
    *,
    touch: bool,
    agent_name: str,
    user_id: str,
    embedding: VectorLike | None,
    text: str | None,
    limit: int | None,
    min_score: float | None,
    metadata: dict[str, JsonValue] | None,
    with_embedding: bool,
) -> list[MemoryHit]:
    """Search kagent's table.

    Raises:
        ConfigError: a text is given.

    """
    if embedding is None or text is not None:
        raise ConfigError(NO_WORDS)
    search = queries.search_and_touch_memories if touch else queries.search_memories
    return await search(
        db,
        agent_name=agent_name,
        user_id=user_id,
        embedding=check_embedding("embedding", embedding),
        limit=limit,
        min_score=min_score,
        metadata=metadata,
        with_embedding=with_embedding,
        exact_up_to=EXACT_UP_TO,
    )


async def search_own(
    own: OwnTable,
    db: DBTX,
    *,
    touch: bool,
    agent_name: str,
    user_id: str,
    embedding: VectorLike | None,
    text: str | None,
    limit: int | None,
    min_score: float | None,
    metadata: dict[str, JsonValue] | None,
    with_embedding: bool,
) -> list[MemoryHit]:
    """Search agentrows_memory."""
    search = own_queries.search_and_touch_own_memories if touch else own_queries.search_own_memories
    return await search(
        db,
        model=own.model,
        config=own.text_config,
        agent_name=agent_name,
        user_id=user_id,
        embedding=None if embedding is None else check_embedding("embedding", embedding, None),
        text=text,
        limit=limit,
        min_score=min_score,
        metadata=metadata,
        with_embedding=with_embedding,
    )
