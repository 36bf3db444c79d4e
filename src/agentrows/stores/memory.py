"""Memories: facts that an agent has stored about a user, searched by similarity of embeddings.

An embedding is a `(768,) float32` vector, which need not be normalized. The agent `travel-agent`
also finds the rows of `travel_agent`, because other writers on the table store its name so.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidValue, NotFound, OwnedByAnother
from agentrows.gen import memory as queries
from agentrows.gen.models import Memory, NewMemory, PrunedMemories
from agentrows.stores._pages import NEWEST, Page, PageOrder, Pages
from agentrows.stores._requirements import VECTORS, require
from agentrows.stores._retention import BATCH_SIZE, Batch, run_all_batches
from agentrows.stores._table_retention import expired_memories
from agentrows.validation import (
    UNSET,
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
    is_set,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pgvector import Vector
    from pydantic import JsonValue

    from agentrows.db.executor import Executor
    from agentrows.gen.models import MemoryHit
    from agentrows.validation import Unset, VectorLike

EXACT_UP_TO: Final = 2000
"""Rows of one owner up to which an exact scan is about as fast as the HNSW index."""

NEWEST_FIRST: Final = PageOrder(Memory, ("created_at", "id"), NEWEST)


@dataclass(frozen=True)
class MemoryStore:
    """Store of the memories of agents about users."""

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
        """Store a memory and return it, under a new UUID without an `id`.

        If the id exists, an argument left out keeps the stored value; None clears it. `embedding`
        is a `(768,) float32` vector, which need not be normalized. `metadata` is a JSON object, or
        its text. From `expires_at` on the memory is not returned.

        Raises:
            OwnedByAnother: the id belongs to another agent or user.

        """
        require(self.db, VECTORS)
        memory_id = str(uuid.uuid4()) if id is None else check_id("id", id)
        memory = await queries.upsert_memory(
            self.db.repeatable,
            id=memory_id,
            agent_name=check_id("agent_name", agent_name),
            user_id=check_id("user_id", user_id),
            content=check_text("content", content),
            embedding=_check_optional_embedding(embedding),
            set_embedding=is_set(embedding),
            metadata=_check_optional_metadata(metadata),
            set_metadata=is_set(metadata),
            expires_at=check_optional_moment("expires_at", expires_at),
            set_expires_at=is_set(expires_at),
        )
        if memory is None:
            raise OwnedByAnother(f"memory {memory_id!r} belongs to another agent or user")
        return memory

    async def store_agent_memories(self, memories: Iterable[NewMemory]) -> int:
        """Store memories in one statement, all of them or none, and return their number.

        A stored memory with the same id is replaced, with all of its columns.

        Raises:
            InvalidValue: two memories have the same id.
            OwnedByAnother: an id belongs to another agent or user.

        """
        require(self.db, VECTORS)
        memories = check_batch("memories", memories, NewMemory)
        memories = [_check_new(f"memories[{i}]", memory) for i, memory in enumerate(memories)]
        ids = {memory.id for memory in memories}
        if len(ids) < len(memories):
            raise InvalidValue("memories contains the same id more than once")
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
        """Return the memories that are nearest to an embedding, highest score first.

        `embedding` is a `(768,) float32` vector, which need not be normalized. `score` is the
        cosine similarity, in [-1, 1]; a memory without an embedding has the score 0 and is last.
        Exactly `limit` rows are returned if there are as many, or all with None. Expired memories
        are left out.

        `min_score` leaves out lower scores, and `metadata` memories with metadata that does not
        contain this JSON object. Text of another writer that is not JSON, or is nested 5,000 levels
        deep, contains no object. `embedding` is None in every hit without `with_embeddings`. The
        search increments the `access_count` of each hit, unless `touch` is False.
        """
        require(self.db, VECTORS)
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

    async def get_agent_memory(self, id: str, *, agent_name: str, user_id: str) -> Memory:
        """Return an unexpired memory of an agent about a user, with its embedding.

        Its `access_count` stays.

        Raises:
            NotFound: the agent has no such memory about the user, or it is expired.

        """
        require(self.db, VECTORS)
        memory = await queries.get_memory(
            self.db.repeatable,
            id=check_id("id", id),
            agent_name=check_id("agent_name", agent_name),
            user_id=check_id("user_id", user_id),
        )
        if memory is None:
            raise NotFound(f"no memory {id!r} of this agent and user")
        return memory

    async def count_agent_memories(self, *, agent_name: str, user_id: str) -> int:
        """Count the unexpired memories of an agent about a user; 0 for unknown ones."""
        require(self.db, VECTORS)
        return await queries.count_memories(
            self.db.repeatable,
            agent_name=check_id("agent_name", agent_name),
            user_id=check_id("user_id", user_id),
        )

    async def list_agent_memories(
        self,
        *,
        agent_name: str,
        user_id: str,
        limit: int | None = None,
        after: Memory | str | None = None,
        with_embeddings: bool = False,
    ) -> Page[Memory]:
        """Return the unexpired memories of an agent about a user, newest first.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page. `embedding` is None in every row without `with_embeddings`.
        """
        require(self.db, VECTORS)
        owner = {
            "agent_name": check_id("agent_name", agent_name),
            "user_id": check_id("user_id", user_id),
        }
        pages = Pages(self.db, "list_agent_memories", NEWEST_FIRST, owner)
        after_time, after_id = pages.start(after)
        memories = await queries.list_memories(
            self.db.repeatable,
            **owner,
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
            with_embedding=check_flag("with_embeddings", with_embeddings),
        )
        return pages.page(memories, limit)

    async def delete_agent_memory(self, id: str, *, agent_name: str, user_id: str) -> bool:
        """Delete one memory of an agent about a user; return whether it existed.

        The row is removed, not marked. An expired memory exists until it is pruned.
        """
        require(self.db, VECTORS)
        deleted = await queries.delete_memory(
            self.db.repeatable,
            id=check_id("id", id),
            agent_name=check_id("agent_name", agent_name),
            user_id=check_id("user_id", user_id),
        )
        return deleted > 0

    async def delete_all_agent_memories(self, *, agent_name: str, user_id: str) -> int:
        """Delete all memories of an agent about a user and return the number of deleted rows.

        Expired memories are deleted and counted too. The rows are removed, not marked. The result
        of a call that was repeated after a lost reply counts only the rows that were left.
        """
        require(self.db, VECTORS)
        return await queries.delete_memories(
            self.db.repeatable,
            agent_name=check_id("agent_name", agent_name),
            user_id=check_id("user_id", user_id),
        )

    async def prune_expired_memories(self) -> PrunedMemories:
        """Delete all users' expired memories; return the numbers of deleted and extended rows.

        A memory that was read at least 10 times is extended: it expires 15 days from now, and its
        access count restarts at 0. Memories that another transaction has locked are skipped.
        Each transaction deletes or extends up to 1,000. `prune` does the same for other tables.
        """
        require(self.db, VECTORS)
        batch = Batch(timedelta(0))
        removed = await run_all_batches(self.db, expired_memories, batch, goal=BATCH_SIZE)
        return PrunedMemories(deleted=removed.rows["memory"], extended=removed.extended)


def _check_optional_embedding(value: VectorLike | Unset | None) -> Vector | None:
    return None if value is None or value is UNSET else check_embedding("embedding", value)


def _check_optional_metadata(value: dict[str, JsonValue] | str | Unset | None) -> str | None:
    return None if value is None or value is UNSET else _check_metadata("metadata", value)


def _check_metadata(name: str, value: dict[str, JsonValue] | str) -> str:
    """Return the text of a JSON object; raise InvalidValue for text that jsonb cannot contain."""
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
    """Return a checked memory, with its embedding as a Vector."""
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
    # Assigning to a field is not validated, so the embedding may be a list.
    embedding = check_embedding(f"{name}.embedding", memory.embedding)
    if embedding is memory.embedding:
        return memory
    return memory.model_copy(update={"embedding": embedding})
