"""Reads threads of langgraph-checkpoint-postgres in another database. It writes nothing there."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from agentrows.db import connect as connections
from agentrows.db.executor import Executor
from agentrows.db.retries import Retries
from agentrows.errors import AgentRowsError, ConfigError, SchemaBehind
from agentrows.gen import langgraph_source as queries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Iterable, Iterator, Sequence

    import asyncpg

    from agentrows.config import Settings
    from agentrows.gen.models import (
        SourceCheckpoint,
        SourceCheckpointKey,
        SourceCounts,
        SourceThread,
        SourceValue,
        SourceWrite,
        SourceWriteKey,
    )

__all__ = ["CheckpointKey", "LangGraphSource", "ValueKey", "parts"]

T = TypeVar("T")
COLUMNS: Final = {
    "checkpoint_migrations": ("v",),
    "checkpoints": (
        *("thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id"),
        *("checkpoint", "metadata"),
    ),
    "checkpoint_blobs": ("thread_id", "checkpoint_ns", "channel", "version", "type", "blob"),
    "checkpoint_writes": (
        *("thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx", "channel"),
        *("type", "blob", "task_path"),
    ),
}
"""The tables and columns that the queries read; task_path is that of the newest migration."""
CURE: Final = (
    "the DSN of the source has to lead to the database, and with ?search_path=… to the schema, in "
    "which AsyncPostgresSaver.setup() of langgraph-checkpoint-postgres created its tables"
)
UPGRADE: Final = "run setup() of AsyncPostgresSaver of langgraph-checkpoint-postgres 3 there first"
CLOSE_TIMEOUT_S: Final = 10.0


class CheckpointKey(NamedTuple):
    """The key of a checkpoint in a source."""

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str


class ValueKey(NamedTuple):
    """The key of a version of the value of a channel."""

    thread_id: str
    checkpoint_ns: str
    channel: str
    version: str


@dataclass(frozen=True)
class LangGraphSource:
    """The tables of langgraph-checkpoint-postgres in a database."""

    db: Executor

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, dsn: str, *, settings: Settings) -> AsyncGenerator[LangGraphSource]:
        """Connect to the database of a DSN for a block.

        Raises:
            ConfigError: the DSN, the password, the role or the database is wrong.
            Unavailable: no host accepts a connection in time.

        """
        # Unnamed statements only, which work with and without a transaction pooler.
        settings = settings.model_copy(
            update={"pooler": "transaction", "pool_min_size": 1, "pool_max_size": 1}
        )
        pool = await _name_source(
            connections.open_pool(dsn, settings, prepare=_without_codecs, password=None)
        )
        try:
            yield cls(Executor(pool, retries=Retries(settings.retry_timeout_s, None)))
        finally:
            await pool.close(timeout_s=CLOSE_TIMEOUT_S)

    async def count_rows(self) -> SourceCounts:
        """Return the numbers of rows, after checking that the tables exist.

        Raises:
            ConfigError: a table is missing.
            SchemaBehind: a column is missing.

        """
        columns = await _name_source(queries.list_source_columns(self.db.repeatable))
        stored = {(row.table_name, row.column_name) for row in columns}
        tables = {table for table, _ in stored}
        if missing := [table for table in COLUMNS if table not in tables]:
            raise ConfigError(f"the source has no table {', '.join(missing)}: {CURE}")
        for table, names in COLUMNS.items():
            for name in names:
                if (table, name) not in stored:
                    raise SchemaBehind(f"the source has no column {table}.{name}: {UPGRADE}")
        return await _name_source(queries.count_source_rows(self.db.repeatable))

    async def list_threads(
        self, *, after: str | None, limit: int, owner_key: str | None
    ) -> list[SourceThread]:
        """Return a page of threads, ordered by id, after the one with the id `after`."""
        return await _name_source(
            queries.list_source_threads(
                self.db.repeatable, after=after, limit=limit, owner_key=owner_key
            )
        )

    async def list_checkpoints(self, thread_ids: Sequence[str]) -> list[SourceCheckpointKey]:
        """Return the keys of the checkpoints of threads, in the order of their ids."""
        return await _name_source(
            queries.list_source_checkpoints(self.db.repeatable, thread_ids=thread_ids)
        )

    async def list_writes(self, thread_ids: Sequence[str]) -> list[SourceWriteKey]:
        """Return the keys of the writes of threads."""
        return await _name_source(
            queries.list_source_writes(self.db.repeatable, thread_ids=thread_ids)
        )

    async def digest_checkpoints(self, keys: Iterable[CheckpointKey]) -> dict[CheckpointKey, bytes]:
        """Return the digest of each checkpoint, as `client.list_checkpoint_digests` does."""
        threads, namespaces, ids = _columns(keys, 3)
        rows = await _name_source(
            queries.digest_source_checkpoints(
                self.db.repeatable, thread_id=threads, checkpoint_ns=namespaces, checkpoint_id=ids
            )
        )
        return {
            CheckpointKey(row.thread_id, row.checkpoint_ns, row.checkpoint_id): row.digest
            for row in rows
        }

    async def read_checkpoints(self, keys: Iterable[CheckpointKey]) -> list[SourceCheckpoint]:
        """Return checkpoints, ordered by key."""
        threads, namespaces, ids = _columns(keys, 3)
        return await _name_source(
            queries.read_source_checkpoints(
                self.db.repeatable, thread_id=threads, checkpoint_ns=namespaces, checkpoint_id=ids
            )
        )

    async def read_writes(self, keys: Iterable[CheckpointKey]) -> list[SourceWrite]:
        """Return the writes of checkpoints, ordered by key."""
        threads, namespaces, ids = _columns(keys, 3)
        return await _name_source(
            queries.read_source_writes(
                self.db.repeatable, thread_id=threads, checkpoint_ns=namespaces, checkpoint_id=ids
            )
        )

    async def read_values(self, keys: Iterable[ValueKey]) -> list[SourceValue]:
        """Return values that are stored as blobs."""
        threads, namespaces, channels, versions = _columns(keys, 4)
        if not threads:
            return []
        return await _name_source(
            queries.read_source_values(
                self.db.repeatable,
                thread_id=threads,
                checkpoint_ns=namespaces,
                channel=channels,
                version=versions,
            )
        )


def parts(keys: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield keys in parts of at most `size`, so that no statement has too many."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _columns(keys: Iterable[tuple[str, ...]], count: int) -> list[list[str]]:
    """Return keys as parallel lists."""
    rows = list(keys)
    return [[row[place] for row in rows] for place in range(count)]


async def _without_codecs(_connection: asyncpg.Connection) -> None:
    """Register nothing: the queries return JSON as text."""


async def _name_source(call: Awaitable[T]) -> T:
    """Await a call; the message of its error names the source."""
    try:
        return await call
    except AgentRowsError as error:
        named = type(error)(f"the source database: {error}")
    # Outside of the handler: the commands add a cure for the target to some errors of the driver.
    raise named
