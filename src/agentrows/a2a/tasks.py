"""The task store of A2A: the tasks of each user in the table of agentrows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from a2a.server.owner_resolver import resolve_user_scope
from a2a.server.tasks.task_store import TaskStore as BaseTaskStore
from a2a.types.a2a_pb2 import ListTasksResponse, Task

from agentrows import UnreadableRow
from agentrows.a2a.documents import read_task, write_columns
from agentrows.a2a.owners import ANONYMOUS_USER, Owners
from agentrows.a2a.pages import read_filters, read_page_size, read_token, write_token
from agentrows.validation import check_key_part, check_limit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from a2a.server.context import ServerCallContext
    from a2a.server.owner_resolver import OwnerResolver
    from a2a.types.a2a_pb2 import ListTasksRequest

    from agentrows import Stores, VersionedTask

logger = logging.getLogger(__name__)


class TaskReader:
    """The methods that stores of tasks with and without versions have in common."""

    def __init__(
        self,
        client: Stores,
        *,
        owner_resolver: OwnerResolver = resolve_user_scope,
        anonymous_user_id: str | None = ANONYMOUS_USER,
        row_security: bool = False,
        count_limit: int | None = None,
    ) -> None:
        self._count_limit = check_limit("count_limit", count_limit)
        self._owners = Owners(client, owner_resolver, anonymous_user_id, row_security)

    async def list(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        """Return a page of the caller's tasks, the latest status first.

        Tasks without a time, and tasks of other programs, are last. `total_size` counts the tasks
        that match, at most `count_limit`; its time grows with their number. Data that is not a
        task is left out.

        Raises:
            InvalidParamsError: the page token is not one of this list.

        """
        user_id = self._owners.resolve(context)
        filters, page_size = read_filters(params), read_page_size(params)
        async with self._owners.stores(user_id) as stores:
            after = await read_token(stores, params.page_token, user_id=user_id)
            total = await stores.count_tasks(user_id=user_id, **filters, limit=self._count_limit)
            rows = await stores.list_tasks(
                user_id=user_id, **filters, after=after, limit=page_size + 1
            )
        page = rows[:page_size]
        return ListTasksResponse(
            tasks=_read_tasks(page),
            total_size=total,
            page_size=page_size,
            next_page_token=write_token(page[-1]) if len(rows) > page_size else "",
        )

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        """Delete a task of the caller with its events and configs; its id can be used again."""
        user_id = self._owners.resolve(context)
        check_key_part("task_id", task_id)
        async with self._owners.stores(user_id) as stores:
            await stores.purge_task(task_id, user_id=user_id)

    async def _find(self, task_id: str, context: ServerCallContext) -> VersionedTask | None:
        user_id = self._owners.resolve(context)
        check_key_part("task_id", task_id)
        async with self._owners.stores(user_id) as stores:
            return await stores.find_versioned_task(task_id, user_id=user_id)


class TaskStore(TaskReader, BaseTaskStore):
    """A store of tasks for one server; each task belongs to the user that created it.

    `client` is a client or a transaction. `owner_resolver` returns the id of the user of a call,
    by default the name of the authenticated user; an empty one is `anonymous_user_id`, or an error
    if that is None. `row_security` runs each call inside `client.as_user`. `count_limit` is the
    largest `total_size` of a list, None for an exact one.
    """

    async def save(self, task: Task, context: ServerCallContext) -> None:
        """Store a task of the caller.

        Raises:
            Deleted: another program has deleted the task; the id cannot be reused.
            InvalidValue: the call has no owner, or the task cannot be stored.
            OwnedByAnother: the id belongs to another user's task.

        """
        user_id = self._owners.resolve(context)
        columns = write_columns(task)
        async with self._owners.stores(user_id) as stores:
            await stores.save_task(task.id, user_id=user_id, **columns)

    async def get(self, task_id: str, context: ServerCallContext) -> Task | None:
        """Return a task of the caller, or None.

        Raises:
            UnreadableRow: another program stored data that is not a task.

        """
        row = await self._find(task_id, context)
        return None if row is None else read_task(row)


def _read_tasks(rows: Iterable[VersionedTask]) -> list[Task]:
    """Return the tasks of rows without those that cannot be read, which are logged."""
    tasks: list[Task] = []
    for row in rows:
        try:
            tasks.append(read_task(row))
        except UnreadableRow as error:
            logger.warning("%s", error)
    return tasks
