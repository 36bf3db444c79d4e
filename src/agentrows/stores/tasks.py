"""Tasks: what an agent was asked to do, in a session of one user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.errors import Deleted, NotFound, OwnedByAnother
from agentrows.gen import tasks as queries
from agentrows.gen.models import Task
from agentrows.stores._requirements import needs
from agentrows.validation import (
    OLDEST,
    UNSET,
    check_after,
    check_id,
    check_limit,
    check_optional_id,
    check_text,
    given,
    page_after,
)

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.validation import Unset


@dataclass(frozen=True)
class TaskStore:
    """The tasks of each user.

    A task that an older release left without owner belongs to a user only if its session's id
    never had another, and the session is not younger than the task; else it is hidden.
    """

    db: Executor

    async def store_task(
        self, id: str, *, user_id: str, data: str, session_id: str | Unset | None = UNSET
    ) -> Task:
        """Store a task and return it, stamped with its owner and protocol version 1.0.

        Its session counts as active now. `session_id` left out keeps the stored one. Raises
        OwnedByAnother for the id of another user's task, and Deleted for an id once deleted.
        """
        needs(self.db, "core", 7)
        task = await queries.upsert_task(
            self.db.repeatable,
            id=check_id("id", id),
            user_id=check_id("user_id", user_id),
            data=check_text("data", data),
            session_id=check_optional_id("session_id", session_id),
            set_session_id=given(session_id),
        )
        if task is not None:
            return task
        if await queries.is_task_deleted(self.db.repeatable, id=id):
            raise Deleted(f"task {id!r} was deleted, its id stays burned")
        raise OwnedByAnother(f"task {id!r} is not this user's")

    async def get_task(self, id: str, *, user_id: str) -> Task:
        """Return a user's task; raise NotFound if it is deleted or somebody else's."""
        needs(self.db, "core", 7)
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
        after: Task | None = None,
    ) -> list[Task]:
        """Return a user's tasks in a session, oldest first, at most `limit`.

        A page goes on `after` its last row.
        """
        needs(self.db, "core", 7)
        check_after(after, Task, "id")
        after_time, after_id = page_after(after.created_at, after.id) if after else OLDEST
        return await queries.list_tasks(
            self.db.repeatable,
            session_id=check_id("session_id", session_id),
            user_id=check_id("user_id", user_id),
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )

    async def delete_task(self, id: str, *, user_id: str) -> bool:
        """Mark a user's task as deleted, its id burned; say whether there was one."""
        needs(self.db, "core", 7)
        deleted = await queries.delete_task(
            self.db.repeatable, id=check_id("id", id), user_id=check_id("user_id", user_id)
        )
        return deleted > 0
