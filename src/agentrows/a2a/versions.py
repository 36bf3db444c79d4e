"""The versioned task store of A2A, for servers with several replicas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from a2a.server.cluster import (
    ConcurrentTaskModificationError,
    StoredTask,
    TaskVersion,
)
from a2a.server.cluster import VersionedTaskStore as BaseVersionedTaskStore
from a2a.server.owner_resolver import resolve_user_scope
from a2a.types.a2a_pb2 import TaskState
from a2a.utils.proto_utils import to_stream_response

from agentrows import Conflict, NotFound, OutcomeUnknown
from agentrows.a2a.documents import (
    FINAL_STATES,
    name_states,
    read_number,
    read_task,
    write_columns,
)
from agentrows.a2a.owners import ANONYMOUS_USER
from agentrows.a2a.tasks import TaskReader
from agentrows.validation import check_flag

if TYPE_CHECKING:
    from a2a.server.context import ServerCallContext
    from a2a.server.events import Event
    from a2a.server.owner_resolver import OwnerResolver
    from a2a.types.a2a_pb2 import Task

    from agentrows import Stores, VersionedTask
    from agentrows.a2a.documents import TaskColumns

MOST_TRIES: Final = 5
"""Attempts of a save that lost its connection and turned out not to have been stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A save of one task; `version` is None for a cancellation."""

    task_id: str
    user_id: str
    version: int | None
    columns: TaskColumns
    event: bytes | None
    notify: bool

    async def store(self, stores: Stores) -> int:
        """Store the task and return its new version."""
        if self.version is None:
            return await stores.cancel_task(
                self.task_id,
                user_id=self.user_id,
                **self.columns,
                final_states=name_states(*FINAL_STATES),
                event=self.event,
                notify=self.notify,
            )
        return await stores.save_task(
            self.task_id,
            user_id=self.user_id,
            **self.columns,
            version=self.version,
            event=self.event,
            notify=self.notify,
        )

    def find_outcome(self, row: VersionedTask | None) -> TaskVersion | None:
        """Return the new version if the row contains this change; None if it was not stored.

        Raises:
            ConcurrentTaskModificationError: another writer has changed the task.

        """
        stored = 0 if row is None else row.version
        is_same = row is not None and row.data == self.columns["data"]
        if is_same and self.version in (None, stored - 1):
            return TaskVersion(stored)
        if self.version in (None, stored):
            return None
        raise ConcurrentTaskModificationError(self.task_id)


class VersionedTaskStore(TaskReader, BaseVersionedTaskStore):
    """A store of tasks with versions: of two writers that read the same version, one succeeds.

    The arguments are those of `TaskStore`. With `notify` each save with an event is announced to
    `TaskEventStream` at once; without it the stream finds the event at its next poll. Saves that
    notify are committed one after another.
    """

    def __init__(  # noqa: PLR0913  one keyword per setting
        self,
        client: Stores,
        *,
        owner_resolver: OwnerResolver = resolve_user_scope,
        anonymous_user_id: str | None = ANONYMOUS_USER,
        row_security: bool = False,
        count_limit: int | None = None,
        notify: bool = True,
    ) -> None:
        super().__init__(
            client,
            owner_resolver=owner_resolver,
            anonymous_user_id=anonymous_user_id,
            row_security=row_security,
            count_limit=count_limit,
        )
        self._notify = check_flag("notify", notify)

    async def save(
        self,
        task: Task,
        *,
        event: Event | None = None,
        prev: Task | None = None,
        prev_version: TaskVersion,
        context: ServerCallContext,
    ) -> TaskVersion:
        """Store a task of the caller and its event; return the new version of the task.

        The task must be at `prev_version`; a canceled task replaces any that is not final.

        Raises:
            ConcurrentTaskModificationError: the task was changed, deleted, or is another user's.
            InvalidValue: the call has no owner, or the task cannot be stored.
            TypeError: `prev_version` is of another store.

        """
        del prev  # for stores that store differences
        version = read_version("prev_version", prev_version)
        is_canceled = task.status.state == TaskState.TASK_STATE_CANCELED
        change = _Change(
            task_id=task.id,
            user_id=self._owners.resolve(context),
            version=None if is_canceled else version,
            columns=write_columns(task),
            event=None if event is None else to_stream_response(event).SerializeToString(),
            notify=self._notify and event is not None,
        )
        tries = MOST_TRIES
        while True:
            try:
                async with self._owners.stores(change.user_id) as stores:
                    return TaskVersion(await change.store(stores))
            except (Conflict, NotFound) as error:
                raise ConcurrentTaskModificationError(task.id) from error
            except OutcomeUnknown:
                tries -= 1
                outcome = change.find_outcome(await self._find(task.id, context))
                if outcome is not None:
                    return outcome
                if tries == 0:
                    raise

    async def get(self, task_id: str, context: ServerCallContext) -> StoredTask | None:
        """Return a task of the caller with its version, or None.

        A task that another program stored is at the version MISSING.

        Raises:
            UnreadableRow: another program stored data that is not a task.

        """
        row = await self._find(task_id, context)
        return None if row is None else StoredTask(read_task(row), TaskVersion(row.version))


def read_version(name: str, version: TaskVersion) -> int:
    """Return the number of a version; TaskVersion has no public attribute for it.

    Raises:
        TypeError: the version is of a store whose versions are not numbers.

    """
    return read_number(name, version._value)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
