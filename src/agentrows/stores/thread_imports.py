"""Import of LangGraph threads from another store, with their ids and times.

The rows have the layout of `agentrows.langgraph`: bytes, and each value of a channel once per
version.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

from agentrows.errors import InvalidValue
from agentrows.gen import thread_imports as queries
from agentrows.gen.models import (
    ChannelValueKey,
    CheckpointDigest,
    ImportedCheckpoint,
    ImportedValue,
    ImportedWrite,
    WriteDigest,
)
from agentrows.stores._checkpoint_rows import INDEXES, check_checkpoint_key, check_key_size
from agentrows.stores._requirements import THREADS, require
from agentrows.validation import (
    check_batch,
    check_bytes,
    check_id,
    check_ids,
    check_int64,
    check_optional_id,
    check_optional_moment,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from agentrows.db.executor import Executor

__all__ = ["ImportedRows", "ThreadImportStore"]


class ImportedRows(NamedTuple):
    """The number of rows that an import stored, or the values that were missing for it."""

    checkpoints: int = 0
    values: int = 0
    writes: int = 0
    missing: tuple[ChannelValueKey, ...] = ()
    """Values that the checkpoints name and that are neither stored nor passed; then nothing was
    stored."""


class _MissingValues(Exception):
    """Rolls an import back, because values are missing."""

    def __init__(self, missing: tuple[ChannelValueKey, ...]) -> None:
        super().__init__(missing)
        self.missing = missing


@dataclass(frozen=True)
class ThreadImportStore:
    """Store of LangGraph threads that another store contained before."""

    db: Executor

    async def import_threads(
        self,
        checkpoints: Iterable[ImportedCheckpoint],
        *,
        user_id: str,
        values: Iterable[ImportedValue] = (),
        writes: Iterable[ImportedWrite] = (),
    ) -> ImportedRows:
        """Store rows of threads of a user in one transaction, and return their numbers.

        Stored rows stay unchanged, and deleted ones deleted. A checkpoint or a special write (`idx`
        below 0) of an earlier import is replaced until the application stores it again.
        `created_at` is at most the time of the server. The call can be repeated.

        Each value that a checkpoint names in `versions` has to be stored or passed in `values`. If
        one is missing, nothing is stored and `missing` contains its key; call again with it.

        Raises:
            InvalidValue: a row cannot be stored; the message contains its position.
            SchemaBehind: the database lacks the table of values.

        """
        require(self.db, THREADS)
        check_id("user_id", user_id)
        checkpoints = _check_checkpoints(user_id, checkpoints)
        values = _check_values(user_id, values)
        writes = _check_writes(user_id, writes)
        if not (checkpoints or values or writes):
            return ImportedRows()

        async def store(scope: Executor) -> ImportedRows:
            stored = await queries.insert_imported_values(scope, user_id=user_id, values=values)
            await _require_values(scope, user_id, checkpoints)
            rows = await queries.insert_imported_checkpoints(
                scope, user_id=user_id, checkpoints=checkpoints
            )
            pending = await queries.insert_imported_writes(scope, user_id=user_id, writes=writes)
            return ImportedRows(rows, stored, pending)

        try:
            return await self.db.repeat(store)
        except _MissingValues as error:
            return ImportedRows(missing=error.missing)

    async def list_checkpoint_digests(
        self, thread_ids: Iterable[str], *, user_id: str
    ) -> list[CheckpointDigest]:
        """Return the key and a digest of each checkpoint of threads, deleted ones included.

        An import compares them with the source. The order is not defined.

        Raises:
            SchemaBehind: the database lacks the table of values.

        """
        require(self.db, THREADS)
        return await queries.list_checkpoint_digests(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_ids=check_ids("thread_ids", thread_ids),
        )

    async def list_write_digests(
        self, thread_ids: Iterable[str], *, user_id: str
    ) -> list[WriteDigest]:
        """Return the key of each write of threads, deleted ones included.

        Special writes (`idx` below 0) have a digest. The order is not defined.

        Raises:
            SchemaBehind: the database lacks the columns of the values.

        """
        require(self.db, THREADS)
        return await queries.list_write_digests(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            thread_ids=check_ids("thread_ids", thread_ids),
        )


async def _require_values(
    scope: Executor, user_id: str, checkpoints: tuple[ImportedCheckpoint, ...]
) -> None:
    """Lock the values that checkpoints name; raise _MissingValues if some are not stored."""
    named = {
        (checkpoint.thread_id, checkpoint.checkpoint_ns, channel, version)
        for checkpoint in checkpoints
        for channel, version in cast("dict[str, str]", checkpoint.versions).items()
    }
    if not named:
        return
    threads, namespaces, channels, versions = zip(*sorted(named), strict=True)
    locked = await queries.lock_named_values(
        scope,
        user_id=user_id,
        thread_id=threads,
        checkpoint_ns=namespaces,
        channel=channels,
        version=versions,
    )
    stored = {(key.thread_id, key.checkpoint_ns, key.channel, key.version) for key in locked}
    missing = tuple(
        ChannelValueKey(thread_id=thread, checkpoint_ns=namespace, channel=channel, version=version)
        for thread, namespace, channel, version in sorted(named - stored)
    )
    if missing:
        raise _MissingValues(missing)


def _check_checkpoints(
    user_id: str, checkpoints: Iterable[ImportedCheckpoint]
) -> tuple[ImportedCheckpoint, ...]:
    batch = check_batch("checkpoints", checkpoints, ImportedCheckpoint)
    for index, row in enumerate(batch):
        name = f"checkpoints[{index}]"
        with _named(name):
            _check_checkpoint(user_id, row)
    _check_distinct(
        "checkpoints", [(row.thread_id, row.checkpoint_ns, row.checkpoint_id) for row in batch]
    )
    return batch


def _check_checkpoint(user_id: str, row: ImportedCheckpoint) -> None:
    _check_place(user_id, row)
    check_optional_id("parent_checkpoint_id", row.parent_checkpoint_id)
    check_bytes("checkpoint", row.checkpoint)
    _check_object("metadata", check_text("metadata", row.metadata))
    check_int64("version", row.version)
    check_optional_id("run_id", row.run_id)
    check_optional_moment("created_at", row.created_at)
    if not isinstance(row.versions, dict):
        raise InvalidValue("versions must be an object of texts")
    for channel, version in row.versions.items():
        if not isinstance(version, str):
            raise InvalidValue(f"versions[{channel!r}] must be text, not {type(version).__name__}")
        check_text("a channel of versions", channel)
        check_text(f"versions[{channel!r}]", version)


def _check_values(user_id: str, values: Iterable[ImportedValue]) -> tuple[ImportedValue, ...]:
    batch = check_batch("values", values, ImportedValue)
    for index, row in enumerate(batch):
        with _named(f"values[{index}]"):
            check_id("thread_id", row.thread_id)
            check_key_size(
                user_id=user_id,
                thread_id=row.thread_id,
                checkpoint_ns=check_text("checkpoint_ns", row.checkpoint_ns),
                channel=check_text("channel", row.channel),
                version=check_text("version", row.version),
            )
            check_text("type", row.type)
            check_bytes("value", row.value)
    _check_distinct(
        "values", [(row.thread_id, row.checkpoint_ns, row.channel, row.version) for row in batch]
    )
    return batch


def _check_writes(user_id: str, writes: Iterable[ImportedWrite]) -> tuple[ImportedWrite, ...]:
    batch = check_batch("writes", writes, ImportedWrite)
    for index, row in enumerate(batch):
        with _named(f"writes[{index}]"):
            _check_place(user_id, row)
            check_id("task_id", row.task_id)
            check_text("task_path", row.task_path)
            if check_int64("idx", row.idx) not in INDEXES:
                raise InvalidValue(f"idx must be from -4 to {INDEXES.stop - 1}")
            check_text("channel", row.channel)
            check_text("type", row.type)
            check_bytes("value", row.value)
            check_optional_moment("created_at", row.created_at)
    _check_distinct(
        "writes",
        [
            (row.thread_id, row.checkpoint_ns, row.checkpoint_id, row.task_id, row.idx)
            for row in batch
        ],
    )
    return batch


def _check_place(user_id: str, row: ImportedCheckpoint | ImportedWrite) -> None:
    check_checkpoint_key(
        user_id=user_id,
        thread_id=row.thread_id,
        checkpoint_ns=row.checkpoint_ns,
        checkpoint_id=check_id("checkpoint_id", row.checkpoint_id),
    )


def _check_distinct(name: str, keys: list[tuple[str | int, ...]]) -> None:
    if len(set(keys)) < len(keys):
        raise InvalidValue(f"{name} contains the same key more than once")


@contextlib.contextmanager
def _named(row: str) -> Generator[None]:
    """Add the position of a row to the message of an InvalidValue."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(f"{row}: {error}") from error.__cause__


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _check_object(name: str, text: str) -> None:
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"{name} must be the text of a JSON object") from error
    if not isinstance(value, dict):
        raise InvalidValue(f"{name} must be the text of a JSON object")
