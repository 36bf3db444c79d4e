"""Time limits of a client's statements, which share one timer.

`asyncio.timeout` sets and cancels a timer for each block, which costs more than all other work of
the library for a statement (docs/performance.md). Blocks here only record their deadline, and one
timer is set for the earliest of them. Most blocks have the same limit, so the timer is set about
once per limit.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Deadlines", "TimeLimit", "TimedItem"]

TICK_S: Final = 0.001
"""How early a timer may fire: uvloop counts milliseconds."""


class TimedItem(Protocol):
    """An object that expires at `when`, in the time of the event loop."""

    when: float

    def expire(self) -> None:
        """End the wait or the block that this object limits."""


class Deadlines:
    """The time limits of one client, with their common timer."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.pending: set[TimedItem] = set()
        self._timer_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: TimedItem) -> None:
        """Call `item.expire()` at its time, unless it is removed from `pending` before."""
        self.pending.add(item)
        if item.when < self._timer_at:
            self._set_timer(item.when)

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self.loop.call_at(when, self._expire_due)

    def _expire_due(self) -> None:
        """Expire the items that are due, and set the timer for the next one."""
        self._timer = None
        self._timer_at = math.inf
        limit = self.now() + TICK_S
        due = [item for item in self.pending if item.when <= limit]
        for item in sorted(due, key=lambda item: item.when):
            self.pending.discard(item)
            item.expire()
        earliest = min((item.when for item in self.pending), default=math.inf)
        if earliest < math.inf:
            self._set_timer(earliest)


class TimeLimit:
    """A block that raises TimeoutError if it runs past `when`, as `asyncio.timeout_at` does.

    `when` is in the time of the event loop, `Deadlines.now()`; infinity means never.
    """

    __slots__ = ("_cancellations", "_deadlines", "_has_expired", "_task", "when")

    def __init__(self, deadlines: Deadlines, when: float) -> None:
        self.when = when
        self._deadlines = deadlines
        self._has_expired = False

    def __enter__(self) -> None:
        """Start the time limit of this task's block."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task to cancel")
        self._task = task
        self._cancellations = task.cancelling()
        self._deadlines.add(self)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Raise TimeoutError if the block was cancelled by its time limit."""
        self._deadlines.pending.discard(self)
        if not self._has_expired:
            return
        # A cancellation by another task at the same time must stay one.
        is_ours = self._task.uncancel() <= self._cancellations
        if is_ours and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the block's task."""
        self._has_expired = True
        self._task.cancel()
