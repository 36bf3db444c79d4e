"""The queue of calls that wait for a connection of the pool."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from agentrows.db.sources import Connection

__all__ = ["Waiter", "WaiterQueue", "WaitingLookup"]


@dataclass(eq=False, slots=True)
class Waiter:
    """A call that waits for a connection.

    `when` is the end of the wait for a free connection; `deadline` is the end of the call.
    """

    future: asyncio.Future[Connection]
    when: float
    deadline: float
    on_expiry: Callable[[Waiter], None]

    def expire(self) -> None:
        """Call the pool, which ends or extends the wait."""
        self.on_expiry(self)

    def fail(self, error: BaseException) -> None:
        """Raise an error in the call."""
        if not self.future.done():
            self.future.set_exception(error)


class WaitingLookup(Protocol):
    """A look-up that may leave the queue before it gets a connection."""

    waiter: Waiter | None


class WaiterQueue(deque[Waiter]):
    """Waiters in the order of arrival; cancelled ones stay until their task runs."""

    def take_first(self) -> Waiter | None:
        """Remove and return the first waiter; None if the queue is empty."""
        while self:
            waiter = self.popleft()
            if not waiter.future.done():
                return waiter
        return None

    def discard(self, waiter: Waiter) -> None:
        """Remove a waiter if it is in the queue."""
        if waiter in self:
            self.remove(waiter)

    def count_live(self) -> int:
        """Return the number of waiters that are still waiting."""
        return sum(not waiter.future.done() for waiter in self)

    def count_before(self, waiter: Waiter) -> int:
        """Return the number of waiters that are served before this one."""
        count = 0
        for earlier in self:
            if earlier is waiter:
                break
            count += not earlier.future.done()
        return count
