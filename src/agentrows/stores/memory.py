"""Memories: what an agent remembers of a user, searched by the similarity of embeddings.

An embedding is a (768,) float32 vector; it need not be normalised. The agent `travel-agent` finds
the rows of `travel_agent` too, because other writers on the same table spell it so.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidValue, OwnedByAnother
from agentrows.gen import memory as queries
from agentrows.gen.models import Memory, NewMemory
from agentrows.stores._requirements import needs
from agentrows.validation import (
    NEWEST,
    UNSET,
    check_after,
    check_batch,
    check_embedding,
    check_flag,
    check_id,
    check_json,
    check_jsonb_object,
    check_limit,
    check_moment,
    check_number,
    check_optional_moment,
    check_text,
    given,
    page_after,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pydantic import JsonValue

    from agentrows.db.executor import Executor
    from agentrows.gen.models import MemoryHit, PrunedMemories
    from agentrows.validation import Unset, VectorLike

EXACT_UP_TO: Final = 2000
"""Rows of one owner up to which an exact scan is about as fast as the HNSW index, and exact."""


@dataclass(frozen=True)
class MemoryStore:
    """What each agent remembers of each user."""

    db: Executor

    async def store_agent_memory(
        self,
        *,
        agent_name: str,
        user_id: str,
        content: str,
        id: str | None = None,
        embedding: VectorLike | Unset | None = UNSET,
        metadata: dict[str, JsonValue] | str | Unset | None = UNSET,
        expires_at: datetime | Unset | None = UNSET,
    ) -> Memory:
        """Store a memory and return it, under a new id unless one is given.

        With the id of a stored one, an argument left out keeps its value and None clears it; an id
        of another agent or user raises OwnedByAnother. `metadata` is a JSON object, or its text.
        """
        needs(self.db, "vector", 1)
        memory_id = str(uuid.uuid4()) if id is None else check_id("id", id)
        memory = await queries.upsert_memory(
            self.db.repeatable,
            id=memory_id,
            agent_name=check_id("agent_name", agent_name),
            user_id=check_id("user_id", user_id),
            content=check_text("content", content),
            embedding=(
                None
                if embedding is None or embedding is UNSET
                else check_embedding("embedding", embedding)
            ),
            set_embedding=given(embedding),
            metadata=(
                None
                if metadata is None or metadata is UNSET
                else _check_metadata("metadata", metadata)
            ),
            set_metadata=given(metadata),
            expires_at=check_optional_moment("expires_at", expires_at),
            set_expires_at=given(expires_at),
        )
        if memory is None:
            raise OwnedByAnother(f"memory {memory_id!r} belongs to another agent or user")
        return memory

    async def store_agent_memories(self, memories: Iterable[NewMemory]) -> int:
        """Store any number of memories in one statement, all or none; return how many.

        A stored one with the same id is replaced whole; one of another agent or user raises
        OwnedByAnother, and an id that comes twice InvalidValue.
        """
        needs(self.db, "vector", 1)
        memories = check_batch("memories", memories, NewMemory)
        memories = [_check_new(f"memories[{i}]", memory) for i, memory in enumerate(memories)]
        ids = {memory.id for memory in memories}
        if len(ids) < len(memories):
            raise InvalidValue("memories has the same id more than once")
        if not memories:
            return 0

        async def store(db: Executor) -> int:
            stored = await queries.upsert_memories(db.repeatable, memories=memories)
            if stored < len(memories):
                raise OwnedByAnother("the id of a memory belongs to another agent or user")
            return stored

        return await self.db.repeat(store)

    async def search_agent_memory(
        self,
        *,
        agent_name: str,
        user_id: str,
        embedding: VectorLike,
        limit: int | None = 10,
        min_score: float | None = None,
        metadata: dict[str, JsonValue] | None = None,
        with_embeddings: bool = False,
        touch: bool = True,
    ) -> list[MemoryHit]:
        """Return the `limit` memories nearest to an embedding, best first.

        `score` is the cosine similarity, in [-1, 1]; a memory without an embedding has 0 and comes
        last. As many rows come back as there are, up to `limit`; expired ones never do. `metadata`
        keeps those whose JSON contains it, `min_score` those that score as much. The embeddings
        stay behind unless asked for. Each hit counts as read; `touch=False` only reads.
        """
        needs(self.db, "vector", 1)
        if min_score is not None and not -1 <= check_number("min_score", min_score) <= 1:
            raise InvalidValue("min_score must be between -1 and 1")
        if metadata is not None:
            check_jsonb_object("metadata", metadata)
        search = (
            queries.search_and_touch_memories
            if check_flag("touch", touch)
            else queries.search_memories
        )
        return await search(
            self.db.once if touch else self.db.repeatable,
            agent_name=check_id("agent_name", agent_name),
            user_id=check_id("user_id", user_id),
            embedding=check_embedding("embedding", embedding),
            limit=check_limit("limit", limit),
            min_score=min_score,
            metadata=metadata,
            with_embedding=check_flag("with_embeddings", with_embeddings),
            exact_up_to=EXACT_UP_TO,
        )

    async def list_agent_memories(
        self,
        *,
        agent_name: str,
        user_id: str,
        limit: int | None = None,
        after: Memory | None = None,
        with_embeddings: bool = False,
    ) -> list[Memory]:
        """Return what an agent remembers of a user and has not expired, newest first.

        At most `limit`; a page goes on `after` its last row. `embedding` is None in every row
        unless asked for.
        """
        needs(self.db, "vector", 1)
        check_after(after, Memory, "id")
        after_time, after_id = page_after(after.created_at, after.id) if after else NEWEST
        return await queries.list_memories(
            self.db.repeatable,
            agent_name=check_id("agent_name", agent_name),
            user_id=check_id("user_id", user_id),
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
            with_embedding=check_flag("with_embeddings", with_embeddings),
        )

    async def delete_agent_memory(
        self, *, agent_name: str, user_id: str, id: str | Unset = UNSET
    ) -> bool:
        """Remove one memory, or without an `id` all that the agent remembers of the user.

        Says whether there was something to remove.
        """
        needs(self.db, "vector", 1)
        deleted = await queries.delete_memories(
            self.db.repeatable,
            agent_name=check_id("agent_name", agent_name),
            user_id=check_id("user_id", user_id),
            id=None if id is UNSET else check_id("id", id),
        )
        return deleted > 0

    async def prune_expired_memories(self) -> PrunedMemories:
        """Remove every user's expired memories; return how many were deleted and extended.

        One read at least 10 times is extended instead: it lives 15 days more, unread again.
        """
        needs(self.db, "vector", 1)
        return await queries.prune_memories(self.db.repeatable)


def _check_metadata(name: str, value: dict[str, JsonValue] | str) -> str:
    """Return the text of a JSON object that a filter can find; raise InvalidValue otherwise."""
    text = check_text(name, value) if isinstance(value, str) else check_json(name, value)
    try:
        parsed = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"{name} is not JSON: {error}") from error
    check_jsonb_object(name, parsed)
    return text


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def _check_new(name: str, memory: NewMemory) -> NewMemory:
    """Return the memory with its embedding as a Vector, which assigning a list leaves out."""
    check_id(f"{name}.id", memory.id)
    check_id(f"{name}.agent_name", memory.agent_name)
    check_id(f"{name}.user_id", memory.user_id)
    check_text(f"{name}.content", memory.content)
    if memory.metadata is not None:
        _check_metadata(f"{name}.metadata", check_text(f"{name}.metadata", memory.metadata))
    if memory.expires_at is not None:
        check_moment(f"{name}.expires_at", memory.expires_at)
    if memory.embedding is None:
        return memory
    embedding = check_embedding(f"{name}.embedding", memory.embedding)
    if embedding is memory.embedding:
        return memory
    return memory.model_copy(update={"embedding": embedding})
