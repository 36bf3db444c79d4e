"""Users: export and removal of all rows of one user."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.gen import histories as history_queries
from agentrows.gen import transcripts as transcript_queries
from agentrows.gen import users as queries
from agentrows.gen.database import read_access_scope as read_access
from agentrows.stores._isolation import check_read_committed, choose_isolation
from agentrows.stores._requirements import SWITCHED_OFF, TASK_OWNERS, require
from agentrows.stores._row_security import read_access_scope
from agentrows.stores._thread_values import delete_unnamed_values
from agentrows.validation import check_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from agentrows.db.executor import Executor
    from agentrows.gen.dbtx import Row
    from agentrows.gen.models import AccessScope, ErasedUser, ExportedRow

logger = logging.getLogger(__name__)

SMALL_BATCH: Final = 20
"""Rows of an export that are in memory at a time; one of them may have megabytes."""
CHARACTERS_AT_ONCE: Final = 1_000_000
"""Characters of a large text that are encoded as JSON at a time."""


@dataclass(frozen=True)
class UserStore:
    """Store of all rows of a user, in every table."""

    db: Executor

    async def export_user(self, user_id: str) -> AsyncGenerator[str]:
        """Stream every row of a user, deleted ones included, as lines of JSON without line ends.

        A line is `{"table": …, "row": {…}}`; a row has all columns of its table, a vector is text,
        and bytes are text as PostgreSQL writes them, in hexadecimal. The lines are in the order of
        the tables; an unknown user has none. All of them come from one snapshot, except in a
        transaction with a new snapshot for each statement.

        The rows come from a server-side cursor, which occupies a connection until the stream ends
        or is closed; `contextlib.aclosing` closes it early. The lines contain the tokens of
        shares, which are secrets.

        Tables of other releases and of the application are not exported. Those that have a column
        `user_id` and are in the schema of the sessions are named in a warning of the logger
        `agentrows`; `list_uncovered_tables` returns them.

        Raises:
            ConfigError: policies hide every row (agentrows.unscoped), so that an empty export
                would not be proof that the user has no rows.

        """
        require(self.db, TASK_OWNERS)
        check_id("user_id", user_id)
        async with self.db.snapshot() as scope:
            access = await read_access_scope(scope.repeatable, "export_user", allows_one_user=True)
            await _find_uncovered_tables(scope, access, "export_user")
            cursor = _SmallBatchCursor(scope)
            async for row in queries.iter_export_user(cursor, user_id=user_id):
                yield _format_line(row)
            async for row in _export_checkpoints(cursor, access, user_id):
                yield _format_line(row)
            async for line in _export_optional_tables(cursor, access, user_id):
                yield line
            async for row in _export_entries(cursor, access, user_id):
                yield _format_line(row)
            if _has_memories(scope, access):
                async for row in queries.iter_export_memories(cursor, user_id=user_id):
                    yield _format_line(row)
            if access.has_own_memories:
                async for row in queries.iter_export_own_memories(cursor, user_id=user_id):
                    yield _format_line(row)

    async def list_uncovered_tables(self) -> list[str]:
        """Return the tables with a column `user_id` that are neither exported nor erased.

        They are tables of other releases and of the application, in the schema of the sessions, in
        the order of their names. A table that refers to a user by another column is not found.
        """
        access = await read_access(self.db.repeatable)
        return await _list_uncovered_tables(self.db, access)

    async def erase_user(self, user_id: str) -> ErasedUser:
        """Delete every row of a user in one transaction; return the number of rows by table.

        Rows that are marked as deleted are removed as well, and the rows that depend on them:
        events and push notification configs of the tasks, and records of access to the user's
        shares. A task without an owner that may belong to another user stays, hidden from all
        users; `hidden_tasks` counts these.

        Rows in tables of other releases and of the application stay. `uncovered_tables` lists
        those that have a column `user_id` and are in the schema of the sessions; a warning of the
        logger `agentrows` names them too.

        The method waits for concurrent writers of the user's sessions, tasks and memories, and
        removes their rows. Rows that are stored for the user later stay: stop the writers first,
        or erase again. After an error nothing is removed.

        Raises:
            Aborted: the transaction was chosen to end a deadlock.
            ConfigError: policies hide every row (agentrows.unscoped).
            InvalidValue: called inside `as_user`, which hides the sessions of other users that
                decide the ownership of tasks, or in a transaction that is not read committed.

        """
        require(self.db, TASK_OWNERS)
        check_id("user_id", user_id)
        async with self.db.transaction(isolation=choose_isolation(self.db)) as scope:
            access = await read_access_scope(scope.repeatable, "erase_user")
            check_read_committed(access.isolation, "erase_user")
            uncovered = await _find_uncovered_tables(scope, access, "erase_user")
            await queries.lock_tasks_of_user(scope, user_id=user_id)
            await queries.lock_sessions_of_user(scope, user_id=user_id)
            if access.has_checkpoint_values:
                await queries.lock_checkpoints_of_user(scope, user_id=user_id)
            configs = 0
            if access.has_task_events:
                configs = await queries.erase_push_configs(scope, user_id=user_id)
            erased = await queries.erase_user(scope, user_id=user_id)
            optional = await _erase_optional_tables(scope, access, user_id)
            if access.has_transcripts:
                optional |= await _erase_transcripts(scope, user_id)
            if access.has_histories:
                optional |= await _erase_histories(scope, user_id)
        return erased.model_copy(
            update={**optional, "push_configs": configs, "uncovered_tables": uncovered}
        )


def _export_checkpoints(
    cursor: _SmallBatchCursor, access: AccessScope, user_id: str
) -> AsyncIterator[ExportedRow]:
    """Return the rows of a user's checkpoints; with their values, if the database has the table."""
    if access.has_checkpoint_values:
        return queries.iter_export_threads(cursor, user_id=user_id)
    return queries.iter_export_checkpoints(cursor, user_id=user_id)


