"""Copies of memories into a model of agentrows_memory, with new embeddings on request."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from agentrows.errors import InvalidValue
from agentrows.gen import memory_copies as queries
from agentrows.stores._requirements import OWN_MEMORIES, VECTORS, require
from agentrows.stores._row_security import read_access_scope
from agentrows.stores._vectors import check_embedding
from agentrows.validation import check_batch_size, check_flag, check_id, check_progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pgvector import Vector

    from agentrows.db.executor import Executor
    from agentrows.gen.dbtx import DBTX
    from agentrows.gen.models import MemoryToCopy
    from agentrows.gen.pgvectors import VectorLike

__all__ = ["EmbedTexts", "MemoryCopyProgress", "MemoryCopyReport", "MemoryCopyStore"]

BATCH_SIZE: Final = 100
LARGEST_BATCH: Final = 10_000

EmbedTexts: TypeAlias = "Callable[[list[str]], Awaitable[Sequence[VectorLike]]]"
"""An async function that returns the embedding of each text, in the same order."""


class MemoryCopyProgress(NamedTuple):
    """The progress of a copy, after each batch."""

    done: int
    """The number of memories that the run has handled so far."""
    total: int
    """The number of memories to copy when the run began."""


@dataclass(frozen=True, slots=True)
class MemoryCopyReport:
    """The result of a copy of memories."""

    copied: int
    """The number of new rows; 0 in a dry run."""
    remaining: int
    """The number of memories that the model lacks after the run."""
    is_dry_run: bool
    """Whether the memories were counted and not copied."""

    @property
    def is_complete(self) -> bool:
        """Whether the model has every memory of the source."""
        return self.remaining == 0


@dataclass(frozen=True)
class MemoryCopyStore:
    """Copies the memories of all users into a model of agentrows_memory."""

    db: Executor

    async def copy_memories(
        self,
        to_model: str,
        *,
        from_model: str | None = None,
        embed: EmbedTexts | None = None,
        dry_run: bool = False,
        batch_size: int = BATCH_SIZE,
        on_progress: Callable[[MemoryCopyProgress], None] | None = None,
    ) -> MemoryCopyReport:
        """Copy the memories of all users into a model of agentrows_memory.

        The source is kagent's table, or with `from_model` that model in agentrows_memory; it stays
        as it is. Everything but the words is preserved, also the embeddings if there is no `embed`.
        Memories without a user or an agent are left out.

        `embed` is an async function that gets a list of contents and returns an `(n,) float32`
        vector for each, in this order; an empty content gets no embedding. Ids that the model has
        are skipped, so the same call continues a run that failed. A batch has `batch_size` (1 to
        10,000) memories; `on_progress` is called after each. `dry_run` copies none.

        Raises:
            ConfigError: policies hide every row (agentrows.unscoped).
            InvalidValue: `embed` returned other vectors, or this is called inside `as_user`.

        """
        _check_models(to_model, from_model)
        if not (embed is None or callable(embed)):  # pyright: ignore[reportUnnecessaryComparison]
            raise InvalidValue("embed must be an async function")
        check_flag("dry_run", dry_run)
        check_batch_size("batch_size", batch_size, LARGEST_BATCH)
        check_progress("on_progress", on_progress)
        require(self.db, VECTORS, OWN_MEMORIES)
        await read_access_scope(self.db.repeatable, "copy_memories")
        target = _Target(to_model, self.db.options.memory_text_config)
        source = _KagentSource(target) if from_model is None else _ModelSource(target, from_model)
        total = await source.count(self.db.repeatable)
        if dry_run:
            return MemoryCopyReport(0, total, is_dry_run=True)
        copy = _Copy(source, total, batch_size, embed, on_progress)
        await copy.run(self.db.repeatable)
        remaining = await source.count(self.db.repeatable)
        return MemoryCopyReport(copy.copied, remaining, is_dry_run=False)


@dataclass(frozen=True, slots=True)
class _Target:
    """The model that the memories are copied into."""

    model: str
    text_config: str


@dataclass(frozen=True, slots=True)
class _KagentSource:
    """The memories of kagent's table."""

    target: _Target

    async def count(self, db: DBTX) -> int:
        """Count the memories that the target lacks."""
        return await queries.count_memories_to_copy(db, model=self.target.model)

    async def list_next(
        self, db: DBTX, after_id: str, size: int, *, with_content: bool
    ) -> list[MemoryToCopy]:
        """Return the next memories that the target lacks."""
        return await queries.list_memories_to_copy(
            db,
            model=self.target.model,
            after_id=after_id,
            batch_size=size,
            with_content=with_content,
        )

    async def copy(
        self,
        db: DBTX,
        memories: Sequence[MemoryToCopy],
        embeddings: Sequence[Vector | None] | None,
    ) -> int:
        """Copy memories, with these embeddings unless there are none."""
        return await queries.copy_memories(
            db,
            model=self.target.model,
            config=self.target.text_config,
            id=[memory.id for memory in memories],
            digest=[memory.digest for memory in memories],
            embedding=embeddings or [None] * len(memories),
            set_embedding=embeddings is not None,
        )


