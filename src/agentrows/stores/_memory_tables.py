"""Tables of memories: kagent's `memory`, and `agentrows_memory` with a model.

Both classes have the same methods, each a statement on the table, so that the store chooses a table
once per call. The store has checked the arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias, TypedDict, cast

from agentrows.errors import ConfigError, InvalidValue
from agentrows.gen import memory as queries
from agentrows.gen import own_memories as own_queries
from agentrows.stores._indexed_searches import INDEXED_SEARCHES
from agentrows.stores._requirements import VECTORS, require
from agentrows.stores._table_retention import expired_memories, expired_own_memories
from agentrows.stores._vectors import check_embedding
from agentrows.validation import (
    DIMENSIONS,
    check_jsonb_object,
    check_number,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pgvector import Vector

    from agentrows.db.executor import Executor
    from agentrows.gen.dbtx import DBTX
    from agentrows.gen.models import Memory, MemoryHit, NewMemory
    from agentrows.gen.pgjson import JsonLike
    from agentrows.gen.pgvectors import VectorLike
    from agentrows.stores._retention import Batch, Removed

LONGEST_TEXT: Final = 10_000
"""Characters of a search by words; PostgreSQL limits the size of the parsed query."""
NO_WORDS: Final = (
    "a search by words needs the table agentrows_memory: set AGENTROWS_MEMORY_TABLE=agentrows and "
    "AGENTROWS_MEMORY_MODEL"
)
EXACT_UP_TO: Final = 2000
"""Rows of one owner up to which an exact scan is about as fast as the HNSW index."""


class MemoryOwner(TypedDict):
    """The agent and the user that a memory belongs to."""

    agent_name: str
    user_id: str


class Upsert(MemoryOwner):
    """The columns of a memory to store; an embedding, metadata and expiry are set if so marked."""

    id: str
    content: str
    embedding: Vector | None
    metadata: str | None
    expires_at: datetime | None
    set_embedding: bool
    set_metadata: bool
    set_expires_at: bool


class Search(MemoryOwner):
    """The arguments of a search, except the embedding and the text."""

    limit: int | None
    min_score: float | None
    metadata: Mapping[str, JsonLike] | None
    with_embedding: bool


class PageBounds(MemoryOwner):
    """The arguments of a list: the position that the page follows, and its length."""

    after_time: datetime | None
    after_id: str
    limit: int | None
    with_embedding: bool


@dataclass(frozen=True, slots=True)
class KagentTable:
    """The table `memory`, which kagent reads and writes."""

    dimensions: ClassVar[int | None] = DIMENSIONS

    @property
    def page_filters(self) -> dict[str, str]:
        """Values that a page token is valid for, besides the owner."""
        return {"table": "memory"}

    async def upsert(self, db: DBTX, memory: Upsert) -> Memory | None:
        """Store a memory; None if the id belongs to another owner."""
        return await queries.upsert_memory(db, **memory)

    async def upsert_all(self, db: DBTX, memories: Sequence[NewMemory]) -> int:
        """Store memories and return their number, without those of other owners."""
        return await queries.upsert_memories(db, memories=memories)

    async def search(
        self,
        db: DBTX,
        search: Search,
        *,
        embedding: VectorLike | None,
        text: str | None,
        touch: bool,
    ) -> list[MemoryHit]:
        """Return the memories nearest to an embedding; raise ConfigError for a text."""
        if embedding is None or text is not None:
            raise ConfigError(NO_WORDS)
        vector = check_embedding("embedding", embedding)
        statement = queries.search_and_touch_memories if touch else queries.search_memories
        return await statement(db, **search, embedding=vector, exact_up_to=EXACT_UP_TO)

    async def list_page(self, db: DBTX, bounds: PageBounds) -> list[Memory]:
        """Return one page of the unexpired memories of an owner."""
        return await queries.list_memories(db, **bounds)

    async def get(self, db: DBTX, id: str, owner: MemoryOwner) -> Memory | None:
        """Return an unexpired memory of an owner, or None."""
        return await queries.get_memory(db, id=id, **owner)

    async def count(
        self, db: DBTX, owner: MemoryOwner, *, metadata: Mapping[str, JsonLike] | None
    ) -> int:
        """Count the unexpired memories of an owner, with `metadata` those that contain it."""
        return await queries.count_memories(db, **owner, metadata=metadata)

    async def delete(self, db: DBTX, id: str, owner: MemoryOwner) -> int:
        """Delete a memory of an owner and return the number of deleted rows."""
        return await queries.delete_memory(db, id=id, **owner)

    async def delete_all(self, db: DBTX, owner: MemoryOwner) -> int:
        """Delete every memory of an owner and return their number."""
        return await queries.delete_memories(db, **owner)

    async def prune_expired(self, db: Executor, batch: Batch) -> Removed:
        """Remove a batch of the expired memories of all users."""
        return await expired_memories(db, batch)


@dataclass(frozen=True, slots=True)
class OwnTable:
    """The table agentrows_memory, limited to a model."""

    dimensions: ClassVar[int | None] = None
    model: str
    text_config: str

    @property
    def page_filters(self) -> dict[str, str]:
        """Values that a page token is valid for, besides the owner."""
        return {"table": "agentrows_memory", "model": self.model}

    async def upsert(self, db: DBTX, memory: Upsert) -> Memory | None:
        """Store a memory; None if the id belongs to another owner."""
        return await own_queries.upsert_own_memory(
            db, **memory, model=self.model, config=self.text_config
        )

    async def upsert_all(self, db: DBTX, memories: Sequence[NewMemory]) -> int:
        """Store memories and return their number, without those of other owners."""
        return await own_queries.upsert_own_memories(
            db,
            model=self.model,
            config=self.text_config,
            id=[memory.id for memory in memories],
            agent_name=[memory.agent_name for memory in memories],
            user_id=[memory.user_id for memory in memories],
            content=[memory.content for memory in memories],
            # store_agent_memories has converted each of them.
            embedding=[cast("Vector | None", memory.embedding) for memory in memories],
            metadata=[memory.metadata for memory in memories],
            expires_at=[memory.expires_at for memory in memories],
        )

    async def search(
        self,
        db: DBTX,
        search: Search,
        *,
        embedding: VectorLike | None,
        text: str | None,
        touch: bool,
    ) -> list[MemoryHit]:
        """Return the memories nearest to an embedding, with words, or both."""
        vector = None if embedding is None else check_embedding("embedding", embedding, None)
        if vector is not None and vector.dimensions() in INDEXED_SEARCHES:
            by_index = INDEXED_SEARCHES[vector.dimensions()][touch]
            return await by_index(
                db,
                **search,
                embedding=vector,
                text=text,
                model=self.model,
                config=self.text_config,
                exact_up_to=EXACT_UP_TO,
            )
        statement = (
            own_queries.search_and_touch_own_memories if touch else own_queries.search_own_memories
        )
        return await statement(
            db, **search, embedding=vector, text=text, model=self.model, config=self.text_config
        )

    async def list_page(self, db: DBTX, bounds: PageBounds) -> list[Memory]:
        """Return one page of the unexpired memories of an owner."""
        return await own_queries.list_own_memories(db, **bounds, model=self.model)

    async def get(self, db: DBTX, id: str, owner: MemoryOwner) -> Memory | None:
        """Return an unexpired memory of an owner, or None."""
        return await own_queries.get_own_memory(db, id=id, **owner, model=self.model)

    async def count(
        self, db: DBTX, owner: MemoryOwner, *, metadata: Mapping[str, JsonLike] | None
    ) -> int:
        """Count the unexpired memories of an owner, with `metadata` those that contain it."""
        return await own_queries.count_own_memories(
            db, **owner, metadata=metadata, model=self.model
        )

    async def delete(self, db: DBTX, id: str, owner: MemoryOwner) -> int:
        """Delete a memory of an owner and return the number of deleted rows."""
        return await own_queries.delete_own_memory(db, id=id, **owner, model=self.model)

    async def delete_all(self, db: DBTX, owner: MemoryOwner) -> int:
        """Delete every memory of an owner and return their number."""
        return await own_queries.delete_own_memories(db, **owner, model=self.model)

    async def prune_expired(self, db: Executor, batch: Batch) -> Removed:
        """Remove a batch of the expired memories of all users and models."""
        return await expired_own_memories(db, batch)


MemoryTable: TypeAlias = KagentTable | OwnTable


def memory_table(db: Executor) -> MemoryTable:
    """Return the table that the settings choose.

    Raises:
        ConfigError: the settings disable vectors, or name no model.
        SchemaBehind: the database lacks the track of vectors.

    """
    require(db, VECTORS)
    options = db.options
    if options.memory_table == "kagent":
        return KagentTable()
    if options.memory_model is None:
        raise ConfigError("memory_table is agentrows, and memory_model is missing")
    return OwnTable(options.memory_model, options.memory_text_config)


def check_search(
    text: str | None,
    embedding: VectorLike | None,
    min_score: float | None,
    metadata: Mapping[str, JsonLike] | None,
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
