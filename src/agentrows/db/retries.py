"""Trying again what has not happened, until a deadline."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import stamina

from agentrows.errors import Aborted, ClientClosed, PoolTimeout, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    OnRetry = Callable[["Retry"], None]

__all__ = ["NO_RETRIES", "Retries", "Retry"]

T = TypeVar("T")
logger = logging.getLogger(__name__)

FIRST_WAIT_S: Final = 0.02
LONGEST_WAIT_S: Final = 1.0
JITTER_S: Final = 0.05
FINAL: Final = (PoolTimeout, ClientClosed)
"""Unavailable as well, but it would be so again: a queue that is too long, a client's end."""


@dataclass(frozen=True)
class Retry:
    """A call is about to be tried again, because nothing of it has happened or it may repeat."""

    attempt: int
    """Which try this is going to be: 2, 3, …"""
    elapsed_s: float
    """How long the call has been under way, in seconds."""
    error: Unavailable | Aborted
    """How the try before ended."""


@dataclass(frozen=True)
class Retries:
    """How long to go on trying, in seconds, and whom to tell."""

    timeout_s: float
    on_retry: OnRetry | None = None

    async def run(self, call: Callable[[], Awaitable[T]], *, limit_s: float | None) -> T:
        """Return what `call` returns; begin it anew when it ends in Unavailable or Aborted.

        At once, then after 20 ms doubling to 1 s, until `timeout_s` or `limit_s` are over; then the
        last error goes to the caller. One who found no free connection in time, or a closed client,
        does not try again.
        """
        started = asyncio.get_running_loop().time()
        try:
            return await call()
        except (Unavailable, Aborted) as error:
            if self.gives_up(error, limit_s):
                raise
            first = error
        return await self.again(call, first, started=started, limit_s=limit_s)

    def gives_up(self, error: Unavailable | Aborted, limit_s: float | None) -> bool:
        """Say whether a call that ended so is not tried again.

        Then it is to be raised where it was caught: a frame that keeps it in a name, and that it
        keeps by its traceback, would hold the arguments until the garbage collector comes.
        """
        return isinstance(error, FINAL) or not self._window_s(limit_s)

    def _window_s(self, limit_s: float | None) -> float:
        return self.timeout_s if limit_s is None else min(self.timeout_s, limit_s)

    async def again(
        self,
        call: Callable[[], Awaitable[T]],
        last: Unavailable | Aborted,
        *,
        started: float,
        limit_s: float | None,
    ) -> T:
        """Go on as `run` does with a call that began at `started` and ended in `last`."""
        window_s = self._window_s(limit_s)
        now = asyncio.get_running_loop().time
        tries = 1
        async for attempt in stamina.retry_context(
            on=(Unavailable, Aborted),
            attempts=None,
            timeout=None,
            wait_initial=FIRST_WAIT_S,
            wait_max=LONGEST_WAIT_S,
            wait_jitter=JITTER_S,
        ):
            with attempt:
                tries = attempt.num + 1
                self._tell(Retry(tries, now() - started, last))
                try:
                    return await call()
                except (Unavailable, Aborted) as error:
                    last = error
                    is_over = now() - started + attempt.next_wait > window_s
                    if is_over or isinstance(error, FINAL):
                        break
                    raise
        last.add_note(f"tried {tries} times in {now() - started:.1f} s")
        raise last

    def _tell(self, retry: Retry) -> None:
        """Call the application's hook; what it raises must not cost the caller the call."""
        if self.on_retry is None:
            return
        try:
            self.on_retry(retry)
        except Exception:
            logger.exception("the hook on_retry failed")


NO_RETRIES: Final = Retries(timeout_s=0.0)