@dataclass(frozen=True, slots=True)
class _ModelSource:
    """The memories of a model in agentrows_memory."""

    target: _Target
    model: str

    async def count(self, db: DBTX) -> int:
        """Count the memories that the target lacks."""
        return await queries.count_own_memories_to_copy(
            db, from_model=self.model, model=self.target.model
        )

    async def list_next(
        self, db: DBTX, after_id: str, size: int, *, with_content: bool
    ) -> list[MemoryToCopy]:
        """Return the next memories that the target lacks."""
        return await queries.list_own_memories_to_copy(
            db,
            from_model=self.model,
            model=self.target.model,
            after_id=after_id,
            batch_size=size,
            with_content=with_content,
        )

    async def copy(
        self,
        db: DBTX,
        memories: Sequence[MemoryToCopy],
        embeddings: Sequence[Vector | None] | None,
    ) -> int:
        """Copy memories, with these embeddings unless there are none."""
        return await queries.copy_own_memories(
            db,
            from_model=self.model,
            model=self.target.model,
            config=self.target.text_config,
            id=[memory.id for memory in memories],
            digest=[memory.digest for memory in memories],
            embedding=embeddings or [None] * len(memories),
            set_embedding=embeddings is not None,
        )


@dataclass(slots=True)
class _Copy:
    """A run of a copy, and its counts so far."""

    source: _KagentSource | _ModelSource
    total: int
    batch_size: int
    embed: EmbedTexts | None
    on_progress: Callable[[MemoryCopyProgress], None] | None
    copied: int = 0
    done: int = 0
    dimensions: int | None = None

    async def run(self, db: DBTX) -> None:
        """Copy batch after batch, in the order of the ids."""
        after_id = ""
        while memories := await self.source.list_next(
            db, after_id, self.batch_size, with_content=self.embed is not None
        ):
            embeddings = None if self.embed is None else await self._embed(self.embed, memories)
            self.copied += await self.source.copy(db, memories, embeddings)
            self.done += len(memories)
            after_id = memories[-1].id
            if self.on_progress:
                self.on_progress(MemoryCopyProgress(self.done, max(self.total, self.done)))

    async def _embed(
        self, embed: EmbedTexts, memories: Sequence[MemoryToCopy]
    ) -> list[Vector | None]:
        """Return the embedding of each memory; None for an empty content."""
        texts = [memory.content for memory in memories if memory.content]
        vectors = await _call(embed, texts) if texts else []
        if len(vectors) != len(texts):
            raise InvalidValue(f"embed returned {len(vectors)} vectors for {len(texts)} texts")
        checked = [
            check_embedding(f"embed(texts)[{place}]", vector, self.dimensions)
            for place, vector in enumerate(vectors)
        ]
        for vector in checked:
            self.dimensions = self.dimensions or vector.dimensions()
            if vector.dimensions() != self.dimensions:
                raise InvalidValue(
                    f"embed must return vectors of one size, got {self.dimensions} and "
                    f"{vector.dimensions()} dimensions"
                )
        following = iter(checked)
        return [next(following) if memory.content else None for memory in memories]


async def _call(embed: EmbedTexts, texts: list[str]) -> list[VectorLike]:
    result = embed(texts)
    if not inspect.isawaitable(result):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"embed must be an async function, it returned {type(result).__name__}")
    vectors = await result
    try:
        return list(vectors)
    except TypeError as error:
        raise InvalidValue(
            f"embed must return a list of vectors, not {type(vectors).__name__}"
        ) from error


def _check_models(to_model: str, from_model: str | None) -> None:
    check_id("to_model", to_model)
    if from_model is not None and check_id("from_model", from_model) == to_model:
        raise InvalidValue("from_model must be another model than to_model")
