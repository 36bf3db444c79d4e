"""Push configs: push notification configurations of A2A for tasks that may not be stored yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.errors import OwnedByAnother
from agentrows.gen import push_configs as queries
from agentrows.stores._requirements import TASK_OWNERS, TASK_VERSIONS, require
from agentrows.validation import LARGEST_BYTES, check_bytes, check_id

if TYPE_CHECKING:
    from agentrows.db.executor import Executor
    from agentrows.gen.models import PushConfig


@dataclass(frozen=True)
class PushConfigStore:
    """Store of the push notification configs that users registered for tasks.

    Unlike the configs of `store_push_notification`, they can be stored before their task is, and
    their data is bytes, which the application may encrypt.
    """

    db: Executor

    async def store_push_config(
        self, id: str, *, task_id: str, user_id: str, data: bytes
    ) -> PushConfig:
        """Store a user's config for a task and return it; one with the same id is replaced.

        Raises:
            OwnedByAnother: the task is stored and belongs to another user.

        """
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        config = await queries.upsert_push_config(
            self.db.repeatable,
            config_id=check_id("id", id),
            task_id=check_id("task_id", task_id),
            user_id=check_id("user_id", user_id),
            data=check_bytes("data", data, most=LARGEST_BYTES),
        )
        if config is None:
            raise OwnedByAnother(f"task {task_id!r} belongs to another user")
        return config

    async def list_push_configs(self, task_id: str, *, user_id: str) -> list[PushConfig]:
        """Return the configs that a user registered for a task, oldest first."""
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        return await queries.list_push_configs(
            self.db.repeatable,
            task_id=check_id("task_id", task_id),
            user_id=check_id("user_id", user_id),
        )

    async def list_push_configs_all_users(self, task_id: str) -> list[PushConfig]:
        """Return the configs of all users for a task, oldest first.

        For the sender of notifications, not for users. Once the task is stored, only the configs of
        its owner are returned.
        """
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        return await queries.list_push_configs_all_users(
            self.db.repeatable, task_id=check_id("task_id", task_id)
        )

    async def delete_push_config(self, id: str, *, task_id: str, user_id: str) -> bool:
        """Delete a config that a user registered for a task; return whether it existed."""
        check_id("id", id)
        return await self._delete_configs(task_id, user_id, id) > 0

    async def delete_push_configs(self, task_id: str, *, user_id: str) -> int:
        """Delete all configs that a user registered for a task; return how many there were."""
        return await self._delete_configs(task_id, user_id, None)

    async def _delete_configs(self, task_id: str, user_id: str, id: str | None) -> int:
        require(self.db, TASK_OWNERS, TASK_VERSIONS)
        return await queries.delete_push_configs(
            self.db.repeatable,
            task_id=check_id("task_id", task_id),
            user_id=check_id("user_id", user_id),
            config_id=id,
        )
