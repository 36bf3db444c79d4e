"""The writes of a step: those of parallel tasks are one statement, also with the checkpoint."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from agentrows.bridge import run_in_loop, wait_in_thread
from agentrows.langgraph.coalesce import CallMerger

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from agentrows import Stores, TaskWrites
    from agentrows.bridge import CallRunner
    from agentrows.langgraph.calls import Call

__all__ = ["WriteCalls"]

MOST_RUNS: Final = 4
"""Statements of a user at a time; the writes of more tasks are merged into the next one."""
ROW_BYTES: Final = 200
"""About the size of a write without its value."""


class WriteCalls:
    """Stores the writes of tasks.

    The tasks of a step that end together are one statement and one commit, and so are those that
    wait while statements of their user run. Each call returns after the commit of its writes. If a
    statement fails, the error of a task reaches only its own call.
    """

    def __init__(self, calls: CallRunner) -> None:
        self._calls = calls
        self._tasks: CallMerger[str, TaskWrites, None] = CallMerger(
            self._store, most_runs=MOST_RUNS, size_of=_size_of, name_of=_name_of
        )

    async def store(self, user_id: str, task: TaskWrites) -> None:
        """Store the writes of a task.

        Raises:
            ClientClosed: the event loop of the client is not running.

        """
        loop = self._calls.loop
        if asyncio.get_running_loop() is loop:
            await self._tasks.submit(user_id, [task])
        else:
            await run_in_loop(loop, lambda: self._submit(user_id, task))

    async def store_checkpoint(
        self,
        user_id: str,
        namespace: tuple[str, str],
        make_call: Callable[[Sequence[TaskWrites]], Call[None]],
    ) -> None:
        """Run the call that stores a checkpoint, with the waiting writes of its namespace.

        LangGraph puts the writes of the last task of a step and its checkpoint in one turn of the
        event loop; both calls return after the one commit. After an error each is stored alone.

        Raises:
            ClientClosed: the event loop of the client is not running.

        """

        async def run(tasks: list[TaskWrites]) -> list[None]:
            await self._calls.run(user_id, make_call(tasks))
            return [None] * len(tasks)

        if asyncio.get_running_loop() is not self._calls.loop:
            await run([])
            return
        await self._tasks.run_with_waiting(user_id, lambda task: task[:2] == namespace, run)

    def store_sync(self, user_id: str, task: TaskWrites) -> None:
        """Store the writes of a task, for a caller that is not in the event loop of the client.

        Raises:
            asyncio.InvalidStateError: the caller runs in the event loop of the client.
            ClientClosed: the event loop of the client is not running.

        """
        wait_in_thread(self._calls.loop, lambda: self._submit(user_id, task))

    async def _submit(self, user_id: str, task: TaskWrites) -> None:
        await self._tasks.submit(user_id, [task])

    async def _store(self, user_id: str, tasks: list[TaskWrites]) -> list[None]:
        """Store the writes of tasks of one user in one statement."""

        async def call(stores: Stores) -> None:
            if len(tasks) > 1:
                await stores.store_task_writes(tasks, user_id=user_id)
                return
            (task,) = tasks
            await stores.store_thread_writes(
                task.thread_id,
                user_id=user_id,
                checkpoint_ns=task.checkpoint_ns,
                checkpoint_id=task.checkpoint_id,
                task_id=task.task_id,
                task_path=task.task_path,
                writes=task.writes,
            )

        await self._calls.run(user_id, call)
        return [None] * len(tasks)


def _size_of(task: TaskWrites) -> int:
    return sum(len(write.value) + ROW_BYTES for write in task.writes)


def _name_of(task: TaskWrites) -> Hashable:
    """Return the key of a task; a statement cannot store its writes twice."""
    return task[:4]
