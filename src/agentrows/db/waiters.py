"""The queue of calls that wait for a connection of the pool."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from agentrows.db.sources import Connection

__all__ = ["Waiter", "WaiterQueue"]


@dataclass(eq=False, slots=True)
class Waiter:
    """A call that waits for a connection; `deadline` is its own time limit, `when` the next one."""

    future: asyncio.Future[Connection]
    when: float
    deadline: float
    on_expiry: Callable[[Waiter], None]

    def expire(self) -> None:
        """Let the pool decide on the time limit `when`."""
        self.on_expiry(self)

    def fail(self, error: BaseException) -> None:
        """Raise an error in the call."""
        if not self.future.done():
            self.future.set_exception(error)


class WaiterQueue(deque[Waiter]):
    """Waiters, the first one first; those that gave up stay in it until their task runs."""

    def take_first(self) -> Waiter | None:
        """Remove and return the waiter that has waited longest; None if there is none."""
        while self:
            waiter = self.popleft()
            if not waiter.future.done():
                return waiter
        return None

    def discard(self, waiter: Waiter) -> None:
        """Remove a waiter that gave up, if it is still in the queue."""
        if waiter in self:
            self.remove(waiter)

    def count_live(self) -> int:
        """Return the number of waiters that have not given up."""
        return sum(not each.future.done() for each in self)

    def count_before(self, waiter: Waiter) -> int:
        """Return the number of waiters that are served earlier."""
        earlier = 0
        for each in self:
            if each is waiter:
                break
            earlier += not each.future.done()
        return earlier
