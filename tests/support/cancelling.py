"""Cancelling a task at each place where it waits, one after the other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    Moment = Literal["waiting", "answered"]

T = TypeVar("T")


@dataclass
class Stepped(Generic[T]):
    """A coroutine that counts its waits, and cancels its own task in some of them.

    A cancel comes while the task waits, or in the moment in which what it waits for is there and
    the task has not yet gone on: then the result is lost on the way.
    """

    coroutine: Coroutine[Any, Any, T]
    cancel_at: frozenset[int] = frozenset()
    """The waits, counted from 1, in which the task is cancelled."""
    moment: Moment = "waiting"
    waits: int = 0
    cancels: list[int] = field(default_factory=list[int])
    """The waits in which it was."""

    def __await__(self) -> Generator[Any, Any, T]:
        inner = self.coroutine.__await__()
        task = asyncio.current_task()
        assert task
        thrown: BaseException | None = None
        while True:
            try:
                awaited = inner.throw(thrown) if thrown else inner.send(None)
            except StopIteration as stop:
                return stop.value
            self.waits += 1
            if self.waits in self.cancel_at:
                self._cancel(task, awaited)
            thrown = None
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001  it goes on to the coroutine
                thrown = error

    def _cancel(self, task: asyncio.Task[Any], awaited: asyncio.Future[Any] | None) -> None:
        self.cancels.append(self.waits)
        if self.moment == "answered" and awaited is not None:
            awaited.add_done_callback(lambda _: task.cancel())
        else:
            asyncio.get_running_loop().call_soon(task.cancel)


async def run(
    call: Callable[[], Coroutine[Any, Any, T]], *cancel_at: int, moment: Moment = "waiting"
) -> Stepped[T]:
    """Run a call in a task of its own, cancelled in these waits; return what was counted.

    Every error goes to the caller, but for the cancellation itself.
    """
    stepped = Stepped(call(), frozenset(cancel_at), moment)

    async def work() -> T:
        return await stepped

    task = asyncio.create_task(work())
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return stepped
