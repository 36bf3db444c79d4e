"""Users: everything that is stored of one, handed out or removed."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.gen import users as queries
from agentrows.stores._requirements import (
    SWITCHED_OFF,
    check_read_committed,
    look_around,
    needs,
    new_snapshots,
)
from agentrows.validation import check_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from agentrows.db.executor import Executor
    from agentrows.gen.dbtx import Row
    from agentrows.gen.models import ErasedUser, ExportedRow, Surroundings

logger = logging.getLogger(__name__)

ROWS_IN_MEMORY: Final = 20
"""How many rows of an export are held at a time; one of them may be megabytes long."""
CHARACTERS_AT_ONCE: Final = 1_000_000
"""Characters of a large text that are encoded as JSON at a time."""


@dataclass(frozen=True)
class UserStore:
    """Whatever the tables hold of a user."""

    db: Executor

    async def export_user(self, user_id: str) -> AsyncGenerator[str]:
        """Stream every row of a user, deleted ones included, as lines of JSON without their ends.

        A line is `{"table": …, "row": {…}}`; a row has all columns of its table, a vector is text.
        All lines are of one moment, inside of a transaction of yours as far as its isolation goes.
        Rows come from a server-side cursor, which holds a connection until the stream ends or is
        closed (`contextlib.aclosing` does that early). An unknown user has none. Tokens of shares
        are among the lines: keep them as you keep a password. Raises ConfigError where policies
        hide every row (agentrows.unscoped): no line would not mean that there is none.

        Tables of other releases and of the application are not exported. Those that have a column
        `user_id` and are in the schema of the sessions are named in a warning of the logger
        `agentrows`.
        """
        needs(self.db, "core", 7)
        check_id("user_id", user_id)
        async with self.db.snapshot() as scope:
            found = await look_around(scope.repeatable, "export_user", of_one_user=True)
            await _find_uncovered_tables(scope, found, "export_user")
            portions = _Portions(scope)
            async for row in queries.iter_export_user(portions, user_id=user_id):
                yield _line(row)
            if found.has_feedback_keys:
                async for line in queries.iter_export_feedback_keys(portions, user_id=user_id):
                    yield line
            if _has_memories(scope, found):
                async for row in queries.iter_export_memories(portions, user_id=user_id):
                    yield _line(row)

    async def erase_user(self, user_id: str) -> ErasedUser:
        """Remove every row of a user for good, in one transaction; return how many, by table.

        Deleted rows go as well, and what hangs on them: the push notification configs of the tasks,
        and the notes of who opened the user's shares. A task without owner that may be another's
        stays, hidden from everybody for good: `hidden_tasks` counts them.

        Tables of other releases and of the application keep their rows: `uncovered_tables` lists
        those that have a column `user_id` and are in the schema of the sessions. A warning of the
        logger `agentrows` names them too.

        Waits for the statements that are writing into the user's sessions, tasks and memories, and
        removes what they wrote. What is stored for the user after that stays: stop the writers
        first, or erase again. Raises InvalidValue inside of `as_user`, which hides what decides
        whose a task is, and inside a transaction that is not read committed; ConfigError where
        policies hide every row (agentrows.unscoped); Aborted after a deadlock. Then nothing was
        removed.
        """
        needs(self.db, "core", 7)
        check_id("user_id", user_id)
        async with self.db.transaction(isolation=new_snapshots(self.db)) as scope:
            found = await look_around(scope.repeatable, "erase_user")
            check_read_committed(found.isolation, "erase_user")
            uncovered = await _find_uncovered_tables(scope, found, "erase_user")
            await queries.lock_tasks_of_user(scope, user_id=user_id)
            await queries.lock_sessions_of_user(scope, user_id=user_id)
            erased = await queries.erase_user(scope, user_id=user_id)
            keys = memories = 0
            if found.has_feedback_keys:
                keys = await queries.erase_feedback_keys(scope, user_id=user_id)
            if _has_memories(scope, found):
                await queries.lock_memories_of_user(scope, user_id=user_id)
                memories = await queries.erase_memories(scope, user_id=user_id)
        return erased.model_copy(
            update={"feedback_keys": keys, "memories": memories, "uncovered_tables": uncovered}
        )


async def _find_uncovered_tables(db: Executor, found: Surroundings, method: str) -> list[str]:
    """Return the tables with a column user_id that a method does not cover, and log them."""
    tables = await queries.find_uncovered_tables(db.repeatable)
    if _has_memories(db, found):
        tables = [table for table in tables if table != "memory"]
    if tables:
        logger.warning(
            "%s does not cover these tables with a column user_id: %s", method, ", ".join(tables)
        )
    return tables


def _line(row: ExportedRow) -> str:
    """Return a row as a line of JSON; large columns are put into it here, in pieces."""
    if row.large_columns is None or row.large_values is None:
        return row.line
    large = dict(zip(row.large_columns, row.large_values, strict=True))
    line = json.loads(row.line)
    pieces = [f'{{"table" : {json.dumps(line["table"])}, "row" : {{']
    for place, (name, value) in enumerate(line["row"].items()):
        pieces.append(f"{',' if place else ''}{json.dumps(name, ensure_ascii=False)}:")
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


def _has_memories(db: Executor, found: Surroundings) -> bool:
    """Whether there are memories, also where the settings leave them out; not another `memory`."""
    is_off = db.versions.get("vector") == SWITCHED_OFF
    return found.has_memory and (found.has_vector_track or not is_off)


@dataclass(frozen=True, slots=True)
class _Portions:
    """A cursor that fetches few rows at a time."""

    db: Executor

    def cursor(self, query: str, /, *args: object) -> AsyncIterator[Row]:
        return self.db.cursor(query, *args, prefetch=ROWS_IN_MEMORY)
