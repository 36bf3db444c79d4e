"""Time limits of the statements of a client, on one timer for all of them.

`asyncio.timeout` sets a timer for each block and takes it back, which costs more than all that a
statement needs of us beside (docs/performance.md). Blocks here only note when they have to end, and
one timer stands at the earliest of these moments: as most have the same limit, a later one ends
later, and the timer is set anew once in that time.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Deadlines"]

TICK_S: Final = 0.001
"""How much too early a timer may ring: uvloop counts milliseconds."""


class Deadlines:
    """Ends blocks of the event loop in which it was made, as `asyncio.timeout_at` does."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._open: set[_Block] = set()
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def until(self, when: float) -> _Block:
        """Return a context manager whose block raises TimeoutError where it still runs at `when`.

        `when` is in the time of the event loop, `now()`; infinity means never.
        """
        return _Block(self, when)

    def enter(self, block: _Block) -> None:
        """Watch over a block until it leaves."""
        self._open.add(block)
        if block.when < self._rings_at:
            self._ring_at(block.when)

    def leave(self, block: _Block) -> None:
        """Forget a block; the timer stays, for those to come."""
        self._open.discard(block)

    def _ring_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = when
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        """End the blocks whose time is over, and wait for the next."""
        self._timer = None
        self._rings_at = math.inf
        over = self.now() + TICK_S
        for block in [each for each in self._open if each.when <= over]:
            self._open.discard(block)
            block.expire()
        earliest = min((each.when for each in self._open), default=math.inf)
        if earliest < math.inf:
            self._ring_at(earliest)


class _Block:
    """A block of one task, which ends when its time is over by being cancelled."""

    __slots__ = ("_cancellations", "_deadlines", "_has_expired", "_task", "when")

    def __init__(self, deadlines: Deadlines, when: float) -> None:
        self.when = when
        self._deadlines = deadlines
        self._has_expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task that it can end")
        self._task = task
        self._cancellations = task.cancelling()
        self._deadlines.enter(self)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._deadlines.leave(self)
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
