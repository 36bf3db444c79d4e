"""Merging of concurrent calls: those of one turn of the event loop become one statement."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from agentrows.errors import (
    ConfigError,
    OutcomeUnknown,
    SchemaBehind,
    StatementTimeout,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence

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


class CallMerger(Generic[K, A, R]):
    """Merges the calls that are made in one turn of the event loop and have the same key.

    `run` gets the key and the items of one or several calls, and returns a result for each item. If
    it fails for several calls, it runs again for each half of them, so that the mistake of one
    caller fails only the call of that caller. A call that is cancelled before its run is left out.
    Runs do not wait for each other. `size_of` returns the size of an item in bytes: a run has at
    most 5,000 items and 16 MB, or one call.
    """

    def __init__(
        self,
        run: Callable[[K, list[A]], Awaitable[list[R]]],
        *,
        size_of: Callable[[A], int] = lambda _: 0,
    ) -> None:
        self._run = run
        self._size_of = size_of
        self._waiting: defaultdict[K, list[_Call[A, R]]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, key: K, items: Sequence[A]) -> asyncio.Future[list[R]]:
        """Return the future results of items, which are processed with those of other calls."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[list[R]] = loop.create_future()
        if not items:
            result.set_result([])
            return result
        if not self._waiting:
            loop.call_soon(self._start)
        self._waiting[key].append(_Call(items, result))
        return result

    def _start(self) -> None:
        waiting, self._waiting = self._waiting, defaultdict(list)
        for key, calls in waiting.items():
            for part in self._split(calls):
                task = asyncio.ensure_future(self._process(key, part))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _split(self, calls: list[_Call[A, R]]) -> Iterator[list[_Call[A, R]]]:
        """Yield the calls in parts within the limits of a run."""
        part: list[_Call[A, R]] = []
        count = size = 0
        for call in calls:
            call_size = sum(map(self._size_of, call.items))
            if part and (count + len(call.items) > MOST_ITEMS or size + call_size > MOST_BYTES):
                yield part
                part, count, size = [], 0, 0
            part.append(call)
            count += len(call.items)
            size += call_size
        yield part

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
