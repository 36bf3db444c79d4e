"""Tasks with a version, for A2A servers: compare-and-set, lists by status, and events of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypedDict

from agentrows.errors import Conflict, Deleted, InvalidValue, NotFound, OwnedByAnother, Stale
from agentrows.gen import task_versions as queries
from agentrows.gen import tasks
from agentrows.stores._isolation import check_read_committed, choose_isolation
from agentrows.stores._pages import Page, Pages
from agentrows.stores._requirements import TASK_OWNERS, TASK_VERSIONS, require
from agentrows.stores._retention import BATCH_SIZE, Batch, run_all_batches
from agentrows.stores._row_security import read_access_scope
from agentrows.stores._table_retention import old_task_events
from agentrows.stores._task_pages import (
    BEFORE_ALL_TIMES,
    LATEST_FIRST,
    TaskPosition,
    check_time,
    read_position,
)
from agentrows.validation import (
    LARGEST_BYTES,
    check_bytes,
    check_flag,
    check_id,
    check_ids,
    check_int64,
    check_limit,
    check_optional_id,
    check_retention,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.db.executor import Executor
    from agentrows.gen.models import TaskEvent, VersionedTask

TASK_EVENT_CHANNEL: Final = "agentrows_task_event"
"""The channel of `save_task(…, notify=True)`; the payload is the id of the task."""


class _Columns(TypedDict):
    """The arguments that save_task and cancel_task have in common."""

    id: str
    user_id: str
    data: str
    state: str
    session_id: str | None
    status_ns: int | None
    event: bytes | None
    notify: bool


class _Filters(TypedDict):
    """The filters that list_tasks and count_tasks have in common."""

    user_id: str
    states: list[str] | None
    since_ns: int


class _Position(TypedDict):
    """The start and the length of a page."""

    after_ns: int
    after_id: str
    limit: int | None


@dataclass(frozen=True)
class TaskVersionStore:
    """Store of tasks with a version, which `save_task` and `cancel_task` count.

    The tasks are those of `store_task`, which leaves the version, the state and the time of a task
    as they are. A task that was never saved here is at version 0; lists read its state from its
    data and place it last. Tasks without an owner are left out.

    After a lost connection `save_task` is repeated only without `version` and `event`. Commits of
    statements that notify run one after another in a database.
    """

    db: Executor

    async def save_task(
        self,
        id: str,
        *,
        user_id: str,
        data: str,
        state: str,
        session_id: str | None = None,
        status_ns: int | None = None,
        version: int | None = None,
        event: bytes | None = None,
        notify: bool = False,
    ) -> int:
        """Store a task, mark its session as active and return the task's new version.

        `data` is JSON text of A2A 1.0, `status_ns` the time of the status in nanoseconds since
        1970. At `version` 0 the task is new or was never saved here. `event` is for
        `list_task_events_all_users`; `notify` sends the id on the channel `agentrows_task_event`.

        Raises:
            Deleted: the task is deleted; the id cannot be reused.
            OwnedByAnother: the id belongs to another user's task.
            Stale: the task is not at `version`.

        """
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        columns = _check_columns(
            id=id,
            user_id=user_id,
            data=data,
            state=state,
            session_id=session_id,
            status_ns=status_ns,
            event=event,
            notify=notify,
        )
        repeats = _check_version("version", version) is None and event is None
        db = self.db.repeatable if repeats else self.db.once
        if version:
            saved = await queries.update_task(db, **columns, version=version, final_states=None)
        else:
            saved = await queries.save_task(db, **columns, version=version)
        if saved is not None:
            return saved
        raise await self._explain_conflict(id, user_id, version)

    async def cancel_task(
        self,
        id: str,
        *,
        user_id: str,
        data: str,
        state: str,
        final_states: Sequence[str],
        session_id: str | None = None,
        status_ns: int | None = None,
        event: bytes | None = None,
        notify: bool = False,
    ) -> int:
        """Store a task at any version, unless it is in a final state; return the new version.

        The arguments are those of `save_task`.

        Raises:
            NotFound: the user has no such task, or it is deleted.
            Stale: the task is in one of `final_states`.

        """
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        columns = _check_columns(
            id=id,
            user_id=user_id,
            data=data,
            state=state,
            session_id=session_id,
            status_ns=status_ns,
            event=event,
            notify=notify,
        )
        final_states = _check_states("final_states", final_states)
        canceled = await queries.update_task(
            self.db.once, **columns, version=None, final_states=final_states
        )
        if canceled is not None:
            return canceled
        if await self.find_versioned_task(id, user_id=user_id) is None:
            raise NotFound(f"no task {id!r} of this user")
        raise Stale(f"task {id!r} is in a final state")

    async def find_versioned_task(self, id: str, *, user_id: str) -> VersionedTask | None:
        """Return a user's task with its version, or None."""
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        return await queries.find_versioned_task(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )

    async def list_tasks(
        self,
        *,
        user_id: str,
        session_id: str | None = None,
        states: Sequence[str] | None = None,
        since_ns: int | None = None,
        after: VersionedTask | TaskPosition | str | None = None,
        limit: int | None = None,
    ) -> Page[VersionedTask]:
        """Return a user's tasks, the latest status first; those without a time are last.

        Tasks with the same time are in descending order of their ids by code point. The filters are
        a session, states, and the earliest time of the status in nanoseconds since 1970. At most
        `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for the next
        page. Needs PostgreSQL 16 or later.
        """
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        filters = _check_filters(user_id=user_id, states=states, since_ns=since_ns)
        if session_id is not None:
            check_id("session_id", session_id)
        pages = Pages(self.db, "list_tasks", LATEST_FIRST, {**filters, "session_id": session_id})
        after_ns, after_id = (
            read_position(after) if isinstance(after, TaskPosition) else pages.start(after)
        )
        position = _Position(
            after_ns=after_ns, after_id=after_id, limit=check_limit("limit", limit)
        )
        if session_id is None:
            tasks = await queries.list_user_tasks(self.db.repeatable, **filters, **position)
        else:
            tasks = await queries.list_user_tasks_of_session(
                self.db.repeatable, session_id=session_id, **filters, **position
            )
        return pages.page(tasks, limit)

    async def count_tasks(
        self,
        *,
        user_id: str,
        session_id: str | None = None,
        states: Sequence[str] | None = None,
        since_ns: int | None = None,
        limit: int | None = None,
    ) -> int:
        """Return the number of a user's tasks, with the filters of `list_tasks`.

        The time grows with this number, which is at most `limit`. Needs PostgreSQL 16 or later.
        """
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        filters = _check_filters(user_id=user_id, states=states, since_ns=since_ns)
        if session_id is None:
            return await queries.count_user_tasks(
                self.db.repeatable, **filters, limit=check_limit("limit", limit)
            )
        return await queries.count_user_tasks_of_session(
            self.db.repeatable,
            session_id=check_id("session_id", session_id),
            **filters,
            limit=check_limit("limit", limit),
        )

    async def purge_task(self, id: str, *, user_id: str) -> bool:
        """Delete a user's task, its events and its configs; return whether the task existed.

        Unlike after `delete_task`, no row of the task remains, and its id can be used again. The
        user's push configs are deleted even if the task is not stored.

        Raises:
            InvalidValue: called in a transaction that is not read committed.

        """
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        check_id("id", id)
        check_id("user_id", user_id)
        if self.db.in_transaction:
            access = await read_access_scope(self.db, "purge_task", allows_one_user=True)
            check_read_committed(access.isolation, "purge_task")
        purge = partial(_purge, id=id, user_id=user_id)
        return await self.db.repeat(purge, isolation=choose_isolation(self.db))

    async def list_task_events_all_users(
        self, task_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[TaskEvent]:
        """Return the events of a task after version `after`, in the order of the versions.

        For a server that has found the task for its user. At most `limit` rows, or all with None.
        """
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        return await queries.list_task_events_all_users(
            self.db.repeatable,
            task_id=check_id("task_id", task_id),
            after=check_int64("after", after),
            limit=check_limit("limit", limit),
        )

    async def prune_task_events(self, retention: timedelta, *, dry_run: bool = False) -> int:
        """Delete the events of all users' tasks that are older than `retention`; return how many.

        The tasks stay. Events are deleted in batches of up to 1,000. A retention of zero or less
        removes nothing; `dry_run` counts the events and removes none.

        Raises:
            ConfigError: policies hide every row (agentrows.unscoped).
            InvalidValue: called inside `as_user`.

        """
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        check_retention("retention", retention)
        check_flag("dry_run", dry_run)
        if retention <= timedelta(0):
            return 0
        await read_access_scope(self.db.repeatable, "prune_task_events")
        batch = Batch(retention, dry_run=dry_run)
        removed = await run_all_batches(self.db, old_task_events, batch, goal=BATCH_SIZE)
        return removed.rows["agentrows_task_event"]

    async def _explain_conflict(self, id: str, user_id: str, version: int | None) -> Conflict:
        """Return the error for a task that a statement could not store."""
        db = self.db.repeatable
        if await queries.find_versioned_task(db, id=id, user_id=user_id) is None:
            is_deleted = await tasks.is_task_deleted(db, id=id)
            if is_deleted:
                return Deleted(f"task {id!r} is deleted: its id cannot be reused")
            # Without a row to see, a policy hides it, or a later version was purged.
            if is_deleted is not None or not version:
                return OwnedByAnother(f"task {id!r} belongs to another user")
        return Stale(f"task {id!r} was changed since version {version}: read it again")


async def _purge(db: Executor, *, id: str, user_id: str) -> bool:
    """Delete a task; return whether it existed."""
    # The lock is a statement of its own: the snapshot of the next one contains the events that a
    # concurrent writer committed before the lock was acquired.
    await queries.lock_task(db, id=id, user_id=user_id)
    return await queries.purge_task(db, id=id, user_id=user_id) > 0


def _check_columns(
    *,
    id: str,
    user_id: str,
    data: str,
    state: str,
    session_id: str | None,
    status_ns: int | None,
    event: bytes | None,
    notify: bool,
) -> _Columns:
    """Return the checked arguments that save_task and cancel_task have in common."""
    return {
        "id": check_id("id", id),
        "user_id": check_id("user_id", user_id),
        "data": check_text("data", data),
        "state": check_id("state", state),
        "session_id": check_optional_id("session_id", session_id),
        "status_ns": check_time("status_ns", status_ns),
        "event": None if event is None else check_bytes("event", event, most=LARGEST_BYTES),
        "notify": check_flag("notify", notify),
    }


def _check_filters(*, user_id: str, states: Sequence[str] | None, since_ns: int | None) -> _Filters:
    """Return the checked filters of a list; only a list of all times has tasks without a time."""
    since_ns = check_time("since_ns", since_ns)
    return {
        "user_id": check_id("user_id", user_id),
        "states": None if states is None else _check_states("states", states),
        "since_ns": BEFORE_ALL_TIMES if since_ns is None else since_ns,
    }


def _check_version(name: str, value: int | None) -> int | None:
    if value is not None and check_int64(name, value) < 0:
        raise InvalidValue(f"{name} must be an integer of at least 0, or None for any version")
    return value


def _check_states(name: str, values: Sequence[str]) -> list[str]:
    return check_ids(name, values)
