"""Memories: facts that an agent has stored about a user, searched by similarity of embeddings.

The settings choose the table. With `memory_table="kagent"`, the default, an embedding is a
`(768,) float32` vector, and the agent `travel-agent` also finds the rows of `travel_agent`, because
other writers on the table store its name so. With `memory_table="agentrows"` an embedding has the
number of dimensions of the model, every call is limited to the model of the settings, and names of
agents are compared exactly.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidValue, NotFound, OwnedByAnother
from agentrows.gen.models import Memory, NewMemory, PrunedMemories
from agentrows.stores._memory_tables import check_search, memory_table
from agentrows.stores._pages import NEWEST, Page, PageOrder, Pages
from agentrows.stores._retention import BATCH_SIZE, Batch, run_all_batches
from agentrows.stores._vectors import check_embedding
from agentrows.validation import (
    UNSET,
    check_batch,
    check_flag,
    check_id,
    check_json,
    check_jsonb_object,
    check_limit,
    check_moment,
    check_optional_moment,
    check_text,
    is_set,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from pgvector import Vector

    from agentrows.db.executor import Executor
    from agentrows.gen.models import MemoryHit
    from agentrows.gen.pgjson import JsonLike
    from agentrows.gen.pgvectors import VectorLike
    from agentrows.stores._memory_tables import MemoryOwner, PageBounds, Search, Upsert
    from agentrows.validation import Unset

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
        metadata: Mapping[str, JsonLike] | str | Unset | None = UNSET,
        expires_at: datetime | Unset | None = UNSET,
    ) -> Memory:
        """Store a memory and return it, under a new UUID without an `id`.

        If the id exists, an argument left out keeps the stored value; None clears it. `embedding`
        is an `(n,) float32` vector, which need not be normalized; on kagent's table n is 768.
        `metadata` is a JSON object, or its text. From `expires_at` on the memory is not returned.

        Raises:
            OwnedByAnother: the id belongs to another agent or user.

        """
        table = memory_table(self.db)
        memory_id = str(uuid.uuid4()) if id is None else check_id("id", id)
        columns: Upsert = {
            **_check_owner(agent_name, user_id),
            "id": memory_id,
            "content": check_text("content", content),
            "embedding": _check_optional_embedding(embedding, table.dimensions),
            "set_embedding": is_set(embedding),
            "metadata": _check_optional_metadata(metadata),
            "set_metadata": is_set(metadata),
            "expires_at": check_optional_moment("expires_at", expires_at),
            "set_expires_at": is_set(expires_at),
        }
        memory = await table.upsert(self.db.repeatable, columns)
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
        table = memory_table(self.db)
        memories = check_batch("memories", memories, NewMemory)
        memories = [
            _check_new(f"memories[{i}]", memory, table.dimensions)
            for i, memory in enumerate(memories)
        ]
        ids = {memory.id for memory in memories}
        if len(ids) < len(memories):
            raise InvalidValue("memories contains the same id more than once")
        if not memories:
            return 0

        async def store(db: Executor) -> int:
            stored = await table.upsert_all(db.repeatable, memories)
            if stored < len(memories):
                raise OwnedByAnother("the id of a memory belongs to another agent or user")
            return stored

        return await self.db.repeat(store)

    async def search_agent_memory(
        self,
        *,
        agent_name: str,
        user_id: str,
        embedding: VectorLike | None = None,
        text: str | None = None,
        limit: int | None = 10,
        min_score: float | None = None,
        metadata: Mapping[str, JsonLike] | None = None,
        with_embeddings: bool = False,
        touch: bool = True,
    ) -> list[MemoryHit]:
        """Return the memories nearest to an embedding, or with words, highest score first.

        `embedding` is an `(n,) float32` vector, which need not be normalized; on kagent's table n
        is 768. `score` is the cosine similarity, in [-1, 1]; a memory without an embedding of n
        dimensions has the score 0. Exactly `limit` rows are returned if there are as many, or all
        with None. `text`, of at most 10,000 characters, is searched in agentrows_memory only, as
        web searches do; with both arguments the results are combined by their ranks.

        `min_score` leaves out lower cosine similarities, and `metadata` memories that lack this
        JSON object. `embedding` is None in every hit without `with_embeddings`. The search
        increments the `access_count` of each hit, unless `touch` is False.

        Raises:
            ConfigError: `text` is given, and the settings choose kagent's table.

        """
        table = memory_table(self.db)
        check_search(text, embedding, min_score, metadata)
        search: Search = {
            **_check_owner(agent_name, user_id),
            "limit": check_limit("limit", limit),
            "min_score": min_score,
            "metadata": metadata,
            "with_embedding": check_flag("with_embeddings", with_embeddings),
        }
        db = self.db.once if check_flag("touch", touch) else self.db.repeatable
        return await table.search(db, search, embedding=embedding, text=text, touch=touch)

    async def get_agent_memory(self, id: str, *, agent_name: str, user_id: str) -> Memory:
        """Return an unexpired memory of an agent about a user, with its embedding.

        Its `access_count` stays.

        Raises:
            NotFound: the agent has no such memory about the user, or it is expired.

        """
        table = memory_table(self.db)
        owner = _check_owner(agent_name, user_id)
        memory = await table.get(self.db.repeatable, check_id("id", id), owner)
        if memory is None:
            raise NotFound(f"no memory {id!r} of this agent and user")
        return memory

    async def count_agent_memories(
        self, *, agent_name: str, user_id: str, metadata: Mapping[str, JsonLike] | None = None
    ) -> int:
        """Count the unexpired memories of an agent about a user; 0 for unknown ones.

        With `metadata`, those with this JSON object in their metadata, as in a search.
        """
        table = memory_table(self.db)
        if metadata is not None:
            check_jsonb_object("metadata", metadata)
        return await table.count(
            self.db.repeatable, _check_owner(agent_name, user_id), metadata=metadata
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
        table = memory_table(self.db)
        owner = _check_owner(agent_name, user_id)
        filters = {**owner, **table.page_filters}
        pages = Pages(self.db, "list_agent_memories", NEWEST_FIRST, filters)
        after_time, after_id = pages.start(after)
        bounds: PageBounds = {
            **owner,
            "after_time": after_time,
            "after_id": after_id,
            "limit": check_limit("limit", limit),
            "with_embedding": check_flag("with_embeddings", with_embeddings),
        }
        memories = await table.list_page(self.db.repeatable, bounds)
        return pages.page(memories, limit)

    async def delete_agent_memory(self, id: str, *, agent_name: str, user_id: str) -> bool:
        """Delete one memory of an agent about a user; return whether it existed.

        The row is removed, not marked. An expired memory exists until it is pruned.
        """
        table = memory_table(self.db)
        owner = _check_owner(agent_name, user_id)
        deleted = await table.delete(self.db.repeatable, check_id("id", id), owner)
        return deleted > 0

    async def delete_all_agent_memories(self, *, agent_name: str, user_id: str) -> int:
        """Delete all memories of an agent about a user and return the number of deleted rows.

        Expired memories are deleted and counted too. The rows are removed, not marked. The result
        of a call that was repeated after a lost reply counts only the rows that were left.
        """
        table = memory_table(self.db)
        return await table.delete_all(self.db.repeatable, _check_owner(agent_name, user_id))

    async def prune_expired_memories(self) -> PrunedMemories:
        """Delete all users' expired memories; return the numbers of deleted and extended rows.

        A memory that was read at least 10 times is extended: it expires 15 days from now, and its
        access count restarts at 0. Memories that another transaction has locked are skipped.
        Each transaction deletes or extends up to 1,000. `prune` does the same for other tables.
        """
        table = memory_table(self.db)
        batch = Batch(timedelta(0))
        removed = await run_all_batches(self.db, table.prune_expired, batch, goal=BATCH_SIZE)
        return PrunedMemories(deleted=removed.rows.total(), extended=removed.extended)


def _check_owner(agent_name: str, user_id: str) -> MemoryOwner:
    return {
        "agent_name": check_id("agent_name", agent_name),
        "user_id": check_id("user_id", user_id),
    }


def _check_optional_embedding(
    value: VectorLike | Unset | None, dimensions: int | None
) -> Vector | None:
    if value is None or value is UNSET:
        return None
    return check_embedding("embedding", value, dimensions)


def _check_optional_metadata(value: Mapping[str, JsonLike] | str | Unset | None) -> str | None:
    return None if value is None or value is UNSET else _check_metadata("metadata", value)


def _check_metadata(name: str, value: Mapping[str, JsonLike] | str) -> str:
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


def _check_new(name: str, memory: NewMemory, dimensions: int | None) -> NewMemory:
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
    embedding = check_embedding(f"{name}.embedding", memory.embedding, dimensions)
    if embedding is memory.embedding:
        return memory
    return memory.model_copy(update={"embedding": embedding})
