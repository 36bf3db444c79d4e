"""Push notification configs: where to report on a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidReference, InvalidValue, NotFound
from agentrows.gen import push_notifications as queries
from agentrows.gen.models import PushNotification
from agentrows.stores._requirements import needs
from agentrows.validation import (
    OLDEST,
    check_after,
    check_id,
    check_limit,
    check_text,
    page_after,
)

if TYPE_CHECKING:
    from agentrows.db.executor import Executor

UNIT_SEPARATOR: Final = "\x1f"
"""What joins an id and a task in a row whose id another task's config has already."""


@dataclass(frozen=True)
class PushNotificationStore:
    """The configs of each task, which is a user's.

    A config belongs to its task: the same id under another task is another config.
    """

    db: Executor

    async def store_push_notification(
        self, id: str, *, task_id: str, user_id: str, data: str
    ) -> PushNotification:
        """Store a config of a user's task and return it; a deleted one comes back.

        Raises InvalidReference if this user has no such task.
        """
        needs(self.db, "core", 7)
        _check_config_id(id)
        check_id("task_id", task_id)
        check_id("user_id", user_id)
        check_text("data", data)
        while True:
            config = await queries.upsert_push_notification(
                self.db.repeatable, id=id, task_id=task_id, user_id=user_id, data=data
            )
            if config is not None:
                return config
            # No row: there is no such task, or another task's config took the id just now.
            if not await queries.has_task(self.db.repeatable, task_id=task_id, user_id=user_id):
                raise InvalidReference(f"no task {task_id!r} of this user")

    async def get_push_notification(
        self, id: str, *, task_id: str, user_id: str
    ) -> PushNotification:
        """Return a config; raise NotFound if it is deleted, or not of a task of this user."""
        needs(self.db, "core", 7)
        config = await queries.get_push_notification(
            self.db.repeatable,
            id=_check_config_id(id),
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
        after: PushNotification | None = None,
    ) -> list[PushNotification]:
        """Return the configs of a user's task, oldest first, at most `limit`.

        A page goes on `after` its last row.
        """
        needs(self.db, "core", 7)
        check_after(after, PushNotification, "id")
        after_time, after_id = page_after(after.created_at, after.id) if after else OLDEST
        return await queries.list_push_notifications(
            self.db.repeatable,
            task_id=check_id("task_id", task_id),
            user_id=check_id("user_id", user_id),
            after_time=after_time,
            after_id=after_id,
            limit=check_limit("limit", limit),
        )

    async def delete_push_notification(self, id: str, *, task_id: str, user_id: str) -> bool:
        """Mark a config as deleted; say whether there was one."""
        return await self._delete(_check_config_id(id), task_id=task_id, user_id=user_id)

    async def delete_push_notifications(self, task_id: str, *, user_id: str) -> bool:
        """Mark all configs of a user's task as deleted; say whether there was one."""
        return await self._delete(None, task_id=task_id, user_id=user_id)

    async def _delete(self, id: str | None, *, task_id: str, user_id: str) -> bool:
        needs(self.db, "core", 7)
        deleted = await queries.delete_push_notifications(
            self.db.repeatable,
            id=id,
            task_id=check_id("task_id", task_id),
            user_id=check_id("user_id", user_id),
        )
        return deleted > 0


def _check_config_id(id: str) -> str:
    if UNIT_SEPARATOR in check_id("id", id):
        raise InvalidValue("id holds U+001F, which is reserved in the ids of configs")
    return id
