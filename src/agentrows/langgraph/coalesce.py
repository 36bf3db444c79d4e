"""Merging of concurrent calls: those of one turn of the event loop become one statement."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from agentrows.errors import (
    ConfigError,
    OutcomeUnknown,
    SchemaBehind,
    StatementTimeout,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

__all__ = ["CallMerger"]

K = TypeVar("K", bound="Hashable")
A = TypeVar("A")
R = TypeVar("R")

COMMON_ERRORS: Final = (ConfigError, OutcomeUnknown, SchemaBehind, StatementTimeout, Unavailable)
"""Errors that no single caller causes."""
MOST_ITEMS: Final = 5000
MOST_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class _Call(Generic[A, R]):
    items: Sequence[A]
    result: asyncio.Future[list[R]]


@dataclass(slots=True)
class _Queue(Generic[A, R]):
    """The calls of one key that wait for a run, and the number of its runs."""

    waiting: list[_Call[A, R]] = field(default_factory=list["_Call[A, R]"])
    running: int = 0
    names: set[Hashable] = field(default_factory=set["Hashable"])
    """What the items of the runs are named, which later calls must not overtake."""
    is_scheduled: bool = False


class CallMerger(Generic[K, A, R]):
    """Merges the calls with the same key that are made in one turn of the event loop.

    `run` gets the key and the items of one or several calls, and returns a result for each item. If
    it fails for several calls, it runs again for each half of them, so that the mistake of one
    caller fails only the call of that caller. A call that is cancelled before its run is left out.

    At most `most_runs` runs of one key are active; the calls that are made meanwhile are merged
    into the next one. `size_of` returns the size of an item in bytes: a run has at most 5,000 items
    and 16 MB, or one call. Calls with items of one `name_of` run in the order in which they are
    made.
    """

    def __init__(
        self,
        run: Callable[[K, list[A]], Awaitable[list[R]]],
        *,
        most_runs: int,
        size_of: Callable[[A], int] = lambda _: 0,
        name_of: Callable[[A], Hashable] | None = None,
    ) -> None:
        self._run = run
        self._most_runs = most_runs
        self._size_of = size_of
        self._name_of = name_of
        self._queues: dict[K, _Queue[A, R]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, key: K, items: Sequence[A]) -> asyncio.Future[list[R]]:
        """Return the future results of items, which are processed with those of other calls."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[list[R]] = loop.create_future()
        if not items:
            result.set_result([])
            return result
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue()
        queue.waiting.append(_Call(items, result))
        if not queue.is_scheduled and queue.running < self._most_runs:
            queue.is_scheduled = True
            loop.call_soon(self._start, key, queue)
        return result

    async def run_with_waiting(
        self,
        key: K,
        is_chosen: Callable[[A], bool],
        run: Callable[[list[A]], Awaitable[list[R]]],
    ) -> None:
        """Run another function with the items of the waiting calls whose items are all chosen.

        It returns their results. If it fails, these calls wait again, and it runs once more without
        their items, because one of them may be the reason.
        """
        queue = self._queues.get(key)
        part = [] if queue is None else self._take_chosen(queue, is_chosen)
        if queue is None or not part or not await self._run_with(part, key, queue, run):
            await run([])

    async def _run_with(
        self,
        part: list[_Call[A, R]],
        key: K,
        queue: _Queue[A, R],
        run: Callable[[list[A]], Awaitable[list[R]]],
    ) -> bool:
        """Run a function with the items of calls; return whether it succeeded."""
        names = {name for call in part for name in self._names_of(call)}
        queue.names |= names
        queue.running += 1
        try:
            results = await run([item for call in part for item in call.items])
        except BaseException as error:
            queue.waiting[:0] = [call for call in part if not call.result.done()]
            if not isinstance(error, Exception) or isinstance(error, COMMON_ERRORS):
                raise
            return False
        else:
            _answer(part, results)
            return True
        finally:
            queue.running -= 1
            queue.names -= names
            if not queue.is_scheduled:
                self._start(key, queue)

    def _take_chosen(
        self, queue: _Queue[A, R], is_chosen: Callable[[A], bool]
    ) -> list[_Call[A, R]]:
        """Remove and return the waiting calls that are chosen, within the limits of a run."""
        chosen: list[_Call[A, R]] = []
        rest: list[_Call[A, R]] = []
        for call in queue.waiting:
            (chosen if all(map(is_chosen, call.items)) else rest).append(call)
        queue.waiting = chosen
        part = [call for call in self._take_part(queue) if not call.result.done()]
        queue.waiting += rest
        return part

    def _start(self, key: K, queue: _Queue[A, R]) -> None:
        """Start runs of the waiting calls, up to the limit."""
        queue.is_scheduled = False
        while queue.running < self._most_runs and (part := self._take_part(queue)):
            names = {name for call in part for name in self._names_of(call)}
            queue.names |= names
            queue.running += 1
            task = asyncio.ensure_future(self._process(key, part))
            self._tasks.add(task)
            task.add_done_callback(partial(self._end, key, queue, names))
        if not (queue.waiting or queue.running):
            del self._queues[key]

    def _end(
        self, key: K, queue: _Queue[A, R], names: set[Hashable], task: asyncio.Task[None]
    ) -> None:
        self._tasks.discard(task)
        queue.running -= 1
        queue.names -= names
        if task.cancelled():  # the event loop ends
            for call in queue.waiting:
                call.result.cancel()
            queue.waiting.clear()
        if not queue.is_scheduled:
            self._start(key, queue)

    def _take_part(self, queue: _Queue[A, R]) -> list[_Call[A, R]]:
        """Remove and return waiting calls, within the limits of a run."""
        part: list[_Call[A, R]] = []
        left: list[_Call[A, R]] = []
        names = set(queue.names)
        count = size = 0
        for place, call in enumerate(queue.waiting):
            own = self._names_of(call)
            if not names.isdisjoint(own):
                names.update(own)
                left.append(call)
                continue
            count += len(call.items)
            size += sum(map(self._size_of, call.items))
            if part and (count > MOST_ITEMS or size > MOST_BYTES):
                left += queue.waiting[place:]
                break
            part.append(call)
        queue.waiting = left
        return part

    def _names_of(self, call: _Call[A, R]) -> Sequence[Hashable]:
        return () if self._name_of is None else [self._name_of(item) for item in call.items]

    async def _process(self, key: K, calls: list[_Call[A, R]]) -> None:
        """Run calls, and set the result or the error of each."""
        calls = [call for call in calls if not call.result.done()]
        if not calls:
            return
        try:
            results = await self._run(key, [item for call in calls for item in call.items])
        except Exception as error:  # noqa: BLE001  it is raised to the callers
            if len(calls) == 1 or isinstance(error, COMMON_ERRORS):
                _fail(calls, error)
                return
        except BaseException:
            for call in calls:
                call.result.cancel()
            raise
        else:
            _answer(calls, results)
            return
        middle = len(calls) // 2
        await self._process(key, calls[:middle])
        await self._process(key, calls[middle:])


def _answer(calls: Sequence[_Call[A, R]], results: Sequence[R]) -> None:
    """Set the results of each call that was not cancelled."""
    start = 0
    for call in calls:
        end = start + len(call.items)
        if not call.result.done():
            call.result.set_result(list(results[start:end]))
        start = end


def _fail(calls: Sequence[_Call[A, R]], error: Exception) -> None:
    """Set the error of each call that was not cancelled."""
    for call in calls:
        if not call.result.done():
            call.result.set_exception(error)
