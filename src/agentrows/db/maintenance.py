"""Tasks that reset, check or close connections of a pool, outside of any call."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentrows.db.sources import Connection

__all__ = ["MaintenanceTasks"]

logger = logging.getLogger(__name__)

RESET_TIMEOUT_S: Final = 2.0
"""Time limit of a reset and of a close."""
CHECK_TIMEOUT_S: Final = 2.0
EXPIRED: Final = float("-inf")
"""The expiry time of a connection that must not be used again."""


class MaintenanceEnd(Protocol):
    """The pool's function that takes a connection back from a task."""

    def __call__(
        self, connection: Connection, expires_at: float, *, is_usable: bool, was_check: bool
    ) -> None:
        """Take the connection back."""


class MaintenanceTasks:
    """Runs the maintenance of connections in tasks, and passes each connection to `on_end`.

    A caller that is cancelled does not end a task, so each connection returns to the pool.
    """

    def __init__(self, on_end: MaintenanceEnd) -> None:
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        # Tasks outlive the call that starts them, and must not reference its context variables.
        self._context = contextvars.copy_context()
        # Each connection with its expiry time.
        self._tasks: dict[asyncio.Task[object], tuple[Connection, float]] = {}
        self._checks: set[asyncio.Task[object]] = set()

    @property
    def connections(self) -> list[Connection]:
        """The connections that are under maintenance."""
        return [connection for connection, _ in self._tasks.values()]

    @property
    def check_count(self) -> int:
        """The number of checks that a waiter can count on."""
        return len(self._checks)

    def reset(self, connection: Connection, expires_at: float) -> None:
        """Wait until the server has ended an interrupted statement, then reset the session."""
        self._start(connection, expires_at, connection.reset(timeout=RESET_TIMEOUT_S))

    def close(self, connection: Connection) -> None:
        """Close a connection with a message to the server."""
        self._start(connection, EXPIRED, connection.close(timeout=RESET_TIMEOUT_S))

    def check(self, connection: Connection, expires_at: float, *, for_waiter: bool) -> None:
        """Check that the server answers; a SELECT without columns is the shortest statement."""
        work = connection.execute("SELECT", timeout=CHECK_TIMEOUT_S)
        task = self._start(connection, expires_at, work)
        if for_waiter:
            self._checks.add(task)

    def expire_all(self) -> None:
        """Mark the connections under maintenance as expired."""
        self._tasks = {task: (connection, EXPIRED) for task, (connection, _) in self._tasks.items()}

    def cancel_all(self) -> None:
        """Cancel every task."""
        for task in self._tasks:
            task.cancel()

    def clear(self) -> None:
        """Remove the tasks of an event loop that is closed."""
        self._tasks.clear()

    def _start(
        self, connection: Connection, expires_at: float, work: Coroutine[object, object, object]
    ) -> asyncio.Task[object]:
        task = self._loop.create_task(work, context=self._context.copy())
        self._tasks[task] = connection, expires_at
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[object]) -> None:
        """Pass a connection back; a cancelled task may never have started its work."""
        connection, expires_at = self._tasks.pop(task)
        was_check = task in self._checks
        self._checks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure:
            logger.debug("closing a connection whose server did not answer", exc_info=failure)
        is_usable = not (task.cancelled() or failure or connection.is_closed())
        self._on_end(connection, expires_at, is_usable=is_usable, was_check=was_check)
