"""Retries of calls that had no effect, or that may run twice, until a deadline."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from agentrows.db.backoff import RetryLog, wait_times
from agentrows.errors import Aborted, AgentRowsError, ClientClosed, PoolTimeout, Unavailable

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
"""Kinds of Unavailable that would come again: the queue is too long, or the client is closed."""


@dataclass(frozen=True)
class Retry:
    """A call is about to be tried again, because nothing of it has happened or it may repeat."""

    attempt: int
    """Which try this is going to be: 2, 3, …"""
    elapsed_s: float
    """How long the call has been under way, in seconds."""
    error: AgentRowsError
    """How the previous try ended: Unavailable or Aborted, and AlreadyExists for an upsert."""


@dataclass(frozen=True)
class Retries:
    """How long calls are tried again, in seconds, and the hook that is called for each retry."""

    timeout_s: float
    on_retry: OnRetry | None = None
    _log: RetryLog = field(default_factory=RetryLog, repr=False, compare=False)

    async def run(
        self, call: Callable[[], Awaitable[T]], *, limit_s: float | None, name: str = "a call"
    ) -> T:
        """Return the result of `call`; start it again after an error that may not come again.

        At once, then after 20 ms doubling to 1 s, until `timeout_s` or `limit_s` are over; then the
        last error is raised. PoolTimeout and ClientClosed are not tried again. `name` is the
        call's name in the log.
        """
        started = asyncio.get_running_loop().time()
        try:
            return await call()
        except AgentRowsError as error:
            if self.gives_up(error, limit_s):
                raise
            first = error
        return await self.again(call, first, started=started, limit_s=limit_s, name=name)

    def gives_up(self, error: AgentRowsError, limit_s: float | None, *, tries: int = 1) -> bool:
        """Return whether a call is not tried again after `tries` tries, the last with this error.

        Then the error must be raised where it was caught: a frame that keeps it in a variable, and
        that it references by its traceback, would keep the arguments until a garbage collection.
        """
        if error.most_tries is not None:
            is_final = tries >= error.most_tries
        else:
            is_final = isinstance(error, FINAL) or not isinstance(error, (Unavailable, Aborted))
        return is_final or not self._window_s(limit_s)

    def _window_s(self, limit_s: float | None) -> float:
        return self.timeout_s if limit_s is None else min(self.timeout_s, limit_s)

    async def again(
        self,
        call: Callable[[], Awaitable[T]],
        last: AgentRowsError,
        *,
        started: float,
        limit_s: float | None,
        name: str = "a call",
    ) -> T:
        """Continue like `run` with a call that was started at `started` and ended in `last`."""
        window_s = self._window_s(limit_s)
        now = asyncio.get_running_loop().time
        tries = 1
        for wait_s in wait_times(FIRST_WAIT_S, LONGEST_WAIT_S, jitter_s=JITTER_S):
            tries += 1
            retry = Retry(tries, now() - started, last)
            self._log.log(name, now=now(), elapsed_s=retry.elapsed_s, error=last)
            self._tell(retry)
            try:
                return await call()
            except AgentRowsError as error:
                last = error
            is_over = now() - started + wait_s > window_s
            if is_over or self.gives_up(last, limit_s, tries=tries):
                break
            await asyncio.sleep(wait_s)
        last.add_note(f"tried {tries} times in {now() - started:.1f} s")
        raise last

    def _tell(self, retry: Retry) -> None:
        """Call the application's hook; an error in it is logged and does not end the call."""
        if self.on_retry is None:
            return
        try:
            self.on_retry(retry)
        except Exception:
            logger.exception("the hook on_retry failed")


NO_RETRIES: Final = Retries(timeout_s=0.0)