async def _export_optional_tables(
    cursor: _SmallBatchCursor, access: AccessScope, user_id: str
) -> AsyncGenerator[str]:
    """Stream the lines of a user's rows in tables that a database may lack."""
    exports = (
        (access.has_feedback_keys, queries.iter_export_feedback_keys),
        (access.has_feedback_targets, queries.iter_export_feedback_targets),
        (access.has_task_events, queries.iter_export_task_events),
        (access.has_task_events, queries.iter_export_push_configs),
        (access.has_states, queries.iter_export_states),
        (access.has_store_items, queries.iter_export_store_items),
        (access.has_store_vectors, queries.iter_export_store_vectors),
    )
    for has_table, export in exports:
        if has_table:
            async for line in export(cursor, user_id=user_id):
                yield line


async def _export_entries(
    cursor: _SmallBatchCursor, access: AccessScope, user_id: str
) -> AsyncGenerator[ExportedRow]:
    """Stream a user's transcripts and histories, and their entries."""
    exports = (
        (access.has_transcripts, queries.iter_export_transcripts),
        (access.has_histories, queries.iter_export_histories),
    )
    for has_table, export in exports:
        if has_table:
            async for row in export(cursor, user_id=user_id):
                yield row


async def _erase_optional_tables(
    scope: Executor, access: AccessScope, user_id: str
) -> dict[str, int]:
    """Delete a user's rows in tables that a database may lack; return their numbers by field."""
    erased: dict[str, int] = {}
    if access.has_checkpoint_values:
        threads = await queries.list_threads_with_values(scope, user_id=user_id)
        erased["checkpoint_values"] = await delete_unnamed_values(
            scope, [(user_id, thread_id) for thread_id in threads]
        )
    if access.has_feedback_keys:
        erased["feedback_keys"] = await queries.erase_feedback_keys(scope, user_id=user_id)
    if access.has_feedback_targets:
        erased["feedback_targets"] = await queries.erase_feedback_targets(scope, user_id=user_id)
    if access.has_task_events:
        erased["task_events"] = await queries.erase_task_events(scope, user_id=user_id)
    if access.has_states:
        erased["session_states"] = await queries.erase_session_states(scope, user_id=user_id)
        erased["user_states"] = await queries.erase_user_states(scope, user_id=user_id)
    if _has_memories(scope, access):
        await queries.lock_memories_of_user(scope, user_id=user_id)
        erased["memories"] = await queries.erase_memories(scope, user_id=user_id)
    if access.has_own_memories:
        await queries.lock_own_memories_of_user(scope, user_id=user_id)
        erased["own_memories"] = await queries.erase_own_memories(scope, user_id=user_id)
    if access.has_store_items:
        await queries.lock_store_items_of_user(scope, user_id=user_id)
        erased["store_items"] = await queries.erase_store_items(scope, user_id=user_id)
    if access.has_store_vectors:
        erased["store_vectors"] = await queries.erase_store_vectors(scope, user_id=user_id)
    return erased


