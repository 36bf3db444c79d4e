"""Histories: messages of conversations in chains that branch, as Pydantic AI stores them.

A history has a head, its last entry, and the last entries of the branches that it left. Each entry
refers to the one before it. Histories of a user share entries: a fork refers to an entry of another
history, and copies none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypedDict

from agentrows.errors import InvalidValue
from agentrows.gen import histories as queries
from agentrows.gen.models import HistoryEntry
from agentrows.stores._isolation import check_read_committed, choose_isolation
from agentrows.stores._requirements import HISTORIES, require
from agentrows.stores._row_security import read_access_scope
from agentrows.validation import (
    LONGEST_ID,
    check_batch,
    check_id,
    check_ids,
    check_limit,
    check_moment,
    check_optional_text,
    check_text,
    encoded_length,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from datetime import datetime

    from agentrows.db.executor import Executor
    from agentrows.gen.models import History


class _Columns(TypedDict):
    """The columns of new entries."""

    id: list[str]
    parent_id: list[str | None]
    kind: list[str]
    data: list[str]


@dataclass(frozen=True)
class HistoryStore:
    """Store of histories, which share their entries."""

    db: Executor

    async def find_history(self, history_id: str, *, user_id: str) -> History | None:
        """Return a history of a user without its messages; None if it is not stored.

        Raises:
            SchemaBehind: migration 36 of the track agentrows is not applied.

        """
        require(self.db, HISTORIES)
        return await queries.find_history(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            history_id=check_id("history_id", history_id),
        )

    async def list_histories(
        self, *, user_id: str, scope: str | None = None, limit: int | None = None
    ) -> list[History]:
        """Return the histories of a user without their messages, the last updated one first.

        With a scope only those that were saved with it. At most `limit` rows, or all with None.

        Raises:
            SchemaBehind: migration 36 of the track agentrows is not applied.

        """
        require(self.db, HISTORIES)
        check_id("user_id", user_id)
        check_limit("limit", limit)
        if (chosen := _check_scope(scope)) is None:
            return await queries.list_histories(self.db.repeatable, user_id=user_id, limit=limit)
        return await queries.list_histories_in_scope(
            self.db.repeatable, user_id=user_id, scope=chosen, limit=limit
        )

    async def find_history_entry(self, id: str, *, user_id: str) -> HistoryEntry | None:
        """Return an entry of a user's histories; None if it is not stored.

        Raises:
            SchemaBehind: migration 36 of the track agentrows is not applied.

        """
        require(self.db, HISTORIES)
        return await queries.find_history_entry(
            self.db.repeatable, user_id=check_id("user_id", user_id), id=check_id("id", id)
        )

    async def list_history_entries(
        self, head_id: str, *, user_id: str, limit: int | None = None
    ) -> list[HistoryEntry]:
        """Return the entries up to the one with the id `head_id`, oldest first, in one statement.

        With a limit only the last ones, or all with None. No rows if `head_id` is not stored. If
        another program stored a chain in a circle, the rows end after repeating some of it.

        Raises:
            SchemaBehind: migration 36 of the track agentrows is not applied.

        """
        require(self.db, HISTORIES)
        return await queries.list_history_entries(
            self.db.repeatable,
            user_id=check_id("user_id", user_id),
            head_id=check_id("head_id", head_id),
            limit=check_limit("limit", limit),
        )

    async def save_history(
        self,
        history_id: str,
        *,
        user_id: str,
        data: str,
        revision: str,
        updated_at: datetime,
        head_id: str | None = None,
        branches: Iterable[str] = (),
        scope: str | None = None,
        entries: Iterable[HistoryEntry] = (),
        expected_revision: str | None = None,
    ) -> bool:
        """Save a history and its new entries in one statement; return whether it was saved.

        The stored history must have `expected_revision`, or must not exist with None. `head_id`,
        `branches`, and the parents of `entries` must be stored or be new entries. Otherwise nothing
        is stored: another writer saved or deleted the history, or deleted the one that it forks.

        Raises:
            AlreadyExists: an entry with one of these ids is stored; nothing was stored.
            InvalidValue: an entry is before its parent, or two have one id.
            OutcomeUnknown: the connection was lost; the history may have been saved.
            SchemaBehind: migration 36 of the track agentrows is not applied.

        """
        require(self.db, HISTORIES)
        columns = _check_entries(entries)
        ends = check_ids("branches", branches)
        save = _choose_statement(expected_revision)
        saved = await save(
            self.db.once,
            user_id=check_id("user_id", user_id),
            history_id=check_id("history_id", history_id),
            head_id=None if head_id is None else check_id("head_id", head_id),
            needed=_list_needed([*ends, head_id], columns),
            scope=_check_scope(scope),
            branches=ends,
            revision=check_id("revision", revision),
            record=check_text("data", data),
            updated_at=check_moment("updated_at", updated_at),
            **columns,
        )
        return saved > 0

    async def delete_history(self, history_id: str, *, user_id: str, revision: str) -> bool:
        """Delete a history of a user at a revision; return whether it was deleted.

        Its entries are deleted with it, except those that another history of the user uses. The
        method waits for writers of histories that share entries with it. False if the history has
        another revision or is not stored; nothing is deleted then.

        Raises:
            InvalidValue: called in a transaction that is not read committed.
            SchemaBehind: migration 36 of the track agentrows is not applied.

        """
        require(self.db, HISTORIES)
        key = {
            "user_id": check_id("user_id", user_id),
            "history_id": check_id("history_id", history_id),
        }
        check_id("revision", revision)
        if self.db.in_transaction:
            access = await read_access_scope(self.db, "delete_history", allows_one_user=True)
            check_read_committed(access.isolation, "delete_history")

        async def delete(scope: Executor) -> bool:
            locked = await queries.lock_history_entries(scope, **key)
            deleted = await queries.delete_history(scope, **key, revision=revision)
            if deleted:
                await queries.delete_unused_history_entries(scope, user_id=user_id, id=locked)
            return deleted > 0

        return await self.db.repeat(delete, isolation=choose_isolation(self.db))


def _check_scope(scope: str | None) -> str | None:
    """Return a scope, which an index contains beside two ids."""
    text = check_optional_text("scope", scope)
    if text is not None and encoded_length("scope", text) > LONGEST_ID:
        raise InvalidValue(f"scope must have at most {LONGEST_ID} bytes")
    return text


def _choose_statement(expected_revision: str | None) -> Callable[..., Awaitable[int]]:
    """Return the statement that stores a new history, or replaces the one with a revision."""
    if expected_revision is None:
        return queries.create_history
    check_id("expected_revision", expected_revision)
    return partial(queries.update_history, expected_revision=expected_revision)


def _check_entries(entries: Iterable[HistoryEntry]) -> _Columns:
    """Return the columns of new entries.

    Raises:
        InvalidValue: an entry cannot be stored, is before its parent, or has the id of another one.

    """
    batch = check_batch("entries", entries, HistoryEntry)
    for index, entry in enumerate(batch):
        check_id(f"entries[{index}].id", entry.id)
        check_id(f"entries[{index}].kind", entry.kind)
        check_text(f"entries[{index}].data", entry.data)
        if entry.parent_id is not None:
            check_id(f"entries[{index}].parent_id", entry.parent_id)
    later = {entry.id for entry in batch}
    if len(later) < len(batch):
        raise InvalidValue("entries must have different ids")
    for index, entry in enumerate(batch):
        # A chain in a circle would never end.
        if entry.parent_id in later:
            raise InvalidValue(f"entries[{index}].parent_id must be the id of an earlier entry")
        later.discard(entry.id)
    return {
        "id": [entry.id for entry in batch],
        "parent_id": [entry.parent_id for entry in batch],
        "kind": [entry.kind for entry in batch],
        "data": [entry.data for entry in batch],
    }


def _list_needed(ends: Sequence[str | None], columns: _Columns) -> list[str]:
    """Return the ids of the stored entries that a save refers to, each once and in order."""
    named = {each for each in (*ends, *columns["parent_id"]) if each is not None}
    return sorted(named.difference(columns["id"]))
