"""Cancellation of a task at each of its waits, one after the other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from support.watching import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator

Moment = Literal["waiting", "answered"]
T = TypeVar("T")


@dataclass
class Stepped(Generic[T]):
    """A call that counts its waits, and cancels its own task in some of them.

    The cancellation comes while the task waits, or after the awaited result has arrived and before
    the task continues: then the result is lost.
    """

    call: Awaitable[T]
    cancel_at: frozenset[int] = frozenset()
    """The numbers, from 1, of the waits in which the task is cancelled."""
    moment: Moment = "waiting"
    waits: int = 0
    cancels: int = 0
    """The number of cancellations that came in time."""

    def __await__(self) -> Generator[Any, Any, T]:
        inner = self.call.__await__()
        task = asyncio.current_task()
        assert task
        thrown: BaseException | None = None
        while True:
            try:
                awaited = inner.throw(thrown) if thrown else inner.send(None)
            except StopIteration as stop:
                result: T = stop.value
                return result
            self.waits += 1
            if self.waits in self.cancel_at:
                self._cancel(task, awaited)
            thrown = None
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001  it goes on to the call
                thrown = error

    def _cancel(self, task: asyncio.Task[Any], awaited: asyncio.Future[Any] | None) -> None:
        def cancel(_: object = None) -> None:
            self.cancels += task.cancel()

        if self.moment == "answered" and awaited is not None:
            awaited.add_done_callback(cancel)
        else:
            asyncio.get_running_loop().call_soon(cancel)


async def run(
    call: Callable[[], Awaitable[T]], *cancel_at: int, moment: Moment = "waiting"
) -> Stepped[T]:
    """Run a call in a task, cancelled in these waits; return the counts.

    A cancelled call has to end with CancelledError, any other without an error.
    """
    stepped = Stepped(call(), frozenset(cancel_at), moment)

    async def work() -> T:
        return await stepped

    task = asyncio.create_task(work())
    await asyncio.wait([task], timeout=PATIENCE_S)
    assert task.done(), f"it hangs after a cancel in {cancel_at}, {moment}"
    if not stepped.cancels:
        task.result()
    assert task.cancelled() == bool(stepped.cancels), f"{cancel_at}, {moment}: {task!r}"
    return stepped


def cases(waits: int) -> Iterator[tuple[Moment, tuple[int, ...]]]:
    """Yield each wait by itself, and each with its successor, which interrupts the cleanup."""
    for moment in get_args(Moment):
        for wait in range(1, waits + 1):
            for more in ((), (wait + 1,), (wait + 2,), (wait + 1, wait + 2)):
                yield moment, (wait, *more)
