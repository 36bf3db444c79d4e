"""Push notification configs: the addresses to which the progress of a task is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidReference, NotFound
from agentrows.gen import push_notifications as queries
from agentrows.gen.models import PushNotification
from agentrows.stores._pages import OLDEST, Page, PageOrder, Pages
from agentrows.stores._requirements import TASK_OWNERS, require
from agentrows.validation import check_id, check_key_part, check_limit, check_text

if TYPE_CHECKING:
    from agentrows.db.executor import Executor

OLDEST_FIRST: Final = PageOrder(PushNotification, ("created_at", "id"), OLDEST)


@dataclass(frozen=True)
class PushNotificationStore:
    """Store of the push notification configs of users' tasks.

    A config belongs to its task: the same id under another task is another config.
    """

    db: Executor

    async def store_push_notification(
        self, id: str, *, task_id: str, user_id: str, data: str
    ) -> PushNotification:
        """Store a config of a user's task and return it.

        A stored config of the task with the same id is replaced, and a deleted one is restored.

        Raises:
            InvalidReference: the user has no such task.

        """
        require(self.db, TASK_OWNERS)
        check_key_part("id", id)
        check_id("task_id", task_id)
        check_id("user_id", user_id)
        check_text("data", data)
        while True:
            config = await queries.upsert_push_notification(
                self.db.repeatable, id=id, task_id=task_id, user_id=user_id, data=data
            )
            if config is not None:
                return config
            # No row: the task does not exist, or a concurrent config of another task took the id.
            if not await queries.has_task(self.db.repeatable, task_id=task_id, user_id=user_id):
                raise InvalidReference(f"no task {task_id!r} of this user")

    async def get_push_notification(
        self, id: str, *, task_id: str, user_id: str
    ) -> PushNotification:
        """Return a config of a user's task.

        Raises:
            NotFound: the user's task has no such config, or it is deleted.

        """
        require(self.db, TASK_OWNERS)
        config = await queries.get_push_notification(
            self.db.repeatable,
            id=check_key_part("id", id),
            task_id=check_id("task_id", task_id),
            user_id=check_id("user_id", user_id),
        )
        if config is None:
            raise NotFound(f"no push notification {id!r} of this task")
        return config

    async def list_push_notifications(
        self,
        task_id: str,
        *,
        user_id: str,
        limit: int | None = None,
        after: PushNotification | str | None = None,
    ) -> Page[PushNotification]:
        """Return the configs of a user's task, oldest first.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page.
        """
        require(self.db, TASK_OWNERS)
        task = {"task_id": check_id("task_id", task_id), "user_id": check_id("user_id", user_id)}
        pages = Pages(self.db, "list_push_notifications", OLDEST_FIRST, task)
        after_time, after_id = pages.start(after)
        configs = await queries.list_push_notifications(
            self.db.repeatable,
            **task,
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )
        return pages.page(configs, limit)

    async def delete_push_notification(self, id: str, *, task_id: str, user_id: str) -> bool:
        """Mark a config of a user's task as deleted; return whether it existed."""
        return await self._delete(check_key_part("id", id), task_id=task_id, user_id=user_id)

    async def delete_push_notifications(self, task_id: str, *, user_id: str) -> bool:
        """Mark all configs of a user's task as deleted; return whether any existed."""
        return await self._delete(None, task_id=task_id, user_id=user_id)

    async def _delete(self, id: str | None, *, task_id: str, user_id: str) -> bool:
        require(self.db, TASK_OWNERS)
        deleted = await queries.delete_push_notifications(
            self.db.repeatable,
            id=id,
            task_id=check_id("task_id", task_id),
            user_id=check_id("user_id", user_id),
        )
        return deleted > 0
