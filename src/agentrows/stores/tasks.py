"""Tasks: the work that an agent does for a user's session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import Deleted, NotFound, OwnedByAnother
from agentrows.gen import tasks as queries
from agentrows.gen.models import Task
from agentrows.stores._pages import OLDEST, Page, PageOrder, Pages
from agentrows.stores._requirements import TASK_OWNERS, require
from agentrows.validation import UNSET, check_id, check_limit, check_optional_id, check_text, is_set

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.validation import Unset

OLDEST_FIRST: Final = PageOrder(Task, ("created_at", "id"), OLDEST)


@dataclass(frozen=True)
class TaskStore:
    """Store of users' tasks.

    A task without an owner, written by an older release, belongs to the only user that ever had a
    session with its session id, unless that session is newer than the task. Any other task without
    an owner is hidden.
    """

    db: Executor

    async def store_task(
        self, id: str, *, user_id: str, data: str, session_id: str | Unset | None = UNSET
    ) -> Task:
        """Store a task, mark its session as active and return the task.

        The task gets the user as its owner and the A2A protocol version 1.0. A `session_id` left
        out keeps the stored one; None clears it.

        Raises:
            Deleted: the task is deleted; the id cannot be reused.
            OwnedByAnother: the id belongs to another user's task.

        """
        require(self.db, TASK_OWNERS)
        task = await queries.upsert_task(
            self.db.repeatable,
            id=check_id("id", id),
            user_id=check_id("user_id", user_id),
            data=check_text("data", data),
            session_id=check_optional_id("session_id", session_id),
            set_session_id=is_set(session_id),
        )
        if task is not None:
            return task
        if await queries.is_task_deleted(self.db.repeatable, id=id):
            raise Deleted(f"task {id!r} is deleted: its id cannot be reused")
        raise OwnedByAnother(f"task {id!r} belongs to another user")

    async def get_task(self, id: str, *, user_id: str) -> Task:
        """Return a user's task.

        Raises:
            NotFound: the user has no such task, or it is deleted.

        """
        require(self.db, TASK_OWNERS)
        task = await queries.get_task(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )
        if task is None:
            raise NotFound(f"no task {id!r} of this user")
        return task

    async def list_tasks_for_session(
        self,
        session_id: str,
        *,
        user_id: str,
        limit: int | None = None,
        after: Task | str | None = None,
    ) -> Page[Task]:
        """Return a user's tasks in a session, oldest first.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page.
        """
        require(self.db, TASK_OWNERS)
        session = {
            "session_id": check_id("session_id", session_id),
            "user_id": check_id("user_id", user_id),
        }
        pages = Pages(self.db, "list_tasks_for_session", OLDEST_FIRST, session)
        after_time, after_id = pages.start(after)
        tasks = await queries.list_tasks(
            self.db.repeatable,
            **session,
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )
        return pages.page(tasks, limit)

    async def delete_task(self, id: str, *, user_id: str) -> bool:
        """Mark a user's task as deleted; return whether it existed. Its id cannot be reused."""
        require(self.db, TASK_OWNERS)
        deleted = await queries.delete_task(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )
        return deleted > 0
