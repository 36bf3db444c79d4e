"""Time limits of the statements of a client, on one timer for all of them.

`asyncio.timeout` sets a timer for each block and takes it back, which costs more than all that a
statement needs of us beside (docs/performance.md). Blocks here only note when they have to end, and
one timer stands at the earliest of these moments: as most have the same limit, a later one ends
later, and the timer is set anew once in that time.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Deadlines", "TimeLimit", "Until"]

TICK_S: Final = 0.001
"""How much too early a timer may ring: uvloop counts milliseconds."""


class TimeLimit(Protocol):
    """Something that ends at `when`, in the time of the event loop."""

    when: float

    def expire(self) -> None:
        """End it."""


class Deadlines:
    """The blocks of an event loop that have a time limit: those of a client."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.open: set[TimeLimit] = set()
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, block: TimeLimit) -> None:
        """Watch over a block until it is discarded from `open`, or expires."""
        self.open.add(block)
        if block.when < self._rings_at:
            self._ring_at(block.when)

    def _ring_at(self, when: float) -> None:
        """Set the timer anew."""
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = when
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        """End the blocks whose time is over, and wait for the next."""
        self._timer = None
        self._rings_at = math.inf
        over = self.now() + TICK_S
        expired = [each for each in self.open if each.when <= over]
        for block in sorted(expired, key=lambda each: each.when):
            self.open.discard(block)
            block.expire()
        earliest = min((each.when for each in self.open), default=math.inf)
        if earliest < math.inf:
            self._ring_at(earliest)


class Until:
    """A block that raises TimeoutError where it still runs at `when`, as `asyncio.timeout_at` does.

    `when` is in the time of the event loop, `Deadlines.now()`; infinity means never. A block that
    ends in time costs a look into a set, and the timer stays for those to come.
    """

    __slots__ = ("_cancellations", "_deadlines", "_has_expired", "_task", "when")

    def __init__(self, deadlines: Deadlines, when: float) -> None:
        self.when = when
        self._deadlines = deadlines
        self._has_expired = False

    def __enter__(self) -> None:
        """Begin to watch over the block of this task."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task that it can end")
        self._task = task
        self._cancellations = task.cancelling()
        self._deadlines.add(self)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Say that it was the time that ended the block, if it was."""
        self._deadlines.open.discard(self)
        if not self._has_expired:
            return
        # Somebody else's cancellation that came as well has to go on.
        is_ours = self._task.uncancel() <= self._cancellations
        if is_ours and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        """End the block."""
        self._has_expired = True
        self._task.cancel()