async def _erase_transcripts(scope: Executor, user_id: str) -> dict[str, int]:
    ids = await queries.lock_transcripts_of_user(scope, user_id=user_id)
    gone = await transcript_queries.delete_transcripts(scope, user_id=user_id, id=ids)
    return {"transcripts": gone.transcripts, "transcript_entries": gone.entries}


async def _erase_histories(scope: Executor, user_id: str) -> dict[str, int]:
    locked = await history_queries.lock_history_entries_of_user(scope, user_id=user_id)
    histories = await history_queries.delete_histories_of_user(scope, user_id=user_id)
    entries = await history_queries.delete_unused_history_entries(scope, user_id=user_id, id=locked)
    return {"histories": histories, "history_entries": entries}


async def _find_uncovered_tables(db: Executor, access: AccessScope, method: str) -> list[str]:
    """Return the tables with a column user_id that a method does not cover, and log them."""
    tables = await _list_uncovered_tables(db, access)
    if tables:
        logger.warning(
            "%s does not cover these tables with a column user_id: %s", method, ", ".join(tables)
        )
    return tables


async def _list_uncovered_tables(db: Executor, access: AccessScope) -> list[str]:
    tables = await queries.find_uncovered_tables(db.repeatable)
    covered = {"memory"} if _has_memories(db, access) else set[str]()
    return [table for table in tables if table not in covered]


def _format_line(row: ExportedRow) -> str:
    """Return a row as a line of JSON, with its large columns, which are encoded in pieces."""
    if row.large_columns is None or row.large_values is None:
        return row.line
    large = dict(zip(row.large_columns, row.large_values, strict=True))
    line = json.loads(row.line)
    pieces = [f'{{"table" : {json.dumps(line["table"])}, "row" : {{']
    for index, (name, value) in enumerate(line["row"].items()):
        pieces.append(f"{',' if index else ''}{json.dumps(name, ensure_ascii=False)}:")
        text = large.get(name)
        if text is None:
            pieces.append(json.dumps(value, ensure_ascii=False))
        else:
            pieces.append('"')
            for start in range(0, len(text), CHARACTERS_AT_ONCE):
                piece = text[start : start + CHARACTERS_AT_ONCE]
                pieces.append(json.dumps(piece, ensure_ascii=False)[1:-1])
            pieces.append('"')
    return "".join([*pieces, "}}"])


def _has_memories(db: Executor, access: AccessScope) -> bool:
    """Return whether the database has the table `memory` of the track vector."""
    # With vectors switched off the table may still exist, or be a table of the application.
    is_off = db.versions.get("vector") == SWITCHED_OFF
    return access.has_memory and (access.has_vector_track or not is_off)


@dataclass(frozen=True, slots=True)
class _SmallBatchCursor:
    """A source of cursors that fetch few rows at a time."""

    db: Executor

    def cursor(self, query: str, /, *args: object) -> AsyncIterator[Row]:
        return self.db.cursor(query, *args, prefetch=SMALL_BATCH)
